// How long steps take, as measured: an estimate for each bucket of rows, from which a step's rows are chosen so that it ends
// within a time. Pure.
import { bucketIndex, rowBuckets } from '../../forward/row-buckets.js';

/** Before anything was measured, a step takes this many rows. */
const rowsUnmeasured = 64;
/** So many of the latest measurements of a bucket count. */
const latest = 3;
/** A bucket that was not measured for so many steps may be faster now than it was then. */
const stepsUntilOld = 16;
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
  readonly #measured: (Measurements | undefined)[] = rowBuckets.map(() => undefined);
  #steps = 0;

  /** A step of so many rows took so long. */
  observe(rows: number, ms: number): void {
    const index = bucketIndex(rows);
    const times = [...(this.#measured[index]?.times ?? []), ms].slice(-latest);
    // The first step of a program is slow, and now and then one is held up: the middle one counts, of two the shorter.
    const middle = [...times].sort((a, b) => a - b)[(times.length - 1) >> 1] as number;
    this.#steps += 1;
    this.#measured[index] = { rows: rowBuckets[index] as number, times, ms: middle, step: this.#steps };
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
    return this.#steps === 0 ? undefined : this.#expected(bucketIndex(rows));
  }

  /** As measured; else on the line between the nearest buckets that were, or beyond the last one by the slope before it. */
  #expected(index: number): number {
    const own = this.#measured[index];
    if (own !== undefined) return Math.min(own.ms, this.#mostOf(own));
    const rows = rowBuckets[index] as number;
    const smaller = this.#nearest(index, -1);
    const larger = this.#nearest(index, 1);
    if (smaller === undefined && larger === undefined) return rows <= rowsUnmeasured ? 0 : Number.POSITIVE_INFINITY;
    if (smaller === undefined) {
      const { rows: from, ms } = larger as Measurements;
      return (ms * (rowsThatDouble + rows)) / (rowsThatDouble + from);
    }
    if (larger !== undefined) {
      const share = (rows - smaller.rows) / (larger.rows - smaller.rows);
      return smaller.ms + share * (larger.ms - smaller.ms);
    }
    const before = this.#nearest(bucketIndex(smaller.rows), -1);
    const guessed = smaller.ms / (rowsThatDouble + smaller.rows);
    const slope = before === undefined ? guessed : (smaller.ms - before.ms) / (smaller.rows - before.rows);
    return (
      smaller.ms + (rows - smaller.rows) * Math.max(slope, (leastSlope * smaller.ms) / (rowsThatDouble + smaller.rows))
    );
  }

  /**
   * The most that an old measurement is believed to be: a step never takes longer per row than one of fewer rows that was measured
   * since. So a bucket that was slow once, beside other work or in its first step, is tried again.
   */
  #mostOf({ rows, step }: Measurements): number {
    if (this.#steps - step < stepsUntilOld) return Number.POSITIVE_INFINITY;
    let most = Number.POSITIVE_INFINITY;
    for (const other of this.#measured) {
      if (other !== undefined && other.rows < rows && other.step > step) {
        most = Math.min(most, (other.ms * rows) / other.rows);
      }
    }
    return most;
  }

  /** The nearest bucket before or behind one that was measured. */
  #nearest(from: number, step: 1 | -1): Measurements | undefined {
    for (let index = from + step; index >= 0 && index < rowBuckets.length; index += step) {
      const measured = this.#measured[index];
      if (measured !== undefined) return measured;
    }
    return undefined;
  }
}

/** What was measured of a bucket. */
interface Measurements {
  readonly rows: number;
  /** The latest ones, in their order. */
  readonly times: readonly number[];
  /** The middle one of them. */
  readonly ms: number;
  /** The number of steps, of all buckets, up to the last one of this bucket. */
  readonly step: number;
}
