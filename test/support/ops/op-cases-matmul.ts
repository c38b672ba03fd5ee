// The matmul cases of the conformance suite: shapes around every block constant of native/kernels/block_sizes.h, on
// every path, with batches that merge, that are broadcast, and that need copies.

import type { MatmulOptions } from '../../../src/ops/matmul/matmul-args.js';
import { broadcastShapes, elementCount } from '../../../src/tensor/layout/layout.js';
import { Numbers } from '../numbers.js';
import { broadcastAt, floatOperand, halfOperand, integerOperand, type OpCase, type Operand } from './op-case.js';
import { type ActivationName, activations, matmulOracle } from './op-oracles.js';

interface MatmulSpec {
  readonly a: readonly number[];
  readonly b: readonly number[];
  readonly half?: 'f16' | 'bf16';
  readonly exact?: boolean;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  readonly bias?: boolean;
  readonly activation?: ActivationName;
  readonly residual?: boolean;
}

const everything = { bias: true, activation: 'gelu', residual: true } as const;

/** Single products: m, k, n. In turn plain and exact, with bias, and with all options. */
const products: readonly (readonly [m: number, k: number, n: number])[] = [
  [1, 1, 1],
  [5, 7, 15],
  [6, 16, 16],
  [7, 17, 17],
  [12, 31, 33],
  [1, 513, 129],
  [8, 64, 300],
  [300, 64, 8],
  [9, 2049, 9],
  [9, 127, 128],
  [13, 511, 129],
  [16, 512, 257],
  [191, 33, 17],
  [192, 40, 128],
  [193, 513, 18],
  [385, 20, 257],
];

const specs: readonly MatmulSpec[] = [
  ...products.flatMap(([m, k, n], index): MatmulSpec[] => {
    const shapes = { a: [m, k], b: [k, n] };
    const full = {
      ...shapes,
      ...everything,
      ...(index % 2 === 0 && { half: index % 4 === 0 ? ('f16' as const) : ('bf16' as const) }),
    };
    return index % 3 === 0 ? [{ ...shapes, exact: true }, full] : [index % 3 === 1 ? { ...shapes, bias: true } : full];
  }),
  { a: [40, 30], b: [50, 30], transposeB: true, ...everything },
  { a: [7, 520], b: [50, 520], transposeB: true, half: 'f16' },
  { a: [7, 520], b: [50, 520], transposeB: true, half: 'bf16' },
  { a: [30, 40], b: [30, 50], transposeA: true, activation: 'silu' },
  { a: [30, 200], b: [50, 30], transposeA: true, transposeB: true, residual: true },
  { a: [2, 3, 5, 70], b: [70, 90], ...everything },
  { a: [1, 70], b: [3, 70, 90], bias: true },
  { a: [2, 1, 5, 70], b: [1, 3, 70, 90], activation: 'tanh' },
  { a: [4, 200, 30], b: [4, 30, 20], exact: true },
  { a: [3, 200, 30], b: [1, 30, 20], ...everything, half: 'f16' },
  { a: [3, 200, 30], b: [1, 30, 20], ...everything, half: 'bf16' },
  { a: [2, 1, 2, 1, 2, 4, 3], b: [1, 2, 1, 2, 1, 3, 5], ...everything },
  { a: [4, 0], b: [0, 5], ...everything },
  { a: [2, 4, 0], b: [0, 5] },
  { a: [4, 0], b: [0, 5], bias: true, activation: 'exp' },
  { a: [0, 4], b: [4, 5] },
  { a: [4, 4], b: [4, 0] },
  { a: [0, 3, 4], b: [4, 5], bias: true },
];

export const matmulCases: readonly OpCase[] = specs.map((spec, index) => matmulCase(spec, new Numbers(100 + index)));

export function matmulCase(spec: MatmulSpec, numbers: Numbers): OpCase {
  const { exact = false, transposeA = false, transposeB = false } = spec;
  const make = exact ? integerOperand : floatOperand;
  const a = make(numbers, spec.a);
  const b = spec.half !== undefined ? halfOperand(numbers, spec.b, spec.half) : make(numbers, spec.b);
  const [m, k] = matrixOf(spec.a, transposeA);
  const [, n] = matrixOf(spec.b, transposeB);
  const shape = [...broadcastShapes(spec.a.slice(0, -2), spec.b.slice(0, -2)), m, n];
  const operands: Record<string, Operand> = { a, b };
  if (spec.bias === true) operands.bias = make(numbers, [n]);
  if (spec.residual === true) operands.residual = make(numbers, shape);
  const options: MatmulOptions = {
    ...(transposeA && { transposeA }),
    ...(transposeB && { transposeB }),
    ...(spec.activation !== undefined && { activation: spec.activation }),
  };
  const { a: _a, b: _b, exact: _exact, ...rest } = spec;
  return {
    label: `${spec.a.join('x')} · ${spec.b.join('x')} ${Object.keys(rest).join(' ')}`,
    operands,
    shape,
    dtype: 'f32',
    exact,
    // All kernel sets compute the same chain of fused multiply-adds; this does not hold for activations.
    sameBitsOnAllIsas: spec.activation === undefined || spec.activation === 'relu',
    call: (host, { a, b, bias, residual }, out) =>
      host.matmul(a!, b!, { ...options, ...(bias && { bias }), ...(residual && { residual }), ...out }),
    expected: () => expectedProduct({ a, b, operands, shape, m, k, n, spec }),
  };
}

function matrixOf(shape: readonly number[], transposed: boolean): [number, number] {
  const [rows, columns] = shape.slice(-2) as [number, number];
  return transposed ? [columns, rows] : [rows, columns];
}

interface Product {
  readonly a: Operand;
  readonly b: Operand;
  readonly operands: Readonly<Record<string, Operand>>;
  readonly shape: readonly number[];
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly spec: MatmulSpec;
}

function expectedProduct({ a, b, operands, shape, m, k, n, spec }: Product): Float64Array {
  const outer = shape.slice(0, -2);
  const result = new Float64Array(elementCount(shape));
  const activate = activations[spec.activation ?? 'none'];
  for (let batch = 0; batch < elementCount(outer); batch++) {
    const ofA = matrixAt(a, outer, batch);
    const left = spec.transposeA === true ? transposed(ofA, k, m) : ofA;
    const c = matmulOracle(left, matrixAt(b, outer, batch), { m, k, n, transposed: spec.transposeB === true });
    c.forEach((sum, position) => {
      const value = activate(sum + (operands.bias?.values[position % n] ?? 0));
      result[batch * m * n + position] = value + (operands.residual?.values[batch * m * n + position] ?? 0);
    });
  }
  return result;
}

/** The matrix of an operand for one matrix of the batch. */
function matrixAt(operand: Operand, outer: readonly number[], batch: number): ArrayLike<number> {
  const size = elementCount(operand.shape.slice(-2));
  const ownOuter = operand.shape.slice(0, -2);
  const numbered = {
    dtype: 'i32' as const,
    shape: ownOuter,
    values: Int32Array.from({ length: elementCount(ownOuter) }, (_, i) => i),
  };
  const index = broadcastAt(numbered, outer, batch);
  return operand.values.subarray(index * size, (index + 1) * size);
}

function transposed(values: ArrayLike<number>, rows: number, columns: number): Float64Array {
  return Float64Array.from({ length: rows * columns }, (_, position) => {
    return values[(position % rows) * columns + Math.floor(position / rows)] as number;
  });
}
