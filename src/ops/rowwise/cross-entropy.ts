// crossEntropy: the negative log-likelihood under softmax of one target per row (native/kernels/cross_entropy.h).
import { TesseraeError } from '../../base/errors.js';
import type { Tensor } from '../../tensor/tensor.js';
import { type CallOptions, checkRank, checkSameShape, checkTensor, defineOp } from '../op.js';
import { recordCopy } from './copy.js';
import { outerOf, type Rows, tileRowsFor } from './row-layout.js';
import { packed, withUnitRows } from './rows.js';

export interface CrossEntropyArgs extends CallOptions {
  readonly logits: Tensor;
  readonly targets: Tensor;
}

const op = 'crossEntropy';

export const crossEntropy = defineOp({
  name: op,
  parameters: ['logits', 'targets'],
  inPlace: () => false,
  args: (logits: Tensor, targets: Tensor, options: CallOptions = {}): CrossEntropyArgs => ({
    logits,
    targets,
    ...options,
  }),
  operands: ({ logits, targets }) => [logits, targets],
  infer({ logits, targets }) {
    checkTensor(logits, op, 'logits', 'f32');
    checkRank(logits, op, 'logits', 1);
    checkTensor(targets, op, 'targets', 'i32');
    checkSameShape(targets, logits.shape.slice(0, -1), op, 'targets');
    if (logits.shape.at(-1) === 0) throw new TesseraeError('ERR_SHAPE', 'a row without elements has no target', { op });
    return { shape: targets.shape, dtype: 'f32' };
  },
  record(recorder, { logits, targets }, out) {
    const columns = logits.shape.at(-1) as number;
    let index = targets;
    let to = out;
    const layoutOf = (from: Tensor) => outerOf(from.shape, [from.strides, [...index.strides, 0], [...to.strides, 0]]);
    let from = withUnitRows(recorder, logits);
    let layout = layoutOf(from);
    if (layout === undefined) {
      from = packed(recorder, logits);
      index = packed(recorder, targets);
      if (!out.isContiguous) to = recorder.temporary(out.shape);
      layout = layoutOf(from) as Rows;
    }
    const { rows, outer, strides } = layout;
    const tileRows = tileRowsFor(rows, columns, recorder.threads);
    const step = {
      kernel: 'cross_entropy',
      tiles: Math.ceil(rows / tileRows),
      flops: 20 * rows * columns,
      reads: [from, index],
      writes: [to],
    };
    recorder.emit(step, (params) =>
      params.pointer(from).pointer(index).pointer(to).int(columns).int(tileRows).ints(outer).ints(strides.flat()),
    );
    if (to !== out) recordCopy(recorder, to, out);
  },
});
