// What the step of a product of packed floats does beside multiplying: rows that it norms, and gated units. Which steps a
// program has, and the bits of the ops one by one.
import { expect, test } from 'vitest';
import type { Engine } from '../../../src/engine.js';
import type { PackedMatrix } from '../../../src/ops/matmul/pack.js';
import type { Tensor } from '../../../src/tensor/tensor.js';
import { firstBitDifference, Numbers } from '../../support/numbers.js';
import { isas, sharedEngines } from '../../support/running/engines.js';

const engineOf = sharedEngines();
const dtypes = ['f32', 'f16', 'bf16'] as const;

async function packedMatrix(engine: Engine, dtype: (typeof dtypes)[number], shape: [number, number], seed: number) {
  using scope = engine.scope();
  const numbers = new Numbers(seed).floats(shape[0] * shape[1]);
  return await engine.pack(scope.tensor(shape, dtype, Array.from(numbers)), { transposeB: true });
}

test.each([
  { m: 1, joined: ['matmul', 'matmul'] },
  { m: 5, joined: ['matmul', 'matmul'] },
  // More rows are normed once, in a step.
  { m: 30, joined: ['rms_norm', 'matmul', 'matmul'] },
  { m: 128, joined: ['rms_norm', 'matmul', 'matmul', 'silu_mul', 'matmul'] },
])('a gated feed-forward layer of $m rows has the bits of its ops, in few steps', async ({ m, joined }) => {
  const [k, ffn] = [150, 224];
  for (const isa of isas) {
    const engine = await engineOf({ isa, threads: 2 });
    for (const dtype of dtypes) {
      using scope = engine.scope();
      const numbers = new Numbers(12);
      const x = scope.tensor([m, k], numbers.floats(m * k));
      const weight = scope.tensor([k], numbers.floats(k));
      using gate = await packedMatrix(engine, dtype, [ffn, k], 1);
      using up = await packedMatrix(engine, dtype, [ffn, k], 2);
      using down = await packedMatrix(engine, dtype, [k, ffn], 3);
      using program = engine.program((p) => {
        const y = p.rmsNorm(x, weight, { eps: 0.1 });
        const [a, b] = [p.matmul(y, gate), p.matmul(y, up)];
        const unit = p.siluMul(a, b, { out: a });
        return { unit, out: p.matmul(unit, down, { residual: x }) };
      });
      await program.run();
      expect(program.kernels).toEqual(joined);

      const y = scope.track(await engine.rmsNorm(x, weight, { eps: 0.1 }));
      const product = async (of: Tensor, by: PackedMatrix) => scope.track(await engine.matmul(of, by));
      const unit = scope.track(await engine.siluMul(await product(y, gate), await product(y, up)));
      const out = scope.track(await engine.matmul(unit, down, { residual: x }));
      for (const [name, expected] of Object.entries({ unit, out })) {
        const result = program.tensors[name as 'unit'];
        expect(firstBitDifference(result.toArray(), expected.toArray()), `${isa} ${dtype} ${name}`).toBeUndefined();
      }
    }
  }
});

test('queries, keys and values norm the rows that they have in common; whoever else reads them keeps the step', async () => {
  const engine = await engineOf({ threads: 2 });
  using scope = engine.scope();
  const k = 96;
  const x = scope.tensor([2, k], new Numbers(1).floats(2 * k));
  using q = await packedMatrix(engine, 'f16', [k, k], 1);
  using v = await packedMatrix(engine, 'f16', [k / 2, k], 2);
  const record = (isRead: boolean) =>
    engine.program((p) => {
      const y = p.rmsNorm(x);
      return { a: p.matmul(y, q), b: p.matmul(y, v, { activation: 'relu' }), ...(isRead && { c: p.scale(y, 2) }) };
    });
  using few = record(false);
  using more = record(true);
  expect(few.kernels).toEqual(['matmul', 'matmul']);
  expect(more.kernels).toEqual(['rms_norm', 'matmul', 'matmul', 'scale']);
  const y = scope.track(await engine.rmsNorm(x));
  const [a, b] = [await engine.matmul(y, q), await engine.matmul(y, v, { activation: 'relu' })].map(scope.track, scope);
  for (const program of [few, more]) {
    await program.run();
    expect(firstBitDifference(program.tensors.a.toArray(), (a as Tensor).toArray())).toBeUndefined();
    expect(firstBitDifference(program.tensors.b.toArray(), (b as Tensor).toArray())).toBeUndefined();
  }
});

