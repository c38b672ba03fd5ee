// quantize_blocks: floats to the blocks of a GGUF file (native/kernels/quantize_blocks.h). Not in the registry, since
// tensors know nothing of blocks: `engine.quantizeModel` calls it.
import { TesseraeError } from '../../base/errors.js';
import type { Tensor } from '../../tensor/tensor.js';
import { type CallOptions, checkChoice, checkTensor, defineOp } from '../op.js';

/** What elements may be quantized from, by their codes in a file. */
export const quantizeSources = { F32: 0, F16: 1, BF16: 30 } as const;
export type QuantizeSource = keyof typeof quantizeSources;

/** What they may be quantized to, by their codes in a file. F16 stands for rows that are no whole blocks. */
export const quantizeTargets = { F16: 1, Q4_0: 2, Q5_0: 6, Q5_1: 7, Q8_0: 8, Q4_K: 12, Q5_K: 13, Q6_K: 14 } as const;
export type QuantizeTarget = keyof typeof quantizeTargets;

const blockSizes: Readonly<Record<QuantizeTarget, readonly [elements: number, bytes: number]>> = {
  F16: [1, 2],
  Q4_0: [32, 18],
  Q5_0: [32, 22],
  Q5_1: [32, 24],
  Q8_0: [32, 34],
  Q4_K: [256, 144],
  Q5_K: [256, 176],
  Q6_K: [256, 210],
};

export interface QuantizeBlocksArgs extends CallOptions {
  /** Whole blocks of elements, as their bytes. */
  readonly x: Tensor;
  readonly from: QuantizeSource;
  readonly to: QuantizeTarget;
}

const op = 'quantizeBlocks';

/** Elements of a tile: about a millisecond of the slowest search. */
const tileElements = 1 << 15;

/** Floating-point operations for an element, about: the searches of the K types take hundreds. */
const flopsPerElement = 300;

/** @throws TesseraeError ERR_ARGUMENT when an element is NaN or infinite, or too large for the type */
export const quantizeBlocks = defineOp({
  name: op,
  parameters: ['x', 'from', 'to'],
  inPlace: () => false,
  args: (args: QuantizeBlocksArgs) => args,
  operands: ({ x }) => [x],
  infer({ x, from, to }) {
    checkTensor(x, op, 'x', 'i8');
    checkChoice(from, quantizeSources, 'F32', op, 'from');
    checkChoice(to, quantizeTargets, 'Q8_0', op, 'to');
    const [elements, bytes] = blockSizes[to];
    const blocks = x.size / (elements * elementBytes(from));
    if (!x.isContiguous || !Number.isInteger(blocks)) {
      throw new TesseraeError('ERR_SHAPE', `${x.toString()} does not hold whole blocks of ${elements} × ${from}`, {
        op,
      });
    }
    return { shape: [blocks * bytes], dtype: 'i8' };
  },
  record(recorder, { x, from, to }, out) {
    const [elements, bytes] = blockSizes[to];
    const blocks = out.size / bytes;
    const tileBlocks = tileElements / elements;
    const step = {
      kernel: 'quantize_blocks',
      tiles: Math.ceil(blocks / tileBlocks),
      flops: blocks * elements * flopsPerElement,
      reads: [x],
      writes: [out],
    };
    recorder.emit(step, (params) =>
      params.pointer(x).int(quantizeSources[from]).pointer(out).int(quantizeTargets[to]).int(blocks).int(tileBlocks),
    );
  },
});

/** Bytes of one element of a source. */
export function elementBytes(source: QuantizeSource): number {
  return source === 'F32' ? 4 : 2;
}
