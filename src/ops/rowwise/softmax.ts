// softmax over the last dimension (native/kernels/softmax.h).
import type { Tensor } from '../../tensor/tensor.js';
import { type CallOptions, checkRank, checkTensor, defineOp } from '../op.js';
import { recordRows } from './rows.js';

export interface SoftmaxArgs extends CallOptions {
  readonly x: Tensor;
}

export const softmax = defineOp({
  name: 'softmax',
  parameters: ['x'],
  inPlace: () => true,
  args: (x: Tensor, options: CallOptions = {}): SoftmaxArgs => ({ x, ...options }),
  operands: ({ x }) => [x],
  infer({ x }) {
    checkTensor(x, 'softmax', 'x', 'f32');
    checkRank(x, 'softmax', 'x', 1);
    return { shape: x.shape, dtype: 'f32' };
  },
  record(recorder, { x }, out) {
    recordRows(recorder, {
      kernel: 'softmax',
      flopsPerElement: 20,
      tensors: [x, out],
      write: (params, [from, to], { columns, outer, strides }, tileRows) =>
        params.pointer(from).pointer(to).int(columns).int(tileRows).ints(outer).ints(strides.flat()),
    });
  },
});
