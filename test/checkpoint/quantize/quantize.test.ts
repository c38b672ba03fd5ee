// engine.quantizeModel: the type of each tensor, the contents of the file, and that a failure leaves nothing behind.
import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openGguf } from '../../../src/checkpoint/gguf/gguf-file.js';
import { quantizedTypeOf } from '../../../src/checkpoint/quantize/quantize-rules.js';
import { Engine } from '../../../src/engine.js';
import { bundledModelF32Path, bundledModelPath, readFixtureText } from '../../support/models/bundled-model.js';
import { tensorBytes, tensorOf } from '../../support/models/gguf-tensors.js';
import { tiny } from '../../support/models/model-files.js';
import { type LlamaContent, writeRandomLlama } from '../../support/models/random-llama.js';
import { type BlockType, decodeBlocks } from '../../support/oracles/ggml-blocks.js';
import { expectAbort, expectRejection } from '../../support/rejections.js';
import { temporaryFolder } from '../../support/temporary-folder.js';

const folder = temporaryFolder();
let engine: Engine;
beforeAll(async () => {
  engine = await Engine.create({ threads: 2 });
});
afterAll(async () => {
  await engine.close();
  folder.remove();
});

async function readTensor(path: string, name: string): Promise<{ type: string; bytes: Uint8Array }> {
  await using file = await openGguf(path);
  const info = tensorOf(file, name);
  return { type: info.type, bytes: await tensorBytes(file, info) };
}

/** Writes a random model. @returns its path */
async function randomModel(name: string, change?: (content: LlamaContent) => void): Promise<string> {
  const path = folder.file(name);
  await writeRandomLlama(path, { ...tiny, dim: 256, heads: 4, ffn: 512, layers: 8, tied: false }, change);
  return path;
}

describe('the types of tensors', () => {
  const typeOf = (name: string, type: 'q8_0' | 'q4_0' | 'q4_k' | 'q6_k', shape = [512, 512], hasOutput = true) =>
    quantizedTypeOf({ name, shape }, type, { layers: 16, hasOutput });

  test('vectors, norms and tables of positions stay', () => {
    for (const name of ['blk.0.attn_norm.weight', 'output_norm.weight', 'position_embd.weight', 'token_types.weight']) {
      expect(typeOf(name, 'q4_k')).toBeUndefined();
    }
    expect(typeOf('blk.0.attn_q.bias', 'q4_k')).toBeUndefined();
    expect(typeOf('blk.0.attn_q.weight', 'q4_k', [512])).toBeUndefined();
    expect(typeOf('blk.0.attn_q.weight', 'q4_k', [1, 512])).toBeUndefined();
  });

  test('the output matrix has more bits, and so has an embedding that serves as one', () => {
    expect(typeOf('output.weight', 'q4_0')).toBe('Q6_K');
    expect(typeOf('output.weight', 'q8_0')).toBe('Q8_0');
    expect(typeOf('output.weight', 'q4_0', [512, 96])).toBe('Q8_0');
    expect(typeOf('token_embd.weight', 'q4_0')).toBe('Q4_0');
    expect(typeOf('token_embd.weight', 'q4_0', [512, 512], false)).toBe('Q6_K');
  });

  test('q4_k gives more bits to values and the way back, in some of the layers', () => {
    const better = (part: string) =>
      Array.from({ length: 16 }, (_, layer) => layer).filter(
        (layer) => typeOf(`blk.${layer}.${part}.weight`, 'q4_k') === 'Q6_K',
      );
    // The first and last two of sixteen, and every third of the others.
    expect(better('attn_v')).toEqual([0, 1, 4, 7, 10, 13, 14, 15]);
    expect(better('ffn_down')).toEqual(better('attn_v'));
    expect(better('ffn_up')).toEqual([]);
    expect(typeOf('blk.3.attn_qkv.weight', 'q4_k')).toBe('Q5_K');
    expect(typeOf('blk.0.attn_v.weight', 'q4_0')).toBe('Q4_0');
  });

  test('rows that are no whole blocks', () => {
    expect(typeOf('blk.5.attn_q.weight', 'q4_k', [512, 96])).toBe('Q5_0');
    expect(typeOf('blk.5.attn_qkv.weight', 'q4_k', [512, 96])).toBe('Q5_1');
    expect(typeOf('blk.5.attn_q.weight', 'q6_k', [512, 96])).toBe('Q8_0');
    expect(typeOf('blk.5.attn_q.weight', 'q4_0', [512, 40])).toBe('F16');
    expect(typeOf('blk.5.attn_q.weight', 'q6_k', [512, 40])).toBe('F16');
  });
});

