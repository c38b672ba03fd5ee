// What single ops refuse: shapes that do not fit each other, wrong values of options, indices outside the table.
// bad-input.test.ts has what every op refuses.
import { expect, test } from 'vitest';
import type { ErrorCode } from '../../src/base/errors.js';
import type { Engine } from '../../src/engine.js';
import type { OpHost } from '../support/ops/op-case.js';
import { expectRejection } from '../support/rejections.js';
import { sharedEngines } from '../support/running/engines.js';

const engineOf = sharedEngines();

/** Makes an f32 tensor in the test's scope; `ints` and `halves` make those of other types. */
interface Make {
  (...shape: number[]): never;
  ints(...shape: number[]): never;
  halves(...shape: number[]): never;
}

type Refusal = readonly [what: string, code: ErrorCode, message: RegExp, call: (host: OpHost, make: Make) => unknown];

const weights = (make: Make, dim = 8, width = 8) => ({
  wq: make(dim, width),
  wk: make(dim, width),
  wv: make(dim, width),
  wo: make(width, dim),
});
const any = (value: unknown) => value as never;

const refusals: readonly Refusal[] = [
  [
    'matmul of a vector',
    'ERR_SHAPE',
    /a must have at least 2 dimensions, got \[3\]/,
    (h, t) => h.matmul(t(3), t(3, 3)),
  ],
  ['matmul of a scalar', 'ERR_SHAPE', /b must have at least 2 dimensions, got \[\]/, (h, t) => h.matmul(t(3, 3), t())],
  ['inner dimensions', 'ERR_SHAPE', /differ, 4 and 5: \[3, 4\] × \[5, 6\]$/, (h, t) => h.matmul(t(3, 4), t(5, 6))],
  [
    'transposed inner dimensions',
    'ERR_SHAPE',
    /4 and 6: .* \(transposeB\)$/,
    (h, t) => h.matmul(t(3, 4), t(5, 6), { transposeB: true }),
  ],
  ['batches', 'ERR_SHAPE', /\[2\] and \[3\] do not broadcast/, (h, t) => h.matmul(t(2, 3, 4), t(3, 4, 5))],
  ['a of f16', 'ERR_DTYPE', /a must be f32/, (h, t) => h.matmul(t.halves(3, 4), t(4, 5))],
  [
    'bias of a wrong length',
    'ERR_SHAPE',
    /bias must be \[5\], got \[4\]/,
    (h, t) => h.matmul(t(3, 4), t(4, 5), { bias: t(4) }),
  ],
  [
    'bias matrix',
    'ERR_SHAPE',
    /bias must be \[5\], got \[1, 5\]/,
    (h, t) => h.matmul(t(3, 4), t(4, 5), { bias: t(1, 5) }),
  ],
  [
    'residual',
    'ERR_SHAPE',
    /residual must be \[3, 5\], got \[5\]/,
    (h, t) => h.matmul(t(3, 4), t(4, 5), { residual: t(5) }),
  ],
  [
    'activation',
    'ERR_ARGUMENT',
    /activation must be one of none, relu, .*, got "swish"/,
    (h, t) => h.matmul(t(3, 4), t(4, 5), { activation: any('swish') }),
  ],
  [
    'activation of a prototype',
    'ERR_ARGUMENT',
    /got "toString"/,
    (h, t) => h.matmul(t(3, 4), t(4, 5), { activation: any('toString') }),
  ],
  [
    'flag',
    'ERR_ARGUMENT',
    /transposeB must be true or false, got 1/,
    (h, t) => h.matmul(t(3, 4), t(4, 5), { transposeB: any(1) }),
  ],
  [
    'options that are a text',
    'ERR_ARGUMENT',
    /there is no option 0/,
    (h, t) => h.matmul(t(3, 4), t(4, 5), any('gelu')),
  ],
  [
    'attention of matrices',
    'ERR_SHAPE',
    /q must be \[batch, heads, tokens, dim\], got \[3, 4\]/,
    (h, t) => h.attention(t(3, 4), t(1, 1, 3, 4), t(1, 1, 3, 4)),
  ],
  [
    'attention batches',
    'ERR_SHAPE',
    /batches differ/,
    (h, t) => h.attention(t(2, 1, 3, 4), t(1, 1, 3, 4), t(1, 1, 3, 4)),
  ],
  ['head widths', 'ERR_SHAPE', /differ in width/, (h, t) => h.attention(t(1, 1, 3, 4), t(1, 1, 3, 5), t(1, 1, 3, 4))],
  [
    'keys and values',
    'ERR_SHAPE',
    /differ in heads or tokens/,
    (h, t) => h.attention(t(1, 1, 3, 4), t(1, 1, 3, 4), t(1, 1, 2, 4)),
  ],
  ['head groups', 'ERR_SHAPE', /multiple/, (h, t) => h.attention(t(1, 3, 3, 4), t(1, 2, 3, 4), t(1, 2, 3, 4))],
  ['no key heads', 'ERR_SHAPE', /multiple/, (h, t) => h.attention(t(1, 3, 3, 4), t(1, 0, 3, 4), t(1, 0, 3, 4))],
  [
    'heads without width',
    'ERR_SHAPE',
    /must have a width/,
    (h, t) => h.attention(t(1, 1, 3, 0), t(1, 1, 3, 0), t(1, 1, 3, 4)),
  ],
  [
    'heads too wide',
    'ERR_SHAPE',
    /512 wide at most/,
    (h, t) => h.attention(t(1, 1, 3, 513), t(1, 1, 3, 513), t(1, 1, 3, 4)),
  ],
  [
    'keys and values of two types',
    'ERR_DTYPE',
    /v must be f16/,
    (h, t) => h.attention(t(1, 1, 3, 4), t.halves(1, 1, 3, 4), t(1, 1, 3, 4)),
  ],
  [
    'mask',
    'ERR_SHAPE',
    /\[2, 3\] does not broadcast to \[1, 1, 3, 3\]/,
    (h, t) => h.attention(t(1, 1, 3, 4), t(1, 1, 3, 4), t(1, 1, 3, 4), { mask: t(2, 3) }),
  ],
  [
    'positions without causal',
    'ERR_ARGUMENT',
    /positions need causal/,
    (h, t) => h.attention(t(1, 1, 3, 4), t(1, 1, 3, 4), t(1, 1, 3, 4), { positions: t.ints(3) }),
  ],
  [
    'positions',
    'ERR_SHAPE',
    /positions must be \[3\], got \[2\]/,
    (h, t) => h.attention(t(1, 1, 3, 4), t(1, 1, 3, 4), t(1, 1, 3, 4), { causal: true, positions: t.ints(2) }),
  ],
  [
    'kvLengths',
    'ERR_SHAPE',
    /kvLengths must be \[1\], got \[2\]/,
    (h, t) => h.attention(t(1, 1, 3, 4), t(1, 1, 3, 4), t(1, 1, 3, 4), { kvLengths: t.ints(2) }),
  ],
  [
    'scale',
    'ERR_ARGUMENT',
    /scale must be a finite number, got Infinity/,
    (h, t) => h.attention(t(1, 1, 3, 4), t(1, 1, 3, 4), t(1, 1, 3, 4), { scale: Infinity }),
  ],
  [
    'projections of a vector',
    'ERR_SHAPE',
    /x must be/,
    (h, t) => h.multiHeadAttention(t(8), { ...weights(t), heads: 2 }),
  ],
  [
    'no options',
    'ERR_ARGUMENT',
    /heads must be a positive integer, got undefined/,
    (h, t) => h.multiHeadAttention(t(3, 8), any(undefined)),
  ],
  [
    'heads',
    'ERR_ARGUMENT',
    /heads must be a positive integer, got 1.5/,
    (h, t) => h.multiHeadAttention(t(3, 8), { ...weights(t), heads: 1.5 }),
  ],
  [
    'kvHeads',
    'ERR_SHAPE',
    /multiple of kvHeads/,
    (h, t) => h.multiHeadAttention(t(3, 8), { ...weights(t), heads: 2, kvHeads: 3 }),
  ],
  [
    'a split',
    'ERR_SHAPE',
    /does not split into 3 heads/,
    (h, t) => h.multiHeadAttention(t(3, 8), { ...weights(t), heads: 3 }),
  ],
  [
    'a projection',
    'ERR_SHAPE',
    /wk must be \[8, 4\], got \[8, 8\]/,
    (h, t) => h.multiHeadAttention(t(3, 8), { ...weights(t), heads: 2, kvHeads: 1 }),
  ],
  [
    'a projection of no matrix',
    'ERR_SHAPE',
    /wq must be a matrix/,
    (h, t) => h.multiHeadAttention(t(3, 8), { ...weights(t), wq: t(8), heads: 2 }),
  ],
  [
    'projection mask',
    'ERR_SHAPE',
    /does not broadcast to \[1, 2, 3, 3\]/,
    (h, t) => h.multiHeadAttention(t(3, 8), { ...weights(t), heads: 2, mask: t(4, 4) }),
  ],
  [
    'projection scale',
    'ERR_ARGUMENT',
    /multiHeadAttention: scale/,
    (h, t) => h.multiHeadAttention(t(3, 8), { ...weights(t), heads: 2, scale: any('1') }),
  ],
  [
    'projected heads too wide',
    'ERR_SHAPE',
    /512 wide/,
    (h, t) => h.multiHeadAttention(t(3, 8), { ...weights(t, 8, 600), heads: 1 }),
  ],
  ['softmax of a scalar', 'ERR_SHAPE', /at least 1 dimension/, (h, t) => h.softmax(t())],
  ['norm weight', 'ERR_SHAPE', /weight must be \[4\], got \[3\]/, (h, t) => h.rmsNorm(t(3, 4), t(3))],
  [
    'norm eps',
    'ERR_ARGUMENT',
    /eps must be a finite number, got NaN/,
    (h, t) => h.rmsNorm(t(3, 4), undefined, { eps: Number.NaN }),
  ],
  ['norm bias', 'ERR_DTYPE', /bias must be f32/, (h, t) => h.layerNorm(t(3, 4), { bias: t.halves(4) })],
  ['norm of a scalar', 'ERR_SHAPE', /at least 1/, (h, t) => h.layerNorm(t())],
  ['rope of a matrix', 'ERR_SHAPE', /at least 3/, (h, t) => h.rope(t(3, 4), t.ints(3), { frequencies: t(2) })],
  [
    'rope without frequencies',
    'ERR_ARGUMENT',
    /frequencies must be a tensor/,
    (h, t) => h.rope(t(3, 1, 4), t.ints(3), any(undefined)),
  ],
  [
    'too many frequencies',
    'ERR_SHAPE',
    /at most 2 pairs, got \[3\]/,
    (h, t) => h.rope(t(3, 1, 4), t.ints(3), { frequencies: t(3) }),
  ],
  [
    'rope positions',
    'ERR_SHAPE',
    /\[4\] does not broadcast to \[3\]/,
    (h, t) => h.rope(t(3, 1, 4), t.ints(4), { frequencies: t(2) }),
  ],
  [
    'rope positions of f32',
    'ERR_DTYPE',
    /positions must be i32/,
    (h, t) => h.rope(t(3, 1, 4), t(3), { frequencies: t(2) }),
  ],
  [
    'rope style',
    'ERR_ARGUMENT',
    /one of interleaved, halfSplit, got "neox"/,
    (h, t) => h.rope(t(3, 1, 4), t.ints(3), { frequencies: t(2), style: any('neox') }),
  ],
  [
    'rope magnitude',
    'ERR_ARGUMENT',
    /magnitude/,
    (h, t) => h.rope(t(3, 1, 4), t.ints(3), { frequencies: t(2), magnitude: Number.NaN }),
  ],
  ['gate and up', 'ERR_SHAPE', /up must be \[3, 4\], got \[4\]/, (h, t) => h.siluMul(t(3, 4), t(4))],
  ['sum', 'ERR_SHAPE', /\[3, 4\] and \[3\] do not broadcast/, (h, t) => h.add(t(3, 4), t(3))],
  ['product', 'ERR_SHAPE', /do not broadcast/, (h, t) => h.mul(t(2, 1), t(3, 0, 2))],
  ['factor', 'ERR_ARGUMENT', /factor must be a finite number, got undefined/, (h, t) => h.scale(t(3), any(undefined))],
  ['table', 'ERR_SHAPE', /table must be \[rows, columns\], got \[3\]/, (h, t) => h.embedding(t(3), t.ints(2))],
  ['ids', 'ERR_DTYPE', /ids must be i32/, (h, t) => h.embedding(t(3, 4), t(2))],
  [
    'scatter without out',
    'ERR_ARGUMENT',
    /out must be a tensor, got undefined/,
    (h, t) => h.scatter(t(3, 4), t.ints(3)),
  ],
  [
    'scatter of other columns',
    'ERR_SHAPE',
    /may differ only in the number of rows, got \[5, 3\] and \[3, 4\]/,
    (h, t) => h.scatter(t(3, 4), t.ints(3), { out: t(5, 3) }),
  ],
  ['scatter ids', 'ERR_SHAPE', /does not broadcast/, (h, t) => h.scatter(t(3, 4), t.ints(2), { out: t(5, 4) })],
  [
    'scatter into columns',
    'ERR_SHAPE',
    /must have unit stride/,
    (h, t) => h.scatter(t(3, 4), t.ints(3), { out: (t(4, 5) as { transpose(): never }).transpose() }),
  ],
  ['scatter into no rows', 'ERR_SHAPE', /no rows/, (h, t) => h.scatter(t(3, 4), t.ints(3), { out: t(0, 4) })],
  ['argmax of nothing', 'ERR_SHAPE', /no maximum/, (h, t) => h.argmax(t(3, 0))],
  ['argmax of a scalar', 'ERR_SHAPE', /at least 1/, (h, t) => h.argmax(t())],
  ['targets', 'ERR_SHAPE', /targets must be \[3\], got \[4\]/, (h, t) => h.crossEntropy(t(3, 4), t.ints(4))],
  ['no classes', 'ERR_SHAPE', /no target/, (h, t) => h.crossEntropy(t(3, 0), t.ints(3))],
  ['copy to an integer', 'ERR_DTYPE', /f32 does not convert to i32/, (h, t) => h.copy(t(3), { dtype: 'i32' })],
  ['copy of an unknown type', 'ERR_DTYPE', /expected one of/, (h, t) => h.copy(t(3), { dtype: any('f64') })],
  [
    'copy to an out of another type than told',
    'ERR_DTYPE',
    /out must be f16/,
    (h, t) => h.copy(t(3), { dtype: 'f16', out: t(3) }),
  ],
];

