// The bundled model in the types that `tesserae quantize` writes: its perplexity on the held-out text, compared with
// llama.cpp's for the same file and windows.
import { afterAll, expect, test } from 'vitest';
import { bundledModelF32Path, readFixtureText } from '../support/models/bundled-model.js';
import { sharedEngines } from '../support/running/engines.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { sharedLlama } from './support.js';

const engines = sharedEngines();
const llama = sharedLlama();
const folder = temporaryFolder();
afterAll(() => folder.remove());

const window = 256;
/** Relative difference of perplexities. */
const largestDifference = 5e-3;

test.each(['q8_0', 'q6_k', 'q4_k', 'q4_0'] as const)('%s', async (type) => {
  const engine = await engines({ threads: 2 });
  const path = folder.file(`${type}.gguf`);
  await engine.quantizeModel(bundledModelF32Path, path, { type });
  using model = await engine.loadModel(path);
  const ids = model.tokenizer.encode(readFixtureText('heldout.txt'), { addBos: false });
  const ours = await model.perplexity(ids, { window });

  const peer = await llama();
  await peer.load(path);
  await peer.context('perplexity', { positions: window, threads: 1 });
  let nll = 0;
  for (let from = 0; from < ids.length; from += window - 1) {
    nll += await peer.losses('perplexity', [model.tokenizer.bosId as number, ...ids.slice(from, from + window - 1)]);
  }
  const theirs = Math.exp(nll / ids.length);
  expect(ours.tokens).toBe(ids.length);
  expect(Math.abs(ours.perplexity / theirs - 1)).toBeLessThan(largestDifference);
});
