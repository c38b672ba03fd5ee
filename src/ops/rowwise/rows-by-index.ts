// The ops with row or column indices: embedding reads rows by index, scatter writes rows by index, argmax gives the index
// of the maximum (native/kernels/embedding.h, scatter.h, argmax.h).
import { formatShape, TesseraeError } from '../../base/errors.js';
import type { Recorder } from '../../program/recorder.js';
import { dtypes } from '../../tensor/elements/dtype.js';
import type { Tensor } from '../../tensor/tensor.js';
import { imageOf } from '../matrix-image.js';
import { type CallOptions, checkRank, checkTensor, defineOp } from '../op.js';
import { QuantizedMatrix } from '../quantized/quantized-matrix.js';
import { quantizedTypes } from '../quantized/quantized-type.js';
import { recordCopy } from './copy.js';
import { outerOf, type Rows, tileRowsFor } from './row-layout.js';
import { broadcastTo, hasUnitRows, packed, withUnitRows } from './rows.js';

export interface EmbeddingArgs extends CallOptions {
  readonly table: Tensor | QuantizedMatrix;
  readonly ids: Tensor;
}

/** @throws TesseraeError unless the table is a float matrix [rows, columns] */
function checkTable(table: unknown, op: string, name: string): asserts table is Tensor {
  checkTensor(table, op, name, 'f32', 'f16', 'bf16');
  if (table.rank !== 2) {
    throw new TesseraeError('ERR_SHAPE', `${name} must be [rows, columns], got ${formatShape(table.shape)}`, { op });
  }
}

export const embedding = defineOp({
  name: 'embedding',
  parameters: ['table', 'ids'],
  inPlace: () => false,
  args: (table: Tensor | QuantizedMatrix, ids: Tensor, options: CallOptions = {}): EmbeddingArgs => ({
    table,
    ids,
    ...options,
  }),
  operands: ({ table, ids }) => [table instanceof QuantizedMatrix ? imageOf(table) : table, ids],
  infer({ table, ids }) {
    if (!(table instanceof QuantizedMatrix)) checkTable(table, 'embedding', 'table');
    checkTensor(ids, 'embedding', 'ids', 'i32');
    return { shape: [...ids.shape, table.shape[1] as number], dtype: 'f32' };
  },
  record(recorder, { table, ids }, out) {
    const columns = out.shape.at(-1) as number;
    const index = packed(recorder, ids);
    const to = out.isContiguous ? out : recorder.temporary(out.shape);
    const source = embeddingSource(recorder, table);
    const { outer, strides, rows } = outerOf(to.shape, [[...index.strides, 0], to.strides]) as Rows;
    const tileRows = tileRowsFor(rows, columns, recorder.threads);
    const step = {
      kernel: source.kernel,
      tiles: Math.ceil(rows / tileRows),
      flops: 0,
      reads: [source.data, index],
      writes: [to],
    };
    recorder.emit(step, (params) =>
      params
        .pointer(source.data)
        .ints(source.words)
        .pointer(index)
        .pointer(to)
        .int(columns)
        .int(tileRows)
        .ints(outer)
        .ints(strides.flat()),
    );
    if (to !== out) recordCopy(recorder, to, out);
  },
});

/** The kernel for the type of table, the tensor with the rows, and the parameters between it and the indices. */
function embeddingSource(recorder: Recorder, table: Tensor | QuantizedMatrix) {
  const rows = table.shape[0] as number;
  if (table instanceof QuantizedMatrix) {
    return { kernel: 'embedding_quantized', data: imageOf(table), words: [quantizedTypes[table.type].code, rows] };
  }
  const data = withUnitRows(recorder, table);
  return { kernel: 'embedding', data, words: [dtypes[data.dtype].code, rows, data.strides[0] as number] };
}

export interface ScatterArgs extends CallOptions {
  readonly x: Tensor;
  readonly ids: Tensor;
}