function maker(scope: ReturnType<Engine['scope']>): Make {
  const make = (...shape: number[]) => scope.tensor(shape) as never;
  const ints = (...shape: number[]) => scope.tensor(shape, 'i32') as never;
  const halves = (...shape: number[]) => scope.tensor(shape, 'f16') as never;
  return Object.assign(make, { ints, halves }) as Make;
}

test.each(refusals)('%s: %s', async (_what, code, message, call) => {
  const engine = await engineOf({ threads: 2 });
  {
    using scope = engine.scope();
    const make = maker(scope);
    await expectRejection(() => call(engine, make), code, message);
    await expectRejection(() => engine.program((p) => void call(p, make)), code, message);
  }
  expect(engine.stats().pool).toMatchObject({ rentedBytes: 0, liveTensors: 0, leaks: 0 });
});

test('a call that is refused while it records removes the steps that it recorded', async () => {
  const engine = await engineOf({ threads: 2 });
  using scope = engine.scope();
  const x = scope.tensor([4, 3]).transpose();
  using program = engine.program((p) => {
    expect(() => p.scatter(x, scope.tensor([3], 'i32'), { out: scope.tensor([4, 5]).transpose() })).toThrow(
      /unit stride/,
    );
    p.softmax(x);
  });
  expect(program.kernels).toEqual(['copy', 'softmax']);
});

