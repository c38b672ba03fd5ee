// Quantized weights through the public API: packing, products and lookups of all types against float64, on every kernel
// set, in batches and layouts; the same bits for a row alone; refusals; which kernel ran.
import { describe, expect, test } from 'vitest';
import type { ErrorCode } from '../../../src/base/errors.js';
import type { Engine } from '../../../src/engine.js';
import type { QuantizedMatrix } from '../../../src/ops/quantized/quantized-matrix.js';
import { type QuantizedType, quantizedTypes } from '../../../src/ops/quantized/quantized-type.js';
import type { Tensor } from '../../../src/tensor/tensor.js';
import { firstBitDifference, Numbers, normalisedError } from '../../support/numbers.js';
import { blockTypes, decodeBlocks, randomBlockMatrix } from '../../support/oracles/ggml-blocks.js';
import { expectRejection } from '../../support/rejections.js';
import { isas, sharedEngines } from '../../support/running/engines.js';

const engineOf = sharedEngines();

/** The error of activations in 8 bits, which llama.cpp has as well. */
const largestError = 1e-4;

async function pack(engine: Engine, type: QuantizedType, [n, k]: readonly [number, number], seed = 1) {
  const file = randomBlockMatrix(type, n, k, seed);
  // Blocks at an odd offset, as they may be in a file.
  using bytes = engine.tensor([file.length + 32], 'i8');
  const blocks = bytes.slice([32]);
  blocks.set(new Int8Array(file.buffer, file.byteOffset, file.length));
  const matrix = await engine.packQuantized(blocks, { type, shape: [n, k] });
  return { matrix, weights: decodeBlocks(type, file) };
}

function product(x: ArrayLike<number>, w: ArrayLike<number>, [m, n, k]: readonly [number, number, number]) {
  const c = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let q = 0; q < k; q++) sum += (x[i * k + q] as number) * (w[j * k + q] as number);
      c[i * n + j] = sum;
    }
  }
  return c;
}

