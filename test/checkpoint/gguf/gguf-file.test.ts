// The GGUF reader: the contents of the bundled model, and the refusal of corrupt and hostile files.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { AbortError, TesseraeError } from '../../../src/base/errors.js';
import { openGguf } from '../../../src/checkpoint/gguf/gguf-file.js';
import { bundledModelF32Path, bundledModelPath, card } from '../../support/models/bundled-model.js';
import { type Bytes, header, tensorFile } from '../../support/models/gguf-bytes.js';
import { readTensorInto, tensorOf } from '../../support/models/gguf-tensors.js';
import { temporaryFolder } from '../../support/temporary-folder.js';

const folder = temporaryFolder();
afterAll(() => folder.remove());

let files = 0;

async function openBytes(bytes: Uint8Array) {
  const path = folder.file(`${files++}.gguf`);
  writeFileSync(path, bytes);
  return openGguf(path);
}

function sharedBytes(sizeBytes: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(sizeBytes));
}

describe('the bundled model', () => {
  test('has the metadata and tensors of a llama', async () => {
    await using file = await openGguf(bundledModelPath);
    expect(file.version).toBe(3);
    expect(file.metadata.string('general.architecture')).toBe('llama');
    expect(file.metadata.count('llama.block_count')).toBe(4);
    expect(file.metadata.number('llama.rope.freq_base')).toBe(10_000);
    expect(file.metadata.number('llama.block_count')).toBe(4);
    expect(file.metadata.boolean('tokenizer.ggml.add_bos_token')).toBe(true);
    expect(file.metadata.strings('tokenizer.ggml.tokens').length).toBe(card.vocabulary);
    expect(file.metadata.integers('tokenizer.ggml.token_type').length).toBe(card.vocabulary);
    expect(file.tensors.size).toBe(4 * 9 + 2);
    expect(tensorOf(file, 'token_embd.weight')).toMatchObject({ type: 'F16', shape: [2048, 256], offset: 0 });
    expect(tensorOf(file, 'blk.3.ffn_down.weight')).toMatchObject({ type: 'F16', shape: [256, 768] });
    expect(tensorOf(file, 'output_norm.weight')).toMatchObject({ type: 'F32', shape: [256], sizeBytes: 1024 });
    const parameters = [...file.tensors.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0);
    expect(parameters).toBe(card.parameters);
    expect(file.file.sizeBytes).toBe(readFileSync(bundledModelPath).length);
  });

  test('is read into shared memory unchanged', async () => {
    await using file = await openGguf(bundledModelF32Path);
    const whole = readFileSync(bundledModelF32Path);
    const hash = (bytes: Uint8Array) => createHash('sha256').update(Buffer.from(bytes)).digest('hex');
    for (const info of file.tensors.values()) {
      const guarded = sharedBytes(info.sizeBytes + 128).fill(0xaa);
      await readTensorInto(file, info, guarded.subarray(64, 64 + info.sizeBytes));
      const start = file.dataOffset + info.offset;
      expect(hash(guarded.subarray(64, 64 + info.sizeBytes))).toBe(hash(whole.subarray(start, start + info.sizeBytes)));
      expect(guarded.subarray(0, 64).every((byte) => byte === 0xaa)).toBe(true);
      expect(guarded.subarray(64 + info.sizeBytes).every((byte) => byte === 0xaa)).toBe(true);
    }
  });
});

