// The types of the native addon. The binding (native/binding/addon.cpp) checks types, lengths and alignment; the rooms
// that call it check everything else. load.ts finds and loads the file.
import type { BlockSizes } from '../machine/block-sizes.js';

/** The state of a published program; the numbers of RunState in native/core/executor.h. */
export const RunState = { running: 0, finished: 1, drained: 2 } as const;

/** Why `work` returned to its worker; the numbers of WorkResult in native/core/executor.h. */
export const WorkResult = { left: 0, ended: 1, yielded: 2, abandoned: 3 } as const;

/** Whether the calling thread goes on computing after the call; the numbers of CallerNext in native/core/executor.h. */
export const CallerNext = { rests: 0, works: 1 } as const;

/** Whether a worker serves its seat; the numbers of SeatState in native/core/control.h. */
export const SeatState = { away: 0, onShift: 1 } as const;

/** The result of a tile; the numbers of KernelStatus in native/core/op.h. */
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

/** Sizes and offsets of the shared structures of native/core/control.h and op.h. */
export interface NativeLayout {
  readonly headerBytes: number;
  /** Offset of the trace's address in a program's header. */
  readonly headerTraceBytes: number;
  /** Size of a trace's entry for one tile. */
  readonly tileTraceBytes: number;
  readonly recordBytes: number;
  readonly recordParamsBytes: number;
  readonly counterBytes: number;
  readonly controlBytes: number;
  readonly seatBytes: number;
  readonly scratchBytes: number;
  /** Offset of the state in a seat. */
  readonly seatStateBytes: number;
  readonly endingsOffsetBytes: number;
  /** Programs that can run at the same time. */
  readonly slots: number;
  /** The most workers of a team. */
  readonly maxSeats: number;
  /** How many workers that are away a thread calls itself. */
  readonly callsEach: number;
}

/** The index of a seat's state among the 32-bit words of the control block. */
export function seatStateIndex({ controlBytes, seatBytes, seatStateBytes }: NativeLayout, seat: number): number {
  return (controlBytes + seat * seatBytes + seatStateBytes) / Int32Array.BYTES_PER_ELEMENT;
}

/** Properties of a kernel set on which the choice of path, blocks and tiles of a matrix product depends. */
export interface ProductTraits {
  /** Rows and columns of C that the micro-kernel for large tiles holds in registers. */
  readonly mr: number;
  readonly nr: number;
  /** Up to this many rows, the thin path is faster than packing a wide operand whose k is contiguous. */
  readonly thinAcross: number;
}

/** Counts since the start of the team: tiles and time of each op; sleeps on the futex, spins that ended in time, and calls, all of
 * the workers. */
export interface NativeTeamStats {
  readonly ops: readonly { readonly op: string; readonly tiles: number; readonly ns: number }[];
  readonly sleeps: number;
  readonly spinsWon: number;
  readonly calls: number;
}

/** The functions of the addon. Every `control`, `program` and `scratch` is a 64-byte aligned view of shared memory. */
export interface Addon {
  readonly kernels: readonly { readonly name: string; readonly paramWords: number }[];
  /** The kernel sets that this CPU can run, the best one last. */
  readonly isas: readonly string[];
  readonly layout: NativeLayout;
  /** For each kernel set in `isas`. */
  readonly products: Readonly<Record<string, ProductTraits>>;
  readonly defaultBlockSizes: BlockSizes;
  /** Only of the WebAssembly addon: whether its engine fuses multiplications, and what a worker thread loads it with. */
  readonly wasm?: { readonly fused: boolean; readonly shared: unknown };

  /** Whether the blocks are whole panels and fit into a worker's scratch memory. */
  blockSizesValid(sizes: BlockSizes): boolean;
  /** The address of the first byte. */
  addressOf(bytes: ArrayBufferView): number;
  /** Asks the system to back the memory with huge pages. */
  adviseHugePages(bytes: Uint8Array): void;
  /** Gives the whole pages in this range back to the system at once; they read as zeros afterwards. */
  releasePages(bytes: Uint8Array): void;

  /** Maps the first `bytes` of a file to read them, shared with other processes. Gives the address. @throws Error */
  mapFile(fd: number, bytes: number): number;
  /** Takes back a mapping, which nothing may use any more. */
  unmapFile(address: number, bytes: number): void;

  /** Initialises the memory of a team. The calls below are described in src/team/README.md. */
  controlInit(
    control: Uint8Array,
    options: { isa: string; seats: number; idleSpinNs: number; lingerUs: number; scratch: Uint8Array },
  ): void;
  /**
   * Checks the records of a program: three numbers for each region that its tiles may access, the address, the size, and 1
   * if they may write to it. Gives the first op that does more, and what it does.
   */
  checkProgram(program: Uint8Array, regions: Float64Array): { op: number; problem: string } | undefined;
  /** Puts a program into a free slot and wakes at most `mostWorkers` workers; which ones depends on `next`, a CallerNext. */
  publish(control: Uint8Array, slot: number, program: Uint8Array, mostWorkers: number, next: number): void;
  /** Computes tiles of a published program until it is finished or the time is up. Returns whether it is finished. */
  assist(control: Uint8Array, slot: number, program: Uint8Array, budgetUs: number): boolean;
  slotIsFree(control: Uint8Array, slot: number): boolean;
  /** A RunState. */
  runState(control: Uint8Array, slot: number, program: Uint8Array): number;
  failure(control: Uint8Array, slot: number): NativeFailure | undefined;
  cancel(control: Uint8Array, slot: number): void;
  /** Takes a finished or drained program out of its slot, ready to be published again. */
  retire(control: Uint8Array, slot: number, program: Uint8Array): void;
  /** Frees the seat of a dead worker. Returns the slot that it was in, or -1. */
  bury(control: Uint8Array, seat: number): number;
  /**
   * Puts seats on shift, at most `layout.callsEach`, until `most` of them are; writes these into `seats`, returns how many they
   * are, and leaves the rest to their workers. The caller notifies their states at once.
   */
  callToShift(control: Uint8Array, seats: Uint8Array, most: number, next: number): number;
  /** Makes every worker leave its shift after the tile that it is computing. */
  closeTeam(control: Uint8Array): void;
  /** Computes a whole program on the calling thread. */
  runInline(control: Uint8Array, program: Uint8Array): NativeFailure | undefined;
  teamStats(control: Uint8Array): NativeTeamStats;

  /** For workers, once before the first call of `work`: may pin the calling thread to a CPU. */
  takeSeat(control: Uint8Array, seat: number): void;
  /**
   * For workers, at the beginning of a shift that they were called to, `layout.callsEach` times or until it returns -1: puts
   * another seat on shift if one is to be called, and returns it. The caller notifies its state at once.
   */
  callAnother(control: Uint8Array, seat: number): number;
  /** For workers: computes tiles until there is a reason to return, a WorkResult. */
  work(control: Uint8Array, seat: number): number;
}

/** The names of its functions, by which the loader recognises it. */
export const addonFunctions: readonly (keyof Addon)[] = [
  'blockSizesValid',
  'addressOf',
  'adviseHugePages',
  'releasePages',
  'mapFile',
  'unmapFile',
  'controlInit',
  'checkProgram',
  'publish',
  'assist',
  'slotIsFree',
  'runState',
  'failure',
  'cancel',
  'retire',
  'bury',
  'callToShift',
  'closeTeam',
  'runInline',
  'teamStats',
  'takeSeat',
  'callAnother',
  'work',
];