describe.each(isas)('on %s', (isa) => {
  test.each(blockTypes)('%s', async (type) => {
    const engine = await engineOf({ isa, threads: 3 });
    using scope = engine.scope();
    const [m, n, k] = [21, 45, 512];
    const { matrix, weights } = await pack(engine, type, [n, k]);
    using w = matrix;
    const numbers = new Numbers(5);
    const x = scope.tensor([m, k], numbers.floats(m * k));
    const bias = scope.tensor([n], numbers.floats(n));
    const residual = scope.tensor([m, n], numbers.floats(m * n));

    const plain = scope.track(await engine.matmul(x, w, { transposeB: true }));
    expect(plain.shape).toEqual([m, n]);
    expect(normalisedError(plain.toArray(), product(x.toArray(), weights, [m, n, k]))).toBeLessThan(largestError);

    const options = { transposeB: true, bias, activation: 'relu' } as const;
    const full = scope.track(await engine.matmul(x, w, { ...options, residual }));
    const expected = plain.toArray().map((sum, position) => {
      const positive = Math.max(0, Math.fround(sum + (bias.data[position % n] as number)));
      return Math.fround(positive + (residual.data[position] as number));
    });
    expect(firstBitDifference(full.toArray(), expected)).toBeUndefined();

    for (const [start, count] of [
      [0, 1],
      [20, 1],
      [3, 4],
      [5, 8],
      [2, 9],
    ] as const) {
      const range: [number, number] = [start, start + count];
      const part = scope.track(await engine.matmul(x.slice(range), w, { ...options, residual: residual.slice(range) }));
      expect(firstBitDifference(part.toArray(), full.slice(range).toArray()), `${count} rows`).toBeUndefined();
    }

    const ids = scope.tensor([2, 3], Int32Array.of(0, 44, 7, 8, 40, 1));
    const rows = scope.track(await engine.embedding(w, ids));
    expect(rows.shape).toEqual([2, 3, k]);
    const looked = ids
      .toArray()
      .reduce<number[]>((all, id) => all.concat(...weights.subarray(id * k, (id + 1) * k)), []);
    expect(normalisedError(rows.toArray(), looked)).toBeLessThan(1e-12);
    const out = scope.tensor([k, 6]).transpose();
    await engine.embedding(w, ids.reshape([6]), { out });
    expect(firstBitDifference(out.toArray(), rows.toArray())).toBeUndefined();
  });

  test('batches, strides, in place, and recorded', async () => {
    const engine = await engineOf({ isa, threads: 3 });
    using scope = engine.scope();
    const [n, k] = [40, 256];
    const { matrix } = await pack(engine, 'Q4_K', [n, k]);
    using w = matrix;
    const numbers = new Numbers(6);
    const x = scope.tensor([2, 3, 5, k], numbers.floats(30 * k));
    const flat = scope.track(await engine.matmul(x.reshape([30, k]), w, { transposeB: true }));
    const same = (actual: Tensor, what: string) =>
      expect(firstBitDifference(actual.toArray(), flat.toArray()), what).toBeUndefined();
    same(scope.track(await engine.matmul(x, w, { transposeB: true })), 'batch');
    const columns = scope.track(await engine.copy(x.reshape([30, k]).transpose()));
    same(scope.track(await engine.matmul(columns.transpose(), w, { transposeB: true })), 'columns of x');
    same(scope.track(await engine.matmul(columns, w, { transposeA: true, transposeB: true })), 'transposeA');
    const wide = scope.tensor([30, n + 3]).slice(null, [1, n + 1]);
    same(await engine.matmul(x.reshape([30, k]), w, { transposeB: true, out: wide }), 'out with gaps');
    const turned = scope.tensor([n, 30]).transpose();
    same(await engine.matmul(x.reshape([30, k]), w, { transposeB: true, out: turned }), 'out transposed');
    const zeros = scope.tensor([30, n]);
    same(await engine.matmul(x.reshape([30, k]), w, { transposeB: true, residual: zeros, out: zeros }), 'in place');
    using program = engine.program((p) => p.matmul(p.scale(x, 1), w, { transposeB: true }));
    await program.run();
    same(program.tensors, 'recorded');
    const none = scope.track(await engine.matmul(scope.tensor([0, k]), w, { transposeB: true }));
    expect(none.shape).toEqual([0, n]);
  });
});

test('any number of workers gives the same bits', async () => {
  const results: ArrayLike<number>[] = [];
  for (const threads of [1, 2, 5]) {
    const engine = await engineOf({ isa: isas.at(-1) as (typeof isas)[number], threads });
    using scope = engine.scope();
    using w = (await pack(engine, 'Q6_K', [700, 1280])).matrix;
    const numbers = new Numbers(7);
    for (const m of [1, 300]) {
      const x = scope.tensor([m, 1280], numbers.floats(m * 1280));
      results.push(scope.track(await engine.matmul(x, w, { transposeB: true })).toArray());
    }
  }
  for (const [index, result] of results.entries()) {
    expect(firstBitDifference(result, results[index % 2] as ArrayLike<number>)).toBeUndefined();
  }
});

test('the statistics name the kernel; matrices are little larger than their blocks', async () => {
  const engine = await engineOf({ isa: isas.at(-1) as (typeof isas)[number], threads: 1 });
  using scope = engine.scope();
  const x = scope.tensor([1, 1024]);
  for (const type of blockTypes) {
    using w = (await pack(engine, type, [64, 1024])).matrix;
    const { blockElements, blockBytes } = quantizedTypes[type];
    expect(w.sizeBytes).toBeLessThanOrEqual(1.05 * ((64 * 1024) / blockElements) * blockBytes);
    const tiles = () => engine.stats().team.kernels.find(({ op }) => op === 'matmul_quantized')?.tiles ?? 0;
    const before = tiles();
    scope.track(await engine.matmul(x, w, { transposeB: true }));
    expect(tiles(), type).toBeGreaterThan(before);
  }
});

