// Hugging Face folders: the weights of a GGUF file, under the folder's names, give the same logits; damaged folders are
// refused by typed errors.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openSafetensors } from '../../../src/checkpoint/huggingface/safetensors.js';
import { safetensorsBytes, writeFolder } from '../../support/models/huggingface-folder.js';
import { type Pair, pairs, translated } from '../../support/models/huggingface-pairs.js';
import { modelPaths, someIds } from '../../support/models/model-files.js';
import { firstBitDifference } from '../../support/numbers.js';
import { expectRejection } from '../../support/rejections.js';
import { sharedEngines } from '../../support/running/engines.js';
import { temporaryFolder } from '../../support/temporary-folder.js';

const engines = sharedEngines();
const write = modelPaths();
const folder = temporaryFolder();
afterAll(() => folder.remove());

describe.each(pairs)('%s', (what, pair) => {
  test.each([0, 1])('gives the logits of the GGUF file with the same weights, %d bytes misplaced', async (pad) => {
    const engine = await engines({ threads: 2 });
    const path = await write(pair.model);
    const tensors = await translated(path, pair);
    const home = folder.file(`${what.replaceAll(/\W+/g, '-')}-${pad}`);
    writeFolder(home, { config: pair.config, files: new Map([['model.safetensors', safetensorsBytes(tensors, pad)]]) });
    const ids = someIds(20, 300);
    using expected = await engine.loadModel(path);
    using actual = await engine.loadModel(home);
    expect(actual.tokenizer.encode('the test')).toEqual(expected.tokenizer.encode('the test'));
    const [ours, wanted] = [await actual.embed([ids]), await expected.embed([ids])];
    expect(firstBitDifference(ours[0] as Float32Array, wanted[0] as Float32Array)).toBeUndefined();
    if (expected.info.kvType === undefined) return;
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
    [
      'rotations elsewhere',
      { ...config, model_type: 'smollm3', no_rope_layers: [1, 0] },
      'ERR_UNSUPPORTED',
      /no_rope_layers: 0 at 1/,
    ],
    [
      'windows elsewhere',
      {
        ...config,
        model_type: 'gemma3',
        hidden_act: 'gelu_pytorch_tanh',
        layer_types: ['full_attention', 'sliding_attention'],
      },
      'ERR_UNSUPPORTED',
      /layer_types: "sliding_attention" at 1/,
    ],
    [
      'windows where none are',
      { ...config, model_type: 'qwen3', layer_types: ['sliding_attention'] },
      'ERR_UNSUPPORTED',
      /layer_types: "sliding_attention"/,
    ],
    [
      'an alibi without geglu',
      { ...config, model_type: 'bert', hidden_act: 'gelu', position_embedding_type: 'alibi' },
      'ERR_UNSUPPORTED',
      /feed_forward_type: "original"/,
    ],
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

describe('modules of sentence-transformers', () => {
  const encoder = pairs.find(([name]) => name === 'bert') as [string, Pair];
  const modules = (...names: string[]) =>
    names.map((name, idx) => ({
      idx,
      name: String(idx),
      path: name === 'Transformer' ? '' : `${idx}_${name}`,
      type: `sentence_transformers.models.${name}`,
    }));
  const homeWith = async (name: string, files: Readonly<Record<string, unknown>>) => {
    const [, pair] = encoder;
    const home = folder.file(name);
    const tensors = await translated(await write(pair.model), pair);
    writeFolder(home, { config: pair.config, files: new Map([['model.safetensors', safetensorsBytes(tensors)]]) });
    mkdirSync(join(home, '1_Pooling'), { recursive: true });
    for (const [file, content] of Object.entries(files)) writeFileSync(join(home, file), JSON.stringify(content));
    return home;
  };

  test('that are computed are taken', async () => {
    const engine = await engines({ threads: 2 });
    const home = await homeWith('modules', { 'modules.json': modules('Transformer', 'Pooling', 'Normalize') });
    using model = await engine.loadModel(home);
    expect(model.info.pooling).toBe('mean');
  });

  test.each<[string, Readonly<Record<string, unknown>>, RegExp]>([
    [
      'a dense layer',
      { 'modules.json': modules('Transformer', 'Pooling', 'Dense') },
      /module "sentence_transformers.models.Dense" is not supported/,
    ],
    [
      'two poolings',
      { 'modules.json': [...modules('Transformer', 'Pooling'), ...modules('Transformer', 'Pooling')] },
      /not supported in this order/,
    ],
    [
      'weighted pooling',
      { '1_Pooling/config.json': { pooling_mode_weightedmean_tokens: true } },
      /pooling "pooling_mode_weightedmean_tokens" is not supported/,
    ],
    [
      'two modes of pooling',
      { '1_Pooling/config.json': { pooling_mode_mean_tokens: true, pooling_mode_cls_token: true } },
      /is not supported/,
    ],
  ])('%s is refused by name', async (what, files, message) => {
    const engine = await engines({ threads: 2 });
    await expectRejection(
      engine.loadModel(await homeWith(what.replaceAll(' ', '-'), files)),
      'ERR_UNSUPPORTED',
      message,
    );
  });
});
