// Puts operands and outputs of the conformance suite into memory in every layout, with guard cells around them that ops
// must neither read (a NaN there would appear in the result) nor write (they are checked afterwards).
import { dtypes } from '../../../src/tensor/elements/dtype.js';
import { elementCount } from '../../../src/tensor/layout/layout.js';
import type { Tensor } from '../../../src/tensor/tensor.js';
import type { TensorScope } from '../../../src/tensor/tensor-scope.js';
import type { Operand, Values } from './op-case.js';

/**
 * packed: contiguous, aligned to 64 bytes. unaligned: contiguous, 3 elements off. padded: rows of unit stride with gaps in
 * between. transposed: the last two dimensions exchanged in memory. stepped: every second element of every dimension.
 */
export const layoutNames = ['packed', 'unaligned', 'padded', 'transposed', 'stepped'] as const;
export type LayoutName = (typeof layoutNames)[number];

/** Makes a view of `shape`; `base` is the whole memory, with the guard cells. */
function makeView(
  scope: TensorScope,
  { shape, dtype }: Pick<Operand, 'shape' | 'dtype'>,
  layout: LayoutName,
): { base: Tensor; view: Tensor } {
  const rank = shape.length;
  const last = rank - 1;
  if (layout === 'packed' || rank === 0) {
    const base = scope.empty(shape, dtype);
    return { base, view: base };
  }
  if (layout === 'unaligned') {
    const size = elementCount(shape);
    const base = scope.empty([size + 8], dtype);
    return { base, view: base.slice([3, 3 + size]).reshape(shape) };
  }
  if (layout === 'padded') {
    const base = scope.empty(
      shape.map((size, dim) => size + (dim === last ? 5 : 1)),
      dtype,
    );
    return {
      base,
      view: base.slice(...shape.map((size, dim) => (dim === last ? [3, 3 + size] : [1, 1 + size]) as [number, number])),
    };
  }
  if (layout === 'transposed' && rank >= 2) {
    const order = shape.map((_, dim) => (dim < last - 1 ? dim : dim === last ? last - 1 : last));
    const base = scope.empty(
      order.map((dim) => (shape[dim] as number) + 1),
      dtype,
    );
    return {
      base,
      view: base.slice(...order.map((dim) => [1, 1 + (shape[dim] as number)] as [number, number])).transpose(...order),
    };
  }
  const base = scope.empty(
    shape.map((size) => 2 * size + 1),
    dtype,
  );
  return { base, view: base.slice(...shape.map((size) => [1, 1 + 2 * size, 2] as [number, number, number])) };
}

const guards = { f32: 0x7fc0beef | 0, i32: 0x7fc0beef | 0, f16: 0x7e5a, bf16: 0x7fda, i8: 0x5b } as const;

/** The whole memory of a tensor as unsigned integers, for any type. */
function bitsOf(tensor: Tensor): Uint32Array | Uint16Array | Uint8Array {
  const { buffer, byteOffset, length } = tensor.data;
  const Bits = { 4: Uint32Array, 2: Uint16Array, 1: Uint8Array }[dtypes[tensor.dtype].sizeBytes];
  return new (Bits as Uint32ArrayConstructor)(buffer, byteOffset, length);
}

/** A tensor with the operand's values; the cells around them are NaN, for integers a large number. */
export function placeOperand(scope: TensorScope, operand: Operand, layout: LayoutName): Tensor {
  const { base, view } = makeView(scope, operand, layout);
  bitsOf(base).fill(guards[operand.dtype]);
  if (view.size > 0) view.set(operand.values);
  return view;
}

export interface GuardedOutput {
  readonly out: Tensor;
  /** Throws unless only the view's elements were written. */
  checkGuards(label: string): void;
}

/** A tensor for an output, filled with NaN or `initial`, with guard cells around it. */
export function placeOutput(
  scope: TensorScope,
  { shape, dtype, initial }: Pick<Operand, 'shape' | 'dtype'> & { readonly initial?: Values | undefined },
  layout: LayoutName,
): GuardedOutput {
  const { base, view } = makeView(scope, { shape, dtype }, layout);
  const bits = bitsOf(base);
  bits.fill(guards[dtype]);
  if (initial !== undefined && view.size > 0) view.set(initial);
  const guard = new (bits.constructor as Uint32ArrayConstructor)([guards[dtype]])[0] as number;
  const inside = new Uint8Array(base.size);
  if (view.size > 0) markElements(view, inside, view.offset - base.offset, 0);
  const checkGuards = (label: string) => {
    for (let position = 0; position < bits.length; position++) {
      if (inside[position] === 1 || bits[position] === guard) continue;
      throw new Error(`${label}: cell ${position} outside of out was written`);
    }
  };
  return { out: view, checkGuards };
}

/** Sets the cells at the tensor's elements to 1, from dimension `dim` on. */
function markElements(tensor: Tensor, marks: Uint8Array, start: number, dim: number): void {
  const { shape, strides } = tensor;
  if (dim === shape.length) {
    marks[start] = 1;
    return;
  }
  const size = shape[dim] as number;
  const stride = strides[dim] as number;
  for (let index = 0; index < size; index++) {
    if (dim === shape.length - 1) marks[start + index * stride] = 1;
    else markElements(tensor, marks, start + index * stride, dim + 1);
  }
}
