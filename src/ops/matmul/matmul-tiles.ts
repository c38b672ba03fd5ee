// How a matrix product is cut: which path the kernel takes and how large its tiles are, by the rules that
// native/kernels/matmul.h states with their reasons. The constants mirror native/kernels/block_sizes.h. Speed only:
// results depend on none of this.

import { readingTiles } from './reading-tiles.js';

/** Columns of a packed panel: kNr. */
export const panelColumns = 16;
/** Up to so many rows or columns it is best to read the wide operand once, where it stands: kThinMax, along its rows. */
const thinMost = 32;
/** And so many where it has no unit stride: kThinFew. */
const thinStrided = 8;
/** Up to so many rows it takes as long as reading the wide operand, whatever is computed. */
const thinReading = 8;
/** Many rows of a in one tile, and each tile packs its own strip of b: as long as a stays near, in the last cache. */
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
  /** Of an element of the wide operand. */
  readonly wideBytes: number;
  /** The first step of a program, which finds some workers still waking: tiles of equal size would wait for these. */
  readonly isFirst: boolean;
  /** Up to so many rows of the other the wide operand is best read where it stands, if across. */
  readonly thinAcross: number;
}

/** Where the wide operand, b or (with m > n) a, has unit stride: along its wide side, across it (in k), or nowhere. */
export type WideLayout = 'along' | 'across' | 'strided';

export function choosePath({ m, n, k, batches, threads, wide, thinAcross }: ProductSize): MatmulPath {
  const most = { along: thinMost, across: thinAcross, strided: thinStrided }[wide];
  if (Math.min(m, n) <= most) return 'thin';
  const strips = batches * Math.ceil(n / narrowestStrip);
  return m * k <= localPackElements && strips >= 4 * threads ? 'localPack' : 'sharedPack';
}

/** How many blocks k is cut into, which are at most kc long. */
export function kBlocks(k: number, kc: number): number {
  return Math.ceil(k / kc);
}

/** A tile takes about two milliseconds at most, so that a cancellation is prompt. */
const mostTileFlops = 2.5e8;
/** Matrices smaller than this share a tile: claiming it costs little beside so much work. */
const leastTileFlops = 2e6;
/** Tiles per worker, so that a slow core can be relieved of some; reading needs fewer than computing. */
const tilesPerWorker = 8;
const thinTilesPerWorker = 2;

const localColumns = [96, 64, 48, 32];
const narrowestStrip = 32;
/** From so many rows on, tiles of local_pack are cut from rows too, each packing anew: two milliseconds with AVX-512. */
const leastRowsToCut = 128;
const mostCutFlops = 5.5e8;
const rowCuts = [1, 2, 3, 4, 6, 8, 12, 16];
/** Rows that a tile is cut to: whole micro-tiles of the widest kernel set. */
const rowUnit = 8;
const cutColumns = [128, 96, 64, 48, 32];
/** Tiles per worker, at least, of which each is a good part of a worker's time. */
const cutTilesPerWorker = 4;
/** What packing costs a tile in rows, and what fetching a row of a costs in columns. */
const packingRows = 5;
const fetchingColumns = 1.5;
const sharedRows = [264, 144, 72, 48];
/** Elements along the wide operand of the thin path: long runs where it lies along them, and shorter ones across. */
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

/** The tiles of local_pack with which the workers are done first, if there is a cut into enough of them. */
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

/** Where one row of tiles takes all of a: the columns, up to nc, with which the workers are done first. */
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

/** Panels per tile of a packing. */
export function packTiles({ k, kc, panels, images, threads }: PackSize): number {
  const blockElements = Math.ceil(k / kBlocks(k, kc)) * panelColumns;
  const least = Math.ceil(32_768 / blockElements);
  const shared = Math.ceil((panels * kBlocks(k, kc) * images) / (threads * tilesPerWorker));
  return Math.max(1, Math.min(panels, Math.max(least, shared)));
}
