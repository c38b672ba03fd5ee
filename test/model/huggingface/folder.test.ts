// Folders of Hugging Face: the weights of a GGUF file under the other names give the same logits, and damaged folders are
// refused by typed errors.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openGguf } from '../../../src/model/gguf/reader.js';
import { openSafetensors } from '../../../src/model/huggingface/safetensors.js';
import { sharedEngines } from '../../support/engines.js';
import { temporaryFolder } from '../../support/gguf-bytes.js';
import { type FolderTensor, safetensorsBytes, writeFolder } from '../../support/huggingface-folder.js';
import { modelPaths, someIds } from '../../support/model-files.js';
import { firstBitDifference } from '../../support/numbers.js';
import { type RandomModel, text } from '../../support/random-architecture.js';
import { expectRejection } from '../../support/rejections.js';

const engines = sharedEngines();
const write = modelPaths();
const folder = temporaryFolder();
afterAll(() => folder.remove());

const rotaryNames: [RegExp, string][] = [
  [/^token_embd\./, 'model.embed_tokens.'],
  [/^output_norm\./, 'model.norm.'],
  [/^output\./, 'lm_head.'],
  [/^blk\.(\d+)\.attn_norm\./, 'model.layers.$1.input_layernorm.'],
  [/^blk\.(\d+)\.attn_output\./, 'model.layers.$1.self_attn.o_proj.'],
  [/^blk\.(\d+)\.attn_qkv\./, 'model.layers.$1.self_attn.qkv_proj.'],
  [/^blk\.(\d+)\.attn_([qk])_norm\./, 'model.layers.$1.self_attn.$2_norm.'],
  [/^blk\.(\d+)\.attn_([qkv])\./, 'model.layers.$1.self_attn.$2_proj.'],
  [/^blk\.(\d+)\.ffn_(gate|up|down)\./, 'model.layers.$1.mlp.$2_proj.'],
];
const plainNames: [RegExp, string][] = [
  ...rotaryNames,
  [/^blk\.(\d+)\.ffn_norm\./, 'model.layers.$1.post_attention_layernorm.'],
];
const gemmaNames: [RegExp, string][] = [
  ...rotaryNames,
  [/^blk\.(\d+)\.ffn_norm\./, 'model.layers.$1.pre_feedforward_layernorm.'],
  [/^blk\.(\d+)\.post_attention_norm\./, 'model.layers.$1.post_attention_layernorm.'],
  [/^blk\.(\d+)\.post_ffw_norm\./, 'model.layers.$1.post_feedforward_layernorm.'],
];
const gpt2Names: [RegExp, string][] = [
  [/^token_embd\./, 'wte.'],
  [/^position_embd\./, 'wpe.'],
  [/^output_norm\./, 'ln_f.'],
  [/^blk\.(\d+)\.attn_norm\./, 'h.$1.ln_1.'],
  [/^blk\.(\d+)\.ffn_norm\./, 'h.$1.ln_2.'],
  [/^blk\.(\d+)\.attn_qkv\./, 'h.$1.attn.c_attn.'],
  [/^blk\.(\d+)\.attn_output\./, 'h.$1.attn.c_proj.'],
  [/^blk\.(\d+)\.ffn_up\./, 'h.$1.mlp.c_fc.'],
  [/^blk\.(\d+)\.ffn_down\./, 'h.$1.mlp.c_proj.'],
];

const sizes = {
  hidden_size: 32,
  num_hidden_layers: 2,
  intermediate_size: 64,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 512,
  rms_norm_eps: 1e-5,
  hidden_act: 'silu',
};
const gemmaSizes = {
  ...sizes,
  head_dim: 8,
  query_pre_attn_scalar: 8,
  sliding_window: 7,
  hidden_act: 'gelu_pytorch_tanh',
};

interface Pair {
  readonly names: readonly [RegExp, string][];
  readonly model: RandomModel;
  readonly config: object;
}