test.each(['q8_0', 'q6_k', 'q4_k', 'q4_0'] as const)(
  '%s: blocks near the weights, all else as it was',
  async (type) => {
    const output = folder.file(`bundled-${type}.gguf`);
    const reports: number[] = [];
    const result = await engine.quantizeModel(bundledModelF32Path, output, {
      type,
      onProgress: ({ doneBytes, totalBytes }) => reports.push(doneBytes / totalBytes),
    });
    expect(reports.at(-1)).toBe(1);
    expect(reports).toEqual([...reports].sort((a, b) => a - b));
    expect(result.outputBytes).toBe(readFileSync(output).length);
    await using before = await openGguf(bundledModelF32Path);
    await using after = await openGguf(output);
    expect([...after.tensors.keys()]).toEqual([...before.tensors.keys()]);
    const fileTypes = { q8_0: 7, q6_k: 18, q4_k: 15, q4_0: 2 };
    expect(after.metadata.count('general.file_type')).toBe(fileTypes[type]);
    expect(after.metadata.count('general.quantization_version')).toBe(2);
    const strip = (file: typeof before) =>
      [...file.metadata].filter(([key]) => !/^general\.(file_type|quantization_version)$/.test(key));
    expect(strip(after)).toEqual(strip(before));
    const largest = { q8_0: 5e-5, q6_k: 6e-4, q4_k: 9e-3, q4_0: 1.2e-2 }[type];
    for (const name of before.tensors.keys()) {
      const from = await readTensor(bundledModelF32Path, name);
      const to = await readTensor(output, name);
      if (to.type === 'F32') {
        expect(to.bytes).toEqual(from.bytes);
        continue;
      }
      const expected = new Float32Array(from.bytes.buffer);
      const actual = decodeBlocks(to.type as BlockType, to.bytes);
      const error = actual.reduce((sum, value, index) => sum + (value - (expected[index] as number)) ** 2, 0);
      const power = expected.reduce((sum, value) => sum + value * value, 0);
      expect(error / power, name).toBeLessThan(largest);
    }
  },
);

test('an F16 file gives the blocks of its values, whatever the number of threads', async () => {
  const outputs: Buffer[] = [];
  for (const threads of [1, 3]) {
    await using other = await Engine.create({ threads });
    const output = folder.file(`threads-${threads}.gguf`);
    await other.quantizeModel(bundledModelPath, output, { type: 'q4_k' });
    outputs.push(readFileSync(output));
  }
  expect((outputs[0] as Buffer).equals(outputs[1] as Buffer)).toBe(true);
});

test('the pool is as it was', async () => {
  const { rentedBytes, liveTensors } = engine.stats().pool;
  await engine.quantizeModel(bundledModelPath, folder.file('pool.gguf'), { type: 'q8_0' });
  expect(engine.stats().pool).toMatchObject({ rentedBytes, liveTensors });
});

