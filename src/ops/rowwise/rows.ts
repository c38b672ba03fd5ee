// How row-wise and element-wise ops record themselves: as rows (row-layout.ts), where the operands have that layout.
// What does not fit is copied by the `copy` op first, which then shows in the statistics under that name.
import type { ParamWriter } from '../../program/param-writer.js';
import type { Recorder, StepDescription } from '../../program/recorder.js';
import { broadcastStrides, collapse, elementCount } from '../../tensor/layout/layout.js';
import { Tensor } from '../../tensor/tensor.js';
import { recordCopy } from './copy.js';
import { type Rows, rowsOf, tileRowsFor } from './row-layout.js';

/** Shapes of element-wise work without rows to share: cut a flat run of elements into rows of this length. */
const flatColumns = 4096;

export interface RowStep {
  readonly kernel: string;
  readonly flopsPerElement: number;
  readonly quantizes?: boolean;
  /** Operands of exactly the output's shape, then the output itself as the last. */
  readonly tensors: readonly Tensor[];
  /** Other tensors that the kernel reads: weights, for instance. */
  readonly alsoReads?: readonly (Tensor | undefined)[];
  /** The parameters, given the tensors as the kernel gets them. */
  readonly write: (params: ParamWriter, tensors: readonly Tensor[], rows: Rows, tileRows: number) => void;
}

/** Records an op that treats each row of the last dimension by itself. */
export function recordRows(recorder: Recorder, step: RowStep): void {
  const { shape } = step.tensors.at(-1) as Tensor;
  withDirectLayout(recorder, step.tensors, (tensors) => {
    const rows = rowsOf(shape, tensors) as Rows;
    emitRows(recorder, step, tensors, rows);
  });
}

/** Records an op that treats each element by itself: rows may be cut and joined at will. */
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
    // One run in every operand: rows of a handy length, and a step of its own for what is left over.
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
 * Calls `record` with tensors whose layout the kernels take: those that do not fit are copied into temporaries before,
 * and the last one, the output, out of one afterwards.
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

/** The tensor itself when its elements are packed, else a packed copy in a temporary. */
export function packed(recorder: Recorder, tensor: Tensor): Tensor {
  if (tensor.isContiguous) return tensor;
  const copy = recorder.temporary(tensor.shape, tensor.dtype);
  recordCopy(recorder, tensor, copy);
  return copy;
}

/** Kernels take a bias of one value for each column, or one value for all. */
export function withUnitOrNoStride(recorder: Recorder, bias: Tensor | undefined): Tensor | undefined {
  return bias === undefined || bias.size === 1 || (bias.strides[0] as number) <= 1 ? bias : packed(recorder, bias);
}

/** A row-major window over a run of elements that starts `start` elements behind the tensor's first. */
function window(tensor: Tensor, start: number, shape: readonly number[]): Tensor {
  return new Tensor({
    dtype: tensor.dtype,
    shape,
    offset: tensor.offset + start,
    storage: tensor.storage,
    base: tensor,
  });
}

/** The tensor read as the larger shape, without a copy. */
export function broadcastTo(tensor: Tensor, shape: readonly number[], op: string): Tensor {
  if (tensor.rank === shape.length && tensor.shape.every((size, dim) => size === shape[dim])) return tensor;
  return new Tensor({
    dtype: tensor.dtype,
    shape,
    strides: broadcastStrides(tensor.shape, tensor.strides, shape, op),
    offset: tensor.offset,
    storage: tensor.storage,
    base: tensor,
  });
}
