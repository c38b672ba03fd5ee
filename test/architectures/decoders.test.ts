// Every decoder against a float64 oracle on random models: logits, greedy tokens, and the same bits whether the tokens
// are appended together or one by one. encoders.test.ts has the encoders, llama.test.ts the many shapes of llama.
import { describe, expect, test } from 'vitest';
import type { Model } from '../../src/model/model.js';
import { modelPaths, someIds } from '../support/models/model-files.js';
import { f32, type RandomModel, text, u32 } from '../support/models/random-model.js';
import { firstBitDifference, normalisedError } from '../support/numbers.js';
import { ModelOracle } from '../support/oracles/model-oracle.js';
import { sharedEngines } from '../support/running/engines.js';

const engines = sharedEngines();
const write = modelPaths();

/** Twenty times the largest error of float32 sums that was measured. */
const bound = 1e-11;
const vocabulary = 300;

const all = () => true;
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
const paperCaps = { '.attn_logit_softcapping': f32(50), '.final_logit_softcapping': f32(30) };
const windowsInTurn = {
  '.attention.sliding_window_pattern': u32(2),
  '.rope.freq_base_swa': f32(5000),
  '.final_logit_softcapping': f32(4),
};
const llama3 = {
  '.rope.scaling.type': text('llama3'),
  '.rope.scaling.factor': f32(8),
  '.rope.scaling.low_freq_factor': f32(1),
  '.rope.scaling.high_freq_factor': f32(4),
  '.rope.scaling.original_context_length': u32(128),
};

const models: [what: string, model: RandomModel][] = [
  ['llama', { architecture: 'llama', kvHeads: 2 }],
  ['llama with everything that is optional', { architecture: 'llama', kvHeads: 2, optional: all }],
  ['llama in BF16', { architecture: 'llama', kvHeads: 2, type: 'BF16' }],
  ['llama in F16', { architecture: 'llama', kvHeads: 2, type: 'F16' }],
  ['llama with positions scaled linearly', { architecture: 'llama', metadata: { '.rope.scaling.factor': f32(4) } }],
  ['llama with a factor under its old name', { architecture: 'llama', metadata: { '.rope.scale_linear': f32(2) } }],
  ['llama with yarn', { architecture: 'llama', headDim: 32, metadata: yarn }],
  [
    'llama with all numbers of yarn',
    {
      architecture: 'llama',
      headDim: 32,
      metadata: {
        ...yarn,
        '.rope.scaling.attn_factor': f32(0.9),
        '.rope.scaling.yarn_ext_factor': f32(0.5),
        '.rope.scaling.yarn_beta_fast': f32(8),
        '.rope.scaling.yarn_beta_slow': f32(2),
        '.rope.scaling.yarn_log_multiplier': f32(0.3),
      },
    },
  ],
  ['llama with the scaling of llama 3', { architecture: 'llama', headDim: 32, metadata: llama3 }],
  ['qwen2', { architecture: 'qwen2', kvHeads: 2, optional: all }],
  ['qwen2 without biases', { architecture: 'qwen2', kvHeads: 1 }],
  ['qwen3', { architecture: 'qwen3', kvHeads: 2, headDim: 16 }],
  ['phi3', { architecture: 'phi3', kvHeads: 2 }],
  ['phi3 with divisors for long contexts', { architecture: 'phi3', kvHeads: 2, optional: all, metadata: longRope }],
  ['phi3 with divisors for short contexts', { architecture: 'phi3', context: 256, optional: all, metadata: longRope }],
  ['gemma2', { architecture: 'gemma2', kvHeads: 2, layers: 4 }],
  ['gemma2 with the numbers of the paper', { architecture: 'gemma2', headDim: 16, metadata: paperCaps }],
  ['gemma2 as large as it comes', { architecture: 'gemma2', headDim: 16, layers: 46 }],
  ['gemma3', { architecture: 'gemma3', kvHeads: 2, layers: 7, headDim: 16 }],
  ['gemma3 with windows in turn', { architecture: 'gemma3', layers: 4, metadata: windowsInTurn }],
  ['smollm3', { architecture: 'smollm3', kvHeads: 2, layers: 5 }],
  ['gpt2', { architecture: 'gpt2' }],
  ['gpt2 with an output matrix of its own', { architecture: 'gpt2', optional: all }],
];

async function expectOracle(model: Model, oracle: ModelOracle): Promise<void> {
  const ids = someIds(40, vocabulary);
  const expected = oracle.states(ids).logits.flatMap((row) => [...row]);
  const error = normalisedError(await model.logits(ids), expected);
  expect(error).toBeLessThan(bound);
  const [result] = await model.generateBatch([ids], { maxTokens: 24, ignoreEos: true });
  expect(result?.tokens).toEqual(oracle.greedy(ids, 24));
}

describe.each(models)('%s', (_what, shape) => {
  test('has the logits and the greedy tokens of the oracle', async () => {
    const path = await write(shape);
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(path);
    await expectOracle(model, await ModelOracle.load(path, shape.context));
  });

  test('has the same bits token by token as at once', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(shape));
    const ids = someIds(30, vocabulary);
    using atOnce = model.session();
    using oneByOne = model.session();
    const expected = await atOnce.append(ids);
    let logits: Float32Array = new Float32Array(0);
    for (const id of ids) logits = await oneByOne.append([id]);
    expect(firstBitDifference(logits, expected)).toBeUndefined();
  });
});
