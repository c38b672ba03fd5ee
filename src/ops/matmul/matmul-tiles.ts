// Chooses the path and the tiles of a dense matrix product, by the rules that native/kernels/matmul.h explains. Some
// constants mirror native/kernels/block_sizes.h. They affect speed only, never results.

import { readingTiles } from './reading-tiles.js';

/** Columns of a packed panel: kNr in native/kernels/block_sizes.h. */
export const panelColumns = 16;
/** Up to this many rows or columns, the wide operand is read once, without packing, if it is contiguous along: kThinMax. */
const thinMost = 32;
/** The same if the wide operand has no unit stride: kThinFew. */
const thinStrided = 8;
/** Up to this many rows, the product takes as long as reading the wide operand. */
const thinReading = 8;
/** The most elements of a for localPack: every tile reads all of a, which must stay in the last-level cache. */
const localPackElements = 2 ** 22;

/** The numbers of MatmulPath in native/kernels/matmul.h. */
export const pathCodes = { thin: 0, localPack: 1, sharedPack: 2 } as const;
export type MatmulPath = keyof typeof pathCodes;

export interface ProductSize {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly batches: number;
  readonly threads: number;
  /** Columns of a block of b. */
  readonly nc: number;
  readonly wide: WideLayout;
  /** Size of an element of the wide operand. */
  readonly wideBytes: number;
  /** Whether it is the first step of a program: some workers are still waking then, and tiles of equal size would wait. */
  readonly isFirst: boolean;
  /** Whether b was packed before, so that the product only reads its panels. */
  readonly isPacked: boolean;
  /** The most rows of the thin operand for the thin path if the wide operand is contiguous across. */
  readonly thinAcross: number;
}

/** Where the wide operand, b or (if m > n) a, has unit stride: along its wide side, across it (along k), or nowhere. */
export type WideLayout = 'along' | 'across' | 'strided';

export function choosePath({ m, n, k, batches, threads, wide, thinAcross }: ProductSize): MatmulPath {
  const most = { along: thinMost, across: thinAcross, strided: thinStrided }[wide];
  if (Math.min(m, n) <= most) return 'thin';
  const strips = batches * Math.ceil(n / narrowestStrip);
  return m * k <= localPackElements && strips >= 4 * threads ? 'localPack' : 'sharedPack';
}

/** The number of blocks of k, each at most kc long. */
export function kBlocks(k: number, kc: number): number {
  return Math.ceil(k / kc);
}

/** The most operations of a tile: it takes about two milliseconds at most, so that a cancellation is prompt. */
const mostTileFlops = 2.5e8;
/** Smaller matrices of a batch share a tile, so that its work is large compared to its claim. */
const leastTileFlops = 2e6;
/** Tiles per worker, so that fast cores can take tiles from slow ones; reading needs fewer than computing. */
const tilesPerWorker = 8;
const thinTilesPerWorker = 2;

const localColumns = [96, 64, 48, 32];
const narrowestStrip = 32;
/** From this many rows on, tiles of localPack are cut along rows as well, and each packs its strip of b again. */
const leastRowsToCut = 128;
/** The most operations of such a tile: about two milliseconds with AVX-512. */
const mostCutFlops = 5.5e8;
const rowCuts = [1, 2, 3, 4, 6, 8, 12, 16];
/** Rows of such a tile are a multiple of this: whole micro-tiles of the widest kernel set. */
const rowUnit = 8;
const cutColumns = [128, 96, 64, 48, 32];
/** The least number of such tiles per worker. Each is a large part of a worker's time. */
const cutTilesPerWorker = 4;
/** The cost of packing per tile, as a number of rows, and of fetching a row of a, as a number of columns. */
const packingRows = 5;
const fetchingColumns = 1.5;
const sharedRows = [264, 144, 72, 48];
/** Elements of the wide operand in a tile of the thin path: long runs if it is contiguous along, shorter ones if across. */
const thinAlong = [1024, 512, 256, 128];
const thinAcross = [512, 256, 128, 64, 32];

export interface TileSize {
  readonly m: number;
  readonly n: number;
  readonly batches: number;
}

