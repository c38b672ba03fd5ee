// Ops that may overwrite an operand with their result give the same bits as with another output, in every layout.
import { expect, test } from 'vitest';
import { ops } from '../../src/ops/registry.js';
import type { Tensor } from '../../src/tensor/tensor.js';
import { firstBitDifference } from '../support/numbers.js';
import type { OpCase, Operand } from '../support/ops/op-case.js';
import { opCases } from '../support/ops/op-cases.js';
import { layoutNames, placeOperand, placeOutput } from '../support/ops/op-layouts.js';
import { isas, sharedEngines } from '../support/running/engines.js';

const engineOf = sharedEngines();

/** For each op, the operands that the result may overwrite. */
const replaceable: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(
    [
      'softmax',
      'rmsNorm',
      'layerNorm',
      'rope',
      'gelu',
      'geluTanh',
      'silu',
      'relu',
      'sigmoid',
      'tanh',
      'exp',
      'scale',
    ].map((name) => [name, ['x']]),
  ),
  siluMul: ['gate', 'up'],
  add: ['a', 'b'],
  mul: ['a', 'b'],
  matmul: ['residual'],
};

/** Whether the operand can be overwritten in this case: it has the result's shape. */
function fits(opCase: OpCase, key: string): boolean {
  const operand = opCase.operands[key] as Operand | undefined;
  return operand !== undefined && JSON.stringify(operand.shape) === JSON.stringify(opCase.shape);
}

const pairs = isas.flatMap((isa) =>
  Object.entries(replaceable).flatMap(([name, keys]) => keys.map((key) => [isa, name, key] as const)),
);

test.each(pairs)('%s: %s over %s', async (isa, name, key) => {
  const engine = await engineOf({ isa, threads: 3 });
  for (const opCase of (opCases[name] as readonly OpCase[]).filter((candidate) => fits(candidate, key))) {
    using expectedScope = engine.scope();
    const place = (scope: typeof expectedScope) =>
      Object.fromEntries(
        Object.entries(opCase.operands).map(([own, operand]) => [own, placeOperand(scope, operand, 'packed')]),
      );
    const expected = expectedScope.track((await opCase.call(engine, place(expectedScope), {})) as Tensor).toArray();
    for (const layout of layoutNames) {
      using scope = engine.scope();
      const label = `${name} ${opCase.label}, ${key} ${layout}`;
      const { out, checkGuards } = placeOutput(
        scope,
        { ...opCase, initial: (opCase.operands[key] as Operand).values },
        layout,
      );
      const tensors = { ...place(scope), [key]: out };
      await opCase.call(engine, tensors, { out });
      expect(firstBitDifference(out.toArray(), expected), label).toBeUndefined();
      checkGuards(label);
    }
  }
});

test('no other op may overwrite an operand', () => {
  const scope = { shape: [1] } as unknown as Tensor;
  const inPlace = Object.entries(ops).filter(([, op]) => op.inPlace(scope, { residual: scope } as never));
  expect(inPlace.map(([name]) => name).sort()).toEqual(Object.keys(replaceable).sort());
});

test('siluMul, add and mul of a tensor with itself, in place', async () => {
  const engine = await engineOf({ threads: 3 });
  using scope = engine.scope();
  for (const name of ['siluMul', 'add', 'mul'] as const) {
    const x = scope.tensor(
      [3, 7],
      Float32Array.from({ length: 21 }, (_, index) => index - 10),
    );
    const expected = scope.track(await engine[name](x, x)).toArray();
    await engine[name](x, x, { out: x });
    expect(firstBitDifference(x.toArray(), expected), name).toBeUndefined();
  }
});
