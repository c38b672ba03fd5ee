// The numbers of rows for which programs exist: a step takes the next larger one, and pads what is left. Pure. Used by the
// programs of a step, and by serving, which chooses how many rows a step has.

/** 1 to 8 exactly, then in steps of at most a third of the rows, so that little is computed for nothing. */
export const rowBuckets: readonly number[] = [
  ...range(1, 8, 1),
  ...range(12, 32, 4),
  ...range(40, 64, 8),
  ...range(80, 128, 16),
  ...range(160, 256, 32),
];

/** Rows of a step at most. */
export const mostRows = rowBuckets.at(-1) as number;

/** The smallest bucket that holds so many rows, 1 to {@link mostRows}. */
export function bucketFor(rows: number): number {
  return rowBuckets[bucketIndex(rows)] as number;
}

/** The largest bucket of at most so many rows; 1 where there is none. */
export function bucketBelow(rows: number): number {
  return rowBuckets.findLast((bucket) => bucket <= rows) ?? 1;
}

/** The place of the smallest bucket that holds so many rows. */
export function bucketIndex(rows: number): number {
  let low = 0;
  let high = rowBuckets.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((rowBuckets[middle] as number) >= rows) high = middle;
    else low = middle + 1;
  }
  return low;
}

function range(first: number, last: number, step: number): number[] {
  return Array.from({ length: (last - first) / step + 1 }, (_, index) => first + index * step);
}
