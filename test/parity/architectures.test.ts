// Random models of every architecture against llama.cpp on the same file: logits, and the greedy tokens.
import { test } from 'vitest';
import { modelPaths, someIds } from '../support/models/model-files.js';
import { f32, type RandomModel, text, u32 } from '../support/models/random-model.js';
import { sharedEngines } from '../support/running/engines.js';
import { expectParity, logitBounds, sharedLlama } from './support.js';

const engines = sharedEngines();
const llama = sharedLlama();
const write = modelPaths();
const vocabulary = 300;

const all = () => true;
const but = (pattern: RegExp) => (name: string) => !pattern.test(name);
const yarn = {
  '.rope.scaling.type': text('yarn'),
  '.rope.scaling.factor': f32(4),
  '.rope.scaling.original_context_length': u32(128),
};
const longRope = {
  '.rope.scaling.type': text('longrope'),
  '.rope.scaling.attn_factor': f32(1.19),
  '.rope.scaling.original_context_length': u32(256),
};
const linear = { '.rope.scaling.type': text('linear'), '.rope.scaling.factor': f32(4) };

const decoders: [what: string, model: RandomModel][] = [
  ['llama', { architecture: 'llama', kvHeads: 2 }],
  ['llama with all optional tensors', { architecture: 'llama', kvHeads: 2, optional: all }],
  ['llama in F16', { architecture: 'llama', kvHeads: 2, type: 'F16' }],
  ['llama with positions scaled linearly', { architecture: 'llama', metadata: linear }],
  ['llama with a factor under its old name', { architecture: 'llama', metadata: { '.rope.scale_linear': f32(2) } }],
  ['llama with yarn', { architecture: 'llama', headDim: 32, metadata: yarn }],
  [
    // llama.cpp reads the other numbers of yarn for some architectures only; this library reads them for all.
    'llama with a magnitude of its own',
    { architecture: 'llama', headDim: 32, metadata: { ...yarn, '.rope.scaling.attn_factor': f32(0.9) } },
  ],
  ['qwen2', { architecture: 'qwen2', kvHeads: 2, optional: but(/rope/) }],
  ['qwen2 without optional tensors', { architecture: 'qwen2', kvHeads: 1 }],
  ['qwen3', { architecture: 'qwen3', kvHeads: 2, headDim: 16 }],
  ['phi3', { architecture: 'phi3', kvHeads: 2, optional: but(/rope/) }],
  [
    'phi3 with divisors for long contexts',
    { architecture: 'phi3', kvHeads: 2, optional: but(/rope_freqs/), metadata: longRope },
  ],
  [
    'phi3 with divisors for short contexts',
    { architecture: 'phi3', context: 256, optional: but(/rope_freqs/), metadata: longRope },
  ],
  ['gemma2', { architecture: 'gemma2', kvHeads: 2, layers: 4 }],
  ['gemma3', { architecture: 'gemma3', kvHeads: 2, layers: 7, headDim: 16 }],
  ['smollm3', { architecture: 'smollm3', kvHeads: 2, layers: 5 }],
  ['gpt2', { architecture: 'gpt2' }],
  ['gpt2 with an output matrix of its own', { architecture: 'gpt2', optional: all }],
];

test.each(decoders)('%s', async (_what, shape) => {
  // llama.cpp recognizes some models by their names, and expects certain tokens in these.
  const path = await write({ ...shape, metadata: { 'general.name': text('random'), ...shape.metadata } });
  const engine = await engines({ threads: 2 });
  using model = await engine.loadModel(path);
  const bound = shape.type === 'F16' ? logitBounds.F16 : logitBounds.F32;
  await expectParity(model, await llama(), someIds(40, vocabulary), bound, { positions: shape.context ?? 512 });
});