const pairs: [what: string, pair: Pair][] = [
  [
    'llama',
    {
      names: plainNames,
      // The rows of q and k are those of a folder here, in the GGUF file too.
      model: { architecture: 'llama', kvHeads: 2, metadata: { 'tesserae.rope.style': text('halfSplit') } },
      config: { ...sizes, model_type: 'llama', tie_word_embeddings: true },
    },
  ],
  [
    'qwen3 in BF16, with an output matrix',
    {
      names: plainNames,
      model: {
        architecture: 'qwen3',
        kvHeads: 2,
        headDim: 16,
        type: 'BF16',
        optional: (name) => name === 'output.weight',
      },
      config: { ...sizes, model_type: 'qwen3', head_dim: 16 },
    },
  ],
  [
    'gemma2, whose norms add 1',
    {
      names: gemmaNames,
      model: { architecture: 'gemma2', kvHeads: 2 },
      config: { ...gemmaSizes, model_type: 'gemma2', attn_logit_softcapping: 5, final_logit_softcapping: 3 },
    },
  ],
  [
    'gpt2, whose matrices are transposed',
    {
      names: gpt2Names,
      model: { architecture: 'gpt2', type: 'F16' },
      config: {
        model_type: 'gpt2',
        n_positions: 512,
        n_embd: 32,
        n_layer: 2,
        n_head: 4,
        n_inner: 64,
        layer_norm_epsilon: 1e-5,
      },
    },
  ],
];

/** The tensors of a GGUF file as a folder has them. */
async function translated(path: string, { names, model }: Pair): Promise<Map<string, FolderTensor>> {
  await using file = await openGguf(path);
  const tensors = new Map<string, FolderTensor>();
  for (const info of file.tensors.values()) {
    const bytes = new Uint8Array(info.sizeBytes);
    await file.readTensorInto(info, bytes);
    const [pattern, replacement] = names.find(([candidate]) => candidate.test(info.name)) ?? [/^/, ''];
    const name = info.name.replace(pattern, replacement);
    let tensor: FolderTensor = { dtype: info.type as 'F32', shape: info.shape, bytes };
    if (model.architecture === 'gpt2' && /\.c_\w+\.weight$/.test(name)) tensor = transpose(tensor);
    if (model.architecture === 'gemma2' && info.name.endsWith('norm.weight')) {
      const less = new Float32Array(bytes.buffer).map((value) => value - 1);
      tensor = { ...tensor, bytes: new Uint8Array(less.buffer) };
    }
    tensors.set(name, tensor);
  }
  return tensors;
}

function transpose({ dtype, shape, bytes }: FolderTensor): FolderTensor {
  const [rows, columns] = shape as [number, number];
  const size = bytes.length / (rows * columns);
  const turned = new Uint8Array(bytes.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const from = (row * columns + column) * size;
      turned.set(bytes.subarray(from, from + size), (column * rows + row) * size);
    }
  }
  return { dtype, shape: [columns, rows], bytes: turned };
}

describe.each(pairs)('%s', (what, pair) => {
  test.each([0, 1])('gives the logits of the GGUF file with the same weights, %d bytes misplaced', async (pad) => {
    const engine = await engines({ threads: 2 });
    const path = await write(pair.model);
    const tensors = await translated(path, pair);
    const home = folder.file(`${what.slice(0, 5)}-${pad}`);
    writeFolder(home, { config: pair.config, files: new Map([['model.safetensors', safetensorsBytes(tensors, pad)]]) });
    const ids = someIds(20, 300);
    using expected = await engine.loadModel(path);
    using actual = await engine.loadModel(home);
    expect(actual.tokenizer.encode('the test')).toEqual(expected.tokenizer.encode('the test'));
    expect(firstBitDifference(await actual.logits(ids), await expected.logits(ids))).toBeUndefined();
  });
});

test('many files with an index', async () => {
  const engine = await engines({ threads: 2 });
  const [, pair] = pairs[0] as [string, Pair];
  const path = await write(pair.model);
  const tensors = [...(await translated(path, pair))];
  const home = folder.file('sharded');
  const half = tensors.length >> 1;
  const parts = [tensors.slice(0, half), tensors.slice(half)];
  const files = new Map(parts.map((part, index) => [`model-${index}.safetensors`, safetensorsBytes(new Map(part))]));
  const weight_map = Object.fromEntries(
    parts.flatMap((part, index) => part.map(([name]) => [name, `model-${index}.safetensors`])),
  );
  writeFolder(home, { config: pair.config, files, index: { weight_map } });
  using expected = await engine.loadModel(path);
  using actual = await engine.loadModel(home);
  const ids = someIds(9, 300);
  expect(firstBitDifference(await actual.logits(ids), await expected.logits(ids))).toBeUndefined();
  writeFolder(home, { config: pair.config, files, index: { weight_map: { a: '../other.safetensors' } } });
  await expectRejection(engine.loadModel(home), 'ERR_MODEL_FILE', /no safetensors file of the folder/);
});

