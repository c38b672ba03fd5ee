// A random llama in every tensor type against llama.cpp on the same file: logits, and the greedy tokens.
import { expect, test } from 'vitest';
import { supportedTensorTypes } from '../../src/model/gguf/tensor-types.js';
import { blockTypes } from '../support/ggml-blocks.js';
import { sharedEngines } from '../support/engines.js';
import { modelPaths, someIds } from '../support/model-files.js';
import type { RandomModel } from '../support/random-architecture.js';
import type { WeightType } from '../support/random-weights.js';
import { expectParity, logitBounds, sharedLlama } from './support.js';

const engines = sharedEngines();
const llama = sharedLlama();
const write = modelPaths();
const vocabulary = 300;

const types: readonly WeightType[] = ['F32', 'F16', 'BF16', ...blockTypes];
/** Rows of all matrices are whole blocks of 256. */
const shape: RandomModel = { architecture: 'llama', dim: 256, heads: 4, kvHeads: 2, ffn: 512, optional: (name) => name === 'output.weight' };

test.each(types)('%s', async (type) => {
  const path = await write({ ...shape, type });
  const engine = await engines({ threads: 2 });
  using model = await engine.loadModel(path);
  const bound = type === 'F32' || type === 'F16' || type === 'BF16' ? logitBounds[type] : logitBounds.quantized;
  const { error } = await expectParity(model, await llama(), someIds(40, vocabulary), bound);
  console.log(type, error);
});

test('the list has every type that is computed with', () => {
  expect([...supportedTensorTypes].sort()).toEqual([...types].sort());
});
