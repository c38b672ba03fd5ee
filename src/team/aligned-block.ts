// Allocates shared memory for the executor's structures: zeroed, 64-byte aligned, kept as long as the view is reachable.
import type { Addon } from '../native/addon.js';

const alignmentBytes = 64;

/** V8 aligns buffers to 8 or 16 bytes only, so the block is an aligned part of a slightly larger buffer. */
export function alignedBlock(addon: Pick<Addon, 'addressOf'>, sizeBytes: number): Uint8Array {
  const buffer = new SharedArrayBuffer(sizeBytes + alignmentBytes);
  const start = (alignmentBytes - (addon.addressOf(new Uint8Array(buffer)) % alignmentBytes)) % alignmentBytes;
  return new Uint8Array(buffer, start, sizeBytes);
}