test('rows that change between the norm and the product are normed where they were', async () => {
  const engine = await engineOf({ threads: 2 });
  using scope = engine.scope();
  const k = 64;
  const input = new Numbers(1).floats(k);
  using w = await packedMatrix(engine, 'f32', [k, k], 1);
  using program = engine.program((p) => {
    const x = p.input([1, k]);
    const y = p.rmsNorm(x);
    p.scale(x, 3, { out: x });
    return { x, out: p.matmul(y, w) };
  });
  program.tensors.x.set(input);
  await program.run();
  expect(program.kernels).toEqual(['rms_norm', 'scale', 'matmul']);
  const y = scope.track(await engine.rmsNorm(scope.tensor([1, k], input)));
  const expected = scope.track(await engine.matmul(y, w));
  expect(firstBitDifference(program.tensors.out.toArray(), expected.toArray())).toBeUndefined();
});

test.each(['gelu', 'geluTanh', 'silu'] as const)(
  'a unit with %s has the bits of its ops, in one step',
  async (activation) => {
    const [m, k, n] = [3, 150, 224];
    for (const isa of isas) {
      const engine = await engineOf({ isa, threads: 2 });
      for (const dtype of dtypes) {
        using scope = engine.scope();
        const x = scope.tensor([m, k], new Numbers(12).floats(m * k));
        using gate = await packedMatrix(engine, dtype, [n, k], 1);
        using up = await packedMatrix(engine, dtype, [n, k], 2);
        using program = engine.program((p) => {
          const [a, b] = [p.matmul(x, gate, { activation }), p.matmul(x, up)];
          return { b, unit: p.mul(a, b, { out: a }) };
        });
        await program.run();
        expect(program.kernels).toEqual(['matmul']);
        const a = scope.track(await engine.matmul(x, gate, { activation }));
        const b = scope.track(await engine.matmul(x, up));
        const unit = scope.track(await engine.mul(a, b));
        for (const [name, expected] of Object.entries({ b, unit })) {
          const result = program.tensors[name as 'unit'];
          expect(firstBitDifference(result.toArray(), expected.toArray()), `${isa} ${dtype} ${name}`).toBeUndefined();
        }
      }
    }
  },
);

test('what is no unit of two products stays a step', async () => {
  const engine = await engineOf({ threads: 2 });
  using scope = engine.scope();
  const k = 64;
  const x = scope.tensor([2, k], new Numbers(1).floats(2 * k));
  using first = await packedMatrix(engine, 'f32', [k, k], 1);
  using second = await packedMatrix(engine, 'f32', [k, k], 2);
  const gelu = { activation: 'gelu' } as const;
  type Case = [kernels: string[], of: object, by: object, op: 'mul' | 'siluMul', isSwapped?: boolean];
  const cases: Case[] = [
    [['matmul', 'matmul', 'mul'], {}, {}, 'mul'],
    [['matmul', 'matmul', 'mul'], {}, gelu, 'mul'],
    [['matmul', 'matmul', 'mul'], gelu, gelu, 'mul'],
    [['matmul', 'matmul', 'mul'], gelu, {}, 'mul', true],
    [['matmul', 'matmul', 'silu_mul'], gelu, {}, 'siluMul'],
  ];
  for (const [kernels, of, by, op, isSwapped = false] of cases) {
    using program = engine.program((p) => {
      const [a, b] = [p.matmul(x, first, of), p.matmul(x, second, by)];
      return { unit: isSwapped ? p[op](b, a, { out: b }) : p[op](a, b, { out: a }) };
    });
    expect(program.kernels).toEqual(kernels);
    await program.run();
    const [a, b] = [scope.track(await engine.matmul(x, first, of)), scope.track(await engine.matmul(x, second, by))];
    const unit = scope.track(await engine[op](a, b));
    expect(firstBitDifference(program.tensors.unit.toArray(), unit.toArray())).toBeUndefined();
  }
});

test('units of products with a bias, an activation, or matrices of two types have a step of their own', async () => {
  const engine = await engineOf({ threads: 2 });
  using scope = engine.scope();
  const k = 64;
  const x = scope.tensor([2, k], new Numbers(1).floats(2 * k));
  const bias = scope.tensor([k], new Numbers(2).floats(k));
  using first = await packedMatrix(engine, 'f32', [k, k], 1);
  using second = await packedMatrix(engine, 'f32', [k, k], 2);
  using half = await packedMatrix(engine, 'f16', [k, k], 2);
  const kinds = [
    { b: second, options: { bias } },
    { b: second, options: { activation: 'relu' } },
    { b: second, options: { residual: x } },
    { b: half, options: {} },
  ] as const;
  for (const { b, options } of kinds) {
    using program = engine.program((p) => {
      const gate = p.matmul(x, first);
      return { unit: p.siluMul(gate, p.matmul(x, b, options), { out: gate }) };
    });
    expect(program.kernels).toEqual(['matmul', 'matmul', 'silu_mul']);
    await program.run();
    const [gate, up] = [scope.track(await engine.matmul(x, first)), scope.track(await engine.matmul(x, b, options))];
    const unit = scope.track(await engine.siluMul(gate, up));
    expect(firstBitDifference(program.tensors.unit.toArray(), unit.toArray())).toBeUndefined();
  }
});
