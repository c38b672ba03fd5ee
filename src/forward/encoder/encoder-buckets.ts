// The numbers of tokens for which an encoder has programs, and how much a group of texts may have. Pure. Used by
// EncoderPrograms, and by the queue that makes groups.

/** Tokens of a group: enough that its products are as fast as they get; more would only cost memory. */
export const groupRows = 512;
/** Texts of a group, at most. */
export const groupTexts = 256;

/** Buckets between a power of two and the next. */
const bucketsPerDoubling = 8;
const smallestStep = 8;

/** The smallest bucket that holds so many tokens: in steps of 8 to 128, then 16 to 256, 32 to 512, and so on. */
export function encoderBucketFor(rows: number): number {
  const doubling = 2 ** Math.ceil(Math.log2(Math.max(1, rows)));
  const step = Math.max(smallestStep, doubling / (2 * bucketsPerDoubling));
  return Math.ceil(rows / step) * step;
}
