// Chooses the block sizes of matrix products: the caller's, else sizes that fit the caches of this machine. They affect
// speed only, never results (native/kernels/block_sizes.h says what each one cuts). Called by the engine.
import { TesseraeError } from '../base/errors.js';
import { checkPositive } from '../base/options.js';
import { type Cache, readCaches } from './caches.js';

export interface BlockSizes {
  /** The blocks of k, n and m. */
  readonly kc: number;
  readonly nc: number;
  readonly mc: number;
}

/** What block sizes must fit: the micro-tile of the kernel set and the workers' scratch memory. */
export interface BlockSizeLimits {
  /** Rows and columns of C that the micro-kernel holds in registers. */
  readonly mr: number;
  readonly nr: number;
  /** Sizes that work on any machine. */
  readonly defaults: BlockSizes;
  /** Whether the sizes are whole panels and fit into scratch memory. */
  readonly valid: (sizes: BlockSizes) => boolean;
}

/** Block sizes in elements; those left out are chosen for the caches. */
export type BlockSizeOptions = Partial<BlockSizes>;

/** mr rows of A, kc long, fill at most this share of the L1 data cache. */
const shareOfFirst = 2 / 3;
/** A block of B, kc · nc floats, fills at most this share of the L2 cache. */
const shareOfSecond = 0.6;
/** Upper limits: larger values gain nothing, and a larger block of B leaves less scratch for partial sums. */
const mostKc = 1024;
const mostNc = 256;
const mostBlock = 147_456;
/** From this many bytes of L2 on, nc is for micro-tiles of at most {@link narrowColumns} columns, which read less of L2. */
const largeSecond = 2 ** 21;
const narrowColumns = 32;
/** mc / nc: elements of a packed block of A per element of a block of B. */
const packedShare = 1.5;
/** mc is a multiple of this, which is a whole number of micro-tiles in every kernel set. */
const packedRows = 24;

const op = 'Engine.create';

/**
 * @throws TesseraeError ERR_ARGUMENT for sizes that are not whole panels (kc a multiple of 8, nc of 16, mc of 6) or do
 * not fit into the workers' scratch memory
 */
export function chooseBlockSizes(
  limits: BlockSizeLimits,
  wanted: BlockSizeOptions = {},
  caches: readonly Cache[] = readCaches(),
): BlockSizes {
  if (typeof wanted !== 'object' || wanted === null) throw argumentError('blockSizes must be an object');
  for (const [name, value] of Object.entries(wanted)) {
    if (!['kc', 'nc', 'mc'].includes(name)) throw argumentError(`there is no block size ${name}`);
    checkPositive(value, name, op);
  }
  const sizes = { ...suggested(limits, caches), ...wanted };
  if (Object.values(sizes).every((size) => size < 2 ** 32) && limits.valid(sizes)) return sizes;
  const { kc, nc, mc } = sizes;
  const message = `block sizes kc ${kc}, nc ${nc}, mc ${mc}: kc must be a multiple of 8, nc of 16, mc of 6, and all fit into scratch`;
  throw argumentError(message);
}

/** Sizes that fit the caches; the defaults if the system reports no caches. */
function suggested({ mr, nr, defaults, valid }: BlockSizeLimits, caches: readonly Cache[]): BlockSizes {
  const floatsOf = (level: number, share: number) => {
    const cache = caches.find((one) => one.level === level && one.kind !== 'instruction');
    return cache === undefined ? undefined : (cache.sizeBytes / 4 / Math.max(1, cache.sharedBy)) * share;
  };
  const [first, second] = [floatsOf(1, shareOfFirst), floatsOf(2, shareOfSecond)];
  if (first === undefined || second === undefined) return defaults;
  const kc = clamp(powerOfTwoBelow(first / mr), 128, mostKc);
  const isLarge = second >= (largeSecond / 4) * shareOfSecond;
  const nc = roundBelow(Math.min(second, mostBlock) / kc, isLarge ? Math.min(nr, narrowColumns) : nr);
  const mc = Math.max(1, Math.floor((nc * packedShare) / packedRows)) * packedRows;
  const sizes = { kc, nc, mc };
  return valid(sizes) ? sizes : defaults;
}

/** The largest of unit · 2^i and unit · 3 · 2^i that is not above the value, at least one unit. */
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
  return new TesseraeError('ERR_ARGUMENT', message, { op });
}
