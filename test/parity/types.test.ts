// A random llama in every tensor type against llama.cpp on the same file: logits, and the greedy tokens.
import { expect, test } from 'vitest';
import { supportedTensorTypes } from '../../src/checkpoint/gguf/tensor-types.js';
import { modelPaths, someIds } from '../support/models/model-files.js';
import type { RandomModel } from '../support/models/random-model.js';
import type { WeightType } from '../support/models/random-weights.js';
import { blockTypes } from '../support/oracles/ggml-blocks.js';
import { sharedEngines } from '../support/running/engines.js';
import { expectParity, expectParityButForTies, logitBounds, sharedLlama } from './support.js';

const engines = sharedEngines();
const llama = sharedLlama();
const write = modelPaths();
const vocabulary = 300;

const floatTypes = ['F32', 'F16', 'BF16'] as const;
/**
 * The rows of all matrices are whole blocks of 256. One layer only, because the rounding error grows with each: for the
 * K types, llama.cpp rounds activations in blocks of 256, this library in blocks of 32.
 */
const shape: RandomModel = {
  architecture: 'llama',
  layers: 1,
  dim: 512,
  heads: 4,
  kvHeads: 2,
  ffn: 1024,
  optional: (name) => name === 'output.weight',
};

async function random(type: WeightType) {
  const engine = await engines({ threads: 2 });
  return engine.loadModel(await write({ ...shape, type }));
}

test.each(floatTypes)('%s', async (type) => {
  using model = await random(type);
  await expectParity(model, await llama(), someIds(40, vocabulary), logitBounds[type]);
});

test.each(blockTypes)('%s', async (type) => {
  using model = await random(type);
  await expectParityButForTies(model, await llama(), someIds(40, vocabulary), logitBounds.quantized);
});

test('the list has every supported type', () => {
  expect([...supportedTensorTypes].sort()).toEqual([...floatTypes, ...blockTypes].sort());
});
