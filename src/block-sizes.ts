// The block sizes of matrix products: what the caller asks for, else what the caches of this machine suggest. Speed
// only: results do not depend on them (native/kernels/block_sizes.h says what each one cuts). Called by the engine.
import { type Cache, readCaches } from './caches.js';
import { TesseraeError } from './errors.js';
import type { Addon, BlockSizes } from './native/addon.js';

/** Block sizes in elements; what is left out is chosen by the caches. */
export type BlockSizeOptions = Partial<BlockSizes>;

/** kc · nc floats of a block of B fill at most this share of the second cache, and kc rows of A as much of the first. */
const shareOfCache = 1 / 2;
/** A longer kc gains nothing, and takes room from partial sums. */
const mostKc = 512;
const mostNc = 256;
/** Elements of packed A against those of a block of B. */
const packedShare = 1.5;

/**
 * @throws TesseraeError ERR_ARGUMENT for sizes that are no whole panels (kc a multiple of 8, nc of 16, mc of 6) or that
 * the workers' scratch memory does not hold
 */
export function chooseBlockSizes(
  addon: Addon,
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
  const sizes = { ...suggested(addon, caches), ...wanted };
  if (Object.values(sizes).every((size) => size < 2 ** 32) && addon.blockSizesValid(sizes)) return sizes;
  const { kc, nc, mc } = sizes;
  const message = `block sizes kc ${kc}, nc ${nc}, mc ${mc}: kc must be a multiple of 8, nc of 16, mc of 6, and all fit into scratch`;
  throw argumentError(message);
}

/** What fits the caches; the addon's own sizes where the system does not tell of them. */
function suggested({ defaultBlockSizes, microTile, blockSizesValid }: Addon, caches: readonly Cache[]): BlockSizes {
  const floatsOf = (level: number) => {
    const cache = caches.find((one) => one.level === level && one.kind !== 'instruction');
    return cache === undefined ? undefined : (cache.sizeBytes / 4 / Math.max(1, cache.sharedBy)) * shareOfCache;
  };
  const [first, second] = [floatsOf(1), floatsOf(2)];
  if (first === undefined || second === undefined) return defaultBlockSizes;
  const kc = clamp(powerOfTwoBelow(first / microTile.mr), 128, mostKc);
  const nc = clamp(powerOfTwoBelow(second / kc), microTile.nr, mostNc);
  const mc = Math.max(1, Math.floor((nc * packedShare) / microTile.mr)) * microTile.mr;
  return blockSizesValid({ kc, nc, mc }) ? { kc, nc, mc } : defaultBlockSizes;
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
