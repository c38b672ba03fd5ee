// Shares out the attention of whole sequences among tiles: cuts their rows into items, and these into lists of about the
// same cost. Pure. The bits of the result do not depend on it. Called before each run of an encoder's program.
import { sequenceItemFields } from '../../ops/attention/sequence-attention.js';
import { type AttentionHeads, type CutLimits, type WorkCut, type WorkLists, workCut } from '../attention-work.js';

const limits: CutLimits = { mostQueries: 256, leastQueries: 48, tilesPerThread: 6 };

export function sequenceCut(heads: AttentionHeads, rows: number, threads: number): WorkCut {
  return workCut(heads, rows, threads, limits);
}

/** Packing the keys and values of a sequence takes about as long as computing so many rows with them. */
const packingRows = 3;
/** What a row costs beside its keys, in keys. */
const rowKeys = 16;

/**
 * Cuts sequences of these lengths, one after the other, into items of at most `most` rows; the rows after the last sequence
 * are padding. The items are in the order of their rows, and consecutive lists cost about the same: the heaviest costs at
 * most an even share and one piece that may not be cut.
 */
export function planSequences(
  lengths: readonly number[],
  rows: number,
  { lists, most, least }: WorkCut,
  { starts, items }: WorkLists,
): void {
  let total = 0;
  for (const length of lengths) total += packingRows * length + length * (length + rowKeys);
  let count = 0;
  const add = (firstRow: number, end: number, firstKey: number, keys: number) => {
    // The fewest items, of about the same size.
    for (let row = firstRow, left = Math.ceil((end - firstRow) / most); row < end; left--) {
      const queries = Math.ceil((end - row) / left);
      const at = count++ * sequenceItemFields;
      items[at] = row;
      items[at + 1] = queries;
      items[at + 2] = firstKey;
      items[at + 3] = keys;
      row += queries;
    }
  };
  let list = 0;
  let spent = 0;
  let firstKey = 0;
  starts[0] = 0;
  for (const keys of lengths) {
    const end = firstKey + keys;
    const perRow = keys + rowKeys;
    spent += packingRows * keys;
    for (let row = firstKey; row < end; ) {
      const share = (total * (list + 1)) / lists;
      let taken = end - row;
      if (list < lists - 1 && spent + taken * perRow > share) {
        // Up to the end of the list's share, unless a piece became too small.
        const upTo = Math.max(least, Math.ceil((share - spent) / perRow));
        if (taken - upTo >= least) taken = upTo;
      }
      add(row, row + taken, firstKey, keys);
      row += taken;
      spent += taken * perRow;
      while (list < lists - 1 && spent >= (total * (list + 1)) / lists) starts[++list] = count;
    }
    firstKey = end;
  }
  add(firstKey, rows, 0, 0);
  while (list < lists) starts[++list] = count;
}
