// Shares out the work of attention among tiles: how finely it is cut; and, for paged attention, cuts the rows of a step into
// items and these into lists of about the same cost. Pure. The bits of the result do not depend on it. Called before each
// run of a step's program; encoder/sequence-work.ts does the same for whole sequences.
import { itemFields, mostItemRows } from '../ops/paged/step-rows.js';

export interface AttentionHeads {
  readonly heads: number;
  readonly kvHeads: number;
}

/** How a program's work is cut; fixed when it is recorded. */
export interface WorkCut {
  /** Lists of items, each of which is a tile for each key-value head. */
  readonly lists: number;
  /** Rows of an item, at most: they share one packing of the keys. */
  readonly most: number;
  /** A sequence's rows are not cut to fewer than this: the keys would be packed too often. */
  readonly least: number;
}

/** How finely work is cut. */
export interface CutLimits {
  /** Queries times the heads that share their keys: so many are computed with one packing of the keys, at most. */
  readonly mostQueries: number;
  readonly leastQueries: number;
  readonly tilesPerThread: number;
}

/** The fewest lists that give all threads as many tiles, and each at least so many: nine tiles would keep one of two waiting. */
export function evenLists(work: {
  readonly kvHeads: number;
  readonly threads: number;
  readonly tilesPerThread: number;
}): number {
  const { kvHeads, threads, tilesPerThread } = work;
  let lists = Math.ceil((tilesPerThread * threads) / kvHeads);
  while ((lists * kvHeads) % threads !== 0) lists++;
  return lists;
}

export function workCut(
  { heads, kvHeads }: AttentionHeads,
  rows: number,
  threads: number,
  { mostQueries, leastQueries, tilesPerThread }: CutLimits,
): WorkCut {
  const group = heads / kvHeads;
  return {
    lists: Math.min(rows, evenLists({ kvHeads, threads, tilesPerThread })),
    most: Math.max(1, Math.floor(mostQueries / group)),
    least: Math.max(1, Math.floor(leastQueries / group)),
  };
}

const pagedLimits: CutLimits = { mostQueries: 512, leastQueries: 36, tilesPerThread: 4 };

export function attentionCut(heads: AttentionHeads, rows: number, threads: number): WorkCut {
  const cut = workCut(heads, rows, threads, pagedLimits);
  return { ...cut, most: Math.min(mostItemRows, cut.most) };
}

/** The rows of a step: the slot of each one's sequence, negative for padding, and its position. */
export interface PlacedRows {
  readonly sequences: Int32Array;
  readonly positions: Int32Array;
}

/** What is written: see AttentionWork in src/ops/paged/step-rows.ts, and SequenceWork in src/ops/attention. */
export interface WorkLists {
  /** [lists + 1] */
  readonly starts: Int32Array;
  /** [rows · fields of an item] */
  readonly items: Int32Array;
}

/**
 * Cuts the rows into items: consecutive rows of one sequence, at most `most`. The items are in the order of their rows,
 * and consecutive lists cost about the same: the heaviest costs at most an even share and one piece that may not be
 * cut. O(rows), deterministic, and makes no objects.
 */
export function planAttention({ sequences, positions }: PlacedRows, cut: WorkCut, { starts, items }: WorkLists): void {
  const { lists, most, least } = cut;
  const rows = sequences.length;
  let total = 0;
  for (let row = 0; row < rows; row++) {
    const slot = sequences[row] as number;
    if (slot >= 0) total += costOf(positions[row] as number, row === 0 || sequences[row - 1] !== slot);
  }
  let count = 0;
  let list = 0;
  let spent = 0;
  starts[0] = 0;
  for (let row = 0, end = 0; row < rows; row = end) {
    const slot = sequences[row] as number;
    end = row + 1;
    if (slot < 0) continue;
    while (end < rows && sequences[end] === slot) end++;
    let first = row;
    for (let next = row + 1; next <= end; next++) {
      spent += costOf(positions[next - 1] as number, next - 1 === row);
      const mayCut = next === end || (next - first >= least && end - next >= least);
      if (!mayCut || spent * lists < total * (list + 1)) continue;
      count = addItems(items, count, first, next, slot, most);
      first = next;
      while (list < lists - 1 && spent * lists >= total * (list + 1)) starts[++list] = count;
    }
    if (first < end) count = addItems(items, count, first, end, slot, most);
  }
  while (list < lists) starts[++list] = count;
}

/** Reading the keys and values of a sequence takes about as long as computing so many rows with them. */
const readingRows = 3;
/** What a row costs beside its keys, in keys. */
const rowKeys = 16;

/** The keys that a row sees; for the first row of a sequence their reading, too. */
function costOf(position: number, isFirst: boolean): number {
  return (position + 1) * (isFirst ? 1 + readingRows : 1) + rowKeys;
}

/** Rows of one sequence as the fewest items, of about the same size. Returns the new number of items. */
function addItems(items: Int32Array, count: number, first: number, end: number, slot: number, most: number): number {
  let left = Math.ceil((end - first) / most);
  let at = count * itemFields;
  for (let row = first; row < end; left--) {
    const queries = Math.ceil((end - row) / left);
    items[at++] = row;
    items[at++] = queries;
    items[at++] = slot;
    items[at++] = 0;
    row += queries;
  }
  return at / itemFields;
}
