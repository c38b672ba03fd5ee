// The bits of a row do not depend on the other rows: each row alone, in a batch of any size and at any position, on every
// path of matmul, on all kernel sets.
import { describe, expect, test } from 'vitest';
import type { Engine } from '../../src/engine.js';
import type { Tensor } from '../../src/tensor/tensor.js';
import { firstBitDifference, Numbers } from '../support/numbers.js';
import { isas, sharedEngines } from '../support/running/engines.js';

const engineOf = sharedEngines();

function expectRow(actual: Tensor, batch: Tensor, row: number, label: string): void {
  const rows = actual.shape[0] as number;
  const difference = firstBitDifference(actual.toArray(), batch.slice([row, row + rows]).toArray());
  expect(difference, `${label}, row ${row}`).toBeUndefined();
}

interface RowOp {
  readonly name: string;
  readonly columns: number;
  call(engine: Engine, x: Tensor, others: Readonly<Record<'up' | 'weight' | 'bias', Tensor>>): Promise<Tensor>;
}

/** Ops on x [rows, columns] whose rows are independent; `up` has the same rows as x. */
const rowOps: readonly RowOp[] = [
  ...(['softmax', 'gelu', 'geluTanh', 'silu', 'relu', 'sigmoid', 'tanh', 'exp', 'argmax', 'copy'] as const).map(
    (name): RowOp => ({ name, columns: 131, call: (engine, x) => engine[name](x) }),
  ),
  { name: 'rmsNorm', columns: 131, call: (engine, x, { weight }) => engine.rmsNorm(x, weight) },
  { name: 'layerNorm', columns: 131, call: (engine, x, { weight, bias }) => engine.layerNorm(x, { weight, bias }) },
  { name: 'scale', columns: 131, call: (engine, x) => engine.scale(x, 0.3) },
  { name: 'siluMul', columns: 131, call: (engine, x, { up }) => engine.siluMul(x, up) },
  { name: 'add', columns: 131, call: (engine, x, { bias }) => engine.add(x, bias) },
  { name: 'mul', columns: 131, call: (engine, x, { up }) => engine.mul(x, up) },
];

const rows = 200;

