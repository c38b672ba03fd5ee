// Weights packed once for many products: the panels that matmul's kernel reads, made by `engine.pack` instead of anew
// at each call (native/kernels/pack_b.h).
import { formatShape, TesseraeError } from '../../base/errors.js';
import type { Recorder } from '../../program/recorder.js';
import { elementCount } from '../../tensor/layout/layout.js';
import type { Tensor } from '../../tensor/tensor.js';
import { type CallOptions, checkFlag, checkRank, checkTensor, defineOp } from '../op.js';
import { outerDims, padFront } from '../rowwise/row-layout.js';
import { kBlocks, packTiles, panelColumns } from './matmul-tiles.js';

/**
 * The second operand of matmul, packed: f32, whatever the type of the source. Owns memory of its own, k · n floats with n
 * rounded up to a multiple of 16; the source may be disposed. Give it to `matmul` in place of `b`.
 */
export class PackedMatrix {
  /** [..., k, n]: as matmul sees it, transposition done. */
  readonly shape: readonly number[];
  /** @internal One image after the other, in the order of the batch. */
  readonly image: Tensor;

  /** @internal Of the images over the batch dimensions, as the strides of a tensor; within a matrix there are none. */
  readonly strides: readonly number[];

  /** @internal `engine.pack` makes them. */
  constructor(shape: readonly number[], image: Tensor) {
    const [k, n] = shape.slice(-2) as [number, number];
    this.shape = shape;
    this.image = image;
    this.strides = [...imageStrides(shape.slice(0, -2), imageSize(k, n)), 0, 0];
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
}

/** Floats in the image of one k × n matrix. */
export function imageSize(k: number, n: number): number {
  return k * panelColumns * Math.ceil(n / panelColumns);
}

/** A batch of matrices to be packed: sizes and strides of each batch dimension, and of rows and columns. */
export interface PackSource {
  readonly b: Tensor;
  readonly k: number;
  readonly n: number;
  readonly bStrides: readonly [number, number];
  readonly batch: readonly number[];
  readonly batchStrides: readonly number[];
}

/** Elements of the image from one step of each batch dimension to the next; 0 for dimensions of one. */
export function imageStrides(batch: readonly number[], size: number): number[] {
  return batch.map((count, dim) => (count === 1 ? 0 : size * elementCount(batch.slice(dim + 1))));
}

/** Records the packing of `source` into `image`, f32 [images · imageSize]. */
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
  /** Read the matrix as [..., n, k], the layout of most weights. */
  readonly transposeB?: boolean | undefined;
}

export interface PackArgs extends PackOptions, CallOptions {
  readonly b: Tensor;
}

const op = 'pack';

/** The packing as an op of its own, which gives the image; `engine.pack` makes a {@link PackedMatrix} of it. */
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
    return { shape: [elementCount(b.shape.slice(0, -2)) * imageSize(k, n)], dtype: 'f32' };
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

/** [..., k, n]. */
export function packedShape(b: Tensor, transposeB: boolean | undefined): number[] {
  const [rows, columns] = b.shape.slice(-2) as [number, number];
  return [...b.shape.slice(0, -2), ...(transposeB ? [columns, rows] : [rows, columns])];
}
