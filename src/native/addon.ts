// The native addon as TypeScript sees it. The binding (native/binding/addon.cpp) checks types, lengths and alignment
// only; the rooms that call it check everything else. Not here: finding and loading the file (load.ts).
import type { BlockSizes } from '../machine/block-sizes.js';

/** The state of a published program; the numbers of RunState in native/core/executor.h. */
export const RunState = { running: 0, finished: 1, drained: 2 } as const;

/** Why a worker came back from `work`; the numbers of WorkResult in native/core/executor.h. */
export const WorkResult = { left: 0, ended: 1, yielded: 2, abandoned: 3, valueOutOfRange: 4 } as const;

/** What the coordinator does next, on its CPU; the numbers of CallerNext in native/core/executor.h. */
export const CallerNext = { rests: 0, works: 1 } as const;

/** Where a worker is; the numbers of SeatState in native/core/control.h. */
export const SeatState = { away: 0, onShift: 1 } as const;

/** The numbers of KernelStatus in native/core/op.h. */
export const KernelStatus = {
  ok: 0,
  indexOutOfRange: 1,
  checkpointFailed: 2,
  abandoned: 3,
  valueOutOfRange: 4,
} as const;

/** The first failure of a run: a KernelStatus, the op's index in the program, and the tile. */
export interface NativeFailure {
  readonly status: number;
  readonly op: number;
  readonly tile: number;
}

/** Sizes and offsets of the shared structures, in bytes where the name says so. */
export interface NativeLayout {
  readonly headerBytes: number;
  /** Of the trace's address, within a program's header. */
  readonly headerTraceBytes: number;
  /** What a trace holds of each tile. */
  readonly tileTraceBytes: number;
  readonly recordBytes: number;
  readonly recordParamsBytes: number;
  readonly counterBytes: number;
  readonly controlBytes: number;
  readonly seatBytes: number;
  readonly scratchBytes: number;
  /** Of the state, within a seat. */
  readonly seatStateBytes: number;
  readonly endingsOffsetBytes: number;
  readonly slots: number;
  readonly maxSeats: number;
}

/** Which of a control block's 32-bit words is the state of the seat. */
export function seatStateIndex({ controlBytes, seatBytes, seatStateBytes }: NativeLayout, seat: number): number {
  return (controlBytes + seat * seatBytes + seatStateBytes) / Int32Array.BYTES_PER_ELEMENT;
}

/** How the kernels cut a matrix product, in elements: native/kernels/block_sizes.h. */
/** What the choice of path, blocks and tiles depends on. */
export interface ProductTraits {
  /** Rows and columns of C that the micro-kernel for large tiles holds in registers. */
  readonly mr: number;
  readonly nr: number;
  /** Up to so many rows the thin path is faster than packing a wide operand whose k is contiguous. */
  readonly thinAcross: number;
}

export interface NativeTeamStats {
  readonly ops: readonly { readonly op: string; readonly tiles: number; readonly ns: number }[];
  readonly sleeps: number;
  readonly spinsWon: number;
}

/** A read-only mapping of a file. It is unmapped at the latest when this object is garbage-collected. */
export type NativeMapping = object;

/** All blocks are 64-byte aligned Uint8Arrays over shared memory. */
export interface Addon {
  readonly kernels: readonly { readonly name: string; readonly paramWords: number }[];
  /** The kernel sets that this CPU can run, the best one last. */
  readonly isas: readonly string[];
  readonly layout: NativeLayout;
  /** For each of `isas` how it computes matrix products. */
  readonly products: Readonly<Record<string, ProductTraits>>;
  readonly defaultBlockSizes: BlockSizes;

  /** Whether the blocks are whole panels and fit into a worker's scratch memory. */
  blockSizesValid(sizes: BlockSizes): boolean;
  addressOf(bytes: ArrayBufferView): number;
  adviseHugePages(bytes: Uint8Array): void;
  /** Gives whole pages back to the system at once; they read as zeros afterwards. */
  releasePages(bytes: Uint8Array): void;

  /** Maps the first `sizeBytes` of an open regular file. Throws what the system says where it cannot. */
  mapFile(fd: number, sizeBytes: number): NativeMapping;
  mappingAddress(mapping: NativeMapping): number;
  /** Once: the address is nothing afterwards. The system's work is done on a thread of libuv. */
  unmapFile(mapping: NativeMapping): void;
  /** Reads a range from the disk on a thread of libuv. Rejects where the file has become shorter. */
  pageIn(mapping: NativeMapping, position: number, sizeBytes: number): Promise<void>;
  /** Gives the whole pages of a range back to the system, on such a thread; where touched they are paged in again. */
  releaseMapped(mapping: NativeMapping, position: number, sizeBytes: number): Promise<void>;

  controlInit(
    control: Uint8Array,
    options: { isa: string; seats: number; idleSpins: number; lingerUs: number; scratch: Uint8Array },
  ): void;
  /** Wakes `mostWorkers` sleeping workers at most; which ones depends on `next`, a CallerNext. */
  publish(control: Uint8Array, slot: number, program: Uint8Array, mostWorkers: number, next: number): void;
  /** Works on the published program until it is finished or the time is up; whether it is finished. */
  assist(control: Uint8Array, slot: number, program: Uint8Array, budgetUs: number): boolean;
  slotIsFree(control: Uint8Array, slot: number): boolean;
  runState(control: Uint8Array, slot: number, program: Uint8Array): number;
  failure(control: Uint8Array, slot: number): NativeFailure | undefined;
  cancel(control: Uint8Array, slot: number): void;
  retire(control: Uint8Array, slot: number, program: Uint8Array): void;
  /** Returns the slot that the dead worker was in, or -1. */
  bury(control: Uint8Array, seat: number): number;
  /** Claims shifts until `most` seats are on shift; writes the seats into `seats` and returns how many it claimed. */
  callToShift(control: Uint8Array, seats: Uint8Array, most: number, next: number): number;
  closeTeam(control: Uint8Array): void;
  runInline(control: Uint8Array, program: Uint8Array): NativeFailure | undefined;
  teamStats(control: Uint8Array): NativeTeamStats;

  /** For workers, once before the first call of `work`: the thread may stay on one CPU from here on. */
  takeSeat(control: Uint8Array, seat: number): void;
  /** For workers: works on the seat until there is a reason to come back, a WorkResult. */
  work(control: Uint8Array, seat: number): number;
}
