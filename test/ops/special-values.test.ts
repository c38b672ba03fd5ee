// NaN and infinity pass through every op as IEEE 754 defines, and do not affect other rows.
import { describe, expect, test } from 'vitest';
import type { Engine } from '../../src/engine.js';
import type { Tensor } from '../../src/tensor/tensor.js';
import { Numbers } from '../support/numbers.js';
import { isas, sharedEngines } from '../support/running/engines.js';

const engineOf = sharedEngines();
const nan = Number.NaN;
const infinity = Number.POSITIVE_INFINITY;

describe.each(isas)('on %s', (isa) => {
  const start = (): Promise<Engine> => engineOf({ isa, threads: 2 });

  test('matmul: a NaN affects its row or column only, and infinity times 0 is NaN, on all paths', async () => {
    const engine = await start();
    for (const [m, n] of [
      [4, 40],
      [40, 4],
      [40, 40],
      [250, 40],
    ] as const) {
      using scope = engine.scope();
      const k = 30;
      const a = scope.tensor([m, k], new Float32Array(m * k).fill(1));
      const b = scope.tensor([k, n], new Float32Array(k * n).fill(1));
      a.data[2 * k + 7] = nan;
      b.data[5 * n + 3] = infinity;
      a.data[1 * k + 5] = 0;
      const c = scope.track(await engine.matmul(a, b)).toArray();
      c.forEach((value, position) => {
        const [row, column] = [Math.floor(position / n), position % n];
        const expected =
          row === 2 || (row === 1 && column === 3) ? nan : column === 3 ? infinity : row === 1 ? k - 1 : k;
        if (!Object.is(value, expected)) expect.unreachable(`${m}x${n}: [${row}, ${column}] is ${value}`);
      });
    }
  });

  test('row-wise ops: a NaN affects its row only', async () => {
    const engine = await start();
    using scope = engine.scope();
    const columns = 37;
    const clean = new Numbers(1).floats(3 * columns);
    const x = scope.tensor([3, columns], clean);
    const calls: readonly ((input: Tensor) => Promise<Tensor>)[] = [
      (input) => engine.softmax(input),
      (input) => engine.rmsNorm(input),
      (input) => engine.layerNorm(input),
    ];
    for (const call of calls) {
      const expected = scope.track(await call(x)).toArray();
      const spoilt = scope.tensor([3, columns], clean);
      spoilt.data[columns + 11] = nan;
      const actual = scope.track(await call(spoilt)).toArray();
      expect([...actual.subarray(columns, 2 * columns)].every(Number.isNaN)).toBe(true);
      expect(actual.subarray(0, columns)).toEqual(expected.subarray(0, columns));
      expect(actual.subarray(2 * columns)).toEqual(expected.subarray(2 * columns));
    }
  });

  test('softmax: infinities', async () => {
    const engine = await start();
    using scope = engine.scope();
    const x = scope.tensor([3, 2], [-infinity, 0, infinity, 0, -infinity, -infinity]);
    expect([...scope.track(await engine.softmax(x)).toArray()]).toEqual([0, 1, nan, nan, nan, nan]);
  });

  test('element-wise ops, in whole vectors and in the remainder', async () => {
    const engine = await start();
    const specials = [nan, infinity, -infinity, 0, 1e30, -1e30];
    const expected = {
      relu: [nan, infinity, 0, 0, Math.fround(1e30), 0],
      sigmoid: [nan, 1, 0, 0.5, 1, 0],
      tanh: [nan, 1, -1, 0, 1, -1],
      exp: [nan, infinity, 0, 1, infinity, 0],
    } as const;
    for (const [name, values] of Object.entries(expected)) {
      for (const repeats of [1, 6]) {
        using scope = engine.scope();
        const x = scope.tensor([specials.length * repeats], new Array(repeats).fill(specials).flat());
        const y = scope.track(await engine[name as keyof typeof expected](x)).toArray();
        expect([...y], name).toEqual(new Array(repeats).fill(values).flat());
      }
    }
    for (const name of ['silu', 'gelu', 'geluTanh'] as const) {
      using scope = engine.scope();
      const [ofNaN, ofInfinity] = scope.track(await engine[name](scope.tensor([2], [nan, infinity]))).toArray();
      expect([ofNaN, ofInfinity], name).toEqual([nan, infinity]);
    }
  });

  test('sums and products', async () => {
    const engine = await start();
    using scope = engine.scope();
    const a = scope.tensor([4], [nan, infinity, infinity, 1]);
    const b = scope.tensor([4], [1, -infinity, 0, nan]);
    expect([...scope.track(await engine.add(a, b)).toArray()]).toEqual([nan, nan, infinity, nan]);
    expect([...scope.track(await engine.mul(a, b)).toArray()]).toEqual([nan, -infinity, nan, nan]);
    expect([...scope.track(await engine.scale(a, 0)).toArray()]).toEqual([nan, nan, nan, 0]);
  });

  test('argmax: the first NaN counts as the maximum', async () => {
    const engine = await start();
    using scope = engine.scope();
    const x = scope.tensor([3, 20]);
    x.data.set([infinity, nan, 1, nan], 3);
    x.data.set([-infinity, infinity, infinity], 24);
    x.data.fill(-infinity, 40);
    expect([...scope.track(await engine.argmax(x)).toArray()]).toEqual([4, 5, 0]);
  });

  test('attention: NaN affects the queries that see it; a query without keys gives 0', async () => {
    const engine = await start();
    using scope = engine.scope();
    const [tokens, dim] = [6, 8];
    const filled = (value: number) => scope.tensor([1, 1, tokens, dim], new Float32Array(tokens * dim).fill(value));
    const [q, k, v] = [filled(1), filled(1), filled(1)];
    k.data[3 * dim] = nan;
    const rows = (y: Tensor) => Array.from({ length: tokens }, (_, row) => y.toArray()[row * dim]);
    const seen = scope.track(await engine.attention(q, k, v, { causal: true }));
    expect(rows(seen)).toEqual([1, 1, 1, nan, nan, nan]);
    const mask = scope.tensor([tokens, tokens], new Float32Array(tokens * tokens));
    mask.data.fill(-infinity, 4 * tokens, 5 * tokens);
    k.data[3 * dim] = 1;
    expect(rows(scope.track(await engine.attention(q, k, v, { mask })))).toEqual([1, 1, 1, 1, 0, 1]);
    const kvLengths = scope.tensor([1], 'i32');
    expect(rows(scope.track(await engine.attention(q, k, v, { kvLengths })))).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test('copy, embedding and scatter keep values; conversion to f16 overflows to infinity', async () => {
    const engine = await start();
    using scope = engine.scope();
    const x = scope.tensor([1, 6], [nan, infinity, -infinity, 1e6, 65504, -0]);
    const half = scope.track(await engine.copy(x, { dtype: 'f16' }));
    expect([...half.toArray()]).toEqual([nan, infinity, -infinity, infinity, 65504, -0]);
    const ids = scope.tensor([1], 'i32');
    expect([...scope.track(await engine.embedding(half, ids)).toArray()]).toEqual([...half.toArray()]);
    const out = scope.tensor([2, 6]);
    await engine.scatter(x, ids, { out });
    expect([...out.toArray()].slice(0, 6)).toEqual([...x.toArray()]);
  });
});
