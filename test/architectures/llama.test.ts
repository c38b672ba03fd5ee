// The llama forward pass against a float64 oracle, on random models of many shapes and on the bundled one.
import { describe, expect, test } from 'vitest';
import type { Model } from '../../src/model/model.js';
import { bundledModelF32Path, bundledModelPath, card } from '../support/models/bundled-model.js';
import { modelFiles, someIds, tiny } from '../support/models/model-files.js';
import type { RandomLlama } from '../support/models/random-llama.js';
import { normalisedError } from '../support/numbers.js';
import { ModelOracle } from '../support/oracles/model-oracle.js';
import { isas, sharedEngines } from '../support/running/engines.js';

const engines = sharedEngines();
const write = modelFiles();

/**
 * Twenty times the largest error of float32 sums that was measured. A wrong epsilon in the norms already exceeds it.
 */
const bound = 1e-11;

async function expectOracle(model: Model, oracle: ModelOracle, ids: readonly number[]): Promise<number> {
  const expected = oracle.states(ids);
  const logits = await model.logits(ids);
  expect(logits.length).toBe(ids.length * model.info.vocabulary);
  const error = normalisedError(
    logits,
    expected.logits.flatMap((row) => [...row]),
  );
  expect(error).toBeLessThan(bound);
  const greedy = oracle.greedy(ids, 24);
  const [result] = await model.generateBatch([ids], { maxTokens: 24, ignoreEos: true });
  expect(result?.tokens).toEqual(greedy);
  return error;
}

const shapes: [what: string, model: RandomLlama][] = [
  ['as many key heads as heads', { ...tiny, kvHeads: 4 }],
  ['two key heads for four', tiny],
  ['one key head for four', { ...tiny, kvHeads: 1 }],
  ['one head', { ...tiny, heads: 1, kvHeads: 1 }],
  ['an output matrix of its own', { ...tiny, tied: false }],
  ['F16', { ...tiny, type: 'F16' }],
  ['F16 with an output matrix of its own', { ...tiny, type: 'F16', tied: false, dim: 64, ffn: 129 }],
  ['another rotary base', { ...tiny, ropeBase: 500_000 }],
  ['odd sizes', { ...tiny, layers: 3, dim: 45, heads: 3, kvHeads: 3, headDim: 14, ffn: 97, vocab: 257 }],
  ['heads wider than dim / heads', { ...tiny, headDim: 20 }],
  ['heads that are rotated in part', { ...tiny, headDim: 24, ropeDim: 10 }],
  ['sizes at the blocks of the kernels', { ...tiny, dim: 64, ffn: 513, vocab: 512 }],
  ['sizes above the blocks of the kernels', { ...tiny, dim: 66, headDim: 66, ffn: 127, vocab: 529 }],
];

describe('a random model', () => {
  test.each(shapes)('with %s', async (_what, shape) => {
    const path = await write(shape);
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(path);
    await expectOracle(model, await ModelOracle.load(path), someIds(40, shape.vocab));
  });

  test.each(isas)('on %s, over several slices of a long prompt', async (isa) => {
    const path = await write({ ...tiny, kvHeads: 1, type: 'F16' });
    const engine = await engines({ threads: 3, isa });
    using model = await engine.loadModel(path);
    await expectOracle(model, await ModelOracle.load(path), someIds(300, tiny.vocab));
  });

  test('whose rotary frequencies have divisors, as from Llama 3.1 on', async () => {
    const divisors = Float32Array.from({ length: 4 }, (_, pair) => 1 + pair ** 2);
    const path = await write(tiny, ({ tensors }) =>
      tensors.push({ name: 'rope_freqs.weight', type: 'F32', shape: [4], data: divisors }),
    );
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(path);
    await expectOracle(model, await ModelOracle.load(path), someIds(40, tiny.vocab));
  });
});

describe('the bundled model', () => {
  test.each([
    ['F16', bundledModelPath],
    ['F32', bundledModelF32Path],
  ])('in %s has the logits of the oracle', async (_type, path) => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(path);
    const ids = model.tokenizer.encode(card.greedy.prompt, { addBos: true });
    const expected = (await ModelOracle.load(path)).states(ids).logits.flatMap((row) => [...row]);
    expect(normalisedError(await model.logits(ids), expected)).toBeLessThan(bound);
    expect(model.info).toMatchObject({
      architecture: 'llama',
      parameters: card.parameters,
      vocabulary: card.vocabulary,
      contextLength: 512,
      layers: 4,
      heads: 8,
      kvHeads: 4,
      headDim: 32,
    });
  });

  test('continues the prompt of its card as the card says', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(bundledModelPath);
    const { prompt, ids, text } = card.greedy;
    const promptIds = model.tokenizer.encode(prompt, { addBos: true });
    const maxTokens = ids.length - promptIds.length;
    const [result] = await model.generateBatch([prompt], { maxTokens });
    expect([...promptIds, ...(result?.tokens ?? [])]).toEqual(ids);
    expect(prompt + result?.text).toBe(text);
  });
});
