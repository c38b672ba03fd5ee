// The element-wise ops: scale, the activations, siluMul, and add and mul with broadcasting (native/kernels/scale.h,
// activation.h, silu_mul.h, binary.h).
import type { Recorder } from '../../program/recorder.js';
import { broadcastShapes, elementCount } from '../../tensor/layout/layout.js';
import type { Tensor } from '../../tensor/tensor.js';
import { type CallOptions, checkNumber, checkSameShape, checkTensor, defineOp } from '../op.js';
import { joinedGated } from '../quantized/gated-unit.js';
import { recordCopy } from './copy.js';
import { outerOf, type Rows, tileRowsFor } from './row-layout.js';
import { broadcastTo, recordElements } from './rows.js';

/** The numbers of Activation in native/kernels/activation.h. */
export const activationCodes = {
  none: 0,
  relu: 1,
  silu: 2,
  gelu: 3,
  geluTanh: 4,
  sigmoid: 5,
  tanh: 6,
  exp: 7,
} as const;

/** `gelu` is the exact function, with erf; `geluTanh` is its tanh approximation (Hendrycks and Gimpel 2016). */
export type ActivationName = keyof typeof activationCodes;

export interface UnaryArgs extends CallOptions {
  readonly x: Tensor;
}

export interface ScaleArgs extends UnaryArgs {
  readonly factor: number;
}

export const scale = defineOp({
  name: 'scale',
  parameters: ['x', 'factor'],
  inPlace: () => true,
  args: (x: Tensor, factor: number, options: CallOptions = {}): ScaleArgs => ({ x, factor, ...options }),
  operands: ({ x }) => [x],
  infer({ x, factor }) {
    checkTensor(x, 'scale', 'x', 'f32');
    if (typeof factor !== 'number' || !Number.isNaN(factor)) checkNumber(factor, 'scale', 'factor');
    return { shape: x.shape, dtype: 'f32' };
  },
  record(recorder, { x, factor }, out) {
    recordElements(recorder, {
      kernel: 'scale',
      flopsPerElement: 1,
      tensors: [asRow(x), asRow(out)],
      write: (params, [from, to], { columns, outer, strides }, tileRows) =>
        params.pointer(from).pointer(to).double(factor).int(columns).int(tileRows).ints(outer).ints(strides.flat()),
    });
  },
});

/** The op of one activation; all activations have the same kernel. */
function activationOp(name: Exclude<ActivationName, 'none'>) {
  return defineOp({
    name,
    parameters: ['x'],
    inPlace: () => true,
    args: (x: Tensor, options: CallOptions = {}): UnaryArgs => ({ x, ...options }),
    operands: ({ x }) => [x],
    infer({ x }) {
      checkTensor(x, name, 'x', 'f32');
      return { shape: x.shape, dtype: 'f32' };
    },
    record(recorder, { x }, out) {
      recordElements(recorder, {
        kernel: 'activation',
        flopsPerElement: 20,
        tensors: [asRow(x), asRow(out)],
        write: (params, [from, to], { columns, outer, strides }, tileRows) =>
          params
            .pointer(from)
            .pointer(to)
            .int(activationCodes[name])
            .int(columns)
            .int(tileRows)
            .ints(outer)
            .ints(strides.flat()),
      });
    },
  });
}

export const relu = activationOp('relu');
export const silu = activationOp('silu');
export const gelu = activationOp('gelu');
export const geluTanh = activationOp('geluTanh');
export const sigmoid = activationOp('sigmoid');
export const tanh = activationOp('tanh');
export const exp = activationOp('exp');

export interface SiluMulArgs extends CallOptions {
  readonly gate: Tensor;
  readonly up: Tensor;
}

export const siluMul = defineOp({
  name: 'siluMul',
  parameters: ['gate', 'up'],
  inPlace: () => true,
  args: (gate: Tensor, up: Tensor, options: CallOptions = {}): SiluMulArgs => ({ gate, up, ...options }),
  operands: ({ gate, up }) => [gate, up],
  infer({ gate, up }) {
    checkTensor(gate, 'siluMul', 'gate', 'f32');
    checkTensor(up, 'siluMul', 'up', 'f32');
    checkSameShape(up, gate.shape, 'siluMul', 'up');
    return { shape: gate.shape, dtype: 'f32' };
  },
  record(recorder, { gate, up }, out) {
    if (out === gate && joinedGated(recorder, 'siluMul', gate, up)) return;
    recordElements(recorder, {
      kernel: 'silu_mul',
      quantizes: true,
      flopsPerElement: 21,
      tensors: [asRow(gate), asRow(up), asRow(out)],
      write: (params, [g, u, y], { columns, outer, strides }, tileRows) =>
        params
          .pointer(g)
          .pointer(u)
          .pointer(y)
          .int(columns)
          .int(tileRows)
          .ints(outer)
          .ints(strides.flat())
          .pointer(undefined),
    });
  },
});

