// Joins matrices for graphs that take several in one.

/** Concatenates matrices of `columns` columns each, row by row. */
export function sideBySide(matrices: readonly Float32Array[], columns: number): Float32Array {
  const rows = (matrices[0] as Float32Array).length / columns;
  const result = new Float32Array(rows * columns * matrices.length);
  for (let row = 0; row < rows; row++) {
    for (const [index, matrix] of matrices.entries()) {
      result.set(matrix.subarray(row * columns, (row + 1) * columns), (row * matrices.length + index) * columns);
    }
  }
  return result;
}