describe('refuses', () => {
  const { config } = (pairs[0] as [string, Pair])[1];
  test.each([
    ['another kind of model', { ...config, model_type: 'mamba' }, 'ERR_UNSUPPORTED', /"mamba".*supported are llama/],
    ['no kind', {}, 'ERR_MODEL_FILE', /model_type: must be a string/],
    ['quantized weights', { ...config, quantization_config: {} }, 'ERR_UNSUPPORTED', /quantized folder/],
    ['another activation', { ...config, hidden_act: 'relu' }, 'ERR_UNSUPPORTED', /hidden_act: "relu"/],
    ['dynamic scaling', { ...config, rope_scaling: { type: 'dynamic' } }, 'ERR_UNSUPPORTED', /"dynamic"/],
    ['a negative size', { ...config, hidden_size: -1 }, 'ERR_MODEL_FILE', /hidden_size: is -1/],
  ] as const)('%s', async (_what, changed, code, message) => {
    const engine = await engines({ threads: 2 });
    const home = folder.file('refused');
    writeFolder(home, { config: changed, files: new Map() });
    await expectRejection(engine.loadModel(home), code, message);
  });

  test('an embedding of far more rows than there are tokens, which are empty', async () => {
    const engine = await engines({ threads: 2 });
    const home = folder.file('rows');
    const header = Buffer.from(
      '{"model.embed_tokens.weight":{"dtype":"F32","shape":[9007199254740991,0],"data_offsets":[0,0]}}',
    );
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    writeFolder(home, { config, files: new Map([['model.safetensors', Buffer.concat([length, header])]]) });
    await expectRejection(engine.loadModel(home), 'ERR_MODEL_FILE', /9007199254740991 rows, more than twice as many/);
  });

  test('a folder without a config', async () => {
    const engine = await engines({ threads: 2 });
    mkdirSync(folder.file('empty'));
    await expectRejection(
      engine.loadModel(folder.file('empty')),
      'ERR_FILE',
      /it is a directory without a config.json/,
    );
  });

  const header = (entries: object) => {
    const json = Buffer.from(JSON.stringify(entries));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    return Buffer.concat([length, json, Buffer.alloc(64)]);
  };
  const entry = (change: object) => ({ dtype: 'F32', shape: [2, 2], data_offsets: [0, 16], ...change });
  test.each([
    ['too short', Buffer.alloc(5), /too short/],
    ['a header beyond the file', Buffer.alloc(20, 0xff), /a header of \d+ bytes/],
    ['no JSON', Buffer.concat([Buffer.from([4, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{x}}')]), /no JSON/],
    ['an unknown type', header({ a: entry({ dtype: 'X9' }) }), /unknown type "X9"/],
    ['offsets outside', header({ a: entry({ data_offsets: [56, 72] }) }), /outside the file/],
    ['offsets backwards', header({ a: entry({ data_offsets: [16, 0] }) }), /outside the file/],
    ['a size that does not fit', header({ a: entry({ shape: [2, 3] }) }), /has 16 bytes.*takes 24/],
    ['a huge shape', header({ a: entry({ shape: [2 ** 40, 2 ** 40] }) }), /takes/],
    ['a fraction', header({ a: entry({ shape: [1.5] }) }), /no valid shape/],
    ['an overlap', header({ a: entry({}), b: entry({ data_offsets: [8, 24] }) }), /"b" overlaps/],
    ['no object', header([1]), /no JSON object/],
  ])('safetensors: %s', async (what, bytes, message) => {
    const path = join(folder.file('.'), `${what}.safetensors`);
    writeFileSync(path, bytes);
    await expectRejection(openSafetensors(path), 'ERR_MODEL_FILE', message);
  });
});