export interface BinaryArgs extends CallOptions {
  readonly a: Tensor;
  readonly b: Tensor;
}

/** add or mul; the operands are broadcast to a common shape. */
function binaryOp(name: 'add' | 'mul') {
  return defineOp({
    name,
    parameters: ['a', 'b'],
    inPlace: () => true,
    args: (a: Tensor, b: Tensor, options: CallOptions = {}): BinaryArgs => ({ a, b, ...options }),
    operands: ({ a, b }) => [a, b],
    infer({ a, b }) {
      checkTensor(a, name, 'a', 'f32');
      checkTensor(b, name, 'b', 'f32');
      return { shape: broadcastShapes(a.shape, b.shape, name), dtype: 'f32' };
    },
    record(recorder, { a, b }, out) {
      if (name === 'mul' && out === a && joinedGated(recorder, 'mul', a, b)) return;
      const left = asRow(broadcastTo(a, out.shape, name));
      const right = asRow(broadcastTo(b, out.shape, name));
      if (left.isContiguous && right.isContiguous && out.isContiguous) {
        recordElements(recorder, {
          kernel: name,
          flopsPerElement: 1,
          tensors: [left, right, asRow(out)],
          write: (params, [l, r, y], { columns, outer, strides }, tileRows) =>
            params
              .pointer(l)
              .pointer(r)
              .pointer(y)
              .int(columns)
              .int(tileRows)
              .ints([1, 1])
              .ints(outer)
              .ints(strides.flat()),
        });
      } else {
        recordBroadcast(recorder, name, left, right, asRow(out));
      }
    },
  });
}

export const add = binaryOp('add');
export const mul = binaryOp('mul');

/** Records add or mul of operands that are broadcast or not contiguous. The kernel takes strides of 0 or 1 along the row. */
function recordBroadcast(recorder: Recorder, kernel: string, a: Tensor, b: Tensor, out: Tensor): void {
  const last = out.rank - 1;
  const columns = out.shape[last] as number;
  const stepOf = (tensor: Tensor) => (columns === 1 ? 1 : (tensor.strides[last] as number));
  let operands = [a, b, out];
  let rows =
    stepOf(a) <= 1 && stepOf(b) <= 1 && stepOf(out) === 1 ? outerOf(out.shape, stridesOf(operands)) : undefined;
  if (rows === undefined) {
    operands = [copied(recorder, a), copied(recorder, b), out.isContiguous ? out : recorder.temporary(out.shape)];
    rows = outerOf(out.shape, stridesOf(operands)) as Rows;
  }
  const [left, right, direct] = operands as [Tensor, Tensor, Tensor];
  const { outer, strides } = rows;
  const tileRows = tileRowsFor(rows.rows, columns, recorder.threads);
  const description = {
    kernel,
    tiles: Math.ceil(rows.rows / tileRows),
    flops: elementCount(out.shape),
    reads: [left, right],
    writes: [direct],
  };
  recorder.emit(description, (params) =>
    params
      .pointer(left)
      .pointer(right)
      .pointer(direct)
      .int(columns)
      .int(tileRows)
      .int(stepOf(left))
      .int(stepOf(right))
      .ints(outer)
      .ints(strides.flat()),
  );
  if (direct !== out) recordCopy(recorder, direct, out);
}

function stridesOf(tensors: readonly Tensor[]): (readonly number[])[] {
  return tensors.map((tensor) => tensor.strides);
}

function copied(recorder: Recorder, tensor: Tensor): Tensor {
  const copy = recorder.temporary(tensor.shape, tensor.dtype);
  recordCopy(recorder, tensor, copy);
  return copy;
}

/** A scalar as a row of one element; any other tensor unchanged. */
function asRow(tensor: Tensor): Tensor {
  return tensor.rank === 0 ? tensor.reshape([1]) : tensor;
}