describe.each(isas)('on %s', (isa) => {
  test.each(rowOps)('$name', async ({ name, columns, call }) => {
    const engine = await engineOf({ isa, threads: 3 });
    using scope = engine.scope();
    const numbers = new Numbers(7);
    const x = scope.tensor([rows, columns], numbers.floats(rows * columns, 4));
    const up = scope.tensor([rows, columns], numbers.floats(rows * columns));
    const weight = scope.tensor([columns], numbers.floats(columns));
    const bias = scope.tensor([columns], numbers.floats(columns));
    const batch = scope.track(await call(engine, x, { up, weight, bias }));
    for (const [start, count] of [
      [0, 1],
      [1, 1],
      [77, 1],
      [199, 1],
      [5, 7],
      [100, 100],
    ] as const) {
      const range: [number, number] = [start, start + count];
      const part = scope.track(await call(engine, x.slice(range), { up: up.slice(range), weight, bias }));
      expectRow(part, batch, start, `${name} of ${count}`);
    }
  });

  /** Rows from 1 to more than all block sizes, for all paths: thin, localPack and sharedPack. */
  const rowCounts = [1, 2, 5, 8, 9, 17, 32, 33, 64, 192, 193, 250];

  test.each(['f32', 'f16', 'bf16'] as const)('matmul over all paths, b in %s', async (dtype) => {
    const engine = await engineOf({ isa, threads: 3 });
    using scope = engine.scope();
    const numbers = new Numbers(8);
    const [m, k, n] = [250, isa === 'ref' ? 140 : 700, 140];
    const a = scope.tensor([m, k], numbers.floats(m * k));
    const b = scope.track(await engine.copy(scope.tensor([k, n], numbers.floats(k * n)), { dtype }));
    const bTransposed = scope.track(await engine.copy(b.transpose()));
    const bias = scope.tensor([n], numbers.floats(n));
    const residual = scope.tensor([m, n], numbers.floats(m * n));
    const options = { bias, activation: 'silu' } as const;
    const batch = scope.track(await engine.matmul(a, b, { ...options, residual }));
    for (const count of rowCounts) {
      for (const start of [0, m - count]) {
        const range: [number, number] = [start, start + count];
        const part = { ...options, residual: residual.slice(range) };
        expectRow(scope.track(await engine.matmul(a.slice(range), b, part)), batch, start, `${count} rows`);
        const other = scope.track(await engine.matmul(a.slice(range), bTransposed, { ...part, transposeB: true }));
        expectRow(other, batch, start, `${count} rows, transposed b`);
      }
    }
    // And columns: the mirrored thin path computes few of them.
    for (const count of [1, 3, 8, 9, 16, 32, 33, 139]) {
      const part = {
        bias: bias.slice([n - count]),
        activation: 'silu' as const,
        residual: residual.slice(null, [n - count]),
      };
      const actual = scope.track(await engine.matmul(a, b.slice(null, [n - count]), part));
      const expected = batch.slice(null, [n - count]).toArray();
      expect(firstBitDifference(actual.toArray(), expected), `${count} columns`).toBeUndefined();
    }
  });

  test('matmul with a packed b', async () => {
    const engine = await engineOf({ isa, threads: 3 });
    using scope = engine.scope();
    const numbers = new Numbers(9);
    const [m, k, n] = [210, 600, 50];
    const a = scope.tensor([m, k], numbers.floats(m * k));
    const b = scope.tensor([n, k], numbers.floats(k * n));
    using packed = await engine.pack(b, { transposeB: true });
    const batch = scope.track(await engine.matmul(a, b, { transposeB: true }));
    for (const count of [1, 4, 9, 210]) {
      const part = scope.track(await engine.matmul(a.slice([m - count]), packed));
      expectRow(part, batch, m - count, `${count} rows`);
    }
  });

  test('attention: all queries at once, one by one, and in slices, with a cache that is not full', async () => {
    const engine = await engineOf({ isa, threads: 3 });
    using scope = engine.scope();
    const numbers = new Numbers(10);
    const [batch, heads, kvHeads, tokens, dim, capacity] = [2, 6, 2, 290, 24, 400];
    const q = scope.tensor([batch, heads, tokens, dim], numbers.floats(batch * heads * tokens * dim, 2));
    const cache = () =>
      scope.tensor(
        [batch, kvHeads, capacity, dim],
        new Float32Array(batch * kvHeads * capacity * dim).fill(Number.NaN),
      );
    const [k, v] = [cache(), cache()];
    for (const tensor of [k, v]) {
      tensor.slice(null, null, [0, tokens]).set(numbers.floats(batch * kvHeads * tokens * dim));
    }
    const filled = (tensor: Tensor) => tensor.slice(null, null, [0, tokens]);
    const prefill = scope.track(await engine.attention(q, filled(k), filled(v), { causal: true }));
    for (const [start, count] of [
      [0, 1],
      [255, 1],
      [256, 1],
      [289, 1],
      [100, 7],
      [250, 20],
      [0, 290],
    ] as const) {
      const range: [number, number] = [start, start + count];
      const positions = scope.tensor(
        [count],
        Int32Array.from({ length: count }, (_, index) => start + index),
      );
      const part = scope.track(await engine.attention(q.slice(null, null, range), k, v, { causal: true, positions }));
      const expected = prefill.slice(null, null, range).toArray();
      expect(firstBitDifference(part.toArray(), expected), `queries ${range}`).toBeUndefined();
    }
    for (let sequence = 0; sequence < batch; sequence++) {
      const own = (tensor: Tensor) => tensor.slice([sequence, sequence + 1]);
      const alone = scope.track(await engine.attention(own(q), own(filled(k)), own(filled(v)), { causal: true }));
      expectRow(alone, prefill, sequence, 'a sequence alone');
    }
    // Padding: a shorter sequence in a padded batch has the same bits as without padding.
    const kvLengths = scope.tensor([batch], Int32Array.of(3, 130));
    const padded = scope.track(await engine.attention(q, filled(k), filled(v), { kvLengths }));
    const short = scope.track(
      await engine.attention(q.slice([1]), k.slice([1], null, [0, 130]), v.slice([1], null, [0, 130])),
    );
    expectRow(short, padded, 1, 'padded');
  });

  test('rope, embedding, scatter and crossEntropy', async () => {
    const engine = await engineOf({ isa, threads: 3 });
    using scope = engine.scope();
    const numbers = new Numbers(11);
    const [tokens, heads, dim] = [150, 3, 40];
    const x = scope.tensor([tokens, heads, dim], numbers.floats(tokens * heads * dim));
    const positions = scope.tensor([tokens], numbers.integers(tokens, 0, 5000));
    const frequencies = scope.tensor([dim / 2], numbers.floats(dim / 2));
    const table = scope.tensor([90, dim], numbers.floats(90 * dim));
    const ids = scope.tensor([tokens], numbers.integers(tokens, 0, dim - 1));
    const turned = scope.track(await engine.rope(x, positions, { frequencies }));
    const looked = scope.track(await engine.embedding(table, ids));
    const losses = scope.track(await engine.crossEntropy(looked, ids));
    const places = scope.tensor(
      [tokens],
      Int32Array.from({ length: tokens }, (_, token) => tokens - 1 - token),
    );
    const scattered = scope.track(await engine.scatter(looked, places, { out: scope.tensor([tokens, dim]) }));
    for (let token = 0; token < tokens; token += 29) {
      const range: [number, number] = [token, token + 1];
      const own = ids.slice(range);
      expectRow(
        scope.track(await engine.rope(x.slice(range), positions.slice(range), { frequencies })),
        turned,
        token,
        'rope',
      );
      const one = scope.track(await engine.embedding(table, own));
      expectRow(one, looked, token, 'embedding');
      expectRow(scope.track(await engine.crossEntropy(one, own)), losses, token, 'crossEntropy');
      const out = scope.tensor([tokens, dim]);
      await engine.scatter(one, places.slice(range), { out });
      expectRow(out.slice([tokens - 1 - token, tokens - token]), scattered, tokens - 1 - token, 'scatter');
    }
  });
});
