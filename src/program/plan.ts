// Plans a recorded program: where its temporaries are in the arena, which steps wait for which, and how many tiles can be
// computed at the same time. Called by compiled-program.ts alone. Pure, except that planArena sets `arenaOffset`.
import { byteExtent } from '../tensor/layout/layout.js';
import type { Storage } from '../tensor/memory/storage.js';
import { storageOf, type Tensor } from '../tensor/tensor.js';
import type { Step } from './recorder.js';
import { TemporaryStorage } from './temporary-storage.js';

const alignmentBytes = 64;

/** The lifetime of a temporary: the first and the last step that access it. */
interface Life {
  readonly first: number;
  last: number;
}

/** The range of arena bytes of one temporary. */
interface Placed {
  readonly start: number;
  readonly end: number;
  /** The last life in whose result of metBy() it is, so that no result contains it twice. */
  metBy: Life | undefined;
}

/**
 * Gives each temporary without memory of its own an offset in the arena. Two temporaries share bytes only if the life of
 * one ends before that of the other begins. Places the largest first, each at the lowest offset that is free for its whole
 * life (Pisarchyk and Lee 2020, "greedy by size"). Returns the arena's size in bytes.
 */
export function planArena(steps: readonly Step[]): number {
  const lives = new Map<TemporaryStorage, Life>();
  for (let index = 0; index < steps.length; index++) {
    const { reads, writes } = steps[index] as Step;
    for (const tensor of reads) noteUse(lives, storageOf(tensor), index);
    for (const tensor of writes) noteUse(lives, storageOf(tensor), index);
  }
  // For each step, the placed temporaries that are alive then. Lives are short, so these lists are short.
  const alive: Placed[][] = steps.map(() => []);
  let arenaBytes = 0;
  const largestFirst = [...lives].sort(([a], [b]) => b.sizeBytes - a.sizeBytes);
  for (const [storage, life] of largestFirst) {
    const sizeBytes = Math.ceil(storage.sizeBytes / alignmentBytes) * alignmentBytes;
    let start = 0;
    for (const other of metBy(life, alive)) {
      if (start + sizeBytes <= other.start) break;
      start = Math.max(start, other.end);
    }
    storage.arenaOffset = start;
    const placed: Placed = { start, end: start + sizeBytes, metBy: undefined };
    for (let step = life.first; step <= life.last; step++) (alive[step] as Placed[]).push(placed);
    arenaBytes = Math.max(arenaBytes, placed.end);
  }
  return arenaBytes;
}

function noteUse(lives: Map<TemporaryStorage, Life>, storage: Storage, index: number): void {
  if (!(storage instanceof TemporaryStorage) || storage.buffer !== undefined) return;
  const life = lives.get(storage);
  if (life === undefined) lives.set(storage, { first: index, last: index });
  else life.last = index;
}

/** The placed temporaries that are alive at any step of this life, sorted by their offsets. */
function metBy(life: Life, alive: readonly (readonly Placed[])[]): Placed[] {
  const met: Placed[] = [];
  for (let step = life.first; step <= life.last; step++) {
    for (const other of alive[step] as readonly Placed[]) {
      if (other.metBy === life) continue;
      other.metBy = life;
      met.push(other);
    }
  }
  return met.sort((a, b) => a.start - b.start);
}

/** A range of bytes that a step accesses: in the arena (`space` is undefined) or in another storage. */
interface Window {
  readonly space: Storage | undefined;
  readonly start: number;
  readonly end: number;
}

/**
 * For each step the number of leading steps that must be complete before it may start: up to the last earlier step that
 * writes what it accesses, or reads what it writes. The numbers never fall, because workers take steps in order and stop
 * at the first one that must wait. Call it after planArena: temporaries that share arena bytes count as the same memory.
 */
export function planOrder(steps: readonly Step[]): number[] {
  const reads = steps.map((step) => windowsOf(step.reads));
  const writes = steps.map((step) => windowsOf(step.writes));
  let least = 0;
  return steps.map((_, index) => {
    const ownReads = reads[index] as Window[];
    const ownWrites = writes[index] as Window[];
    for (let earlier = index - 1; earlier >= least; earlier--) {
      const written = writes[earlier] as Window[];
      if (
        anyOverlap(written, ownReads) ||
        anyOverlap(written, ownWrites) ||
        anyOverlap(reads[earlier] as Window[], ownWrites)
      ) {
        least = earlier + 1;
      }
    }
    return least;
  });
}

/** The most tiles that can be computed at the same time: those of all steps that may run at the same moment. */
export function planWidth(steps: readonly Step[], order: readonly number[]): number {
  let width = 0;
  for (let complete = 0; complete < steps.length; complete++) {
    let open = 0;
    for (let index = complete; index < steps.length && (order[index] as number) <= complete; index++) {
      open += (steps[index] as Step).tiles;
    }
    width = Math.max(width, open);
  }
  return width;
}

/** Tensors without elements have no range. */
function windowsOf(tensors: readonly Tensor[]): Window[] {
  const windows: Window[] = [];
  for (const tensor of tensors) {
    const window = windowOf(tensor);
    if (window.start < window.end) windows.push(window);
  }
  return windows;
}

function windowOf(tensor: Tensor): Window {
  const storage = storageOf(tensor);
  const { start, end } = byteExtent(tensor);
  if (storage instanceof TemporaryStorage && storage.arenaOffset >= 0) {
    return { space: undefined, start: start + storage.arenaOffset, end: end + storage.arenaOffset };
  }
  return { space: storage, start, end };
}

function anyOverlap(some: readonly Window[], others: readonly Window[]): boolean {
  for (const a of some) {
    for (const b of others) if (a.space === b.space && a.start < b.end && b.start < a.end) return true;
  }
  return false;
}
