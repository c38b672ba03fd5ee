// Loading: what is refused and how, cancellation, the memory budget, and the end of a model. After every failure
// nothing of the model is held, neither memory nor file.
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ErrorCode } from '../../src/base/errors.js';
import { Engine } from '../../src/engine.js';
import type { MetadataValue } from '../../src/metadata/value-types.js';
import type { LoadModelOptions } from '../../src/model/load.js';
import { bundledModelPath, card } from '../support/models/bundled-model.js';
import { modelFiles, tiny, untilRunning } from '../support/models/model-files.js';
import type { LlamaContent, RandomLlama } from '../support/models/random-llama.js';
import { expectAbort, expectRejection } from '../support/rejections.js';
import { sharedEngines } from '../support/running/engines.js';

const engines = sharedEngines();
const write = modelFiles();

const openFiles = () => readdirSync('/proc/self/fd').length;

function held(engine: Engine) {
  const { pool } = engine.stats();
  const { rentedBytes, liveTensors } = pool;
  return { rentedBytes, liveTensors, files: openFiles() };
}

async function expectRefused(path: unknown, code: ErrorCode, message: RegExp, options: LoadModelOptions = {}) {
  const engine = await engines({ threads: 2 });
  const before = held(engine);
  await expectRejection(engine.loadModel(path as string, options), code, message);
  if (Object.keys(options ?? { none: true }).length === 0) {
    await expectRejection(engine.inspect(path as string), code, message);
  }
  expect(held(engine)).toEqual(before);
}

