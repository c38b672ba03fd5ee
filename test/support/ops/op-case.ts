// A case of the conformance suite: an op with its operands and the expected result. The tables of cases are in
// op-cases-*.ts, the suite is test/ops/conformance.test.ts.
import type { OpMethods } from '../../../src/ops/calls/methods.js';
import type { DType } from '../../../src/tensor/elements/dtype.js';
import { elementCount } from '../../../src/tensor/layout/layout.js';
import type { Tensor } from '../../../src/tensor/tensor.js';
import { type Numbers, roundedToHalf } from '../numbers.js';

/** An engine or a program builder. */
export type OpHost = OpMethods<unknown>;

/** Elements in row-major order. Values of 16-bit operands can be represented in their type. */
export type Values = Float32Array | Int32Array | Int8Array;

export interface Operand {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly values: Values;
}

export type TensorsByName = Readonly<Record<string, Tensor>>;

export interface OpCase {
  readonly label: string;
  readonly operands: Readonly<Record<string, Operand>>;
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** The contents of `out` before the call, for an op that writes only parts of it; such an op needs `out`. */
  readonly initial?: Values;
  /** Whether the arithmetic is exact, so that every kernel set must give the oracle's numbers. */
  readonly exact?: boolean;
  /** Whether all kernel sets give the same bits. */
  readonly sameBitsOnAllIsas?: boolean;
  call(host: OpHost, tensors: TensorsByName, options: { readonly out?: Tensor }): unknown;
  /** The result of a naive computation in float64. */
  expected(): ArrayLike<number>;
}

export function floatOperand(numbers: Numbers, shape: readonly number[], scale = 1): Operand {
  return { dtype: 'f32', shape, values: numbers.floats(elementCount(shape), scale) };
}

export function integerOperand(numbers: Numbers, shape: readonly number[], most = 4): Operand {
  return { dtype: 'f32', shape, values: numbers.smallIntegers(elementCount(shape), most) };
}

export function halfOperand(numbers: Numbers, shape: readonly number[], dtype: 'f16' | 'bf16' = 'f16'): Operand {
  return { dtype, shape, values: roundedToHalf(numbers.floats(elementCount(shape)), dtype) };
}

export function indexOperand(numbers: Numbers, shape: readonly number[], low: number, high: number): Operand {
  return { dtype: 'i32', shape, values: numbers.integers(elementCount(shape), low, high) };
}

/** The element of a broadcast operand at a row-major position of `shape`. */
export function broadcastAt(operand: Operand, shape: readonly number[], position: number): number {
  let rest = position;
  let index = 0;
  let stride = 1;
  for (let fromEnd = 1; fromEnd <= operand.shape.length; fromEnd++) {
    const size = shape[shape.length - fromEnd] as number;
    const own = operand.shape[operand.shape.length - fromEnd] as number;
    if (own !== 1) index += (rest % size) * stride;
    rest = Math.floor(rest / size);
    stride *= own;
  }
  return operand.values[index] as number;
}
