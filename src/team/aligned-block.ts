// Allocates shared memory for the executor's structures: zeroed, 64-byte aligned, kept as long as the view is reachable.
import { sharedArray } from '../base/memory/shared-memory.js';
import type { Addon } from '../native/addon.js';

const alignmentBytes = 64;

/** The array of which a block is a part: it must be reachable as long as the block is. */
const wholes = new WeakMap<Uint8Array, Uint8Array>();

/** V8 aligns buffers to 8 or 16 bytes only, so the block is an aligned part of a slightly larger buffer. */
export function alignedBlock(addon: Pick<Addon, 'addressOf'>, sizeBytes: number): Uint8Array {
  const bytes = sharedArray(Uint8Array, sizeBytes + alignmentBytes);
  const start = (alignmentBytes - (addon.addressOf(bytes) % alignmentBytes)) % alignmentBytes;
  const block = bytes.subarray(start, start + sizeBytes);
  wholes.set(block, bytes);
  return block;
}
