// The rows of a step as the paged ops take them: program inputs that say which place each row has, and how the work of
// attention is shared out. Written before each run by src/forward.
import type { Tensor } from '../../tensor/tensor.js';
import { checkNumber, checkSameShape, checkTensor } from '../op.js';

/** Fields of an item of the work list: its first row, its number of rows, the slot of its sequence, and 0. */
export const itemFields = 4;

/** The most rows of an item: kMostItemQueries in native/kernels/paged_attention.h. */
export const mostItemRows = 256;

/** The slot of a row that belongs to no sequence. */
export const paddingRow = -1;

/** Fields of a run: its row, the slot of the row's sequence, its first block of keys, and its number of blocks. */
export const runFields = 4;

/** Keys of a block: kAttentionKeyBlock in native/kernels/attention.h. */
export const blockKeys = 256;

/** How attention's work is cut. Results do not depend on it, as long as it covers each row of a sequence once. */
export interface AttentionWork {
  /** i32 [lists + 1]: list l has the items from starts[l] up to starts[l + 1]. */
  readonly starts: Tensor;
  /** i32 [rows, {@link itemFields}]: consecutive rows of one sequence each. */
  readonly items: Tensor;
}

/**
 * The same where the keys of a row are cut, too: results of runs of key blocks are kept as parts, and merged by another step.
 * Of the window that the attention has.
 */
export interface PartsWork {
  /** i32 [lists + 1]: list l has the runs from starts[l] up to starts[l + 1]. */
  readonly starts: Tensor;
  /** i32 [rows + lists, {@link runFields}]: consecutive blocks of one row each. */
  readonly runs: Tensor;
  /** i32 [rows + 1]: row r has the parts from partStarts[r] up to partStarts[r + 1], one for each block that it sees. */
  readonly partStarts: Tensor;
  /** Parts that there is memory for. */
  readonly mostParts: number;
}

export interface StepRows {
  /** i32 [rows]: the position of each row in its sequence. */
  readonly positions: Tensor;
  /** i32 [rows]: the slot of the row's sequence in the page table, or {@link paddingRow}. */
  readonly sequences: Tensor;
  readonly work: AttentionWork | PartsWork;
}

/** @throws TesseraeError ERR_ARGUMENT, ERR_DTYPE, ERR_SHAPE unless they are the places of so many rows */
export function checkPlaces({ positions, sequences }: StepRows, rows: number, op: string): void {
  checkRows(positions, [rows], op, 'positions');
  checkRows(sequences, [rows], op, 'sequences');
}

/** As {@link checkPlaces}, for the work list. */
export function checkWork({ work }: StepRows, rows: number, op: string): void {
  const starts: unknown = work?.starts;
  checkTensor(starts, op, 'starts', 'i32');
  const size = Math.max(2, starts.shape[0] ?? 0);
  checkSameShape(starts, [size], op, 'starts');
  if (!isInParts(work)) {
    checkRows(work.items, [rows, itemFields], op, 'items');
    return;
  }
  checkRows(work.runs, [rows + size - 1, runFields], op, 'runs');
  checkRows(work.partStarts, [rows + 1], op, 'partStarts');
  checkNumber(work.mostParts, op, 'mostParts', { positive: true });
}

export function isInParts(work: AttentionWork | PartsWork): work is PartsWork {
  return 'runs' in work;
}

function checkRows(tensor: unknown, shape: readonly number[], op: string, name: string): void {
  checkTensor(tensor, op, name, 'i32');
  checkSameShape(tensor, shape, op, name);
}
