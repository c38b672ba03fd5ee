// Steps whose attention is cut by key blocks give the same tokens and log probabilities as steps that are not: alone and in a
// batch, for each type of keys and values, for any number of threads, with windows, and where memory is short.
import { afterEach, expect, test, vi } from 'vitest';
import { TesseraeError } from '../../src/base/errors.js';
import type { Engine } from '../../src/engine.js';
import { RunChoice } from '../../src/forward/attention-runs.js';
import { RowsInParts } from '../../src/forward/row-inputs.js';
import type { KeyValueType } from '../../src/ops/paged/key-value-pages.js';
import { SharedArena } from '../../src/program/shared-arena.js';
import { modelFiles, modelPaths, someIds, tiny } from '../support/models/model-files.js';
import { u32 } from '../support/models/random-model.js';
import { sharedEngines } from '../support/running/engines.js';
import { essence } from '../support/running/serving.js';

const engines = sharedEngines();
const write = modelFiles();
const writeAny = modelPaths();
const shape = { ...tiny, dim: 128, heads: 4, ffn: 128, context: 2048 };

afterEach(() => vi.restoreAllMocks());

/** Generates after prompts of these lengths, all at once. `runs`: of steps that were cut. */
async function generate(engine: Engine, path: string, lengths: readonly number[], kvType?: KeyValueType) {
  const plan = vi.spyOn(RowsInParts.prototype, 'plan');
  using model = await engine.loadModel(path, { ...(kvType && { kvType }), serving: { prefixCache: false } });
  const results = await Promise.all(
    lengths.map((length) => {
      const options = { maxTokens: 90, ignoreEos: true, logprobs: 3, seed: 1 };
      return model.generate(someIds(length, shape.vocab), options).result;
    }),
  );
  const runs = plan.mock.calls.length;
  plan.mockRestore();
  return { results: results.map(essence), runs };
}

/** The same without any cut. */
async function uncut(...args: Parameters<typeof generate>) {
  const choice = vi.spyOn(RunChoice.prototype, 'isWorthIt').mockReturnValue(false);
  const { results, runs } = await generate(...args);
  choice.mockRestore();
  expect(runs).toBe(0);
  return results;
}

test.each(['f32', 'f16', 'q8_0'] as const)('alone and in a batch, keys and values in %s', async (kvType) => {
  const path = await write({ ...shape, kvHeads: 1 });
  const engine = await engines({ threads: 2 });
  // The keys cross the border of a block at 768.
  for (const lengths of [[700], [1200, 40, 5]]) {
    const expected = await uncut(engine, path, lengths, kvType);
    const { results, runs } = await generate(engine, path, lengths, kvType);
    expect(runs).toBeGreaterThan(30);
    expect(results).toEqual(expected);
  }
});

test.each([3, 4, 5, 6, 7, 8])('%i threads', async (threads) => {
  const path = await write({ ...shape, kvHeads: 1 });
  const expected = await uncut(await engines({ threads: 2 }), path, [1020, 200]);
  const { results, runs } = await generate(await engines({ threads }), path, [1020, 200]);
  expect(runs).toBeGreaterThan(30);
  expect(results).toEqual(expected);
});

test('layers with a window and layers without', async () => {
  const { layers, dim, heads, ffn, vocab, context } = shape;
  const metadata = { '.attention.sliding_window': u32(300) };
  const path = await writeAny({
    architecture: 'gemma2',
    layers,
    dim,
    heads,
    kvHeads: 1,
    ffn,
    vocab,
    context,
    metadata,
  });
  const engine = await engines({ threads: 2 });
  const expected = await uncut(engine, path, [1000]);
  const { results, runs } = await generate(engine, path, [1000]);
  expect(runs).toBeGreaterThan(30);
  expect(results).toEqual(expected);
});

test('without memory for the parts, steps are not cut', async () => {
  const path = await write({ ...shape, kvHeads: 1 });
  const engine = await engines({ threads: 2 });
  const expected = await uncut(engine, path, [700]);
  let refused = 0;
  const place = SharedArena.prototype.place;
  vi.spyOn(SharedArena.prototype, 'place').mockImplementation(function (this: SharedArena, sizeBytes) {
    if (!new Error('where').stack?.includes('#placeLong')) return place.call(this, sizeBytes);
    refused += 1;
    throw new TesseraeError('ERR_BUDGET', 'no memory for this test');
  });
  const { results, runs } = await generate(engine, path, [700]);
  expect(refused).toBe(1);
  expect(runs).toBe(0);
  expect(results).toEqual(expected);
});