describe('typed getters', () => {
  test('name the file and the key that does not fit', async () => {
    await using file = await openGguf(bundledModelPath);
    const { metadata } = file;
    const refusal = (message: string) =>
      expect.objectContaining({ code: 'ERR_MODEL_FILE', message: expect.stringContaining(message) });
    expect(() => metadata.string('no.such')).toThrow(refusal(`${bundledModelPath}: metadata key "no.such" is missing`));
    expect(() => metadata.count('general.name')).toThrow(refusal('"general.name" must be an integer of at least 0'));
    expect(() => metadata.string('llama.block_count')).toThrow(refusal('must be a string, got u32 4'));
    expect(() => metadata.boolean('llama.block_count')).toThrow(refusal('must be a bool'));
    expect(() => metadata.number('tokenizer.ggml.tokens')).toThrow(refusal('got an array of 2048 × string'));
    expect(() => metadata.integers('tokenizer.ggml.tokens')).toThrow(refusal('must be an array of integers'));
    expect(() => metadata.strings('general.name')).toThrow(refusal('got the string "tesserae-tiny"'));
    expect(metadata.string('no.such', 'fallback')).toBe('fallback');
    expect(metadata.count('no.such', 0)).toBe(0);
    expect(metadata.boolean('no.such', false)).toBe(false);
    expect(() => metadata.count('general.name', 0)).toThrow(refusal('must be an integer'));
  });

  test('take 64-bit integers where they are safe', async () => {
    const bytes = header(0, 3);
    bytes
      .string('small')
      .type('u64')
      .u64(2 ** 40);
    bytes
      .string('large')
      .type('u64')
      .u64(2n ** 60n);
    bytes
      .string('negative')
      .type('i64')
      .u64(2n ** 64n - 5n);
    await using file = await openBytes(bytes.build());
    expect(file.metadata.count('small')).toBe(2 ** 40);
    expect(() => file.metadata.count('large')).toThrow('must be an integer of at least 0, got u64 1152921504606846976');
    expect(file.metadata.get('large')).toEqual({ type: 'u64', value: 2n ** 60n });
    expect(file.metadata.number('negative')).toBe(-5);
    expect(() => file.metadata.count('negative')).toThrow('got i64 -5');
  });
});

describe('reading a tensor', () => {
  test('is refused once the file is closed', async () => {
    const file = await openGguf(bundledModelPath);
    const info = tensorOf(file, 'output_norm.weight');
    await file.close();
    await file.close();
    await expect(readTensorInto(file, info, sharedBytes(1024))).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
  });

  test('notices that the file became shorter', async () => {
    const path = folder.file('shrinking.gguf');
    writeFileSync(path, tensorFile([{ dims: [8] }]));
    await using file = await openGguf(path);
    truncateSync(path, file.dataOffset + 8);
    await expect(readTensorInto(file, tensorOf(file, 'a'), sharedBytes(32))).rejects.toMatchObject({
      code: 'ERR_MODEL_FILE',
      message: expect.stringContaining('ends inside tensor "a"'),
    });
  });

  test('stops between chunks when its signal fires', async () => {
    const path = folder.file('large.gguf');
    const elements = 16 << 20;
    writeFileSync(path, tensorFile([{ dims: [elements] }]));
    truncateSync(path, 64 + 32 + elements * 4);
    await using file = await openGguf(path);
    const target = sharedBytes(elements * 4).fill(1);
    const controller = new AbortController();
    const reading = readTensorInto(file, tensorOf(file, 'a'), target, controller.signal);
    controller.abort('enough');
    await expect(reading).rejects.toBeInstanceOf(AbortError);
    expect(target.at(-1)).toBe(1);
    await expect(readTensorInto(file, tensorOf(file, 'a'), target, AbortSignal.abort())).rejects.toBeInstanceOf(
      AbortError,
    );
    await readTensorInto(file, tensorOf(file, 'a'), target);
    expect(target.at(-1)).toBe(0);
    await expect(openGguf(path, { signal: AbortSignal.abort() })).rejects.toBeInstanceOf(AbortError);
  });
});

describe('what is no readable file is refused', () => {
  test('absent files, folders, named pipes, and paths that are none', async () => {
    const refused = async (path: string, message: string) =>
      expect(openGguf(path)).rejects.toMatchObject({
        code: 'ERR_FILE',
        message: `${path}: cannot be opened: ${message}`,
      });
    await refused(folder.file('absent.gguf'), 'ENOENT: no such file or directory');
    mkdirSync(folder.file('folder.gguf'));
    await refused(folder.file('folder.gguf'), 'it is a directory');
    execFileSync('mkfifo', [folder.file('pipe.gguf')]);
    await refused(folder.file('pipe.gguf'), 'it is not a regular file');
    writeFileSync(folder.file('file'), '');
    await refused(folder.file('file/model.gguf'), 'ENOTDIR: not a directory');
    await expect(openGguf(undefined as unknown as string)).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
    await expect(openGguf('')).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
  });
});

const huge = 2n ** 63n;
const key = (type: Parameters<Bytes['type']>[0], version = 3) => header(0, 1, version).string('k').type(type);
const twoTensors = (offset: number) => tensorFile([{ name: 'a' }, { name: 'b', offset }], 128);

