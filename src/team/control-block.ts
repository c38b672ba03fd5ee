// The memory that a team's threads share: the control block (native/core/control.h) and the scratch memory of each seat.
// Allocates and initialises it; the team and its seats use it.
import type { Addon } from '../native/addon.js';
import { alignedBlock } from './aligned-block.js';

export interface ControlBlockOptions {
  /** One of the addon's kernel sets. */
  readonly isa: string;
  /** Worker threads. */
  readonly threads: number;
  /** CPUs that this process may use. */
  readonly cpus: number;
  /** How long a worker waits for the next program before its shift ends. */
  readonly lingerUs: number;
}

export interface ControlBlock {
  readonly bytes: Uint8Array;
  /** The same bytes as 32-bit words, for Atomics. */
  readonly words: Int32Array;
  /** The one word that counts endings. */
  readonly endings: Int32Array;
  /** The scratch memory of all seats. The control block has its address, but does not keep it alive. */
  readonly scratch: Uint8Array;
}

/** How long an idle worker spins for the next program in a team with fewer workers than CPUs. */
const spinNsWithFreeCpus = 10_000;

/** Seats: one for each worker, and the last one for the calling thread. */
function seatCount(threads: number): number {
  return threads + 1;
}

/** Bytes of shared memory that a team with this many workers takes. */
export function controlBlockBytes({ layout }: Addon, threads: number): number {
  return layout.controlBytes + seatCount(threads) * (layout.seatBytes + layout.scratchBytes);
}

export function makeControlBlock(addon: Addon, options: ControlBlockOptions): ControlBlock {
  const { isa, threads, cpus, lingerUs } = options;
  const { layout } = addon;
  const bytes = alignedBlock(addon, layout.controlBytes + seatCount(threads) * layout.seatBytes);
  const scratch = alignedBlock(addon, seatCount(threads) * layout.scratchBytes);
  addon.adviseHugePages(scratch);
  // With a worker on every CPU, an idle worker that spins would take the CPU from the main thread.
  const idleSpinNs = threads < cpus ? spinNsWithFreeCpus : 0;
  addon.controlInit(bytes, { isa, seats: threads, idleSpinNs, lingerUs, scratch });
  const wordBytes = Int32Array.BYTES_PER_ELEMENT;
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / wordBytes);
  const endings = words.subarray(layout.endingsOffsetBytes / wordBytes, layout.endingsOffsetBytes / wordBytes + 1);
  return { bytes, words, endings, scratch };
}
