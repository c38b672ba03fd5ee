// Weights that are packed once for many products: the panels that the kernel of matmul reads, made by `engine.pack`
// instead of anew at each call (native/kernels/pack_b.h).
import { formatShape, TesseraeError } from '../../base/errors.js';
import { checkInternal, type Internal, seal } from '../../base/internal.js';
import type { Recorder } from '../../program/recorder.js';
import { elementCount } from '../../tensor/layout/layout.js';
import type { Tensor } from '../../tensor/tensor.js';
import { MatrixImage } from '../matrix-image.js';
import { type CallOptions, checkFlag, checkRank, checkTensor, defineOp } from '../op.js';
import { outerDims, padFront } from '../rowwise/row-layout.js';
import { kBlocks, packTiles, panelColumns } from './matmul-tiles.js';

/**
 * The second operand of matmul, packed, in the type of the source. Has its own memory, k · n elements with n rounded up to a
 * multiple of 16; the source may be disposed. Pass it to `matmul` in place of `b`.
 */
export class PackedMatrix extends MatrixImage {
  readonly #shape: readonly number[];
  readonly #strides: readonly number[];

  /** @internal Made by `engine.pack`. @param image the images of all matrices, in the order of the batch */
  constructor(key: Internal, shape: readonly number[], image: Tensor) {
    checkInternal(key, 'PackedMatrix', 'engine.pack');
    const batch = shape.slice(0, -2);
    const [k, n] = shape.slice(-2) as [number, number];
    super(key, image, elementCount(batch) * imageSize(k, n));
    this.#shape = Object.freeze([...shape]);
    this.#strides = Object.freeze([...imageStrides(batch, imageSize(k, n)), 0, 0]);
    Object.preventExtensions(this);
  }

  /** [..., k, n], after transposition. */
  get shape(): readonly number[] {
    return this.#shape;
  }

  /** @internal Strides over the batch dimensions, from image to image; 0 for the last two dimensions. */
  get strides(): readonly number[] {
    return this.#strides;
  }
}

seal(PackedMatrix);

/** Elements in the image of one k × n matrix. */
export function imageSize(k: number, n: number): number {
  return k * panelColumns * Math.ceil(n / panelColumns);
}

/** A batch of matrices to pack. */
export interface PackSource {
  readonly b: Tensor;
  readonly k: number;
  readonly n: number;
  /** Strides along k and n. */
  readonly bStrides: readonly [number, number];
  /** The batch dimensions, and the strides over them. */
  readonly batch: readonly number[];
  readonly batchStrides: readonly number[];
}

/** Strides from image to image over each batch dimension; 0 for dimensions of size 1. */
export function imageStrides(batch: readonly number[], size: number): number[] {
  return batch.map((count, dim) => (count === 1 ? 0 : size * elementCount(batch.slice(dim + 1))));
}

/** Records the packing of `source` into `image`, [images · imageSize] of the same type. */
export function recordPack(recorder: Recorder, source: PackSource, image: Tensor): void {
  const { b, k, n, bStrides, batch, batchStrides } = source;
  const images = elementCount(batch);
  const { kc } = recorder.blockSizes;
  const panels = Math.ceil(n / panelColumns);
  const tilePanels = packTiles({ k, kc, panels, images, threads: recorder.threads });
  const step = {
    kernel: 'pack_b',
    tiles: images * kBlocks(k, kc) * Math.ceil(panels / tilePanels),
    flops: 0,
    reads: [b],
    writes: [image],
  };
  recorder.emit(step, (params) =>
    params
      .pointer(b)
      .pointer(image)
      .ints([k, n])
      .ints(bStrides)
      .dtype(b)
      .ints([tilePanels, kc])
      .ints(padFront(batch, 1))
      .ints(padFront(batchStrides, 0))
      .ints(padFront(imageStrides(batch, imageSize(k, n)), 0)),
  );
}

export interface PackOptions extends Pick<CallOptions, 'signal'> {
  /** Read the matrix as [..., n, k], the usual layout of weights. */
  readonly transposeB?: boolean | undefined;
}

export interface PackArgs extends PackOptions, CallOptions {
  readonly b: Tensor;
}

const op = 'pack';

/** The op of `engine.pack`. Its result is the image of a {@link PackedMatrix}. */
export const pack = defineOp({
  name: op,
  parameters: ['b', 'transposeB'],
  inPlace: () => false,
  args: (b: Tensor, options: PackOptions = {}): PackArgs => ({ b, ...options }),
  operands: ({ b }) => [b],
  infer({ b, transposeB }) {
    checkTensor(b, op, 'b', 'f32', 'f16', 'bf16');
    checkRank(b, op, 'b', 2);
    checkFlag(transposeB, op, 'transposeB');
    const [k, n] = packedShape(b, transposeB).slice(-2) as [number, number];
    if (b.rank - 2 > outerDims) {
      throw new TesseraeError('ERR_SHAPE', `at most ${outerDims} batch dimensions, got ${formatShape(b.shape)}`, {
        op,
      });
    }
    return { shape: [elementCount(b.shape.slice(0, -2)) * imageSize(k, n)], dtype: b.dtype };
  },
  record(recorder, { b, transposeB }, out) {
    const [k, n] = packedShape(b, transposeB).slice(-2) as [number, number];
    const [rowStride, columnStride] = b.strides.slice(-2) as [number, number];
    const source = {
      b,
      k,
      n,
      bStrides: (transposeB ? [columnStride, rowStride] : [rowStride, columnStride]) as [number, number],
      batch: b.shape.slice(0, -2),
      batchStrides: b.strides.slice(0, -2),
    };
    recordPack(recorder, source, out);
  },
});

/** The shape of b after transposition: [..., k, n]. */
export function packedShape(b: Tensor, transposeB: boolean | undefined): number[] {
  const [rows, columns] = b.shape.slice(-2) as [number, number];
  return [...b.shape.slice(0, -2), ...(transposeB ? [columns, rows] : [rows, columns])];
}
