// The GGUF writer against the reader: what is written is read back, and inconsistent content is refused. Reading a
// vocabulary of full size does not block the event loop.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { AbortError } from '../../../src/base/errors.js';
import { openGguf } from '../../../src/checkpoint/gguf/gguf-file.js';
import { tensorTypeCodes } from '../../../src/checkpoint/gguf/tensor-types.js';
import { type GgufTensorSource, writeGguf } from '../../../src/checkpoint/gguf/write-gguf.js';
import { StringList } from '../../../src/metadata/string-list.js';
import type { MetadataValue } from '../../../src/metadata/value-types.js';
import { createTokenizer } from '../../../src/tokenizer/create-tokenizer.js';
import { bundledModelPath } from '../../support/models/bundled-model.js';
import { readTensorInto, tensorOf } from '../../support/models/gguf-tensors.js';
import { randomVocabulary, writeRandomLlama } from '../../support/models/random-llama.js';
import { measureLoopDelay } from '../../support/running/event-loop.js';
import { temporaryFolder } from '../../support/temporary-folder.js';

const folder = temporaryFolder();
afterAll(() => folder.remove());

const text = fc.string({ unit: 'binary', maxLength: 12 });
const array = <E extends string, V>(element: E, value: fc.Arbitrary<V>) =>
  value.map((v) => ({ type: 'array', element, value: v }) as unknown as MetadataValue);

const anyValue: fc.Arbitrary<MetadataValue> = fc.oneof(
  fc.record({ type: fc.constant('u8' as const), value: fc.nat({ max: 255 }) }),
  fc.record({ type: fc.constant('i8' as const), value: fc.integer({ min: -128, max: 127 }) }),
  fc.record({ type: fc.constant('u16' as const), value: fc.nat({ max: 65_535 }) }),
  fc.record({ type: fc.constant('i16' as const), value: fc.integer({ min: -32_768, max: 32_767 }) }),
  fc.record({ type: fc.constant('u32' as const), value: fc.nat({ max: 2 ** 32 - 1 }) }),
  fc.record({ type: fc.constant('i32' as const), value: fc.integer() }),
  fc.record({ type: fc.constant('f32' as const), value: fc.float() }),
  fc.record({ type: fc.constant('f64' as const), value: fc.double() }),
  fc.record({ type: fc.constant('u64' as const), value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }),
  fc.record({ type: fc.constant('i64' as const), value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }) }),
  fc.record({ type: fc.constant('bool' as const), value: fc.boolean() }),
  fc.record({ type: fc.constant('string' as const), value: text }),
  array(
    'string',
    fc.array(text).map((strings) => StringList.from(strings)),
  ),
  array('u8', fc.uint8Array()),
  array('i8', fc.int8Array()),
  array('u16', fc.uint16Array()),
  array('i16', fc.int16Array()),
  array('u32', fc.uint32Array()),
  array('i32', fc.int32Array()),
  array('f32', fc.float32Array()),
  array('f64', fc.float64Array()),
  array('u64', fc.bigUint64Array()),
  array('i64', fc.bigInt64Array()),
  array('bool', fc.uint8Array({ max: 1 })),
);

interface Tensor {
  type: string;
  shape: number[];
  bytes: Uint8Array;
}

const size = fc.integer({ min: 1, max: 3 });
const anyTensor: fc.Arbitrary<Tensor> = fc
  .record({
    type: fc.constantFrom('F32', 'F16', 'Q4_0', 'Q8_0', 'Q6_K'),
    outer: fc.array(size, { maxLength: 3 }),
    blocks: size,
    seed: fc.nat(255),
  })
  .map(({ type, outer, blocks, seed }) => {
    const [elements, blockBytes] = { F32: [1, 4], F16: [1, 2], Q4_0: [32, 18], Q8_0: [32, 34], Q6_K: [256, 210] }[
      type
    ] as [number, number];
    const count = outer.reduce((a, b) => a * b, blocks);
    const bytes = Uint8Array.from({ length: count * blockBytes }, (_, i) => (seed + i * 7) & 0xff);
    return { type, shape: [...outer, blocks * elements], bytes };
  });

async function* inChunks(bytes: Uint8Array, chunkBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
}

