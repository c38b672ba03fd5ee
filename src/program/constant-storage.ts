// The storage of constants of programs: a few bytes of shared memory that belong to no pool and are never released.
import type { Storage } from '../tensor/memory/storage.js';

export class ConstantStorage implements Storage {
  readonly sizeBytes: number;
  readonly address: number;
  readonly disposed = false;
  readonly owner = undefined;
  readonly buffer: SharedArrayBuffer;
  readonly byteOffset: number;

  /** @param bytes a 64-byte aligned view of shared memory; `address` is its address */
  constructor(bytes: Uint8Array, address: number) {
    this.sizeBytes = bytes.byteLength;
    this.address = address;
    this.buffer = bytes.buffer as SharedArrayBuffer;
    this.byteOffset = bytes.byteOffset;
  }

  pin(): void {}
  unpin(): void {}
}