test.each([
  // Many rows: the norm quantizes what it makes.
  { m: 16, joined: ['rms_norm', 'matmul_quantized'] },
  // Few: the products norm their rows themselves.
  { m: 3, joined: ['matmul_quantized'] },
])('in a program, products of the same $m rows are one step, and need none to quantize them', async ({ m, joined }) => {
  for (const isa of isas) {
    const engine = await engineOf({ isa, threads: 2 });
    using scope = engine.scope();
    const numbers = new Numbers(11);
    const k = 256;
    const input = numbers.floats(m * k);
    const weight = scope.tensor([k], numbers.floats(k));
    const types = ['Q8_0', 'Q4_K', 'Q5_0', 'Q8_0'] as const;
    const matrices: QuantizedMatrix[] = [];
    for (const [index, type] of types.entries()) matrices.push((await pack(engine, type, [k, k], index)).matrix);
    const [w0, w1, w2, w3] = matrices as [QuantizedMatrix, QuantizedMatrix, QuantizedMatrix, QuantizedMatrix];
    const options = { transposeB: true } as const;
    using program = engine.program((p) => {
      const x = p.input([m, k]);
      const y = p.rmsNorm(x, weight);
      const [a, b, c] = [p.matmul(y, w0, options), p.matmul(y, w1, options), p.matmul(y, w2, options)];
      // A step of its own, because it reads an earlier result. So is the fourth product of the same rows.
      const d = p.matmul(y, w3, { ...options, residual: a });
      const e = p.matmul(p.siluMul(b, c), w1, options);
      // Overwrites the tensor that was quantized.
      p.rmsNorm(x, weight, { out: y, eps: 1 });
      return { x, a, b, c, d, e, f: p.matmul(y, w0, options) };
    });
    program.tensors.x.set(input);
    await program.run();
    expect(program.kernels).toEqual([...joined, 'matmul_quantized', 'silu_mul', 'matmul_quantized', ...joined]);

    const x = scope.tensor([m, k], input);
    const y = scope.track(await engine.rmsNorm(x, weight));
    const alone = async (of: Tensor, w: QuantizedMatrix, residual?: Tensor) =>
      scope.track(await engine.matmul(of, w, { ...options, residual }));
    const [a, b, c] = [await alone(y, w0), await alone(y, w1), await alone(y, w2)];
    const d = await alone(y, w3, a);
    const e = await alone(scope.track(await engine.siluMul(b, c)), w1);
    const f = await alone(scope.track(await engine.rmsNorm(x, weight, { eps: 1 })), w0);
    for (const [name, expected] of Object.entries({ a, b, c, d, e, f })) {
      const result = program.tensors[name as 'a'];
      expect(firstBitDifference(result.toArray(), expected.toArray()), name).toBeUndefined();
    }
    for (const matrix of matrices) matrix.dispose();
  }
});