describe('what is written comes back', () => {
  test('for any metadata and tensors', async () => {
    const path = folder.file('round-trip.gguf');
    const key = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 20 })
      .filter((name) => name !== 'general.alignment');
    const names = fc.uniqueArray(fc.tuple(key, anyTensor), { maxLength: 5, selector: ([name]) => name });
    const metadata = fc.uniqueArray(fc.tuple(key, anyValue), { maxLength: 8, selector: ([name]) => name });
    const alignment = fc.constantFrom(undefined, 8, 32, 64, 4096);
    await fc.assert(
      fc.asyncProperty(
        metadata,
        names,
        alignment,
        fc.integer({ min: 1, max: 500 }),
        async (values, tensors, align, chunk) => {
          const entries = [...values];
          if (align !== undefined) entries.push(['general.alignment', { type: 'u32', value: align }]);
          const sources = tensors.map(([name, { type, shape, bytes }], i): GgufTensorSource => {
            return { name, type, shape, data: i % 2 === 0 ? bytes : inChunks(bytes, chunk) };
          });
          await writeGguf(path, { metadata: entries, tensors: sources });
          await using file = await openGguf(path);
          expect(file.version).toBe(3);
          expect([...file.metadata]).toEqual(entries);
          expect(file.alignment).toBe(align ?? 32);
          expect([...file.tensors.keys()]).toEqual(tensors.map(([name]) => name));
          for (const [name, { type, shape, bytes }] of tensors) {
            const info = tensorOf(file, name);
            expect(info).toMatchObject({ type, shape, sizeBytes: bytes.length });
            const target = new Uint8Array(new SharedArrayBuffer(info.sizeBytes));
            await readTensorInto(file, info, target);
            expect(Buffer.compare(target, bytes)).toBe(0);
          }
        },
      ),
      { numRuns: 300, interruptAfterTimeLimit: 20_000 },
    );
  }, 30_000);

  test('byte for byte, for the bundled model', async () => {
    await using file = await openGguf(bundledModelPath);
    const tensors: GgufTensorSource[] = [];
    for (const info of file.tensors.values()) {
      const data = new Uint8Array(new SharedArrayBuffer(info.sizeBytes));
      await readTensorInto(file, info, data);
      tensors.push({ name: info.name, type: info.type, shape: info.shape, data });
    }
    const path = folder.file('copy.gguf');
    await writeGguf(path, { metadata: file.metadata, tensors });
    expect(Buffer.compare(readFileSync(path), readFileSync(bundledModelPath))).toBe(0);
  });

  test('also strings and tensors larger than the buffers', async () => {
    const path = folder.file('large.gguf');
    const long = 'é'.repeat(700_000);
    const numbers = Float64Array.from({ length: 300_000 }, (_, i) => i);
    const data = Uint32Array.from({ length: 3_000_000 }, (_, i) => i);
    await writeGguf(path, {
      metadata: [
        ['a', { type: 'string', value: 'x'.repeat(1_000_000) }],
        ['long', { type: 'string', value: long }],
        ['list', { type: 'array', element: 'string', value: StringList.from([long, '', long]) }],
        ['numbers', { type: 'array', element: 'f64', value: numbers }],
      ],
      tensors: [{ name: 'w', type: 'F32', shape: [3000, 1000], data }],
    });
    await using file = await openGguf(path);
    expect(file.metadata.string('long') === long).toBe(true);
    expect([...file.metadata.strings('list')].map((value) => value.length)).toEqual([long.length, 0, long.length]);
    const list = file.metadata.get('numbers');
    expect(
      list?.type === 'array' &&
        Buffer.compare(Buffer.from((list.value as Float64Array).buffer), Buffer.from(numbers.buffer)),
    ).toBe(0);
    const target = new Uint8Array(data.byteLength);
    await readTensorInto(file, tensorOf(file, 'w'), target);
    expect(Buffer.compare(target, new Uint8Array(data.buffer))).toBe(0);
  });
});