export function chooseTiles(size: ProductSize, path: MatmulPath): TileSize {
  const { m, n, k, batches, threads, nc } = size;
  const flops = 2 * m * n * k;
  if (path !== 'sharedPack' && batches > 1 && flops < leastTileFlops) {
    const spread = Math.floor(batches / (threads * tilesPerWorker));
    return { m, n, batches: Math.max(1, Math.min(Math.ceil(leastTileFlops / flops), spread)) };
  }
  if (path === 'thin') return thinTiles(size);
  const enough = threads * tilesPerWorker;
  if (isReadingHalves(size)) {
    const matrix = { columns: n, columnBytes: k * size.wideBytes };
    return { m, n: Math.min(n, readingTiles([matrix], threads)[0] as number), batches: 1 };
  }
  if (path === 'localPack') {
    const cut = m < leastRowsToCut ? undefined : cutOfLeastTime(size);
    if (cut !== undefined) return cut;
    const fits = (columns: number) =>
      2 * m * k * columns <= mostTileFlops && batches * Math.ceil(n / columns) >= enough;
    return { m, n: Math.min(n, [nc, ...localColumns].find(fits) ?? narrowestStrip), batches: 1 };
  }
  const fits = (rows: number) =>
    2 * rows * k * nc <= mostTileFlops && batches * Math.ceil(m / rows) * Math.ceil(n / nc) >= enough;
  const rows = sharedRows.find(fits);
  if (rows !== undefined) {
    const columns = m > rows ? nc : evenColumns(size);
    return { m: Math.min(m, rows), n: Math.min(n, columns), batches: 1 };
  }
  const half = Math.max(1, Math.floor(nc / 2 / panelColumns)) * panelColumns;
  return { m: Math.min(m, sharedRows.at(-1) as number), n: Math.min(n, half), batches: 1 };
}

/** Whether one row reads panels of 16 bits: equal tiles are faster there, but not for panels of f32 or for eight rows. */
function isReadingHalves({ m, batches, isPacked, isFirst, wideBytes }: ProductSize): boolean {
  return isPacked && m === 1 && batches === 1 && !isFirst && wideBytes === 2;
}

/** The tiles of localPack with which the workers finish first; undefined if no choice gives enough tiles. */
function cutOfLeastTime({ m, n, k, batches, threads }: ProductSize): TileSize | undefined {
  let best: TileSize | undefined;
  let bestTime = Number.POSITIVE_INFINITY;
  for (const columns of cutColumns) {
    for (const cuts of rowCuts) {
      const rows = cuts === 1 ? m : Math.ceil(m / cuts / rowUnit) * rowUnit;
      const tiles = batches * Math.ceil(m / rows) * Math.ceil(n / columns);
      if (2 * rows * k * columns > mostCutFlops || tiles < threads * cutTilesPerWorker) continue;
      const time = Math.ceil(tiles / threads) * (rows + packingRows) * (columns + fetchingColumns);
      if (time < bestTime) [best, bestTime] = [{ m: rows, n: Math.min(n, columns), batches: 1 }, time];
    }
  }
  return best;
}

/** If each tile has all rows of a: the number of columns, at most nc, with which the workers finish first. */
function evenColumns({ n, batches, threads, nc }: ProductSize): number {
  const time = (columns: number) =>
    Math.ceil((batches * Math.ceil(n / columns)) / threads) * (columns + fetchingColumns);
  return [nc, ...cutColumns].reduce((best, columns) => (columns < nc && time(columns) < time(best) ? columns : best));
}

function thinTiles({ m, n, k, batches, threads, wide, wideBytes, isFirst }: ProductSize): TileSize {
  const isMirrored = m > n;
  const [rows, columns] = isMirrored ? [n, m] : [m, n];
  const lengths = wide === 'along' ? thinAlong : thinAcross;
  const fits = (length: number) =>
    2 * rows * length * k <= mostTileFlops && batches * Math.ceil(columns / length) >= threads * thinTilesPerWorker;
  const isReading = wide === 'across' && rows <= thinReading && batches === 1 && !isFirst;
  const length = isReading
    ? readingTiles([{ columns, columnBytes: k * wideBytes }], threads)[0]
    : (lengths.find(fits) ?? lengths.at(-1));
  const tile = Math.min(columns, length as number);
  return isMirrored ? { m: tile, n, batches: 1 } : { m, n: tile, batches: 1 };
}

export interface PackSize {
  readonly k: number;
  readonly kc: number;
  readonly panels: number;
  readonly images: number;
  readonly threads: number;
}

/** Panels in a tile of pack_b. */
export function packTiles({ k, kc, panels, images, threads }: PackSize): number {
  const blockElements = Math.ceil(k / kBlocks(k, kc)) * panelColumns;
  const least = Math.ceil(32_768 / blockElements);
  const shared = Math.ceil((panels * kBlocks(k, kc) * images) / (threads * tilesPerWorker));
  return Math.max(1, Math.min(panels, Math.max(least, shared)));
}