const refusals: [what: string, message: string, bytes: Buffer][] = [
  ['an empty file', 'the magic and version of a GGUF file needs 8 bytes, but the file ends at byte 0', Buffer.alloc(0)],
  ['another magic', 'not a GGUF file: it begins with "GGML"', Buffer.from('GGML3456789012345678901234')],
  ['version 1', 'GGUF version 1 is not supported', header(0, 0, 1).build()],
  ['version 4', 'GGUF version 4 is not supported', header(0, 0, 4).build()],
  ['version 0', 'GGUF version 0 is not supported', header(0, 0, 0).build()],
  ['big-endian order', 'big-endian', header(0, 0, 0x03000000).build()],
  ['more tensors than there are bytes', 'the list of 60000 tensors needs', header(60_000, 0).build()],
  ['more keys than there are bytes', 'the metadata of 60000 keys needs', header(0, 60_000).build()],
  ['millions of tensors', 'the number of tensors is 16777216, more than', header(2 ** 24, 0).build()],
  ['a count beyond 2^53', 'the number of metadata keys is 9223372036854775808', header(0, huge).build()],
  [
    'a key longer than the file',
    'more than 65535',
    header(0, 1)
      .u64(2 ** 40)
      .raw(Buffer.alloc(64))
      .build(),
  ],
  [
    'a key just longer than the file',
    'needs 64 bytes, but the file ends',
    header(0, 1).u64(64).raw('k'.repeat(63)).build(),
  ],
  ['an empty key', 'is empty', header(0, 1).string('').type('u64').u64(1).build()],
  [
    'a key that is no UTF-8',
    'not valid UTF-8',
    header(0, 1)
      .string(Buffer.from([0xff]))
      .type('u8')
      .u8(1)
      .build(),
  ],
  [
    'a key that occurs twice',
    '"k" occurs twice',
    header(0, 2).string('k').type('u8').u8(1).string('k').type('u8').u8(1).build(),
  ],
  [
    'an unknown value type',
    'metadata key "k" has the unknown value type 13',
    header(0, 1).string('k').u32(13).u64(0).build(),
  ],
  ['a bool of value 2', 'a bool of value 2', key('bool').u8(2).build()],
  [
    'a string longer than the file',
    'needs 1048576 bytes',
    key('string')
      .u64(2 ** 20)
      .raw('abc')
      .build(),
  ],
  [
    'a string longer than any',
    'has 1099511627776 bytes, more than',
    key('string')
      .u64(2 ** 40)
      .build(),
  ],
  ['a string of a length beyond 2^53', 'is 9223372036854775808', key('string').u64(huge).build()],
  [
    'a string that is no UTF-8',
    'not valid UTF-8',
    key('string')
      .string(Buffer.from([0xc3, 0x28]))
      .build(),
  ],
  ['an array longer than the file', 'needs 1000 × 4 bytes', key('array').type('i32').u64(1000).u32(0).build()],
  ['an array of more than 2^53 elements', 'is 9223372036854775808', key('array').type('u8').u64(huge).build()],
  [
    'an array whose size overflows',
    'needs 4503599627370496 × 8',
    key('array')
      .type('f64')
      .u64(2n ** 52n)
      .build(),
  ],
  ['an array of too many strings', 'needs 1000 × 8 bytes', key('array').type('string').u64(1000).string('a').build()],
  [
    'a long string in an array',
    'holds a string of',
    key('array')
      .type('string')
      .u64(1)
      .u64(2 ** 40)
      .build(),
  ],
  [
    'a string in an array that is no UTF-8',
    'not valid UTF-8',
    key('array')
      .type('string')
      .u64(1)
      .string(Buffer.from([0xe2, 0x82]))
      .build(),
  ],
  [
    'a character that two strings share',
    'not valid UTF-8',
    key('array')
      .type('string')
      .u64(2)
      .string(Buffer.from([0xc3]))
      .string(Buffer.from([0xa9]))
      .build(),
  ],
  [
    'a character that two strings share, behind a first one',
    'not valid UTF-8',
    key('array')
      .type('string')
      .u64(4)
      .string('a')
      .string(Buffer.from([0xc3]))
      .string(Buffer.from([0xa9]))
      .string('b')
      .build(),
  ],
  ['a bool of value 3 in an array', 'a bool of value 3', key('array').type('bool').u64(2).u8(1).u8(3).build()],
  ['an unknown type in an array', 'unknown value type 99', key('array').u32(99).u64(0).build()],
  [
    'an alignment of 0',
    'power of two from 8 on, got 0',
    header(0, 1).string('general.alignment').type('u32').u32(0).build(),
  ],
  ['an alignment of 48', 'got 48', header(0, 1).string('general.alignment').type('u32').u32(48).build()],
  ['an alignment of another type', 'got u64', header(0, 1).string('general.alignment').type('u64').u64(32).build()],
  ['a tensor that occurs twice', 'tensor "a" occurs twice', tensorFile([{}, { offset: 32 }], 64)],
  ['a tensor without a name', 'the name of tensor 0 is empty', tensorFile([{ name: '' }])],
  ['a tensor of no dimensions', 'has 0 dimensions', tensorFile([{ dims: [] }])],
  ['a tensor of 5 dimensions', 'has 5 dimensions', tensorFile([{ dims: [1, 1, 1, 1, 1] }])],
  [
    'a tensor of 2^31 dimensions',
    'has 2147483648 dimensions',
    header(1, 0)
      .string('a')
      .u32(2 ** 31)
      .raw(Buffer.alloc(64))
      .build(),
  ],
  ['a dimension of 0', 'has a dimension of 0', tensorFile([{ dims: [8, 0] }])],
  ['a dimension beyond 2^53', 'is 9223372036854775808', tensorFile([{ dims: [huge] }])],
  ['dimensions whose product overflows', 'impossible shape', tensorFile([{ dims: [2 ** 31, 2 ** 31, 2 ** 31] }])],
  ['dimensions whose product is 0 in 64 bits', 'impossible shape', tensorFile([{ dims: [2 ** 32, 2 ** 32] }])],
  ['rows that are no whole blocks', 'impossible shape [33] for Q4_0', tensorFile([{ dims: [33], type: 2 }])],
  ['a tensor beyond the end', 'is it truncated?', tensorFile([{ dims: [9] }])],
  ['an offset beyond the end', 'is it truncated?', tensorFile([{ offset: 2 ** 40 }])],
  ['an offset beyond 2^53', 'is 9223372036854775808', tensorFile([{ offset: huge }])],
  ['an offset of no multiple of the alignment', 'no multiple of the alignment 32', twoTensors(40)],
  [
    'tensors that overlap',
    'tensor "b" overlaps tensor "a"',
    tensorFile([{ dims: [16] }, { name: 'b', offset: 32 }], 128),
  ],
  ['tensors in the same place', 'overlaps', twoTensors(0)],
  ['tensors that overlap out of order', 'overlaps', tensorFile([{ offset: 64 }, { name: 'b', dims: [24] }], 128)],
];

