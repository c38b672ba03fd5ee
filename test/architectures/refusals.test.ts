// What the architectures refuse in a model: missing keys, inconsistent sizes, and what they do not compute.
import { describe, test } from 'vitest';
import type { ErrorCode } from '../../src/base/errors.js';
import type { MetadataValue } from '../../src/metadata/value-types.js';
import { decoders, encoders } from '../support/models/all-architectures.js';
import { modelPaths } from '../support/models/model-files.js';
import type { LlamaContent } from '../support/models/random-llama.js';
import { f32, flag, randomMetadata, text, u32 } from '../support/models/random-model.js';
import { expectRejection } from '../support/rejections.js';
import { sharedEngines } from '../support/running/engines.js';

const engines = sharedEngines();
const write = modelPaths();

type Change = (content: LlamaContent) => void;
const set =
  (key: string, value: MetadataValue): Change =>
  (content) =>
    void content.metadata.set(key, value);
const drop =
  (key: string): Change =>
  (content) =>
    void content.metadata.delete(key);
const without =
  (name: string): Change =>
  ({ tensors }) => {
    tensors.splice(
      tensors.findIndex((tensor) => tensor.name === name),
      1,
    );
  };

const decoderNames = decoders.map(({ name }) => name);
const encoderNames = encoders.map(({ name }) => name);

async function expectRefused(architecture: string, change: Change, code: ErrorCode, message: RegExp): Promise<void> {
  const path = await write({ architecture }, change);
  const engine = await engines({ threads: 2 });
  await expectRejection(engine.loadModel(path), code, message);
}

describe.each([...decoderNames, ...encoderNames])('%s refuses', (architecture) => {
  const key = (name: string) => `${architecture}.${name}`;
  const needed = ['block_count', 'context_length', 'embedding_length', 'feed_forward_length', 'attention.head_count'];
  test.each(needed)('a file without %s', async (name) => {
    await expectRefused(architecture, drop(key(name)), 'ERR_MODEL_FILE', new RegExp(`${name}.*missing`));
  });

  const spoiled: [what: string, name: string, value: MetadataValue, code: ErrorCode, message: RegExp][] = [
    ['no layers', 'block_count', u32(0), 'ERR_MODEL_FILE', /block_count.*at least 1/],
    ['layers without number', 'block_count', u32(2 ** 32 - 1), 'ERR_MODEL_FILE', /block_count.*tensors/],
    ['an absurd width', 'embedding_length', u32(2 ** 32 - 4), 'ERR_MODEL_FILE', /asks for/],
    ['an absurd inner width', 'feed_forward_length', u32(2 ** 32 - 1), 'ERR_MODEL_FILE', /asks for/],
    ['key heads that do not divide', 'attention.head_count_kv', u32(3), 'ERR_MODEL_FILE', /divide 4 heads/],
    ['heads of several numbers', 'attention.head_count', text('4'), 'ERR_MODEL_FILE', /head_count.*integer/],
    ['heads too wide', 'attention.key_length', u32(513), 'ERR_UNSUPPORTED', /513.*512/],
    ['experts', 'expert_count', u32(8), 'ERR_UNSUPPORTED', /mixture of experts/],
  ];
  test.each(spoiled)('%s', async (_what, name, value, code, message) => {
    await expectRefused(architecture, set(key(name), value), code, message);
  });

  test('a missing tensor', async () => {
    await expectRefused(architecture, without('blk.1.ffn_down.weight'), 'ERR_MODEL_FILE', /blk\.1\.ffn_down.*missing/);
  });
});

const rotary = decoders.filter(({ name, readConfig }) => 'rope' in readConfig(randomMetadata({ architecture: name })));
describe.each(rotary.map(({ name }) => name))('%s refuses a rotation', (architecture) => {
  const spoiled: [what: string, name: string, value: MetadataValue, code: ErrorCode, message: RegExp][] = [
    ['of odd width', 'rope.dimension_count', u32(3), 'ERR_MODEL_FILE', /dimension_count.*even/],
    ['wider than a head', 'rope.dimension_count', u32(10), 'ERR_MODEL_FILE', /at most 8/],
    ['of base zero', 'rope.freq_base', f32(0), 'ERR_MODEL_FILE', /freq_base.*positive/],
    ['scaled by less than nothing', 'rope.scaling.factor', f32(-2), 'ERR_MODEL_FILE', /factor.*positive/],
    ['scaled in an unknown way', 'rope.scaling.type', text('dynamic'), 'ERR_UNSUPPORTED', /dynamic/],
    [
      'from no context at all',
      'rope.scaling.original_context_length',
      u32(0),
      'ERR_MODEL_FILE',
      /original.*at least 1/,
    ],
  ];
  test.each(spoiled)('%s', async (_what, name, value, code, message) => {
    await expectRefused(architecture, set(`${architecture}.${name}`, value), code, message);
  });
});

const particular: [what: string, architecture: string, change: Change, code: ErrorCode, message: RegExp][] = [
  [
    'a rotation of llama in no known style',
    'llama',
    set('tesserae.rope.style', text('spiral')),
    'ERR_MODEL_FILE',
    /style/,
  ],
  ['a cap of scores of zero', 'gemma2', set('gemma2.attn_logit_softcapping', f32(0)), 'ERR_MODEL_FILE', /positive/],
  ['a negative cap of logits', 'gemma3', set('gemma3.final_logit_softcapping', f32(-1)), 'ERR_MODEL_FILE', /negative/],
  [
    'a cap that is no number',
    'gemma2',
    set('gemma2.final_logit_softcapping', f32(Number.NaN)),
    'ERR_MODEL_FILE',
    /finite/,
  ],
  [
    'no period of windows',
    'gemma3',
    set('gemma3.attention.sliding_window_pattern', u32(0)),
    'ERR_MODEL_FILE',
    /least 1/,
  ],
  ['a causal encoder', 'bert', set('bert.attention.causal', flag(true)), 'ERR_UNSUPPORTED', /causal/],
  [
    'groups of heads in an encoder',
    'bert',
    set('bert.attention.head_count_kv', u32(2)),
    'ERR_UNSUPPORTED',
    /head_count_kv/,
  ],
  [
    'more positions than the table has',
    'gpt2',
    set('gpt2.context_length', u32(513)),
    'ERR_MODEL_FILE',
    /position_embd/,
  ],
  [
    'a slope of zero',
    'jina-bert-v2',
    set('jina-bert-v2.attention.max_alibi_bias', f32(0)),
    'ERR_MODEL_FILE',
    /positive/,
  ],
];
test.each(particular)('%s is refused', async (_what, architecture, change, code, message) => {
  await expectRefused(architecture, change, code, message);
});
