// src/tensor/memory/mapped-file.ts: what cannot be mapped, tensors at any offset, when a file is unmapped, offsets beyond
// 4 GB.

import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { Engine } from '../../../src/engine.js';
import { loadAddon } from '../../../src/native/load.js';
import { FileMappings, type MappedFile } from '../../../src/tensor/memory/mapped-file.js';
import { storageOf } from '../../../src/tensor/tensor.js';
import { TensorPool } from '../../../src/tensor/tensor-pool.js';
import { expectRejection } from '../../support/rejections.js';

const folder = mkdtempSync(join(tmpdir(), 'tesserae-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const addon = loadAddon();
const pool = new TensorPool({ budgetBytes: 1 << 20, addressOf: (bytes) => addon.addressOf(bytes) });
const newMappings = () => new FileMappings(addon, pool);

let files = 0;

function fileOf(bytes: Uint8Array): string {
  const path = join(folder, `${files++}.bin`);
  writeFileSync(path, bytes);
  return path;
}

function mapPath(mappings: FileMappings, path: string, sizeBytes: number): MappedFile {
  const fd = openSync(path, 'r');
  try {
    return mappings.map({ path, fd, sizeBytes });
  } finally {
    closeSync(fd);
  }
}

describe('refuses', () => {
  const refused = async (path: string, sizeBytes: number, message: RegExp) => {
    const mappings = newMappings();
    await expectRejection(() => mapPath(mappings, path, sizeBytes), 'ERR_FILE', message);
    expect(mappings.mappedBytes).toBe(0);
  };

  test('a folder, a device, an empty file', async () => {
    await refused(folder, 10, /cannot be mapped: it is not a regular file/);
    await refused('/dev/zero', 10, /not a regular file/);
    await refused(fileOf(new Uint8Array()), 0, /it is empty/);
  });

  test('a file that became shorter, before it is mapped or after', async () => {
    const path = fileOf(new Uint8Array(100_000));
    await refused(path, 100_001, /became shorter/);
    const mapped = mapPath(newMappings(), path, 100_000);
    await mapped.pageIn(50_001, 49_999);
    truncateSync(path, 10_000);
    await mapped.release(0, 100_000);
    await mapped.pageIn(0, 10_000);
    await expectRejection(mapped.pageIn(0, 100_000), 'ERR_FILE', /cannot be read: it became shorter/);
    mapped.close();
  });

  test('a closed descriptor', async () => {
    await expectRejection(() => newMappings().map({ path: 'x', fd: 9999, sizeBytes: 1 }), 'ERR_FILE', /descriptor/);
  });

  test('a range outside the file, and a position that is not aligned for the element', async () => {
    const mapped = mapPath(newMappings(), fileOf(new Uint8Array(64)), 64);
    expect(() => mapped.tensor(32, [9], 'f32')).toThrow(expect.objectContaining({ code: 'ERR_SHAPE' }));
    expect(() => mapped.tensor(80, [1], 'f32')).toThrow(expect.objectContaining({ code: 'ERR_SHAPE' }));
    expect(() => mapped.tensor(2, [1], 'f32')).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
    await expect(mapped.release(60, 5)).rejects.toThrow(/outside/);
    await expect(mapped.pageIn(0, 65)).rejects.toThrow(/outside/);
    mapped.close();
    expect(() => mapped.close()).toThrow(expect.objectContaining({ code: 'ERR_DISPOSED' }));
    expect(() => mapped.tensor(0, [1], 'f32')).toThrow(expect.objectContaining({ code: 'ERR_DISPOSED' }));
  });
});

test('a file is unmapped after its last user: the opener, tensors, running programs', () => {
  const mappings = newMappings();
  const mapped = mapPath(mappings, fileOf(new Uint8Array(4096)), 4096);
  const a = mapped.tensor(0, [4], 'f32');
  const b = mapped.tensor(4, [4], 'f32');
  expect(mappings.mappedBytes).toBe(4096);
  expect(a.address % 4096).toBe(0);
  expect(b.address).toBe(a.address + 4);
  mapped.close();
  const view = a.slice([1, 2]);
  view.dispose();
  a.dispose();
  expect(() => storageOf(a).pin()).toThrow(expect.objectContaining({ code: 'ERR_DISPOSED' }));
  storageOf(b).pin();
  storageOf(b).pin();
  b.dispose();
  storageOf(b).unpin();
  expect(mappings.mappedBytes).toBe(4096);
  storageOf(b).unpin();
  expect(mappings.mappedBytes).toBe(0);
  expect(() => storageOf(b).unpin()).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
});

describe('in programs', () => {
  /** Only models reach the mappings of an engine, so these are made for the engine's pool. */
  async function withEngine(use: (engine: Engine, mappings: FileMappings) => Promise<void>): Promise<void> {
    await using engine = await Engine.create({ threads: 2, memoryBudget: 2 ** 28 });
    using probe = engine.tensor([1]);
    await use(engine, new FileMappings(addon, storageOf(probe).owner as object));
  }

  test('tensors at any offset give the same bits as in pooled memory', () =>
    withEngine(async (engine, mappings) => {
      const [n, k] = [70, 130];
      const values = Float32Array.from({ length: n * k }, (_, i) => Math.fround(Math.sin(i * 0.7)));
      using x = engine.tensor(
        [3, k],
        Float32Array.from({ length: 3 * k }, (_, i) => Math.cos(i)),
      );
      using ids = engine.tensor([3], 'i32', [0, 69, 33]);
      for (const dtype of ['f32', 'f16', 'bf16'] as const) {
        using pooled = engine.tensor([n, k], dtype, values);
        using wanted = await engine.matmul(x, pooled, { transposeB: true });
        using rows = await engine.embedding(pooled, ids);
        using wide = await engine.copy(pooled, { dtype: 'f32' });
        const bytes = pooled.asBytes();
        for (const offset of dtype === 'f32' ? [4, 12, 60] : [2, 6, 34, 62]) {
          const padded = new Uint8Array(offset + bytes.length);
          padded.set(bytes, offset);
          const mapped = mapPath(mappings, fileOf(padded), padded.length);
          using w = mapped.tensor(offset, [n, k], dtype);
          mapped.close();
          using y = await engine.matmul(x, w, { transposeB: true });
          expect(y.toArray()).toEqual(wanted.toArray());
          using one = await engine.matmul(x.slice([1, 2]), w, { transposeB: true });
          expect(one.toArray()).toEqual(wanted.slice([1, 2]).toArray());
          using looked = await engine.embedding(w, ids);
          expect(looked.toArray()).toEqual(rows.toArray());
          using copied = await engine.copy(w, { dtype: 'f32' });
          expect(copied.toArray()).toEqual(wide.toArray());
        }
      }
      expect(mappings.mappedBytes).toBe(0);
    }));

  test('mapped tensors can neither be written nor be read by JavaScript', () =>
    withEngine(async (engine, mappings) => {
      const mapped = mapPath(mappings, fileOf(new Uint8Array(64)), 64);
      using w = mapped.tensor(0, [4], 'f32');
      mapped.close();
      using x = engine.tensor([4]);
      await expectRejection(engine.add(x, x, { out: w }), 'ERR_ARGUMENT', /read-only/);
      expect(() => engine.program((p) => p.add(x, x, { out: w }))).toThrow(/read-only/);
      expect(() => w.data).toThrow(/mapped file, which only programs can read/);
      expect(() => w.toArray()).toThrow(/mapped file/);
      expect(() => w.set([1, 2, 3, 4])).toThrow(/mapped file/);
    }));

  test('offsets beyond 4 GB work', () =>
    withEngine(async (engine, mappings) => {
      const path = join(folder, 'large.bin');
      const position = 5 * 2 ** 30 + 32;
      const fd = openSync(path, 'w');
      ftruncateSync(fd, position + 4096);
      writeSync(fd, new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer), 0, 16, position);
      closeSync(fd);
      const mapped = mapPath(mappings, path, position + 4096);
      await mapped.pageIn(position, 4096);
      using end = mapped.tensor(position, [2, 2], 'f32');
      using zeros = mapped.tensor(2 ** 32 - 8, [4], 'f32');
      mapped.close();
      using copied = await engine.copy(end);
      expect([...copied.toArray()]).toEqual([1, 2, 3, 4]);
      using nothing = await engine.copy(zeros);
      expect([...nothing.toArray()]).toEqual([0, 0, 0, 0]);
    }));
});