describe('a corrupt or hostile file is refused', () => {
  test.each(refusals)('%s', async (_, message, bytes) => {
    const refusal = await openBytes(bytes).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(refusal).toBeInstanceOf(TesseraeError);
    expect(refusal).toMatchObject({ code: 'ERR_MODEL_FILE', message: expect.stringContaining(message) });
    expect((refusal as Error).message).not.toContain('\n');
  });

  test('names from the file stay short and on one line in messages', async () => {
    const bytes = tensorFile([{ name: `bad\nname${'x'.repeat(500)}`, dims: [0] }]);
    const { message } = (await openBytes(bytes).catch((error: unknown) => error)) as Error;
    expect(message).toContain('tensor "bad\\nnamexxx');
    expect(message).not.toContain('\n');
    expect(message.length).toBeLessThan(300);
  });

  test('what is legal but unsupported is named', async () => {
    const unsupported = (message: string) => ({ code: 'ERR_UNSUPPORTED', message: expect.stringContaining(message) });
    await expect(openBytes(tensorFile([{ type: 99 }]))).rejects.toMatchObject(
      unsupported('tensor "a" has the unknown type 99'),
    );
    await expect(openBytes(tensorFile([{ type: 4 }]))).rejects.toMatchObject(unsupported('unknown type 4'));
    const nested = key('array').type('array').u64(1).type('u8').u64(0).build();
    await expect(openBytes(nested)).rejects.toMatchObject(unsupported('array of arrays'));
    await using file = await openBytes(tensorFile([{ name: 'w', dims: [64, 2], type: 2 }], 128));
    expect(tensorOf(file, 'w')).toMatchObject({ type: 'Q4_0', shape: [2, 64], sizeBytes: 72 });
  });

  test('version 2, gaps, any order and no tensors at all are accepted', async () => {
    await using old = await openBytes(key('u32', 2).u32(7).build());
    expect(old.version).toBe(2);
    expect(old.metadata.count('k')).toBe(7);
    expect(old.tensors.size).toBe(0);
    await using gap = await openBytes(tensorFile([{ offset: 96 }, { name: 'b', offset: 0 }], 128));
    expect([...gap.tensors.keys()]).toEqual(['a', 'b']);
  });
});
