// copy: the same elements in another layout, or converted between f32 and f16 or bf16 (native/kernels/copy.h). Other ops
// record it for operands in a layout that their kernels do not take.
import { TesseraeError } from '../../base/errors.js';
import type { Recorder } from '../../program/recorder.js';
import { checkDType, type DType } from '../../tensor/elements/dtype.js';
import { collapse, elementCount, MAX_RANK } from '../../tensor/layout/layout.js';
import type { Tensor } from '../../tensor/tensor.js';
import { type CallOptions, checkTensor, defineOp } from '../op.js';
import { padFront, tileRowsFor } from './row-layout.js';

export interface CopyOptions extends CallOptions {
  /** The element type of the result; by default that of x. Only f32 and f16, and f32 and bf16, convert to each other. */
  readonly dtype?: DType | undefined;
}

export interface CopyArgs extends CopyOptions {
  readonly x: Tensor;
}

export const copy = defineOp({
  name: 'copy',
  parameters: ['x', 'dtype'],
  inPlace: () => false,
  args: (x: Tensor, options: CopyOptions = {}): CopyArgs => ({ x, ...options }),
  operands: ({ x }) => [x],
  infer({ x, dtype, out }) {
    checkTensor(x, 'copy', 'x', 'f32', 'f16', 'bf16', 'i8', 'i32');
    const type = checkDType(dtype ?? out?.dtype ?? x.dtype, 'copy');
    const widens = (from: DType, to: DType) => (from === 'f16' || from === 'bf16') && to === 'f32';
    if (type !== x.dtype && !widens(x.dtype, type) && !widens(type, x.dtype)) {
      throw new TesseraeError('ERR_DTYPE', `${x.dtype} does not convert to ${type}`, { op: 'copy' });
    }
    return { shape: x.shape, dtype: type };
  },
  record: (recorder, { x }, out) => recordCopy(recorder, x, out),
});

/** Tiles have a multiple of this many rows, so that the kernel's blocks of a transposition have no edges. */
const transposeRows = 8;

/** Records a copy between tensors of the same shape and element type, or of f32 and a 16-bit type. */
export function recordCopy(recorder: Recorder, from: Tensor, to: Tensor): void {
  const { shape, strides } = collapse(to.shape, [from.strides, to.strides]);
  const columns = shape.at(-1) ?? 1;
  const rows = elementCount(shape) / columns;
  const shared = tileRowsFor(rows, columns, recorder.threads);
  const tileRows = Math.min(rows, Math.ceil(shared / transposeRows) * transposeRows);
  const step = { kernel: 'copy', tiles: Math.ceil(rows / tileRows), flops: 0, reads: [from], writes: [to] };
  recorder.emit(step, (params) =>
    params
      .pointer(from)
      .pointer(to)
      .dtype(from)
      .dtype(to)
      .int(tileRows)
      .ints(padFront(shape, 1, MAX_RANK))
      .ints(padFront(strides[0] as number[], 0, MAX_RANK))
      .ints(padFront(strides[1] as number[], 0, MAX_RANK)),
  );
}