describe('refuses, and leaves nothing', () => {
  const files = () => readdirSync(dirname(folder.file('x'))).sort();
  const expectRefusal = async (...[input, output, options, code, message]: [string, string, object, never, RegExp]) => {
    const before = files();
    const { rentedBytes } = engine.stats().pool;
    const call = engine.quantizeModel(input, output, { type: 'q8_0', ...options });
    const error = await expectRejection(call, code, message);
    expect(files()).toEqual(before);
    expect(engine.stats().pool.rentedBytes).toBe(rentedBytes);
    return error;
  };

  test('an input that is the output', async () => {
    const path = await randomModel('same.gguf');
    const link = folder.file('link.gguf');
    symlinkSync(path, link);
    for (const output of [path, link]) {
      await expectRefusal(path, output, { force: true }, 'ERR_ARGUMENT' as never, /the same file/);
    }
  });

  test('an output that exists, unless forced', async () => {
    const output = folder.file('exists.gguf');
    writeFileSync(output, 'precious');
    await expectRefusal(bundledModelPath, output, {}, 'ERR_FILE' as never, /exists already/);
    expect(readFileSync(output, 'utf8')).toBe('precious');
    await engine.quantizeModel(bundledModelPath, output, { type: 'q8_0', force: true });
    expect(readFileSync(output).length).toBeGreaterThan(1e6);
  });

  test('an input that is quantized, another type, an absent folder, an absent input', async () => {
    const quantized = folder.file('quantized.gguf');
    await engine.quantizeModel(bundledModelPath, quantized, { type: 'q8_0' });
    const output = folder.file('out.gguf');
    await expectRefusal(quantized, output, { type: 'q4_0' }, 'ERR_UNSUPPORTED' as never, /has type Q8_0; only/);
    await expectRefusal(bundledModelPath, output, { type: 'q3' }, 'ERR_ARGUMENT' as never, /type must be one of q8_0/);
    await expectRefusal(bundledModelPath, output, { typ: 1 }, 'ERR_ARGUMENT' as never, /no option typ/);
    await expectRefusal(bundledModelPath, folder.file('no/x.gguf'), {}, 'ERR_FILE' as never, /cannot be written/);
    await expectRefusal(folder.file('absent.gguf'), output, {}, 'ERR_FILE' as never, /ENOENT/);
    expect(existsSync(output)).toBe(false);
  });

  test('weights that are no numbers, naming the tensor', async () => {
    const path = await randomModel('nan.gguf', (content) => {
      const index = content.tensors.findIndex(({ name }) => name === 'blk.3.ffn_up.weight');
      const floats = new Float32Array(512 * 256).fill(1);
      floats[77_777] = Number.NaN;
      content.tensors[index] = { ...content.tensors[index], data: floats } as LlamaContent['tensors'][number];
    });
    await expectRefusal(path, folder.file('nan-out.gguf'), {}, 'ERR_MODEL_FILE' as never, /"blk.3.ffn_up.weight".*NaN/);
  });

  test('after an abort, at the start and in the middle', async () => {
    const output = folder.file('aborted.gguf');
    const before = files();
    const { rentedBytes } = engine.stats().pool;
    const reason = new Error('enough');
    const signal = AbortSignal.abort(reason);
    await expectAbort(engine.quantizeModel(bundledModelPath, output, { type: 'q4_k', signal }), reason);
    const controller = new AbortController();
    const call = engine.quantizeModel(bundledModelPath, output, {
      type: 'q4_k',
      signal: controller.signal,
      onProgress: ({ doneBytes, totalBytes }) => {
        if (doneBytes > totalBytes / 2) controller.abort(reason);
      },
    });
    await expectAbort(call, reason);
    expect(files()).toEqual(before);
    expect(engine.stats().pool.rentedBytes).toBe(rentedBytes);
  });
});

test('perplexity grows as bits get fewer, and not by much', async () => {
  // Long enough that the order does not depend on the text.
  const text = readFixtureText('heldout.txt').slice(0, 40_000);
  const perplexities: number[] = [];
  const measure = async (path: string) => {
    using model = await engine.loadModel(path);
    perplexities.push((await model.perplexity(text, { window: 256 })).perplexity);
  };
  await measure(bundledModelF32Path);
  await measure(bundledModelPath);
  for (const type of ['q8_0', 'q4_k', 'q4_0'] as const) {
    const path = folder.file(`order-${type}.gguf`);
    await engine.quantizeModel(bundledModelF32Path, path, { type });
    await measure(path);
  }
  const [f32, f16, q8, q4k, q4] = perplexities as [number, number, number, number, number];
  expect(Math.abs(f16 / f32 - 1)).toBeLessThan(1e-3);
  expect(Math.abs(q8 / f32 - 1)).toBeLessThan(5e-3);
  expect(q4k).toBeGreaterThan(q8);
  expect(q4).toBeGreaterThan(q4k);
  expect(q4 / f32).toBeLessThan(1.1);
});
