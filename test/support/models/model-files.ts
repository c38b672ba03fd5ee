// Random models for tests: two shapes, temporary files that are removed after the last test, and waiting until a model
// computes.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll } from 'vitest';
import type { Engine } from '../../../src/engine.js';
import { Numbers } from '../numbers.js';
import { temporaryFolder } from '../temporary-folder.js';
import { type LlamaContent, type RandomLlama, writeRandomLlama } from './random-llama.js';
import { type RandomModel, writeRandomModel } from './random-model.js';

/** Small enough that its single tokens are computed on the calling thread. */
export const tiny: RandomLlama = {
  layers: 2,
  dim: 32,
  heads: 4,
  kvHeads: 2,
  ffn: 64,
  vocab: 300,
  context: 512,
  type: 'F32',
  tied: true,
};

/** Large enough to be computed by several workers. */
export const small: RandomLlama = { ...tiny, dim: 128, heads: 8, ffn: 352, vocab: 1000, type: 'F16', tied: false };

/** Call at the top of a test file. The result writes a model, gives its path, and removes it after the last test. */
export function modelFiles(): (model: RandomLlama, change?: (content: LlamaContent) => void) => Promise<string> {
  const folder = temporaryFolder();
  afterAll(() => folder.remove());
  let files = 0;
  return async (model, change) => {
    const path = folder.file(`${files++}.gguf`);
    await writeRandomLlama(path, model, change);
    return path;
  };
}

/** The same for models of any architecture. */
export function modelPaths(): (model: RandomModel, change?: (content: LlamaContent) => void) => Promise<string> {
  const folder = temporaryFolder();
  afterAll(() => folder.remove());
  let files = 0;
  return async (model, change) => {
    const path = folder.file(`${model.architecture}-${files++}.gguf`);
    await writeRandomModel(path, model, change);
    return path;
  };
}

/** Token ids, the same in every run. */
export function someIds(count: number, vocabulary: number): number[] {
  return [...new Numbers(count).integers(count, 0, vocabulary - 1)];
}

/** Waits until the workers run a program of `work`. False when the work finished before that was seen. */
export async function untilRunning(engine: Engine, work: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const settle = () => {
    settled = true;
  };
  work.then(settle, settle);
  // What is settled already says so in the next microtask, while a program of something later may run.
  await Promise.resolve();
  while (!settled && engine.stats().team.running === 0) await nextTurn();
  return !settled;
}
