// Every op against its float64 oracle, on every kernel set, with 1 to 7 workers, in every layout of operands and
// output, one-shot and recorded. Workers, layouts and recording do not change a bit.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Engine } from '../../src/engine.js';
import { loadAddon } from '../../src/native/load.js';
import { ops } from '../../src/ops/registry.js';
import type { Tensor } from '../../src/tensor/tensor.js';
import { firstBitDifference, normalisedError } from '../support/numbers.js';
import type { OpCase, TensorsByName } from '../support/ops/op-case.js';
import { opCases } from '../support/ops/op-cases.js';
import {
  type GuardedOutput,
  type LayoutName,
  layoutNames,
  placeOperand,
  placeOutput,
} from '../support/ops/op-layouts.js';
import { isas, sharedEngines, workerCounts } from '../support/running/engines.js';

const engineOf = sharedEngines();
const largestError = 1e-7;

/** The layout of each operand, by its index, and of the output, which is the last. */
type LayoutPlan = (index: number) => LayoutName;

const plans: readonly (readonly [name: string, plan: LayoutPlan])[] = [
  ...layoutNames.map((name) => [name, () => name] as const),
  ['mixed', (index) => layoutNames[(3 * index + 1) % layoutNames.length] as LayoutName],
];

/** scatter writes to rows of `out` in place; these must have unit stride. */
function planFor(name: string, plan: LayoutPlan, operands: number): LayoutPlan {
  if (name !== 'scatter') return plan;
  return (index) => (index === operands && ['transposed', 'stepped'].includes(plan(index)) ? 'padded' : plan(index));
}

interface Placed {
  readonly opCase: OpCase;
  readonly label: string;
  readonly tensors: TensorsByName;
  readonly output: GuardedOutput;
}

function place(
  scope: ReturnType<Engine['scope']>,
  name: string,
  opCase: OpCase,
  [planName, layout]: (typeof plans)[number],
): Placed {
  const operands = Object.entries(opCase.operands);
  const plan = planFor(name, layout, operands.length);
  const tensors = Object.fromEntries(
    operands.map(([key, operand], index) => [key, placeOperand(scope, operand, plan(index))]),
  );
  const output = placeOutput(scope, opCase, plan(operands.length));
  return { opCase, label: `${name} ${opCase.label}, ${planName}`, tensors, output };
}

function expectSameBits(actual: Tensor, expected: ArrayLike<number>, label: string): void {
  expectNoDifference(firstBitDifference(actual.toArray(), expected), label);
}

function expectNoDifference(difference: string | undefined, label: string): void {
  if (difference !== undefined) expect.unreachable(`${label}: ${difference}`);
}

/** Checks every case in every layout, by one-shot calls. Gives the bits of each case. */
async function runCalls(engine: Engine, name: string, known: ReadonlyMap<OpCase, ArrayLike<number>>) {
  const results = new Map<OpCase, ArrayLike<number>>(known);
  // Only tiles depend on the number of workers, so all layouts are tried with one worker only.
  const chosen = engine.threads === 1 ? plans : plans.filter(([plan]) => plan === 'mixed');
  for (const opCase of opCases[name] as readonly OpCase[]) {
    for (const plan of chosen) {
      using scope = engine.scope();
      const { label, tensors, output } = place(scope, name, opCase, plan);
      const result = await opCase.call(engine, tensors, { out: output.out });
      if (result !== output.out) expect.unreachable(`${label}: did not return out`);
      output.checkGuards(label);
      for (const [key, operand] of Object.entries(opCase.operands)) {
        expectSameBits(tensors[key] as Tensor, operand.values, `${label}, operand ${key}`);
      }
      const first = results.get(opCase);
      if (first !== undefined) expectSameBits(output.out, first, label);
      else results.set(opCase, output.out.toArray());
      if (opCase.initial !== undefined || plan[0] !== 'mixed') continue;
      const made = scope.track((await opCase.call(engine, tensors, {})) as Tensor);
      expectNoDifference(firstBitDifference(made.shape, opCase.shape), `${label}, shape`);
      if (made.dtype !== opCase.dtype) expect.unreachable(`${label}: result is ${made.dtype}`);
      expectSameBits(made, results.get(opCase) as ArrayLike<number>, `${label}, without out`);
    }
  }
  return results;
}

/**
 * Checks every case in some layouts in one program, whose independent steps the team may run in any order: with given
 * outputs, and from temporaries to temporaries.
 */
