// The GGUF reader against damaged files: cut off at any byte, or with bytes overwritten at random.
import { writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { TesseraeError } from '../../../src/base/errors.js';
import { openGguf } from '../../../src/checkpoint/gguf/gguf-file.js';
import { header } from '../../support/models/gguf-bytes.js';
import { tensorBytes } from '../../support/models/gguf-tensors.js';
import { temporaryFolder } from '../../support/temporary-folder.js';

const folder = temporaryFolder();
afterAll(() => folder.remove());

/** A file of some hundred bytes with every kind of value, which ends with its last tensor. */
function smallFile(): Buffer {
  const bytes = header(2, 8);
  bytes.string('general.alignment').type('u32').u32(32);
  bytes.string('s').type('string').string('text é');
  bytes.string('strings').type('array').type('string').u64(3).string('').string('ab').string('c');
  bytes.string('ints').type('array').type('i32').u64(2).u32(1).u32(2);
  bytes.string('bools').type('array').type('bool').u64(2).u8(0).u8(1);
  bytes.string('u64').type('u64').u64(5);
  bytes.string('f64').type('f64').u64(0);
  bytes.string('bool').type('bool').u8(1);
  bytes.string('a').u32(2).u64(4).u64(2).u32(0).u64(0);
  bytes.string('b').u32(1).u64(16).u32(1).u64(32);
  return bytes.padTo(32).raw(Buffer.alloc(64, 7)).build();
}

test('a file that is cut off is refused, wherever that is', async () => {
  const whole = smallFile();
  const path = folder.file('cut.gguf');
  writeFileSync(path, whole);
  await using file = await openGguf(path);
  expect(file.tensors.size).toBe(2);
  for (let length = 0; length < whole.length; length++) {
    writeFileSync(path, whole.subarray(0, length));
    const error = await openGguf(path).catch((caught: unknown) => caught);
    expect(error, `cut at ${length}`).toBeInstanceOf(TesseraeError);
    expect(error, `cut at ${length}`).toMatchObject({ code: 'ERR_MODEL_FILE' });
  }
});

test('a damaged file is read or refused, with memory in proportion to its size', async () => {
  const whole = smallFile();
  const path = folder.file('damaged.gguf');
  const place = fc.nat({ max: whole.length - 64 - 1 });
  const byte = fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat({ max: 255 }));
  const damage = fc.array(fc.tuple(place, byte, fc.constantFrom(1, 1, 1, 4, 8)), { minLength: 1, maxLength: 4 });
  const before = process.memoryUsage();
  await fc.assert(
    fc.asyncProperty(damage, async (changes) => {
      const bytes = Buffer.from(whole);
      for (const [at, value, length] of changes) bytes.fill(value, at, at + length);
      writeFileSync(path, bytes);
      try {
        await using file = await openGguf(path);
        for (const info of file.tensors.values()) {
          expect(info.sizeBytes).toBeLessThanOrEqual(64);
          await tensorBytes(file, info);
        }
      } catch (error) {
        expect(error).toBeInstanceOf(TesseraeError);
        expect((error as TesseraeError).message).not.toContain('\n');
      }
    }),
    { numRuns: 4000, interruptAfterTimeLimit: 20_000 },
  );
  const after = process.memoryUsage();
  expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(64 << 20);
  expect(after.rss - before.rss).toBeLessThan(256 << 20);
}, 30_000);
