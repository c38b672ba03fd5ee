// Shared memory for the executor's own structures: zeroed, 64-byte aligned, held for as long as the view lives.
import type { Addon } from '../native/addon.js';

const alignmentBytes = 64;

/** V8 promises no more than 8- or 16-byte alignment, so the block is cut out of a slightly larger one. */
export function alignedBlock(addon: Pick<Addon, 'addressOf'>, sizeBytes: number): Uint8Array {
  const buffer = new SharedArrayBuffer(sizeBytes + alignmentBytes);
  const start = (alignmentBytes - (addon.addressOf(new Uint8Array(buffer)) % alignmentBytes)) % alignmentBytes;
  return new Uint8Array(buffer, start, sizeBytes);
}
