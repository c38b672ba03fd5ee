// The vectors of texts whose tokens are computed in steps: what the op that pools them reads and writes. Sums of a text that
// is not at its end are the text's own between two steps. Filled and read by StepPrograms.
import type { Compute } from '../ops/calls/compute.js';
import type { ProgramBuilder } from '../ops/calls/program-builder.js';
import { type PoolItem, poolItemFields, writePoolItem } from '../ops/rowwise/pool-rows.js';
import type { Tensor } from '../tensor/tensor.js';

/** Rows of a slice that are to be pooled. */
export interface PooledSlice extends Omit<PoolItem, 'firstRow'> {
  readonly slice: number;
  /** Rows of the slice before the first that counts. */
  readonly skipped: number;
  /** [dim]: the sums of the text so far. Written, unless the text ends. */
  readonly sums: Float64Array;
}

/** @param vector of a text that ends with the slice, its wanted dimensions alone */
export type VisitPooled = (slice: number, vector: Float32Array | undefined) => void;

/** Texts that are pooled in one run. Their memory is kept, beside that of the pool: once a step is computed, none may lack. */
export const textsAtOnce = 8;

export class TextPooling {
  readonly #items: Tensor<'i32'>;
  /** The bits of f64 [texts, dim]. */
  readonly #sums: Tensor<'i32'>;
  readonly #vectors: Tensor<'f32'>;

  constructor(compute: Compute, dim: number) {
    this.#items = compute.privateTensor([textsAtOnce, poolItemFields]);
    this.#sums = compute.privateTensor([textsAtOnce, 2 * dim]);
    this.#vectors = compute.privateFloats([textsAtOnce, dim]);
  }

  /** @param hidden f32 [rows, dim] */
  record(p: ProgramBuilder, hidden: Tensor): void {
    p.poolRows(hidden, { items: this.#items, sums: this.#sums, out: this.#vectors });
  }

  /** Before a run. @param firstRows of all slices */
  fill(texts: readonly PooledSlice[], firstRows: readonly number[]): void {
    const { data } = this.#items;
    for (let index = 0; index < textsAtOnce; index++) {
      const text = texts[index];
      const firstRow = text && (firstRows[text.slice] as number) + text.skipped;
      writePoolItem(data, index, text && { ...text, firstRow: firstRow as number });
      if (text !== undefined) this.#sumsOf(index).set(text.sums);
    }
  }

  /** After a run. */
  read(texts: readonly PooledSlice[], visit: VisitPooled): void {
    const { data, shape } = this.#vectors;
    const dim = shape[1] as number;
    for (const [index, { slice, rows, from, total, dimensions, sums }] of texts.entries()) {
      const ends = from + rows === total;
      if (!ends) sums.set(this.#sumsOf(index));
      visit(slice, ends ? data.slice(index * dim, index * dim + dimensions) : undefined);
    }
  }

  /** Gives the memory back to the system: there are no more runs. */
  giveBack(compute: Compute): void {
    for (const tensor of [this.#items, this.#sums, this.#vectors]) compute.giveBackPrivate(tensor);
  }

  #sumsOf(index: number): Float64Array {
    const { data, shape } = this.#sums;
    const dim = (shape[1] as number) / 2;
    return new Float64Array(data.buffer, data.byteOffset + index * dim * Float64Array.BYTES_PER_ELEMENT, dim);
  }
}