describe('a file is refused', () => {
  test('that is not there, or is no file', async () => {
    const folder = dirname(await write(tiny));
    await expectRefused(join(folder, 'absent.gguf'), 'ERR_FILE', /absent\.gguf.*cannot be opened.*ENOENT/);
    mkdirSync(join(folder, 'folder.gguf'));
    await expectRefused(join(folder, 'folder.gguf'), 'ERR_FILE', /it is a directory/);
    for (const path of ['', undefined, 3, null]) await expectRefused(path, 'ERR_ARGUMENT', /path/);
  });

  test('that is empty, something else, or cut off', async () => {
    const path = await write(tiny);
    const { length } = readFileSync(path);
    for (const size of [length - 33, length - 5000, 20_000, 5000, 100, 10, 3, 0]) {
      truncateSync(path, size);
      await expectRefused(path, 'ERR_MODEL_FILE', /gguf/);
    }
    writeFileSync(path, 'this is no model at all, but a text that is long enough for a header');
    await expectRefused(path, 'ERR_MODEL_FILE', /GGUF/);
  });

  const u32 = (value: number): MetadataValue => ({ type: 'u32', value });
  const f32 = (value: number): MetadataValue => ({ type: 'f32', value });
  const text = (value: string): MetadataValue => ({ type: 'string', value });
  const set = (key: string, value: MetadataValue) => (content: LlamaContent) => void content.metadata.set(key, value);
  const drop = (key: string) => (content: LlamaContent) => void content.metadata.delete(key);
  const at = (content: LlamaContent, name: string) => content.tensors.findIndex((tensor) => tensor.name === name);
  const llama = (name: string) => `llama.${name}`;

  type Change = (content: LlamaContent) => void;
  const spoiled: [what: string, change: Change, code: ErrorCode, message: RegExp, shape?: RandomLlama][] = [
    ['of an unknown architecture', set('general.architecture', text('mamba')), 'ERR_UNSUPPORTED', /"mamba".*llama/],
    ['of no architecture', drop('general.architecture'), 'ERR_MODEL_FILE', /general\.architecture.*missing/],
    ['of an unknown tokenizer', set('tokenizer.ggml.model', text('spm')), 'ERR_UNSUPPORTED', /"spm".*gpt2/],
    ['without sizes', drop(llama('block_count')), 'ERR_MODEL_FILE', /llama\.block_count.*missing/],
    ['with a size of zero', set(llama('feed_forward_length'), u32(0)), 'ERR_MODEL_FILE', /at least 1/],
    ['with a size that is a text', set(llama('block_count'), text('2')), 'ERR_MODEL_FILE', /block_count.*integer/],
    ['with more layers than tensors', set(llama('block_count'), u32(4e9)), 'ERR_MODEL_FILE', /block_count.*20 tensors/],
    ['with one layer too many', set(llama('block_count'), u32(3)), 'ERR_MODEL_FILE', /"blk\.2\..*missing/],
    ['with one layer too few', set(llama('block_count'), u32(1)), 'ERR_UNSUPPORTED', /"blk\.1\./],
    ['with heads that do not divide', set(llama('attention.head_count'), u32(5)), 'ERR_MODEL_FILE', /head_count/],
    ['with uneven groups of heads', set(llama('attention.head_count_kv'), u32(3)), 'ERR_MODEL_FILE', /divide 4 heads/],
    ['with more heads than width', set(llama('attention.head_count'), u32(64)), 'ERR_MODEL_FILE', /head_count/],
    ['with values of their own width', set(llama('attention.value_length'), u32(4)), 'ERR_UNSUPPORTED', /keys/],
    ['with an odd rotation', set(llama('rope.dimension_count'), u32(3)), 'ERR_MODEL_FILE', /dimension_count.*even/],
    ['with a rotation wider than a head', set(llama('rope.dimension_count'), u32(10)), 'ERR_MODEL_FILE', /at most 8/],
    ['with an unknown rotation', set(llama('rope.scaling.type'), text('dynamic')), 'ERR_UNSUPPORTED', /dynamic/],
    ['with experts', set(llama('expert_count'), u32(8)), 'ERR_UNSUPPORTED', /mixture of experts/],
    ['with a rotary base of zero', set(llama('rope.freq_base'), f32(0)), 'ERR_MODEL_FILE', /freq_base.*positive/],
    [
      'with an epsilon that is no number',
      set(llama('attention.layer_norm_rms_epsilon'), f32(Number.NaN)),
      'ERR_MODEL_FILE',
      /epsilon.*positive/,
    ],
    ['with heads too wide', () => {}, 'ERR_UNSUPPORTED', /514.*512/, { ...tiny, dim: 16, headDim: 514 }],
    ['with another width than its tensors', set(llama('embedding_length'), u32(64)), 'ERR_MODEL_FILE', /token_embd/],
    [
      'whose tensor is missing',
      (content) => void content.tensors.splice(at(content, 'blk.1.ffn_up.weight'), 1),
      'ERR_MODEL_FILE',
      /"blk\.1\.ffn_up\.weight" is missing/,
    ],
    [
      'whose tensor has another shape',
      (content) => {
        const index = at(content, 'blk.0.attn_k.weight');
        const data = new Float32Array(32 * 32);
        content.tensors[index] = { name: 'blk.0.attn_k.weight', type: 'F32', shape: [32, 32], data };
      },
      'ERR_MODEL_FILE',
      /"blk\.0\.attn_k\.weight" is \[32, 32\], the metadata asks for \[16, 32\]/,
    ],
    [
      'whose tensor is of a type that no kernel takes',
      (content) => {
        const index = at(content, 'blk.0.ffn_up.weight');
        const data = new Uint8Array(64 * 32);
        content.tensors[index] = { name: 'blk.0.ffn_up.weight', type: 'I8', shape: [64, 32], data };
      },
      'ERR_UNSUPPORTED',
      /"blk\.0\.ffn_up\.weight" has type I8, which is not supported; supported are F32, F16/,
    ],
    [
      'with a tensor that the architecture has no use for',
      ({ tensors }) =>
        void tensors.push({ name: 'blk.0.attn_q_norm.weight', type: 'F32', shape: [8], data: new Float32Array(8) }),
      'ERR_UNSUPPORTED',
      /"blk\.0\.attn_q_norm\.weight"/,
    ],
  ];
  test.each(spoiled)('%s', async (_what, change, code, message, shape = tiny) => {
    await expectRefused(await write(shape, change), code, message);
  });
});

describe('options', () => {
  test('that are unknown or out of range are refused, even before the file is looked for', async () => {
    const wrong: [unknown, RegExp][] = [
      [{ context: 3 }, /no option context/],
      [{ contextLength: 0 }, /contextLength/],
      [{ contextLength: 1.5 }, /contextLength/],
      [{ contextLength: '12' }, /contextLength/],
      [{ contextLength: null }, /contextLength/],
      [{ signal: {} }, /AbortSignal/],
      [{ onProgress: 'yes' }, /onProgress/],
      [null, /options/],
    ];
    for (const [options, message] of wrong) {
      await expectRefused('absent.gguf', 'ERR_ARGUMENT', message, options as LoadModelOptions);
    }
    await expectRefused(await write(tiny), 'ERR_ARGUMENT', /contextLength is 513.*made for 512/, {
      contextLength: 513,
    });
  });

  test('limit the context, which is 4096 at most where nobody asks for more', async () => {
    const engine = await engines({ threads: 2 });
    const path = await write({ ...tiny, context: 100_000 });
    using usual = await engine.loadModel(path);
    expect(usual.info).toMatchObject({ contextLength: 100_000, sessionCapacity: 4096 });
    using long = await engine.loadModel(path, { contextLength: 100_000 });
    expect(long.info.sessionCapacity).toBe(100_000);
    using short = await engine.loadModel(path, { contextLength: 1 });
    expect(short.info.sessionCapacity).toBe(1);
    expect((await short.logits([1])).length).toBe(tiny.vocab);
  });
});

describe('memory', () => {
  test('of the weights is pooled, and the file is not needed any more', async () => {
    const engine = await engines({ threads: 2 });
    const before = engine.stats();
    const model = await engine.loadModel(bundledModelPath);
    const rentedBytes = engine.stats().pool.rentedBytes - before.pool.rentedBytes;
    const fileBytes = readFileSync(bundledModelPath).length;
    expect(model.info.weightBytes).toBeGreaterThan(2 * card.parameters);
    expect(model.info.weightBytes).toBeLessThan(fileBytes);
    // Each tensor is rounded up to the class of its size; the rotary frequencies come on top.
    expect(rentedBytes).toBeGreaterThanOrEqual(model.info.weightBytes);
    expect(rentedBytes).toBeLessThan(1.125 * model.info.weightBytes + 12_000);
    expect(readFileSync('/proc/self/maps', 'utf8')).not.toContain(bundledModelPath);
    model.dispose();
    expect(engine.stats().pool.rentedBytes).toBe(before.pool.rentedBytes);
  });

  test('is kept until what runs on it has ended', async () => {
    // Work enough that it is still running when it is seen to run, also beside other tests.
    const engine = await Engine.create({ threads: 1, memoryBudget: 2 ** 30 });
    const model = await engine.loadModel(bundledModelPath);
    const ids = Array.from({ length: 512 }, (_, i) => i + 1);
    const running = model.logits(ids);
    expect(await untilRunning(engine, running)).toBe(true);
    model.dispose();
    expect(engine.stats().pool.rentedBytes).toBeGreaterThan(0);
    await expectRejection(running, 'ERR_DISPOSED');
    await engine.close();
    expect(engine.stats()).toMatchObject({ pool: { rentedBytes: 0, liveTensors: 0 } });
  });

  test('that the budget does not grant fails before anything is read, and leaves none rented', async () => {
    const path = await write({ ...tiny, dim: 256, ffn: 1024 });
    const total = 2 ** 30;
    await using roomy = await Engine.create({ threads: 1, memoryBudget: total });
    const teamBytes = total - roomy.stats().pool.budgetBytes;
    using model = await roomy.loadModel(path);
    const needed = roomy.stats().pool.rentedBytes;
    await using engine = await Engine.create({ threads: 1, memoryBudget: teamBytes + 512 });
    const onProgress = () => expect.unreachable();
    await expectRejection(engine.loadModel(path, { onProgress }), 'ERR_BUDGET', /budget/);
    expect(engine.stats()).toMatchObject({ pool: { rentedBytes: 0, liveTensors: 0 } });

    // Room for the weights, but not for the keys and values of a session.
    await using tight = await Engine.create({ threads: 1, memoryBudget: teamBytes + needed + (1 << 18) });
    using loaded = await tight.loadModel(path);
    const { rentedBytes } = tight.stats().pool;
    await expectRejection(loaded.generate('text').next(), 'ERR_BUDGET');
    await expectRejection(loaded.generateBatch(['text', 'text']), 'ERR_BUDGET');
    // A session without a page is kept for the next call.
    expect(tight.stats().pool.rentedBytes - rentedBytes).toBeLessThan(1024);
    expect(loaded.info.weightBytes).toBe(model.info.weightBytes);
    // Nor is there room to repack the matrices: they stay as the file has them.
    expect([model.info.panelBytes > 0, loaded.info.panelBytes]).toEqual([true, 0]);
  });

  test('matrices in F16 are packed in 16 bits, with the same logits', async () => {
    const [dim, ffn] = [64, 8192];
    const path = await write({ ...tiny, dim, ffn, type: 'F16' });
    const total = 2 ** 30;
    await using roomy = await Engine.create({ threads: 1, memoryBudget: total });
    const teamBytes = total - roomy.stats().pool.budgetBytes;
    using packed = await roomy.loadModel(path);
    const { layers, heads, kvHeads } = tiny;
    const elements = layers * (2 * dim * dim + 2 * dim * (dim / heads) * kvHeads + 3 * dim * ffn);
    expect(packed.info.panelBytes).toBe(2 * elements);
    // Room for a session, but not to repack a matrix.
    const matrixBytes = 2 * dim * ffn;
    const memoryBudget = teamBytes + roomy.stats().pool.rentedBytes + Math.floor(matrixBytes * 0.9);
    await using tight = await Engine.create({ threads: 1, memoryBudget });
    using unpacked = await tight.loadModel(path);
    expect(unpacked.info.panelBytes).toBe(0);
    const ids = [1, 2, 3];
    expect(await packed.logits(ids)).toEqual(await unpacked.logits(ids));
  });
});

test('progress counts the bytes of the tensors, to the last one', async () => {
  const engine = await engines({ threads: 2 });
  const seen: { loadedBytes: number; totalBytes: number }[] = [];
  using model = await engine.loadModel(bundledModelPath, { onProgress: (progress) => seen.push(progress) });
  expect(seen.length).toBe(4 * 9 + 2);
  const totalBytes = seen[0]?.totalBytes as number;
  expect(totalBytes).toBe(model.info.weightBytes);
  expect(new Set(seen.map((progress) => progress.totalBytes))).toEqual(new Set([totalBytes]));
  for (const [index, { loadedBytes }] of seen.entries()) {
    expect(loadedBytes).toBeGreaterThan(seen[index - 1]?.loadedBytes ?? 0);
  }
  expect(seen.at(-1)?.loadedBytes).toBe(totalBytes);
});

describe('a load', () => {
  test('that is cancelled, or whose callback throws, leaves nothing', async () => {
    const engine = await engines({ threads: 2 });
    const before = held(engine);
    const reason = new Error('enough');
    await expectAbort(engine.loadModel(bundledModelPath, { signal: AbortSignal.abort(reason) }), reason);
    // At once, and after so many tensors.
    for (const after of [0, 1, 20]) {
      const controller = new AbortController();
      let count = 0;
      const onProgress = () => {
        if (++count === after) controller.abort(reason);
      };
      const loading = engine.loadModel(bundledModelPath, { signal: controller.signal, onProgress });
      if (after === 0) controller.abort(reason);
      await expectAbort(loading, reason);
      expect(count).toBe(after);
      expect(held(engine)).toEqual(before);
    }
    const onProgress = () => {
      throw reason;
    };
    await expect(engine.loadModel(bundledModelPath, { onProgress })).rejects.toBe(reason);
    expect(held(engine)).toEqual(before);
    using model = await engine.loadModel(bundledModelPath);
    expect((await model.generateBatch(['Once'], { maxTokens: 1 }))[0]?.tokens.length).toBe(1);
  });

  test('into an engine that is closed meanwhile leaves nothing', async () => {
    const files = openFiles();
    for (const after of [0, 1, 20, 38]) {
      const engine = await Engine.create({ threads: 1, memoryBudget: 2 ** 30 });
      let count = 0;
      let closed: Promise<void> | undefined;
      const onProgress = () => {
        if (++count === after) closed = engine.close();
      };
      const loading = engine.loadModel(bundledModelPath, { onProgress });
      if (after === 0) closed = engine.close();
      await expectRejection(loading, 'ERR_ENGINE_CLOSED');
      await closed;
      expect(engine.stats().pool).toMatchObject({ rentedBytes: 0, liveTensors: 0 });
    }
    expect(openFiles()).toBe(files);
  });
});

test('a model is disposed once, by its user or by its engine', async () => {
  const engine = await Engine.create({ threads: 1, memoryBudget: 2 ** 30 });
  const path = await write(tiny);
  const model = await engine.loadModel(path);
  const other = await engine.loadModel(path);
  await model.logits([1, 2]);
  await other.logits([1, 2]);
  model.dispose();
  await expectRejection(() => model.dispose(), 'ERR_DISPOSED', /disposed twice/);
  model[Symbol.dispose]();
  expect((await other.logits([1])).length).toBe(tiny.vocab);
  // What asks nothing of the engine goes on.
  expect(model.tokenizer.decode(model.tokenizer.encode('text'))).toBe('text');
  await engine.close();
  expect(engine.stats().pool).toMatchObject({ rentedBytes: 0, liveTensors: 0 });
  await expectRejection(() => other.dispose(), 'ERR_DISPOSED');
  await expectRejection(other.logits([1]), 'ERR_DISPOSED');
  await expectRejection(engine.loadModel(path), 'ERR_ENGINE_CLOSED');
});
