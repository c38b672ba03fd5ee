// Activations in 8 bits, which are operands of products with quantized weights: rows of blocks
// (native/kernels/quantized_rows.h). They exist only inside a program.
import type { Recorder, Step } from '../../program/recorder.js';
import { elementCount } from '../../tensor/layout/layout.js';
import { storageOf, type Tensor } from '../../tensor/tensor.js';
import { rowsOf, tileRowsFor } from '../rowwise/row-layout.js';
import { packed } from '../rowwise/rows.js';

/** Activations in a block, and the size of a block: ActivationBlock in native/kernels/quantized_rows.h. */
export const blockElements = 32;
const blockBytes = 48;

/** For a step that writes a tensor in 8 bits: the tensor, and the 8-bit rows. */
const quantizedBy = new WeakMap<Step, { readonly x: Tensor; readonly rows: Tensor }>();
/** Number of preceding steps in which such a step is searched. */
const stepsToLookBack = 16;

/**
 * The rows of f32 `x` [..., columns] as blocks, one after another; columns is a multiple of 32. Uses the rows that an
 * earlier step has made of x, or lets the step that computes x write them, or records a step for them.
 */
export function recordQuantizeRows(recorder: Recorder, x: Tensor): Tensor {
  const known = quantizedBefore(recorder, x);
  if (known !== undefined) return known;
  const columns = x.shape.at(-1) as number;
  const y = recorder.temporary([elementCount(x.shape.slice(0, -1)), (columns / blockElements) * blockBytes], 'i8');
  const last = recorder.steps.at(-1);
  if (last !== undefined && canQuantize(last, x)) recorder.addOutput(y);
  else emitQuantizeRows(recorder, x, y);
  quantizedBy.set(recorder.steps.at(-1) as Step, { x, rows: y });
  return y;
}

function quantizedBefore({ steps }: Recorder, x: Tensor): Tensor | undefined {
  for (const step of steps.slice(-stepsToLookBack).reverse()) {
    const quantized = quantizedBy.get(step);
    if (quantized !== undefined && isSameRun(quantized.x, x) && quantized.x.shape.at(-1) === x.shape.at(-1)) {
      return quantized.rows;
    }
    if (step.writes.some((written) => storageOf(written) === storageOf(x))) return undefined;
  }
  return undefined;
}

/** Whether the step computes exactly x, in rows of whole blocks, and can write them in 8 bits as well. */
function canQuantize(step: Step, x: Tensor): boolean {
  const [result] = step.writes;
  if (step.quantizes !== true || result === undefined || quantizedBy.has(step)) return false;
  return isSameRun(result, x) && (result.shape.at(-1) as number) % blockElements === 0;
}

/** Whether both are the same contiguous run of elements. */
export function isSameRun(a: Tensor, b: Tensor): boolean {
  return (
    storageOf(a) === storageOf(b) && a.offset === b.offset && a.size === b.size && a.isContiguous && b.isContiguous
  );
}

function emitQuantizeRows(recorder: Recorder, x: Tensor, y: Tensor): void {
  const columns = x.shape.at(-1) as number;
  const direct = rowsOf(x.shape, [x]) === undefined ? packed(recorder, x) : x;
  const { rows, outer, strides } = rowsOf(x.shape, [direct]) as NonNullable<ReturnType<typeof rowsOf>>;
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
}
