// How a matrix product is cut: which path the kernel takes and how large its tiles are. The constants mirror
// native/kernels/block_sizes.h. Speed only: results depend on none of this.

/** Columns of a packed panel, and rows of a micro-tile: kNr and kMr. */
export const panelColumns = 16;
const microRows = 6;
/** The kernel's blocks of k and n: kKc and kNc. */
const blockK = 512;
const blockN = 128;
/** Up to so many rows or columns a product is bound by reading its wide operand, once, where it stands: kThinMax. */
const thinMost = 8;
/** Up to so many rows each tile packs its own strip of b; above, tiles would pack the same strip again and again. */
const localPackMost = 192;

/** The numbers of MatmulPath in native/kernels/matmul.h. */
export const pathCodes = { thin: 0, localPack: 1, sharedPack: 2 } as const;
export type MatmulPath = keyof typeof pathCodes;

export function choosePath(m: number, n: number): MatmulPath {
  if (m <= thinMost || n <= thinMost) return 'thin';
  return m <= localPackMost ? 'localPack' : 'sharedPack';
}

export function kBlocks(k: number): number {
  return Math.ceil(k / blockK);
}

/** A tile takes about a millisecond at most, so that a cancellation is prompt. */
const mostTileFlops = 1.5e8;
/** Below this a tile is not worth a claim of its own. */
const leastTileFlops = 1e6;
/** Tiles per worker that a product should have, so that a slow core can be relieved of some. */
const tilesPerWorker = 6;

export interface ProductSize {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly batches: number;
  readonly threads: number;
  readonly path: MatmulPath;
}

export interface TileSize {
  readonly m: number;
  readonly n: number;
  readonly batches: number;
}

/** The number of tiles that a product should have. */
function tilesWanted({ m, n, k, batches, threads }: ProductSize): number {
  const flops = 2 * m * n * k * batches;
  const shared = threads === 1 ? 1 : threads * tilesPerWorker;
  return Math.max(1, Math.ceil(flops / mostTileFlops), Math.min(shared, Math.floor(flops / leastTileFlops)));
}

export function chooseTiles(size: ProductSize): TileSize {
  const { m, n, batches, path } = size;
  const wanted = tilesWanted(size);
  // Whole matrices to a tile while there are enough of them.
  if (batches >= wanted) return { m, n, batches: Math.floor(batches / wanted) };
  const perMatrix = Math.ceil(wanted / batches);
  if (path === 'thin' && n <= thinMost && m > n) {
    return { m: even(m, perMatrix, panelColumns), n, batches: 1 };
  }
  if (path !== 'sharedPack') return { m, n: even(n, perMatrix, panelColumns), batches: 1 };
  // Tiles near to squares, of whole blocks of n, read the least of a and b for the work that they do.
  const side = Math.sqrt((m * n) / perMatrix);
  const columnBlocks = Math.max(1, Math.round(n / Math.max(blockN, Math.round(side / blockN) * blockN)));
  const rowBlocks = Math.max(1, Math.ceil(perMatrix / columnBlocks));
  return { m: even(m, rowBlocks, microRows), n: even(n, columnBlocks, panelColumns), batches: 1 };
}

/** The length of `parts` even parts of `total`, rounded up to whole units. */
function even(total: number, parts: number, unit: number): number {
  return Math.min(total, Math.ceil(total / parts / unit) * unit);
}

/** Panels per tile of a packing. */
export function packTiles(k: number, panels: number, images: number, threads: number): number {
  const blockElements = Math.ceil(k / kBlocks(k)) * panelColumns;
  const least = Math.ceil(32_768 / blockElements);
  const shared = Math.ceil((panels * kBlocks(k) * images) / (threads * tilesPerWorker));
  return Math.max(1, Math.min(panels, Math.max(least, shared)));
}
