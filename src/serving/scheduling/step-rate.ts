// How long steps take, as measured: an estimate for each bucket of rows, from which a step's rows are chosen so that it ends
// within a time. Pure.
import { bucketIndex, rowBuckets } from '../../forward/row-buckets.js';

/** Before anything was measured, a step takes this many rows. */
const rowsUnmeasured = 64;
/** The weight of a new measurement. */
const weight = 0.25;
/**
 * A step of one row reads all weights; further rows cost little until the products are limited by computing. What is assumed
 * until it is measured: so many more rows take as long again.
 */
const rowsThatDouble = 32;
/** No step is expected to grow by less than this share of its time a row: measurements are noisy. */
const leastSlope = 1 / 4;

/** A step may take so many times as long as one of a single row, however long that is. */
const leastRowTimes = 4;

export class StepRate {
  /** By bucket; undefined where none was measured. */
  readonly #ms: (number | undefined)[] = rowBuckets.map(() => undefined);

  /** A step of so many rows took so long. */
  observe(rows: number, ms: number): void {
    const index = bucketIndex(rows);
    const before = this.#ms[index];
    this.#ms[index] = before === undefined ? ms : before + weight * (ms - before);
  }

  /**
   * The largest bucket whose step is expected to end within so long. Where a single row takes nearly as long, four times its time
   * counts: cutting finer than that would only read the weights more often.
   */
  rowsWithin(ms: number): number {
    const enough = Math.max(ms, leastRowTimes * (this.expectedMs(1) ?? 0));
    for (let index = rowBuckets.length - 1; index > 0; index--) {
      if (this.#expected(index) <= enough) return rowBuckets[index] as number;
    }
    return 1;
  }

  /** How long a step of so many rows is expected to take; undefined before anything was measured. */
  expectedMs(rows: number): number | undefined {
    if (this.#ms.every((known) => known === undefined)) return undefined;
    return this.#expected(bucketIndex(rows));
  }

  /** On the line between the nearest buckets that were measured, or beyond the last one by the slope before it. */
  #expected(index: number): number {
    const own = this.#ms[index];
    if (own !== undefined) return own;
    const rows = rowBuckets[index] as number;
    const smaller = this.#measured(index, -1);
    const larger = this.#measured(index, 1);
    if (smaller === undefined && larger === undefined) return rows <= rowsUnmeasured ? 0 : Number.POSITIVE_INFINITY;
    if (smaller === undefined) {
      const { rows: from, ms } = larger as Measured;
      return (ms * (rowsThatDouble + rows)) / (rowsThatDouble + from);
    }
    if (larger !== undefined) {
      const share = (rows - smaller.rows) / (larger.rows - smaller.rows);
      return smaller.ms + share * (larger.ms - smaller.ms);
    }
    const before = this.#measured(smaller.index, -1);
    const guessed = smaller.ms / (rowsThatDouble + smaller.rows);
    const slope = before === undefined ? guessed : (smaller.ms - before.ms) / (smaller.rows - before.rows);
    return (
      smaller.ms + (rows - smaller.rows) * Math.max(slope, (leastSlope * smaller.ms) / (rowsThatDouble + smaller.rows))
    );
  }

  /** The nearest bucket before or behind one that was measured. */
  #measured(from: number, step: 1 | -1): Measured | undefined {
    for (let index = from + step; index >= 0 && index < rowBuckets.length; index += step) {
      const ms = this.#ms[index];
      if (ms !== undefined) return { index, rows: rowBuckets[index] as number, ms };
    }
    return undefined;
  }
}

interface Measured {
  readonly index: number;
  readonly rows: number;
  readonly ms: number;
}
