// A few bytes of shared memory that are never written after their making: constants of programs.
import type { Storage } from '../tensor/memory/storage.js';

export class ConstantStorage implements Storage {
  readonly sizeBytes: number;
  readonly address: number;
  readonly disposed = false;
  readonly owner = undefined;
  readonly buffer: SharedArrayBuffer;
  readonly byteOffset: number;

  /** @param bytes a 64-byte aligned view, and its address */
  constructor(bytes: Uint8Array, address: number) {
    this.sizeBytes = bytes.byteLength;
    this.address = address;
    this.buffer = bytes.buffer as SharedArrayBuffer;
    this.byteOffset = bytes.byteOffset;
  }

  pin(): void {}
  unpin(): void {}
}
