// Checks of results against float64, made before a figure is given for them. Called by the throughput suites and the
// peers.

import { integersBelow } from './seeded-numbers.js';
import type { AttentionShape, MatmulShape } from './shapes.js';
import { WrongResultError } from './wrong-result.js';

/**
 * Largest error of a row's product with a vector of signs, relative to the root mean square of all these products.
 * Rounding in f32 stays below a fifth of it for the deepest shape; one wrong element in a row is far above it.
 */
const tolerance = 5e-5;

/**
 * Checks every element of c: c · r must equal a · (b · r) for a vector r of random signs (Freivalds 1977).
 * @throws WrongResultError
 */
export function checkMatmul(shape: MatmulShape, a: Float32Array, b: Float32Array, c: Float32Array): void {
  const { m, n, k, batch = 1, transposeB = false } = shape;
  const signs = Float64Array.from(integersBelow(2, n, 99), (bit) => 2 * bit - 1);
  for (let item = 0; item < batch; item++) {
    const bMatrix = b.subarray(item * k * n, (item + 1) * k * n);
    const bSigns = transposeB ? transposedTimes(bMatrix, n, k, signs) : times(bMatrix, k, n, signs);
    const expected = times(a.subarray(item * m * k, (item + 1) * m * k), m, k, bSigns);
    const got = times(c.subarray(item * m * n, (item + 1) * m * n), m, n, signs);
    const scale = Math.sqrt(expected.reduce((sum, value) => sum + value * value, 0) / m);
    for (let row = 0; row < m; row++) {
      const error = Math.abs((got[row] as number) - (expected[row] as number));
      // Written so that NaN fails.
      if (!(error <= tolerance * scale)) throw new WrongResultError(shape.name);
    }
  }
}

/** Normalised mean squared error that sampled rows may have; f32 rounding gives about 1e-13. */
const attentionTolerance = 1e-10;
const sampledRows = 24;

/** Computes some rows again in float64 and compares them. @throws WrongResultError */
export function checkAttention(
  shape: AttentionShape,
  operands: { readonly q: Float32Array; readonly k: Float32Array; readonly v: Float32Array },
  y: Float32Array,
): void {
  const { batch, heads, kvHeads, queries, keys, dim, causal, name } = shape;
  const last = batch * heads * queries - 1;
  for (const row of [0, last, ...integersBelow(last + 1, sampledRows, 7)]) {
    const query = row % queries;
    const head = Math.floor(row / queries);
    const kvHead = Math.floor(head / heads) * kvHeads + Math.floor(((head % heads) * kvHeads) / heads);
    const seen = causal ? query + 1 + keys - queries : keys;
    const own = (values: Float32Array) => values.subarray(kvHead * keys * dim, (kvHead + 1) * keys * dim);
    const expected = attendTo(operands.q.subarray(row * dim, (row + 1) * dim), own(operands.k), own(operands.v), seen);
    let error = 0;
    let power = 0;
    for (let column = 0; column < dim; column++) {
      const value = expected[column] as number;
      error += ((y[row * dim + column] as number) - value) ** 2;
      power += value ** 2;
    }
    if (!(error <= attentionTolerance * power)) throw new WrongResultError(name);
  }
}

function attendTo(q: Float32Array, k: Float32Array, v: Float32Array, seen: number): Float64Array {
  const dim = q.length;
  const scores = new Float64Array(seen);
  for (let key = 0; key < seen; key++) {
    let dot = 0;
    for (let column = 0; column < dim; column++) dot += (q[column] as number) * (k[key * dim + column] as number);
    scores[key] = dot / Math.sqrt(dim);
  }
  const most = scores.reduce((a, b) => Math.max(a, b));
  const weights = scores.map((score) => Math.exp(score - most));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const result = new Float64Array(dim);
  weights.forEach((weight, key) => {
    for (let column = 0; column < dim; column++) {
      result[column] = (result[column] as number) + (weight / total) * (v[key * dim + column] as number);
    }
  });
  return result;
}

/** matrix [rows, columns] · vector [columns] */
function times(matrix: Float32Array, rows: number, columns: number, vector: Float64Array): Float64Array {
  const result = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    const start = row * columns;
    for (let column = 0; column < columns; column++) {
      sum += (matrix[start + column] as number) * (vector[column] as number);
    }
    result[row] = sum;
  }
  return result;
}

/** vector [rows] · matrix [rows, columns] */
function transposedTimes(matrix: Float32Array, rows: number, columns: number, vector: Float64Array): Float64Array {
  const result = new Float64Array(columns);
  for (let row = 0; row < rows; row++) {
    const factor = vector[row] as number;
    const start = row * columns;
    for (let column = 0; column < columns; column++) {
      result[column] = (result[column] as number) + factor * (matrix[start + column] as number);
    }
  }
  return result;
}

/** Normalised mean squared difference, ‖got - expected‖² / ‖expected‖²; infinite when the lengths differ. */
export function differenceOf(expected: Float32Array, got: Float32Array): number {
  if (expected.length !== got.length) return Number.POSITIVE_INFINITY;
  let error = 0;
  let power = 0;
  for (let i = 0; i < expected.length; i++) {
    const value = expected[i] as number;
    error += ((got[i] as number) - value) ** 2;
    power += value ** 2;
  }
  return error / power;
}
