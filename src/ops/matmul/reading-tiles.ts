// Chooses the tiles of products whose time is that of reading the weights from memory once: few rows and large matrices, as
// in decoding. Used by matmul for dense and for quantized weights. Affects speed only, never results.

/** A weight matrix that a step reads. */
export interface ReadMatrix {
  /** Rows of weights, which are columns of the result. */
  readonly columns: number;
  readonly columnBytes: number;
}

/** Columns of a tile are a multiple of this, unless more is asked for. */
const leastColumnStep = 16;
const mostTileBytes = 1 << 20;
/** The wait for memory at the beginning of each tile, as a number of bytes that could be read in that time. */
const bytesToBegin = 12_288;
/** The number of tile sizes that are compared. */
const triedCuts = 8;

/** What several rows add to the work of a tile. */
export interface RowWork {
  /** Work at the beginning of each tile, as a number of bytes that could be read in that time. */
  readonly preparation: number;
  /** The bytes of weights that a tile may have, so that it does not take long; at most {@link mostTileBytes} count. */
  readonly mostBytes: number;
  /** Columns of a tile are a multiple of this; 16 by default. */
  readonly columnStep?: number;
}

const oneRow: RowWork = { preparation: 0, mostBytes: mostTileBytes };

/** For each matrix the columns of its tiles, such that the workers finish first if each takes the next tile when it is free. */
export function readingTiles(matrices: readonly ReadMatrix[], threads: number, work: RowWork = oneRow): number[] {
  const bytes = matrices.reduce((sum, { columns, columnBytes }) => sum + columns * columnBytes, 0);
  const fewest = Math.ceil(bytes / threads / Math.min(work.mostBytes, mostTileBytes));
  let best: number[] = [];
  let bestEnd = Number.POSITIVE_INFINITY;
  for (let cut = 0; cut < triedCuts; cut++) {
    const tileBytes = bytes / threads / (fewest + cut);
    const tiles = matrices.map((matrix) => columnsOfBytes(matrix, tileBytes, work.columnStep ?? leastColumnStep));
    const end = endOf(matrices, tiles, threads, bytesToBegin + work.preparation);
    if (end < bestEnd) [best, bestEnd] = [tiles, end];
  }
  return best;
}

/** Columns of tiles of about equal size, near `tileBytes`. */
function columnsOfBytes({ columns, columnBytes }: ReadMatrix, tileBytes: number, columnStep: number): number {
  const count = Math.max(1, Math.round((columns * columnBytes) / tileBytes));
  return Math.ceil(columns / count / columnStep) * columnStep;
}

/** The time until the last worker has finished, as a number of bytes read. */
function endOf(matrices: readonly ReadMatrix[], tiles: readonly number[], threads: number, beginning: number): number {
  const ends = new Array<number>(threads).fill(0);
  matrices.forEach(({ columns, columnBytes }, index) => {
    const step = tiles[index] as number;
    for (let column = 0; column < columns; column += step) {
      const first = ends.indexOf(Math.min(...ends));
      const size = Math.min(step, columns - column) * columnBytes;
      ends[first] = (ends[first] as number) + size + beginning;
    }
  });
  return Math.max(...ends);
}
