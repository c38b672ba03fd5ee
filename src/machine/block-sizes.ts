// The block sizes of matrix products: what the caller asks for, else what the caches of this machine suggest. Speed
// only: results do not depend on them (native/kernels/block_sizes.h says what each one cuts). Called by the engine.

import { TesseraeError } from '../base/errors.js';
import { type Cache, readCaches } from './caches.js';

export interface BlockSizes {
  /** The blocks of k, n and m. */
  readonly kc: number;
  readonly nc: number;
  readonly mc: number;
}

/** What block sizes must fit: the micro-tile of the kernel set, and the workers' scratch memory. */
export interface BlockSizeLimits {
  /** Rows and columns of C that the micro-kernel holds in registers. */
  readonly mr: number;
  readonly nr: number;
  /** Sizes that suit any machine. */
  readonly defaults: BlockSizes;
  /** Whether sizes are whole panels, and fit into scratch memory. */
  readonly valid: (sizes: BlockSizes) => boolean;
}

/** Block sizes in elements; what is left out is chosen by the caches. */
export type BlockSizeOptions = Partial<BlockSizes>;

/** kc rows of A fill at most this share of the first cache. */
const shareOfFirst = 2 / 3;
/** kc · nc floats of a block of B fill at most this share of the second cache. */
const shareOfSecond = 0.6;
/** Larger ones gain nothing, and a larger block takes room from partial sums. */
const mostKc = 1024;
const mostNc = 256;
const mostBlock = 147_456;
/** Elements of packed A against those of a block of B. */
const packedShare = 1.5;
/** Whole micro-tiles of all kernel sets. */
const packedRows = 24;

/**
 * @throws TesseraeError ERR_ARGUMENT for sizes that are no whole panels (kc a multiple of 8, nc of 16, mc of 6) or that
 * the workers' scratch memory does not hold
 */
export function chooseBlockSizes(
  limits: BlockSizeLimits,
  wanted: BlockSizeOptions = {},
  caches: readonly Cache[] = readCaches(),
): BlockSizes {
  if (typeof wanted !== 'object' || wanted === null) throw argumentError('blockSizes must be an object');
  for (const [name, value] of Object.entries(wanted)) {
    if (!['kc', 'nc', 'mc'].includes(name)) throw argumentError(`there is no block size ${name}`);
    if (!Number.isSafeInteger(value) || value < 1) {
      throw argumentError(`${name} must be a positive integer, got ${String(value)}`);
    }
  }
  const sizes = { ...suggested(limits, caches), ...wanted };
  if (Object.values(sizes).every((size) => size < 2 ** 32) && limits.valid(sizes)) return sizes;
  const { kc, nc, mc } = sizes;
  const message = `block sizes kc ${kc}, nc ${nc}, mc ${mc}: kc must be a multiple of 8, nc of 16, mc of 6, and all fit into scratch`;
  throw argumentError(message);
}

/** What fits the caches; the defaults where the system does not report any. */
function suggested({ mr, nr, defaults, valid }: BlockSizeLimits, caches: readonly Cache[]): BlockSizes {
  const floatsOf = (level: number, share: number) => {
    const cache = caches.find((one) => one.level === level && one.kind !== 'instruction');
    return cache === undefined ? undefined : (cache.sizeBytes / 4 / Math.max(1, cache.sharedBy)) * share;
  };
  const [first, second] = [floatsOf(1, shareOfFirst), floatsOf(2, shareOfSecond)];
  if (first === undefined || second === undefined) return defaults;
  const kc = clamp(powerOfTwoBelow(first / mr), 128, mostKc);
  const nc = roundBelow(Math.min(second, mostBlock) / kc, nr);
  const mc = Math.max(1, Math.floor((nc * packedShare) / packedRows)) * packedRows;
  const sizes = { kc, nc, mc };
  return valid(sizes) ? sizes : defaults;
}

/** The largest of unit · 2^i and unit · 3 · 2^i up to a value, at least one unit. */
function roundBelow(value: number, unit: number): number {
  const units = Math.max(1, Math.min(value, mostNc) / unit);
  return unit * Math.max(powerOfTwoBelow(units), units < 3 ? 1 : 3 * powerOfTwoBelow(units / 3));
}

function powerOfTwoBelow(value: number): number {
  return 2 ** Math.floor(Math.log2(Math.max(1, value)));
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}

function argumentError(message: string): TesseraeError {
  return new TesseraeError('ERR_ARGUMENT', message, { op: 'Engine.create' });
}
