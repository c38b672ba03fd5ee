// How products are cut that are bound by reading their weights, once, straight from memory: a few rows with large matrices,
// as in decoding. Used by matmul for floats and for quantized weights. Speed only: results depend on none of this.

/** A matrix that a step reads. What counts is its bytes. */
export interface ReadMatrix {
  /** Rows of weights: columns of the result. */
  readonly columns: number;
  readonly columnBytes: number;
}

/** Columns of a tile are a multiple of this. */
const columnStep = 16;
const mostTileBytes = 1 << 20;
/** At the beginning of each tile a worker waits for memory for as long as so many bytes take. */
const bytesToBegin = 12_288;
/** Of so many ways to cut a step, from a tile for each worker on. */
const triedCuts = 8;

/** For each matrix the columns of its tiles, with which the workers, each taking the next one when it is free, are done first. */
export function readingTiles(matrices: readonly ReadMatrix[], threads: number): number[] {
  const bytes = matrices.reduce((sum, { columns, columnBytes }) => sum + columns * columnBytes, 0);
  const fewest = Math.ceil(bytes / threads / mostTileBytes);
  let best: number[] = [];
  let bestEnd = Number.POSITIVE_INFINITY;
  for (let cut = 0; cut < triedCuts; cut++) {
    const tileBytes = bytes / threads / (fewest + cut);
    const tiles = matrices.map((matrix) => columnsOfBytes(matrix, tileBytes));
    const end = endOf(matrices, tiles, threads);
    if (end < bestEnd) [best, bestEnd] = [tiles, end];
  }
  return best;
}

/** Even tiles of about so many bytes. */
function columnsOfBytes({ columns, columnBytes }: ReadMatrix, tileBytes: number): number {
  const count = Math.max(1, Math.round((columns * columnBytes) / tileBytes));
  return Math.ceil(columns / count / columnStep) * columnStep;
}

/** When the last worker is done, in bytes. */
function endOf(matrices: readonly ReadMatrix[], tiles: readonly number[], threads: number): number {
  const ends = new Array<number>(threads).fill(0);
  matrices.forEach(({ columns, columnBytes }, index) => {
    const step = tiles[index] as number;
    for (let column = 0; column < columns; column += step) {
      const first = ends.indexOf(Math.min(...ends));
      const size = Math.min(step, columns - column) * columnBytes;
      ends[first] = (ends[first] as number) + size + bytesToBegin;
    }
  });
  return Math.max(...ends);
}
