// quantizeBlocks: converts floats to the quantized blocks of a GGUF file (native/kernels/quantize_blocks.h). Not in the
// registry of public ops, because its results are bytes of a file: `engine.quantizeModel` calls it.
import { TesseraeError } from '../../base/errors.js';
import type { Tensor } from '../../tensor/tensor.js';
import { type CallOptions, checkChoice, checkTensor, defineOp } from '../op.js';

/** The element types that can be quantized, with their codes in GGUF files. */
export const quantizeSources = { F32: 0, F16: 1, BF16: 30 } as const;
export type QuantizeSource = keyof typeof quantizeSources;

/** The types of the result, with their codes in GGUF files. F16 is for rows that are not whole blocks. */
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
  /** The bytes of the elements: i8, contiguous, whole blocks. */
  readonly x: Tensor;
  readonly from: QuantizeSource;
  readonly to: QuantizeTarget;
}

const op = 'quantizeBlocks';

/** Elements of a tile: with the slowest search, it takes about a millisecond. */
const tileElements = 1 << 15;

/** Floating-point operations per element, about: the searches of the K types take hundreds. */
const flopsPerElement = 300;

/** Runs reject with ERR_ARGUMENT if an element is NaN, infinite, or too large for the type. */
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
