// Activations in 8 bits, as the quantized products take them: rows of blocks (native/kernels/quantized_rows.h). They live
// only inside a program.
import type { Recorder } from '../program/recorder.js';
import { elementCount } from '../tensor/layout.js';
import type { Tensor } from '../tensor/tensor.js';
import { packed, rowsOf, tileRowsFor } from './rows.js';

/** Activations of a block, and its bytes: ActivationBlock. */
const blockElements = 32;
const blockBytes = 48;

/** Records the rows of f32 `x` [..., columns] as blocks; columns is a multiple of 32. Gives the rows one after another. */
export function recordQuantizeRows(recorder: Recorder, x: Tensor): Tensor {
  const columns = x.shape.at(-1) as number;
  const direct = rowsOf(x.shape, [x]) === undefined ? packed(recorder, x) : x;
  const { rows, outer, strides } = rowsOf(x.shape, [direct]) as NonNullable<ReturnType<typeof rowsOf>>;
  const y = recorder.temporary([elementCount(x.shape.slice(0, -1)), (columns / blockElements) * blockBytes], 'i8');
  const tileRows = tileRowsFor(rows, columns, recorder.threads);
  const step = {
    kernel: 'quantize_rows',
    tiles: Math.ceil(rows / tileRows),
    flops: 3 * rows * columns,
    reads: [direct],
    writes: [y],
  };
  recorder.emit(step, (params) =>
    params.pointer(direct).pointer(y).int(columns).int(tileRows).ints(outer).ints(strides.flat()),
  );
  return y;
}