/** Numbers of rows: the calling thread computes few rows, the team many. */
const indexSizes = [2, 20_000];

test.each(indexSizes)('indices out of range fail the run, with %i rows', async (rows) => {
  const engine = await engineOf({ threads: 2 });
  using scope = engine.scope();
  const columns = 24;
  const table = scope.tensor(
    [10, columns],
    Float32Array.from({ length: 10 * columns }, (_, index) => index),
  );
  const x = scope.tensor([rows, columns]);
  const ids = scope.tensor([rows], 'i32');
  const embedded = scope.tensor([rows, columns]);
  const places = scope.tensor(
    [rows],
    Int32Array.from({ length: rows }, (_, row) => row),
  );
  const scattered = scope.tensor([rows, columns]);
  const losses = scope.tensor([rows]);
  const targets = scope.tensor([rows], 'i32');
  using program = engine.program((p) => p.softmax(p.embedding(table, ids)));
  const { rentedBytes } = engine.stats().pool;
  for (const bad of [-1, 10, 2 ** 31 - 1, -(2 ** 31)]) {
    ids.data[rows - 1] = bad;
    places.data[rows - 1] = bad === 10 ? rows : bad;
    targets.data[rows - 1] = bad === 10 ? columns : bad;
    await expectRejection(engine.embedding(table, ids), 'ERR_INDEX', /^embedding: an index is outside the table/);
    await expectRejection(engine.embedding(table, ids, { out: embedded }), 'ERR_INDEX', /^embedding/);
    await expectRejection(engine.scatter(x, places, { out: scattered }), 'ERR_INDEX', /^scatter/);
    await expectRejection(engine.crossEntropy(x, targets, { out: losses }), 'ERR_INDEX', /^crossEntropy/);
    await expectRejection(program.run(), 'ERR_INDEX', /^embedding/);
    ids.data[rows - 1] = 9;
    places.data[rows - 1] = rows - 1;
    await engine.embedding(table, ids, { out: embedded });
    expect(embedded.data.at(-1)).toBe(10 * columns - 1);
    await engine.scatter(x, places, { out: scattered });
    await program.run();
    expect(engine.stats().pool.rentedBytes).toBe(rentedBytes);
  }
});
