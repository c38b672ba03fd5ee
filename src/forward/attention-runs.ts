// Cuts the attention of a step whose rows see many keys: each row by blocks of its keys, into lists of about the same cost.
// RunChoice decides whether the cut saves more time than the merging of the parts costs. Pure. Results do not depend on it.
// Called before each run of a decoding step's program; attention-work.ts is for all other steps.
import { partLine } from '../ops/paged/attention-parts.js';
import { blockKeys, itemFields, runFields } from '../ops/paged/step-rows.js';
import { type AttentionHeads, attentionCut, evenLists, type PlacedRows, planAttention } from './attention-work.js';

/** How a program's keys are cut; fixed when it is recorded. */
export interface RunCut {
  /** Lists of runs, each of which is a tile for each key-value head. */
  readonly lists: number;
  /** Parts, one for each row and key block, that there is memory for. */
  readonly mostParts: number;
}

/** What is written: see PartsWork in src/ops/paged/step-rows.ts. */
export interface RunLists {
  /** [lists + 1] */
  readonly starts: Int32Array;
  /** [(rows + lists) · fields of a run] */
  readonly runs: Int32Array;
  /** [rows + 1] */
  readonly partStarts: Int32Array;
}

const tilesPerThread = 4;
/** The parts of a program take at most so many bytes, or those of one row. */
const mostPartBytes = 4 << 20;
/** What a row costs beside its keys, in keys. */
const rowKeys = 16;

/** @param capacity keys that a row sees, at most */
export function runCut(
  { heads, kvHeads }: AttentionHeads,
  rows: number,
  threads: number,
  { vDim, capacity }: { readonly vDim: number; readonly capacity: number },
): RunCut {
  const blocks = Math.ceil(capacity / blockKeys);
  const affordable = Math.floor(mostPartBytes / (heads * partLine(vDim) * Float32Array.BYTES_PER_ELEMENT));
  const lists = evenLists({ kvHeads, threads, tilesPerThread });
  return { lists, mostParts: Math.min(rows * blocks, Math.max(blocks, affordable)) };
}

/**
 * Cuts the rows, each of a sequence of its own, into runs of key blocks. A block is in the list in whose share of the cost
 * its middle is, so that lists differ by a block at most. O(blocks), deterministic, and makes no objects.
 */
export function planRuns(
  { sequences, positions }: PlacedRows,
  window: number | undefined,
  { starts, runs, partStarts }: RunLists,
): void {
  const lists = starts.length - 1;
  const rows = sequences.length;
  let total = 0;
  for (let row = 0; row < rows; row++) {
    if ((sequences[row] as number) < 0) continue;
    const position = positions[row] as number;
    total += position + 1 - firstBlock(position, window) * blockKeys + rowKeys;
  }
  let list = 0;
  let spent = 0;
  let parts = 0;
  let at = 0;
  starts[0] = 0;
  partStarts[0] = 0;
  for (let row = 0; row < rows; row++) {
    const slot = sequences[row] as number;
    if (slot >= 0) {
      const keys = (positions[row] as number) + 1;
      const first = firstBlock(keys - 1, window);
      const end = Math.ceil(keys / blockKeys);
      spent += rowKeys;
      let begin = first;
      for (let block = first; block < end; block++) {
        const cost = Math.min(blockKeys, keys - block * blockKeys);
        const own = Math.min(lists - 1, Math.floor(((spent + cost / 2) * lists) / total));
        if (own > list) {
          if (block > begin) at = addRun(runs, at, row, slot, begin, block);
          begin = block;
          while (list < own) starts[++list] = at / runFields;
        }
        spent += cost;
      }
      at = addRun(runs, at, row, slot, begin, end);
      parts += end - first;
    }
    partStarts[row + 1] = parts;
  }
  while (list < lists) starts[++list] = at / runFields;
}

function firstBlock(position: number, window: number | undefined): number {
  return window === undefined ? 0 : Math.floor(Math.max(position - window + 1, 0) / blockKeys);
}

function addRun(runs: Int32Array, at: number, row: number, slot: number, begin: number, end: number): number {
  runs[at] = row;
  runs[at + 1] = slot;
  runs[at + 2] = begin;
  runs[at + 3] = end - begin;
  return at + runFields;
}

/**
 * Keys of a head that the slowest thread must have less to do, for the cut to be worth another step in each layer; and so
 * many more for each part. With a margin: where both take the same time (native/TUNING.md), steps are not cut.
 */
const leastKeysSaved = 256;
const keysOfPart = 16;

/** Decides whether a step's keys are cut. Its arrays are as large as any step needs, and are used again. */
export class RunChoice {
  readonly #heads: AttentionHeads;
  readonly #threads: number;
  readonly #sequences: Int32Array;
  readonly #positions: Int32Array;
  readonly #items: Int32Array;
  readonly #starts: Int32Array;
  readonly #loads: Float64Array;

  /** @param mostRows of a step that is asked about */
  constructor(heads: AttentionHeads, threads: number, mostRows: number) {
    this.#heads = heads;
    this.#threads = threads;
    this.#sequences = Int32Array.from({ length: mostRows }, (_, row) => row);
    this.#positions = new Int32Array(mostRows);
    this.#items = new Int32Array(mostRows * itemFields);
    this.#starts = new Int32Array(mostRows + 1);
    this.#loads = new Float64Array(threads);
  }

  /**
   * @param rows decoding rows, whose positions are positionOf(0) and so on
   * @param most parts that there is memory for
   */
  isWorthIt(rows: number, positionOf: (row: number) => number, most: number): boolean {
    if (this.#threads === 1) return false;
    let keys = 0;
    let parts = 0;
    for (let row = 0; row < rows; row++) {
      const position = positionOf(row);
      this.#positions[row] = position;
      keys += position + 1;
      parts += Math.floor(position / blockKeys) + 1;
    }
    const { kvHeads } = this.#heads;
    // Without the cut, one thread computes all keys of a head at most.
    const least = leastKeysSaved + keysOfPart * parts;
    if (parts > most || keys <= least) return false;
    return this.#slowestUncut(rows) - (keys * kvHeads) / this.#threads > least;
  }

  /** Keys of a head that the slowest thread computes if rows are not cut, where threads take the next tile when they are free. */
  #slowestUncut(rows: number): number {
    const cut = attentionCut(this.#heads, rows, this.#threads);
    const placed = { sequences: this.#sequences.subarray(0, rows), positions: this.#positions.subarray(0, rows) };
    planAttention(placed, cut, { starts: this.#starts, items: this.#items });
    const loads = this.#loads.fill(0);
    for (let list = 0; list < cut.lists; list++) {
      let keys = 0;
      for (let item = this.#starts[list] as number; item < (this.#starts[list + 1] as number); item++) {
        keys += (this.#positions[this.#items[item * itemFields] as number] as number) + 1;
      }
      for (let head = 0; head < this.#heads.kvHeads; head++) {
        let least = 0;
        for (let thread = 1; thread < loads.length; thread++) {
          if ((loads[thread] as number) < (loads[least] as number)) least = thread;
        }
        loads[least] = (loads[least] as number) + keys;
      }
    }
    return loads.reduce((most, load) => Math.max(most, load), 0);
  }
}
