// The rows of a step as the paged ops take them: program inputs that say which place each row has, and how the work of
// attention is shared out. Written before each run by src/forward.
import type { Tensor } from '../../tensor/tensor.js';
import { checkSameShape, checkTensor } from '../op.js';

/** Fields of an item of the work list: its first row, its number of rows, the slot of its sequence, and 0. */
export const itemFields = 4;

/** The most rows of an item: kMostItemQueries in native/kernels/paged_attention.h. */
export const mostItemRows = 256;

/** The slot of a row that belongs to no sequence. */
export const paddingRow = -1;

/** How attention's work is cut. Results do not depend on it, as long as it covers each row of a sequence once. */
export interface AttentionWork {
  /** i32 [lists + 1]: list l has the items from starts[l] up to starts[l + 1]. */
  readonly starts: Tensor;
  /** i32 [rows, {@link itemFields}]: consecutive rows of one sequence each. */
  readonly items: Tensor;
}

export interface StepRows {
  /** i32 [rows]: the position of each row in its sequence. */
  readonly positions: Tensor;
  /** i32 [rows]: the slot of the row's sequence in the page table, or {@link paddingRow}. */
  readonly sequences: Tensor;
  readonly work: AttentionWork;
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
  checkSameShape(starts, [Math.max(2, starts.shape[0] ?? 0)], op, 'starts');
  checkRows(work.items, [rows, itemFields], op, 'items');
}

function checkRows(tensor: unknown, shape: readonly number[], op: string, name: string): void {
  checkTensor(tensor, op, name, 'i32');
  checkSameShape(tensor, shape, op, name);
}