async function runProgram(engine: Engine, name: string, bits: ReadonlyMap<OpCase, ArrayLike<number>>) {
  using scope = engine.scope();
  const placed = (opCases[name] as readonly OpCase[]).flatMap((opCase) =>
    plans.filter(([plan]) => plan === 'padded' || plan === 'mixed').map((plan) => place(scope, name, opCase, plan)),
  );
  const wide = scope.tensor([100, 1000]);
  using program = engine.program((p) => {
    // So much work that the calling thread does not compute the program alone.
    p.softmax(wide);
    for (const { opCase, tensors, output } of placed) opCase.call(p, tensors, { out: output.out });
    return placed.map(({ opCase, tensors, output }) => {
      const copies = Object.fromEntries(Object.entries(tensors).map(([key, tensor]) => [key, p.copy(tensor)]));
      const out = opCase.initial === undefined ? undefined : p.copy(output.out);
      const computed = opCase.call(p, copies, out === undefined ? {} : { out }) as Tensor;
      return p.copy(computed);
    });
  });
  const before = engine.stats().team.runs.finished;
  for (let round = 0; round < 2; round++) {
    await program.run();
    placed.forEach(({ opCase, label, output }, index) => {
      const expected = bits.get(opCase) as ArrayLike<number>;
      output.checkGuards(`${label}, recorded`);
      expectSameBits(output.out, expected, `${label}, recorded`);
      expectSameBits(program.tensors[index] as Tensor, expected, `${label}, recorded with temporaries`);
    });
  }
  expect(engine.stats().team.runs.finished).toBe(before + 2);
}

function expectConforms(opCase: OpCase, bits: ArrayLike<number>, name: string): void {
  const expected = Array.from(opCase.expected());
  const label = `${name} ${opCase.label}`;
  if (opCase.exact === true)
    expectNoDifference(firstBitDifference(Array.from(bits, noNegativeZero), expected.map(noNegativeZero)), label);
  else expect(normalisedError(bits, expected), label).toBeLessThan(largestError);
}

function noNegativeZero(value: number): number {
  return value === 0 ? 0 : value;
}

describe.each(Object.keys(opCases))('%s', (name) => {
  const bitsByIsa = new Map<string, ReadonlyMap<OpCase, ArrayLike<number>>>();

  test.each(isas)('conforms on %s with any number of workers and any layout', { timeout: 60_000 }, async (isa) => {
    let bits: ReadonlyMap<OpCase, ArrayLike<number>> = new Map();
    for (const threads of workerCounts) {
      const engine = await engineOf({ isa, threads });
      expect(engine.stats()).toMatchObject({ isa, threads });
      bits = await runCalls(engine, name, bits);
      await runProgram(engine, name, bits);
    }
    for (const [opCase, result] of bits) expectConforms(opCase, result, name);
    bitsByIsa.set(isa, bits);
  });

  test.skipIf(isas.length < 2)('gives the same bits on all kernel sets where the arithmetic is alike', () => {
    const [first, second] = [...bitsByIsa.values()] as [
      ReadonlyMap<OpCase, ArrayLike<number>>,
      ReadonlyMap<OpCase, ArrayLike<number>>,
    ];
    for (const [opCase, bits] of first) {
      if (opCase.sameBitsOnAllIsas !== true) continue;
      expect(
        firstBitDifference(second.get(opCase) as ArrayLike<number>, bits),
        `${name} ${opCase.label}`,
      ).toBeUndefined();
    }
  });
});

describe('the tables', () => {
  /** Kernels without an op of their name: other ops, probes or tests record them. */
  const internalKernels = {
    pack_b: 'matmul and engine.pack',
    pack_quantized: 'engine.packQuantized',
    quantize_rows: 'matmul with quantized weights',
    matmul_quantized: 'matmul',
    embedding_quantized: 'embedding',
    quantize_blocks: 'engine.quantizeModel',
    activation: 'gelu and its like',
    checkpoint: 'test/support',
    probe_fma: 'engine.profile and src/hardware',
    probe_read: 'src/hardware',
    probe_dot: 'src/hardware',
    store_key_values: 'sessions',
    paged_attention: 'sessions',
    paged_attention_parts: 'steps that decode many keys',
    merge_attention_parts: 'steps that decode many keys',
    sequence_attention: 'models that embed texts',
    pool_rows: 'models that embed texts',
    sample: 'programs that generate',
    checksum: 'images of weights',
  };
  /** Ops without a kernel of their name. */
  const activationOps = ['gelu', 'geluTanh', 'silu', 'relu', 'sigmoid', 'tanh', 'exp'];
  const compositeOps = ['multiHeadAttention'];

  test('ops, their cases, and their kernels are the same set', () => {
    const names = Object.keys(ops).sort();
    expect(Object.keys(opCases).sort()).toEqual(names);
    const snakeCase = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    const kernels = names
      .filter((name) => !activationOps.includes(name) && !compositeOps.includes(name))
      .map(snakeCase);
    const reported = loadAddon().kernels.map((kernel) => kernel.name);
    expect([...reported].sort()).toEqual([...kernels, ...Object.keys(internalKernels)].sort());
  });

  test('every op has a docstring in the registry', () => {
    const registry = readFileSync(new URL('../../src/ops/registry.ts', import.meta.url), 'utf8');
    for (const name of Object.keys(ops)) expect(registry).toMatch(new RegExp(`\\*/\\n  ${name},`));
  });

  test('every op has a case without elements', () => {
    for (const [name, cases] of Object.entries(opCases)) {
      expect(
        cases.some((opCase) => opCase.shape.includes(0)),
        name,
      ).toBe(true);
    }
  });
});
