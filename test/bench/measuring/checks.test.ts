// bench/measuring/checks.ts: right results pass, and one wrong element is found.
import { describe, expect, test } from 'vitest';
import { checkAttention, checkMatmul } from '../../../bench/measuring/checks.js';
import { fillUniform, integersBelow } from '../../../bench/measuring/seeded-numbers.js';
import { type AttentionShape, attentionShapes, type MatmulShape, shapeNamed } from '../../../bench/measuring/shapes.js';
import { WrongResultError } from '../../../bench/measuring/wrong-result.js';

function uniform(size: number, seed: number): Float32Array {
  const values = new Float32Array(size);
  fillUniform(values, seed);
  return values;
}

function product({ m, n, k, batch = 1, transposeB = false }: MatmulShape, a: Float32Array, b: Float32Array) {
  const c = new Float32Array(batch * m * n);
  for (let item = 0; item < batch; item++) {
    for (let row = 0; row < m; row++) {
      for (let column = 0; column < n; column++) {
        let sum = 0;
        for (let i = 0; i < k; i++) {
          const bIndex = transposeB ? column * k + i : i * n + column;
          sum += (a[item * m * k + row * k + i] as number) * (b[item * k * n + bIndex] as number);
        }
        c[item * m * n + row * n + column] = sum;
      }
    }
  }
  return c;
}

describe.each<MatmulShape>([
  { name: 'plain', m: 50, n: 70, k: 30, bound: 'compute' },
  { name: 'transposed', m: 50, n: 70, k: 30, transposeB: true, bound: 'compute' },
  { name: 'batch', m: 9, n: 21, k: 13, batch: 3, bound: 'compute' },
  { name: 'vector', m: 1, n: 64, k: 64, bound: 'memory' },
])('checkMatmul, $name', (shape) => {
  const { m, n, k, batch = 1 } = shape;
  const a = uniform(batch * m * k, 1);
  const b = uniform(batch * k * n, 2);

  test('passes the right product', () => {
    checkMatmul(shape, a, b, product(shape, a, b));
  });

  test.each([
    ['is wrong', (value: number) => value + 0.01],
    ['is not written', () => Number.NaN],
    ['is infinite', () => Number.POSITIVE_INFINITY],
  ])('finds one element that %s', (_what, change) => {
    for (const index of [0, Math.floor((batch * m * n) / 2), batch * m * n - 1]) {
      const c = product(shape, a, b);
      c[index] = change(c[index] as number);
      expect(() => checkMatmul(shape, a, b, c)).toThrow(WrongResultError);
    }
  });

  test('finds a sum that lacks its last term', () => {
    const shorter = a.map((value, index) => ((index + 1) % k === 0 ? 0 : value));
    expect(() => checkMatmul(shape, a, b, product(shape, shorter, b))).toThrow(WrongResultError);
  });
});

describe('checkAttention', () => {
  const shape: AttentionShape = {
    ...shapeNamed(attentionShapes, 'attention_odd'),
    heads: 4,
    kvHeads: 2,
    queries: 9,
    keys: 17,
  };
  const { batch, heads, kvHeads, queries, keys, dim } = shape;
  const q = uniform(batch * heads * queries * dim, 1);
  const k = uniform(batch * kvHeads * keys * dim, 2);
  const v = uniform(batch * kvHeads * keys * dim, 3);

  function attend(isSeen: (query: number, key: number) => boolean): Float32Array {
    const y = new Float32Array(q.length);
    for (let row = 0; row < batch * heads * queries; row++) {
      const item = Math.floor(row / (heads * queries));
      const head = Math.floor(row / queries) % heads;
      const kv = (item * kvHeads + Math.floor(head / (heads / kvHeads))) * keys;
      let total = 0;
      const sums = new Float64Array(dim);
      for (let key = 0; key < keys; key++) {
        if (!isSeen(row % queries, key)) continue;
        let score = 0;
        for (let i = 0; i < dim; i++) score += (q[row * dim + i] as number) * (k[(kv + key) * dim + i] as number);
        const weight = Math.exp(score / Math.sqrt(dim));
        total += weight;
        for (let i = 0; i < dim; i++) sums[i] = (sums[i] as number) + weight * (v[(kv + key) * dim + i] as number);
      }
      for (let i = 0; i < dim; i++) y[row * dim + i] = (sums[i] as number) / total;
    }
    return y;
  }

  const causal = (query: number, key: number) => key <= query + keys - queries;

  test('passes the right result', () => {
    checkAttention(shape, { q, k, v }, attend(causal));
  });

  test('finds a key too few, and one too many', () => {
    for (const isSeen of [
      (query: number, key: number) => key < query + keys - queries,
      (query: number, key: number) => key <= query + 1 + keys - queries,
    ]) {
      expect(() => checkAttention(shape, { q, k, v }, attend(isSeen))).toThrow(WrongResultError);
    }
  });

  test('finds a row that is not written', () => {
    const y = attend(causal);
    y.fill(Number.NaN, y.length - dim);
    expect(() => checkAttention(shape, { q, k, v }, y)).toThrow(WrongResultError);
  });
});

test('the data are the same in every run, uniform, and within their bounds', () => {
  const values = uniform(10_000, 1);
  expect(values).toEqual(uniform(10_000, 1));
  expect(Math.min(...values)).toBeGreaterThanOrEqual(-1);
  expect(Math.max(...values)).toBeLessThan(1);
  expect(Math.abs(values.reduce((sum, value) => sum + value, 0) / values.length)).toBeLessThan(0.02);
  expect(new Set(integersBelow(3, 100, 1))).toEqual(new Set([0, 1, 2]));
});
