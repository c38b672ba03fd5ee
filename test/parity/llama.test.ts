// Models of the llama architecture against llama.cpp on the same file: logits, greedy tokens, and the bundled model.
import { describe, expect, test } from 'vitest';
import { bundledModelF32Path, bundledModelPath } from '../support/models/bundled-model.js';
import { modelFiles, someIds, tiny } from '../support/models/model-files.js';
import type { RandomLlama } from '../support/models/random-llama.js';
import { sharedEngines } from '../support/running/engines.js';
import { expectParity, logitBounds, sharedLlama } from './support.js';

const engines = sharedEngines();
const llama = sharedLlama();
const write = modelFiles();

const shapes: [what: string, model: RandomLlama][] = [
  ['two key heads for four', tiny],
  ['as many key heads as heads', { ...tiny, kvHeads: 4 }],
  ['one key head for four', { ...tiny, kvHeads: 1, tied: false }],
  ['another rotary base', { ...tiny, ropeBase: 500_000 }],
  ['heads wider than dim / heads', { ...tiny, headDim: 20 }],
  [
    'a width that no kernel divides',
    { ...tiny, layers: 3, dim: 45, heads: 3, kvHeads: 3, headDim: 14, ffn: 97, vocab: 257 },
  ],
  ['F16', { ...tiny, type: 'F16', tied: false }],
];

describe('a random llama', () => {
  test.each(shapes)('with %s', async (_what, shape) => {
    const path = await write(shape);
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(path);
    await expectParity(model, await llama(), someIds(40, shape.vocab), logitBounds[shape.type]);
  });

  test('whose rotary frequencies have divisors', async () => {
    const divisors = Float32Array.from({ length: 4 }, (_, pair) => 1 + pair ** 2);
    const path = await write(tiny, ({ tensors }) =>
      tensors.push({ name: 'rope_freqs.weight', type: 'F32', shape: [4], data: divisors }),
    );
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(path);
    await expectParity(model, await llama(), someIds(40, tiny.vocab), logitBounds.F32);
  });
});

describe('the bundled model', () => {
  test.each([
    ['F16', bundledModelPath],
    ['F32', bundledModelF32Path],
  ] as const)('in %s', async (type, path) => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(path);
    const ids = model.tokenizer.encode('Once upon a time, there was a little girl who');
    expect(await (await openWith(path)).tokenize('Once upon a time, there was a little girl who')).toEqual(ids);
    await expectParity(model, await llama(), [model.tokenizer.bosId as number, ...ids], logitBounds[type]);
  });
});

async function openWith(path: string) {
  const peer = await llama();
  await peer.load(path);
  return peer;
}
