// Recording of row-wise and element-wise ops as rows (row-layout.ts), and helpers that copy operands whose layout a kernel
// does not take. The copies are steps of the op `copy`, so the statistics list them under that name.
import { internal } from '../../base/internal.js';
import type { ParamWriter } from '../../program/param-writer.js';
import type { Recorder, StepDescription } from '../../program/recorder.js';
import { broadcastStrides, collapse, elementCount } from '../../tensor/layout/layout.js';
import { storageOf, Tensor } from '../../tensor/tensor.js';
import { recordCopy } from './copy.js';
import { type Rows, rowsOf, tileRowsFor } from './row-layout.js';

/** Element-wise ops divide a flat run of elements into rows of this length. */
const flatColumns = 4096;

export interface RowStep {
  readonly kernel: string;
  readonly flopsPerElement: number;
  readonly quantizes?: boolean;
  /** The operands, which have the output's shape, and then the output. */
  readonly tensors: readonly Tensor[];
  /** Other tensors that the kernel reads, such as weights. */
  readonly alsoReads?: readonly (Tensor | undefined)[];
  /** Writes the parameters. It gets `tensors`, or copies of them, in a layout that the kernel takes. */
  readonly write: (params: ParamWriter, tensors: readonly Tensor[], rows: Rows, tileRows: number) => void;
}

/** Records an op that computes each row of the last dimension separately. */
export function recordRows(recorder: Recorder, step: RowStep): void {
  const { shape } = step.tensors.at(-1) as Tensor;
  withDirectLayout(recorder, step.tensors, (tensors) => {
    const rows = rowsOf(shape, tensors) as Rows;
    emitRows(recorder, step, tensors, rows);
  });
}

/** Records an op that computes each element separately, so that rows may be split and joined. */
export function recordElements(recorder: Recorder, step: RowStep): void {
  withDirectLayout(recorder, step.tensors, (tensors) => {
    const { shape } = tensors.at(-1) as Tensor;
    const flat = collapse(
      shape,
      tensors.map((tensor) => tensor.strides),
    );
    const oneRun = flat.shape.length === 1 && flat.strides.every((strides) => strides[0] === 1);
    if (!oneRun || elementCount(shape) <= flatColumns) {
      emitRows(recorder, step, tensors, rowsOf(shape, tensors) as Rows);
      return;
    }
    // All operands are one run: divide it into rows, with a step of its own for the rest.
    const size = elementCount(shape);
    const rows = Math.floor(size / flatColumns);
    const body = tensors.map((tensor) => window(tensor, 0, [rows, flatColumns]));
    emitRows(recorder, step, body, rowsOf([rows, flatColumns], body) as Rows);
    const rest = size - rows * flatColumns;
    if (rest === 0) return;
    const tail = tensors.map((tensor) => window(tensor, rows * flatColumns, [1, rest]));
    emitRows(recorder, step, tail, rowsOf([1, rest], tail) as Rows);
  });
}

function emitRows(recorder: Recorder, step: RowStep, tensors: readonly Tensor[], rows: Rows): void {
  const tileRows = tileRowsFor(rows.rows, rows.columns, recorder.threads);
  const description: StepDescription = {
    kernel: step.kernel,
    tiles: Math.ceil(rows.rows / tileRows),
    flops: step.flopsPerElement * rows.rows * rows.columns,
    quantizes: step.quantizes,
    reads: [...tensors.slice(0, -1), ...(step.alsoReads ?? [])],
    writes: [tensors.at(-1) as Tensor],
  };
  recorder.emit(description, (params) => step.write(params, tensors, rows, tileRows));
}

/**
 * Calls `record` with tensors in a layout that the kernels take. If the given ones do not have it, operands are copied to
 * temporaries before, and the output, which is the last one, is copied from a temporary afterwards.
 */
function withDirectLayout(
  recorder: Recorder,
  tensors: readonly Tensor[],
  record: (tensors: readonly Tensor[]) => void,
): void {
  const out = tensors.at(-1) as Tensor;
  if (rowsOf(out.shape, tensors) !== undefined) {
    record(tensors);
    return;
  }
  const inputs = tensors.slice(0, -1).map((tensor) => packed(recorder, tensor));
  const direct = out.isContiguous ? out : recorder.temporary(out.shape, out.dtype);
  record([...inputs, direct]);
  if (direct !== out) recordCopy(recorder, direct, out);
}

/** The tensor itself if its elements are packed, else a packed copy in a temporary. */
export function packed(recorder: Recorder, tensor: Tensor): Tensor {
  if (tensor.isContiguous) return tensor;
  const copy = recorder.temporary(tensor.shape, tensor.dtype);
  recordCopy(recorder, tensor, copy);
  return copy;
}

/** Whether the elements of the last dimension are neighbours in memory. */
export function hasUnitRows(tensor: Tensor): boolean {
  return tensor.strides.at(-1) === 1 || tensor.shape.at(-1) === 1;
}

/** The tensor itself if its rows have unit stride, else a packed copy in a temporary. */
export function withUnitRows(recorder: Recorder, tensor: Tensor): Tensor {
  return hasUnitRows(tensor) ? tensor : packed(recorder, tensor);
}

/** A bias as kernels take it: packed, with one value for each column, or one value for all. */
export function withUnitOrNoStride(recorder: Recorder, bias: Tensor | undefined): Tensor | undefined {
  return bias === undefined || bias.size === 1 || (bias.strides[0] as number) <= 1 ? bias : packed(recorder, bias);
}

/** A packed view of a run of elements that begins `start` elements after the tensor's first. */
function window(tensor: Tensor, start: number, shape: readonly number[]): Tensor {
  return new Tensor(internal, {
    dtype: tensor.dtype,
    shape,
    offset: tensor.offset + start,
    storage: storageOf(tensor),
    base: tensor,
  });
}

/** The tensor broadcast to the larger shape, without a copy. */
export function broadcastTo(tensor: Tensor, shape: readonly number[], op: string): Tensor {
  if (tensor.rank === shape.length && tensor.shape.every((size, dim) => size === shape[dim])) return tensor;
  return new Tensor(internal, {
    dtype: tensor.dtype,
    shape,
    strides: broadcastStrides(tensor.shape, tensor.strides, shape, op),
    offset: tensor.offset,
    storage: storageOf(tensor),
    base: tensor,
  });
}
