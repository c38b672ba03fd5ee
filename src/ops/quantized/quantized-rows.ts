// Activations in 8 bits, as the quantized products take them: rows of blocks (native/kernels/quantized_rows.h). They live
// only inside a program.
import type { Recorder, Step } from '../../program/recorder.js';
import { elementCount } from '../../tensor/layout/layout.js';
import type { Tensor } from '../../tensor/tensor.js';
import { rowsOf, tileRowsFor } from '../rowwise/row-layout.js';
import { packed } from '../rowwise/rows.js';

/** Activations of a block, and its bytes: ActivationBlock. */
export const blockElements = 32;
const blockBytes = 48;

/** Which tensor a step leaves in 8 bits, and where. */
const quantizedBy = new WeakMap<Step, { readonly x: Tensor; readonly rows: Tensor }>();
/** How far back it is worth looking for such a step. */
const stepsToLookBack = 16;

/**
 * The rows of f32 `x` [..., columns] as blocks, one after another; columns is a multiple of 32. Recorded as a step, or
 * joined to the step that has just computed x, or found where the program has them already.
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
    if (step.writes.some(({ storage }) => storage === x.storage)) return undefined;
  }
  return undefined;
}

/** Whether the step computes exactly x, in rows that are whole blocks. */
function canQuantize({ quantizes, writes }: Step, x: Tensor): boolean {
  const [result] = writes;
  if (quantizes !== true || result === undefined || writes.length > 1) return false;
  return isSameRun(result, x) && (result.shape.at(-1) as number) % blockElements === 0;
}

/** Whether both are the same elements, one after the other in memory. */
function isSameRun(a: Tensor, b: Tensor): boolean {
  return a.storage === b.storage && a.offset === b.offset && a.size === b.size && a.isContiguous && b.isContiguous;
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
