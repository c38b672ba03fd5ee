// The parts of a mapped file: where they are, and that the mapping ends with the last use of any of them.
import { describe, expect, test } from 'vitest';
import { MappedFile } from '../../../src/tensor/memory/mapped-file.js';

function mapped() {
  const unmapped: [number, number][] = [];
  const owner = {};
  const unmap = (address: number, sizeBytes: number) => void unmapped.push([address, sizeBytes]);
  return { file: new MappedFile({ address: 65_536, sizeBytes: 8192, owner, unmap }), owner, unmapped };
}

describe('a mapped file', () => {
  test('has parts that kernels read, of the pool that it was mapped for', () => {
    const { file, owner } = mapped();
    const part = file.storage(128, 256);
    const { address, sizeBytes, buffer, byteOffset, disposed } = part;
    expect({ address, sizeBytes, buffer, byteOffset, disposed }).toEqual({
      address: 65_664,
      sizeBytes: 256,
      buffer: undefined,
      byteOffset: 0,
      disposed: false,
    });
    expect(part.owner).toBe(owner);
    expect(file.sizeBytes).toBe(8192);
  });

  test('is unmapped when it is closed and nothing uses its parts, once', () => {
    const { file, unmapped } = mapped();
    const [used, pinned] = [file.storage(0, 64), file.storage(64, 64)];
    file.close();
    file.close();
    used.release();
    pinned.pin();
    pinned.release();
    expect([unmapped, pinned.disposed]).toEqual([[], true]);
    pinned.unpin();
    expect(unmapped).toEqual([[65_536, 8192]]);
  });

  test('stays while it is open, whatever becomes of its parts', () => {
    const { file, unmapped } = mapped();
    file.storage(0, 64).release();
    expect(unmapped).toEqual([]);
    file.close();
    expect(unmapped).toEqual([[65_536, 8192]]);
  });

  test('has parts that are released once, and are not pinned afterwards', () => {
    const part = mapped().file.storage(0, 64);
    expect(() => part.unpin()).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
    part.release();
    const isReleased = expect.objectContaining({ code: 'ERR_DISPOSED' });
    expect(() => part.release()).toThrow(isReleased);
    expect(() => part.pin()).toThrow(isReleased);
  });
});
