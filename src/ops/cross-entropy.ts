// crossEntropy: the negative log likelihood of one target per row under softmax (native/kernels/cross_entropy.h).
import { TesseraeError } from '../errors.js';
import type { Tensor } from '../tensor/tensor.js';
import { type CallOptions, checkRank, checkSameShape, checkTensor, defineOp } from './op.js';
import { outerOf, packed, tileRowsFor } from './rows.js';

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
    ...options,
    logits,
    targets,
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
    const stridesOf = (x: Tensor) => [x.strides, [...targets.strides, 0], [...out.strides, 0]];
    const direct = columns === 1 || logits.strides.at(-1) === 1 ? logits : packed(recorder, logits);
    let from = direct;
    let layout = outerOf(from.shape, stridesOf(from));
    if (layout === undefined) {
      from = packed(recorder, logits);
      layout = outerOf(from.shape, stridesOf(from));
    }
    if (layout === undefined) throw new TesseraeError('ERR_SHAPE', 'targets or out have too many strides', { op });
    const { rows, outer, strides } = layout;
    const tileRows = tileRowsFor(rows, columns, recorder.threads);
    const step = {
      kernel: 'cross_entropy',
      tiles: Math.ceil(rows / tileRows),
      flops: 20 * rows * columns,
      reads: [from, targets],
      writes: [out],
    };
    recorder.emit(step, (params) =>
      params.pointer(from).pointer(targets).pointer(out).int(columns).int(tileRows).ints(outer).ints(strides.flat()),
    );
  },
});
