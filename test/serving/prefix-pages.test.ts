// Prompts that begin like an earlier one, but for a part of a page: the page is copied, only the rest is computed, and the
// result has the bits of a model without a prefix cache, for every type of keys and values.
import { describe, expect, test } from 'vitest';
import { Engine } from '../../src/engine.js';
import type { GenerateOptions } from '../../src/generation/generate-options.js';
import type { KeyValueType } from '../../src/ops/paged/key-value-pages.js';
import { modelFiles, someIds, tiny } from '../support/models/model-files.js';
import { sharedEngines } from '../support/running/engines.js';
import { essence } from '../support/running/serving.js';

const engines = sharedEngines();
const write = modelFiles();
/** Heads of 32 elements, as q8_0 needs. */
const shape = { ...tiny, dim: 128, heads: 4, kvHeads: 2, ffn: 160 };
const options: GenerateOptions = { maxTokens: 6, ignoreEos: true, temperature: 1.1, seed: 5, logprobs: 2 };

/** Prompts that have so many tokens in common with the first 100 of `base`. */
function variants(base: readonly number[]): { ids: number[]; common: number }[] {
  return [96, 95, 72, 71, 45, 33, 31, 9, 8].map((common, index) => {
    const other = ((base[common] as number) + 1 + index) % shape.vocab;
    return { common, ids: [...base.slice(0, common), other, ...someIds(20 + index, shape.vocab)] };
  });
}

describe.each(['f32', 'f16', 'q8_0'] as KeyValueType[])('keys and values in %s', (kvType) => {
  test('one by one, at once, and after others were cancelled', async () => {
    const path = await write(shape);
    const engine = await engines({ threads: 2 });
    const base = someIds(100, shape.vocab);
    const prompts = variants(base);
    const expected: object[] = [];
    {
      using cold = await engine.loadModel(path, { kvType, serving: { prefixCache: false } });
      for (const { ids } of prompts) expected.push(essence(await cold.generate(ids, options).result));
    }
    using model = await engine.loadModel(path, { kvType });
    await model.generate(base, options).result;
    for (const [index, { ids, common }] of prompts.entries()) {
      const before = engine.stats().serving.prefixTokens;
      expect(essence(await model.generate(ids, options).result)).toEqual(expected[index]);
      // A quarter of a page is worth a copy.
      const found = engine.stats().serving.prefixTokens - before;
      expect(found).toBe(common % 32 < 8 ? common - (common % 32) : common);
    }
    engine.trim();
    await model.generate(base, options).result;
    const cancelled = prompts.map(({ ids }) => model.generate(ids, { ...options, maxTokens: 60 }));
    const stopped = cancelled.map((generation) => generation.result.catch(() => {}));
    await Promise.all(
      cancelled.filter((_, index) => index % 2 === 0).map((generation) => generation.return(undefined as never)),
    );
    const results = await Promise.all(prompts.map(({ ids }) => model.generate(ids, options).result));
    expect(results.map(essence)).toEqual(expected);
    await Promise.all(cancelled.map((generation) => generation.return(undefined as never)));
    await Promise.all(stopped);
  });
});

test('in the memory of a few requests, and nothing is left at the end', async () => {
  const path = await write(shape);
  const engine = await Engine.create({ threads: 2, memoryBudget: 24 << 20 });
  try {
    const model = await engine.loadModel(path);
    const base = someIds(100, shape.vocab);
    const prompts = variants(base).map(({ ids }) => ids);
    const alone: object[] = [];
    for (const ids of prompts) alone.push(essence(await model.generate(ids, options).result));
    for (let round = 0; round < 3; round++) {
      const results = await Promise.all(prompts.map((ids) => model.generate(ids, options).result));
      expect(results.map(essence)).toEqual(alone);
    }
    engine.trim();
    expect(engine.pressure()).toMatchObject({ queued: 0, running: 0, pagesUsed: 0, pagesCached: 0 });
    // While it is loaded, its arena is as large as its largest step so far.
    model.dispose();
    expect(engine.stats().pool).toMatchObject({ rentedBytes: 0, liveTensors: 0 });
  } finally {
    await engine.close();
  }
});
