// Vectors of float64 and the few functions of them that the oracles of models use. Plain loops; nothing of the library.

export type Vector = Float64Array;

/** The dot product of x and as many elements of y from `start` on. */
export function dot(x: Vector, y: Vector, start = 0): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x[i] as number) * (y[start + i] as number);
  return sum;
}

/** A matrix [rows, x.length] times a column. */
export function times(matrix: Vector, x: Vector): Vector {
  return Float64Array.from({ length: matrix.length / x.length }, (_, row) => dot(x, matrix, row * x.length));
}

export function plus(x: Vector, y: Vector | undefined): Vector {
  return y === undefined ? x : x.map((value, i) => value + (y[i] as number));
}

export function by(x: Vector, y: Vector): Vector {
  return x.map((value, i) => value * (y[i] as number));
}

export function rmsNorm(x: Vector, weight: Vector, eps: number): Vector {
  const scale = 1 / Math.sqrt(dot(x, x) / x.length + eps);
  return x.map((value, i) => value * scale * (weight[i] as number));
}

export function layerNorm(x: Vector, weight: Vector, bias: Vector | undefined, eps: number): Vector {
  const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
  const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
  const normed = x.map((value, i) => ((value - mean) / Math.sqrt(variance + eps)) * (weight[i] as number));
  return plus(normed, bias);
}

export const activations = {
  silu: (x: number) => x / (1 + Math.exp(-x)),
  gelu: (x: number) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  geluTanh: (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
} as const;

/** The error function: its Taylor series near zero, the continued fraction of its complement elsewhere. */
function erf(x: number): number {
  if (x < 0) return -erf(-x);
  if (x < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-18; n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = x;
  for (let n = 60; n >= 1; n--) fraction = x + n / 2 / fraction;
  return 1 - Math.exp(-x * x) / (Math.sqrt(Math.PI) * fraction);
}

/** The mean of the vectors, weighted by the softmax of their scores; a score of -Infinity excludes one. */
export function attended(scores: readonly number[], value: (index: number, element: number) => number, width: number) {
  const most = Math.max(...scores);
  const shares = scores.map((score) => Math.exp(score - most));
  const sum = shares.reduce((total, share) => total + share, 0);
  return Float64Array.from({ length: width }, (_, element) =>
    shares.reduce((total, share, index) => total + (share === 0 ? 0 : (share / sum) * value(index, element)), 0),
  );
}