describe('inconsistent content is refused', () => {
  const tensor = (overrides: Partial<GgufTensorSource>): GgufTensorSource => {
    return { name: 'w', type: 'F32', shape: [2, 4], data: new Float32Array(8), ...overrides };
  };

  test.each<[string, string, GgufTensorSource[]]>([
    ['an unknown type', 'unknown type "F8"', [tensor({ type: 'F8' })]],
    ['no dimensions', 'cannot have the shape []', [tensor({ shape: [] })]],
    ['5 dimensions', 'cannot have the shape', [tensor({ shape: [1, 1, 1, 2, 4] })]],
    ['a dimension of 0', 'cannot have the shape [0, 4]', [tensor({ shape: [0, 4] })]],
    ['rows that are no whole blocks', 'a Q4_0 tensor cannot have the shape [2, 4]', [tensor({ type: 'Q4_0' })]],
    ['a name that occurs twice', 'tensor "w" occurs twice', [tensor({}), tensor({})]],
    ['too few bytes', 'has 32 bytes, but only 28 were given', [tensor({ data: new Float32Array(7) })]],
    ['too many bytes', 'has 32 bytes, but more were given', [tensor({ data: new Float32Array(9) })]],
    ['too many chunks', 'more were given', [tensor({ data: [new Float32Array(8), new Float32Array(8)] })]],
  ])('%s', async (_, message, tensors) => {
    const path = folder.file('refused.gguf');
    await expect(writeGguf(path, { metadata: [], tensors })).rejects.toMatchObject({
      code: 'ERR_ARGUMENT',
      message: expect.stringContaining(message),
    });
    expect(existsSync(path) || existsSync(`${path}.part`)).toBe(false);
  });

  test('an alignment that the format does not know', async () => {
    const metadata: [string, MetadataValue][] = [['general.alignment', { type: 'u32', value: 12 }]];
    await expect(writeGguf(folder.file('x.gguf'), { metadata, tensors: [] })).rejects.toMatchObject({
      code: 'ERR_ARGUMENT',
    });
  });

  test('a place that cannot be written', async () => {
    const path = folder.file('absent/model.gguf');
    await expect(writeGguf(path, { metadata: [], tensors: [] })).rejects.toMatchObject({
      code: 'ERR_FILE',
      message: `${path}: cannot be written: ENOENT: no such file or directory`,
    });
  });

  test('after a failure or an abort, the file that was there is still there', async () => {
    const path = folder.file('kept.gguf');
    writeFileSync(path, 'precious');
    const failing = function* (): Generator<Uint8Array> {
      yield new Uint8Array(16);
      throw new Error('the source failed');
    };
    const write = (data: GgufTensorSource['data'], signal?: AbortSignal) =>
      writeGguf(path, { metadata: [], tensors: [tensor({ data })] }, signal === undefined ? {} : { signal });
    await expect(write(failing())).rejects.toThrow('the source failed');
    const controller = new AbortController();
    const aborting = function* (): Generator<Uint8Array> {
      yield new Uint8Array(16);
      controller.abort();
      yield new Uint8Array(16);
    };
    await expect(write(aborting(), controller.signal)).rejects.toBeInstanceOf(AbortError);
    expect(readFileSync(path, 'utf8')).toBe('precious');
    expect(existsSync(`${path}.part`)).toBe(false);
  });
});

describe('random models', () => {
  const small = { layers: 2, dim: 32, heads: 4, kvHeads: 2, ffn: 48, vocab: 300, context: 64, type: 'F16' } as const;

  test('have the tensors of a llama, and the same bytes for the same options', async () => {
    const [first, second, other] = ['first', 'second', 'other'].map((name) => folder.file(name)) as [
      string,
      string,
      string,
    ];
    await writeRandomLlama(first, { ...small, tied: false });
    await writeRandomLlama(second, { ...small, tied: false });
    await writeRandomLlama(other, { ...small, tied: true, type: 'F32', seed: 2 });
    expect(Buffer.compare(readFileSync(first), readFileSync(second))).toBe(0);
    await using file = await openGguf(first);
    expect(tensorOf(file, 'output.weight')).toMatchObject({ type: 'F16', shape: [300, 32] });
    expect(tensorOf(file, 'blk.1.attn_k.weight')).toMatchObject({ type: 'F16', shape: [16, 32] });
    expect(tensorOf(file, 'blk.1.ffn_down.weight')).toMatchObject({ shape: [32, 48] });
    expect(tensorOf(file, 'output_norm.weight')).toMatchObject({ type: 'F32', shape: [32] });
    const tokenizer = await createTokenizer(file.metadata);
    expect(tokenizer.vocabularySize).toBe(300);
    expect(tokenizer.decode(tokenizer.encode('some words, ünïcode'))).toBe('some words, ünïcode');
    await using tied = await openGguf(other);
    expect(tied.tensors.has('output.weight')).toBe(false);
    expect(tensorOf(tied, 'token_embd.weight').type).toBe('F32');
  });

  test('a vocabulary of full size is written, read and made a tokenizer with the event loop free', {
    retry: 4,
  }, async () => {
    const path = folder.file('vocabulary.gguf');
    const { tokens, merges } = randomVocabulary(128_000, 1);
    const twice = StringList.from([...merges, ...merges]);
    const metadata: [string, MetadataValue][] = [
      ['tokenizer.ggml.model', { type: 'string', value: 'gpt2' }],
      ['tokenizer.ggml.pre', { type: 'string', value: 'gpt-2' }],
      ['tokenizer.ggml.tokens', { type: 'array', element: 'string', value: StringList.from(tokens) }],
      ['tokenizer.ggml.merges', { type: 'array', element: 'string', value: twice }],
    ];
    const writing = await measureLoopDelay(() => writeGguf(path, { metadata, tensors: [] }));
    const reading = await measureLoopDelay(async () => {
      await using file = await openGguf(path);
      const tokenizer = await createTokenizer(file.metadata);
      expect(tokenizer.vocabularySize).toBe(128_000);
    });
    expect(writing.p99).toBeLessThan(writing.bound);
    expect(reading.p99).toBeLessThan(reading.bound);
    await using file = await openGguf(path);
    const stopped = createTokenizer(file.metadata, { signal: AbortSignal.timeout(5) });
    await expect(stopped).rejects.toBeInstanceOf(AbortError);
  });

  test('tensor types that the library names are all known to the format by one code', () => {
    expect(new Set(tensorTypeCodes.values()).size).toBe(tensorTypeCodes.size);
  });
});