export const scatter = defineOp({
  name: 'scatter',
  parameters: ['x', 'ids'],
  inPlace: () => false,
  args: (x: Tensor, ids: Tensor, options: CallOptions = {}): ScatterArgs => ({ x, ids, ...options }),
  operands: ({ x, ids }) => [x, ids],
  infer({ x, ids, out }) {
    checkTensor(x, 'scatter', 'x', 'f32');
    checkRank(x, 'scatter', 'x', 2);
    checkTensor(ids, 'scatter', 'ids', 'i32');
    broadcastTo(ids, x.shape.slice(0, -1), 'scatter');
    checkTensor(out, 'scatter', 'out', 'f32', 'f16');
    const expected = x.shape.with(-2, out.shape.at(-2) ?? 0);
    if (out.rank !== x.rank || expected.some((size, dim) => size !== out.shape[dim])) {
      const message = `out and x may differ only in the number of rows, got ${formatShape(out.shape)} and ${formatShape(x.shape)}`;
      throw new TesseraeError('ERR_SHAPE', message, { op: 'scatter' });
    }
    if (out.size === 0 && x.size > 0) {
      throw new TesseraeError('ERR_SHAPE', `out ${formatShape(out.shape)} has no rows to write to`, { op: 'scatter' });
    }
    return { shape: out.shape, dtype: out.dtype };
  },
  record(recorder, { x, ids }, out) {
    if (x.size === 0) return;
    const columns = x.shape.at(-1) as number;
    const rowDim = x.rank - 2;
    if (!hasUnitRows(out)) {
      throw new TesseraeError('ERR_SHAPE', 'the rows of out must have unit stride', { op: 'scatter' });
    }
    const from = withUnitRows(recorder, x);
    const index = broadcastTo(ids, x.shape.slice(0, -1), 'scatter');
    // The stride of the table over the rows is 0: the indices select the row.
    const tableStrides = out.strides.with(rowDim, 0);
    const layout = outerOf(x.shape, [from.strides, [...index.strides, 0], tableStrides]);
    if (layout === undefined) {
      throw new TesseraeError('ERR_SHAPE', 'too many dimensions that do not merge', { op: 'scatter' });
    }
    const tileRows = tileRowsFor(layout.rows, columns, recorder.threads);
    const step = {
      kernel: 'scatter',
      tiles: Math.ceil(layout.rows / tileRows),
      flops: 0,
      reads: [from, index],
      writes: [out],
    };
    recorder.emit(step, (params) =>
      params
        .pointer(from)
        .pointer(index)
        .pointer(out)
        .dtype(out)
        .int(out.shape[rowDim] as number)
        .int(out.strides[rowDim] as number)
        .int(columns)
        .int(tileRows)
        .ints(layout.outer)
        .ints(layout.strides.flat()),
    );
  },
});

export interface ArgmaxArgs extends CallOptions {
  readonly x: Tensor;
}

export const argmax = defineOp({
  name: 'argmax',
  parameters: ['x'],
  inPlace: () => false,
  args: (x: Tensor, options: CallOptions = {}): ArgmaxArgs => ({ x, ...options }),
  operands: ({ x }) => [x],
  infer({ x }) {
    checkTensor(x, 'argmax', 'x', 'f32');
    checkRank(x, 'argmax', 'x', 1);
    const columns = x.shape.at(-1) as number;
    if (columns === 0) throw new TesseraeError('ERR_SHAPE', 'a row without elements has no maximum', { op: 'argmax' });
    if (columns >= 2 ** 31) throw new TesseraeError('ERR_SHAPE', 'rows must be shorter than 2^31', { op: 'argmax' });
    return { shape: x.shape.slice(0, -1), dtype: 'i32' };
  },
  record(recorder, { x }, out) {
    const columns = x.shape.at(-1) as number;
    let from = withUnitRows(recorder, x);
    let to = out;
    let layout = outerOf(from.shape, [from.strides, [...to.strides, 0]]);
    if (layout === undefined) {
      from = packed(recorder, x);
      if (!out.isContiguous) to = recorder.temporary(out.shape, 'i32');
      layout = outerOf(from.shape, [from.strides, [...to.strides, 0]]) as Rows;
    }
    const { rows, outer, strides } = layout;
    const tileRows = tileRowsFor(rows, columns, recorder.threads);
    const step = {
      kernel: 'argmax',
      tiles: Math.ceil(rows / tileRows),
      flops: rows * columns,
      reads: [from],
      writes: [to],
    };
    recorder.emit(step, (params) =>
      params.pointer(from).pointer(to).int(columns).int(tileRows).ints(outer).ints(strides.flat()),
    );
    if (to !== out) recordCopy(recorder, to, out);
  },
});
