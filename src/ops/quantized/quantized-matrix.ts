// Quantized weights in the layout of the kernels (native/kernels/formats/strip.h), made by `engine.packQuantized` from the
// blocks of a GGUF file. matmul/matmul-quantized.ts records products with them.
import { describe } from '../../base/describe.js';
import { formatShape, TesseraeError } from '../../base/errors.js';
import { checkInternal, type Internal, seal } from '../../base/internal.js';
import type { Tensor } from '../../tensor/tensor.js';
import { MatrixImage } from '../matrix-image.js';
import { type CallOptions, checkTensor, defineOp } from '../op.js';
import {
  fileBytes,
  imageBytes,
  isQuantizedType,
  type QuantizedType,
  quantizedTypes,
  stripRows,
} from './quantized-type.js';

/**
 * Weights [n, k], as in files: n rows of k weights, each row whole blocks. Pass it to `matmul` in place of `b` with
 * `transposeB: true`, or to `embedding` in place of the table. Has its own memory, little more than the blocks in the file
 * take; the blocks may be disposed.
 */
export class QuantizedMatrix extends MatrixImage<Tensor<'i8'>> {
  readonly #type: QuantizedType;
  readonly #shape: readonly [n: number, k: number];

  /** @internal Made by `engine.packQuantized`. */
  constructor(key: Internal, type: QuantizedType, shape: readonly [number, number], image: Tensor<'i8'>) {
    checkInternal(key, 'QuantizedMatrix', 'engine.packQuantized');
    super(key, image, imageBytes(type, shape));
    this.#type = type;
    this.#shape = Object.freeze([shape[0], shape[1]] as const);
    Object.preventExtensions(this);
  }

  get type(): QuantizedType {
    return this.#type;
  }

  get shape(): readonly [n: number, k: number] {
    return this.#shape;
  }

  /** Number of weights. */
  get size(): number {
    return this.shape[0] * this.shape[1];
  }

  /** `Q4_K matrix [64, 256]`, as in error messages. */
  override toString(): string {
    return `${this.type} matrix ${formatShape(this.shape)}`;
  }
}

seal(QuantizedMatrix);

export interface PackQuantizedOptions extends Pick<CallOptions, 'signal'> {
  readonly type: QuantizedType;
  /** [n, k]; k is a multiple of the block's size. */
  readonly shape: readonly [number, number];
}

export interface PackQuantizedArgs extends PackQuantizedOptions, CallOptions {
  /** The blocks as in the file, row after row: i8, contiguous, of any shape. */
  readonly blocks: Tensor;
}

const op = 'packQuantized';

/** Bytes that one tile writes, about. */
const tileBytes = 1 << 18;

/** The op of `engine.packQuantized`. Its result is the image of a {@link QuantizedMatrix}. */
export const packQuantized = defineOp({
  name: op,
  parameters: ['blocks', 'type', 'shape'],
  inPlace: () => false,
  args: (blocks: Tensor, options: PackQuantizedOptions): PackQuantizedArgs => ({
    ...options,
    shape: copyOfShape(options.shape),
    blocks,
  }),
  operands: ({ blocks }) => [blocks],
  infer({ blocks, type, shape }) {
    checkTensor(blocks, op, 'blocks', 'i8');
    if (!isQuantizedType(type)) {
      const names = Object.keys(quantizedTypes).join(', ');
      throw new TesseraeError('ERR_ARGUMENT', `type must be one of ${names}, got ${describe(type)}`, { op });
    }
    const { blockElements } = quantizedTypes[type];
    if (!isMatrixShape(shape) || shape[1] % blockElements !== 0) {
      const rule = `shape must be [n, k] with k a multiple of ${blockElements} for ${type}`;
      throw new TesseraeError('ERR_SHAPE', `${rule}, got ${describe(shape)}`, { op });
    }
    const expected = fileBytes(type, shape);
    if (blocks.size !== expected || !blocks.isContiguous) {
      const wanted = `the blocks of a ${type} matrix ${formatShape(shape)} are ${expected} contiguous bytes`;
      throw new TesseraeError('ERR_SHAPE', `${wanted}, got ${blocks.toString()}`, { op });
    }
    return { shape: [imageBytes(type, shape)], dtype: 'i8' };
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
      params.pointer(blocks).pointer(out).ints([quantizedTypes[type].code, n, k, tileStrips]),
    );
  },
});

/** What is checked is a copy: the caller may change its own. */
function copyOfShape(shape: readonly [number, number]): readonly [number, number] {
  return Array.isArray(shape) && shape.length === 2 ? [shape[0], shape[1]] : shape;
}

function isMatrixShape(shape: unknown): shape is readonly [number, number] {
  return Array.isArray(shape) && shape.length === 2 && shape.every((size) => Number.isSafeInteger(size) && size > 0);
}