const units = [1, 3, 30, 100].flatMap((m) => [
  { m, activation: 'none' } as const,
  { m, activation: 'geluTanh' } as const,
]);
test.each(units)(
  'a gated unit of $m rows is part of the step of its products ($activation)',
  async ({ m, activation }) => {
    for (const isa of isas) {
      const engine = await engineOf({ isa, threads: 2 });
      using scope = engine.scope();
      const numbers = new Numbers(12);
      const [k, ffn] = [256, 224];
      const input = numbers.floats(m * k);
      const weight = scope.tensor([k], numbers.floats(k));
      const matrix = async (type: 'Q8_0' | 'Q4_K' | 'Q5_0', shape: [number, number], index: number) =>
        (await pack(engine, type, shape, index)).matrix;
      const [gate, up] = [await matrix('Q8_0', [ffn, k], 1), await matrix('Q4_K', [ffn, k], 2)];
      const down = await matrix('Q5_0', [k, ffn], 3);
      const options = { transposeB: true } as const;
      const op = activation === 'none' ? 'siluMul' : 'mul';
      const record = (isKept: boolean) =>
        engine.program((p) => {
          const x = p.input([m, k]);
          const y = p.rmsNorm(x, weight);
          const [a, b] = [p.matmul(y, gate, { ...options, activation }), p.matmul(y, up, options)];
          // Somewhere else, the unit is a step of its own.
          const unit = p[op](a, b, isKept ? {} : { out: a });
          return { x, unit, out: p.matmul(unit, down, { ...options, residual: x, out: x }), ...(isKept && { y }) };
        });
      using program = record(false);
      using apart = record(true);
      for (const one of [program, apart]) {
        one.tensors.x.set(input);
        await one.run();
      }
      expect(program.kernels.filter((kernel) => kernel !== 'rms_norm')).toEqual([
        'matmul_quantized',
        'matmul_quantized',
      ]);
      expect(apart.kernels).toContain(activation === 'none' ? 'silu_mul' : 'mul');
      for (const name of ['unit', 'out'] as const) {
        const [result, expected] = [program.tensors[name], apart.tensors[name]].map((tensor) => tensor.toArray());
        expect(firstBitDifference(result as Float32Array, expected as Float32Array), name).toBeUndefined();
      }
      for (const one of [gate, up, down]) one.dispose();
    }
  },
);

test('refuses arguments that do not fit', async () => {
  const engine = await engineOf({ isa: isas.at(-1) as (typeof isas)[number], threads: 1 });
  using scope = engine.scope();
  const { matrix: w } = await pack(engine, 'Q8_0', [8, 64]);
  const blocks = scope.tensor([8 * 68], 'i8');
  const any = (value: unknown) => value as never;
  const refuse = (code: ErrorCode, message: RegExp, call: () => Promise<unknown>) =>
    expectRejection(call, code, message);
  await refuse('ERR_ARGUMENT', /transposeB must be true/, () => engine.matmul(scope.tensor([2, 64]), w));
  await refuse('ERR_SHAPE', /differ, 32 and 64: \[2, 32\] × Q8_0 matrix \[8, 64\]/, () =>
    engine.matmul(scope.tensor([2, 32]), w, { transposeB: true }),
  );
  await refuse('ERR_SHAPE', /bias must be \[8\]/, () =>
    engine.matmul(scope.tensor([2, 64]), w, { transposeB: true, bias: scope.tensor([64]) }),
  );
  await refuse('ERR_INDEX', /outside/, () => engine.embedding(w, scope.tensor([1], Int32Array.of(8))));
  const pairs: [ErrorCode, RegExp, unknown][] = [
    ['ERR_ARGUMENT', /type must be one of Q4_0.*got "Q9_9"/, { type: 'Q9_9', shape: [8, 64] }],
    ['ERR_SHAPE', /multiple of 256 for Q4_K, got \[8, 64\]/, { type: 'Q4_K', shape: [8, 64] }],
    ['ERR_SHAPE', /got \[8\]/, { type: 'Q8_0', shape: [8] }],
    [
      'ERR_SHAPE',
      /Q8_0 matrix \[8, 96\] are 816 contiguous bytes, got i8 tensor \[544\]/,
      { type: 'Q8_0', shape: [8, 96] },
    ],
  ];
  for (const [code, message, options] of pairs) {
    await refuse(code, message, () => engine.packQuantized(blocks, any(options)));
  }
  await refuse('ERR_DTYPE', /blocks must be i8/, () =>
    engine.packQuantized(scope.tensor([544]), { type: 'Q8_0', shape: [8, 64] }),
  );
  w.dispose();
  expect(w.disposed).toBe(true);
  expect(() => w.dispose()).toThrow(/disposed twice/);
  await refuse('ERR_DISPOSED', /disposed/, () => engine.matmul(scope.tensor([2, 64]), w, { transposeB: true }));
});
