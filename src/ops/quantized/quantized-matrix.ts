// Quantized weights in the layout that the kernels stream (native/kernels/formats/strip.h), made by `engine.packQuantized`
// from the blocks of a GGUF file. Its products are recorded by matmul-quantized.ts.
import { formatShape, TesseraeError } from '../../base/errors.js';
import type { Tensor } from '../../tensor/tensor.js';
import { type CallOptions, checkTensor, defineOp } from '../op.js';
import {
  fileBytes,
  imageBytes,
  isQuantizedType,
  type QuantizedType,
  quantizedFormats,
  stripRows,
} from './quantized-type.js';

/**
 * Weights [n, k], as files have them: n rows of k, each row whole blocks. Give it to `matmul` in place of `b` with
 * `transposeB: true`, or to `embedding` in place of the table. Owns memory of its own, hardly more than the blocks take in
 * the file; these may be disposed.
 */
export class QuantizedMatrix {
  readonly type: QuantizedType;
  readonly shape: readonly [n: number, k: number];
  /** @internal */
  readonly image: Tensor<'i8'>;

  /** @internal `engine.packQuantized` makes them. */
  constructor(type: QuantizedType, shape: readonly [number, number], image: Tensor<'i8'>) {
    this.type = type;
    this.shape = Object.freeze([shape[0], shape[1]] as const);
    this.image = image;
  }

  /** Number of weights. */
  get size(): number {
    return this.shape[0] * this.shape[1];
  }

  get sizeBytes(): number {
    return this.image.sizeBytes;
  }

  get disposed(): boolean {
    return this.image.disposed;
  }

  /** Frees the memory. @throws TesseraeError ERR_DISPOSED the second time */
  dispose(): void {
    this.image.dispose();
  }

  [Symbol.dispose](): void {
    this.image[Symbol.dispose]();
  }

  /** `Q4_K matrix [64, 256]`, as error messages show it. */
  toString(): string {
    return `${this.type} matrix ${formatShape(this.shape)}`;
  }
}

export interface PackQuantizedOptions extends Pick<CallOptions, 'signal'> {
  readonly type: QuantizedType;
  /** [n, k]: k is whole blocks. */
  readonly shape: readonly [number, number];
}

export interface PackQuantizedArgs extends PackQuantizedOptions, CallOptions {
  /** The blocks as in the file, row after row: i8, contiguous, of any shape. */
  readonly blocks: Tensor;
}

const op = 'packQuantized';

/** Bytes that one tile rearranges. */
const tileBytes = 1 << 18;

/** The packing as an op, which gives the image; `engine.packQuantized` makes a {@link QuantizedMatrix} of it. */
export const packQuantized = defineOp({
  name: op,
  parameters: ['blocks', 'type', 'shape'],
  inPlace: () => false,
  args: (blocks: Tensor, options: PackQuantizedOptions): PackQuantizedArgs => ({ ...options, blocks }),
  operands: ({ blocks }) => [blocks],
  infer({ blocks, type, shape }) {
    checkTensor(blocks, op, 'blocks', 'i8');
    if (!isQuantizedType(type)) {
      const names = Object.keys(quantizedFormats).join(', ');
      throw new TesseraeError('ERR_ARGUMENT', `type must be one of ${names}, got ${String(type)}`, { op });
    }
    const form = quantizedFormats[type];
    if (!isMatrixShape(shape) || shape[1] % form.blockElements !== 0) {
      const rule = `shape must be [n, k] with k a multiple of ${form.blockElements} for ${type}`;
      throw new TesseraeError('ERR_SHAPE', `${rule}, got ${JSON.stringify(shape)}`, { op });
    }
    const expected = fileBytes(form, shape);
    if (blocks.size !== expected || !blocks.isContiguous) {
      const wanted = `the blocks of a ${type} matrix ${formatShape(shape)} are ${expected} contiguous bytes`;
      throw new TesseraeError('ERR_SHAPE', `${wanted}, got ${blocks.toString()}`, { op });
    }
    return { shape: [imageBytes(form, shape)], dtype: 'i8' };
  },
  record(recorder, { blocks, type, shape }, out) {
    const [n, k] = shape;
    const strips = Math.ceil(n / stripRows);
    const tileStrips = Math.max(1, Math.floor((tileBytes * strips) / out.size));
    const step = {
      kernel: 'pack_quantized',
      tiles: Math.ceil(strips / tileStrips),
      flops: 0,
      reads: [blocks],
      writes: [out],
    };
    recorder.emit(step, (params) =>
      params.pointer(blocks).pointer(out).ints([quantizedFormats[type].code, n, k, tileStrips]),
    );
  },
});

function isMatrixShape(shape: unknown): shape is readonly [number, number] {
  return Array.isArray(shape) && shape.length === 2 && shape.every((size) => Number.isSafeInteger(size) && size > 0);
}
