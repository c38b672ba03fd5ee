// Loads a model in an engine of its own for the length of one command.
import { bundledModelPath } from '../base/package-files.js';
import type { Engine, Model } from '../index.js';
import { cacheOf } from './cache-folder.js';
import { loadLibrary } from './load-library.js';
import type { ModelOptions } from './options.js';
import type { CommandContext } from './run-command.js';

export interface LoadedModel {
  readonly engine: Engine;
  readonly model: Model;
  readonly loadMs: number;
}

export async function withModel<T>(
  { model: path = bundledModelPath(), threads, cache }: ModelOptions,
  { output, signal }: CommandContext,
  use: (loaded: LoadedModel) => Promise<T>,
): Promise<T> {
  const library = await loadLibrary();
  await using engine = await library.Engine.create({ threads });
  const started = performance.now();
  const images = await cacheOf(cache, path, undefined, engine.stats().addon);
  const model = await engine.loadModel(path, { signal, onProgress: output.loading, ...images });
  const loadMs = performance.now() - started;
  output.clearProgress();
  return await use({ engine, model, loadMs });
}
