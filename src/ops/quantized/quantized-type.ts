// The quantized weight types by their names in GGUF files: sizes. Mirrors
// native/kernels/formats/quantized_format.h and strip.h; how a block is laid out is known there alone.

export type QuantizedType =
  | 'Q4_0'
  | 'Q4_1'
  | 'Q5_0'
  | 'Q5_1'
  | 'Q8_0'
  | 'Q2_K'
  | 'Q3_K'
  | 'Q4_K'
  | 'Q5_K'
  | 'Q6_K'
  | 'IQ4_NL'
  | 'IQ4_XS';

export interface QuantizedFormat {
  /** The number of QuantizedType in native/kernels/formats/quantized_format.h. */
  readonly code: number;
  /** Weights of a block, and the bytes that it has in a file. A row is whole blocks. */
  readonly blockElements: number;
  readonly blockBytes: number;
  /** Bytes of one block of eight rows in the layout that the kernels stream. */
  readonly unitBytes: number;
}

const format = (code: number, blockElements: number, blockBytes: number, unitBytes: number): QuantizedFormat => ({
  code,
  blockElements,
  blockBytes,
  unitBytes,
});

export const quantizedFormats: Readonly<Record<QuantizedType, QuantizedFormat>> = {
  Q4_0: format(0, 32, 18, 144),
  Q4_1: format(1, 32, 20, 160),
  Q5_0: format(2, 32, 22, 176),
  Q5_1: format(3, 32, 24, 192),
  Q8_0: format(4, 32, 34, 272),
  Q2_K: format(5, 256, 84, 672),
  Q3_K: format(6, 256, 110, 912),
  Q4_K: format(7, 256, 144, 1184),
  Q5_K: format(8, 256, 176, 1440),
  Q6_K: format(9, 256, 210, 1680),
  IQ4_NL: format(10, 32, 18, 144),
  IQ4_XS: format(11, 256, 136, 1104),
};

/** Rows that a strip interleaves. */
export const stripRows = 8;

export function isQuantizedType(name: unknown): name is QuantizedType {
  return typeof name === 'string' && Object.hasOwn(quantizedFormats, name);
}

/** Bytes of a matrix [n, k] in a file. */
export function fileBytes({ blockElements, blockBytes }: QuantizedFormat, [n, k]: readonly [number, number]): number {
  return n * (k / blockElements) * blockBytes;
}

/** Bytes of the same in the kernels' layout. */
export function imageBytes(form: QuantizedFormat, shape: readonly [number, number]): number {
  return Math.ceil(shape[0] / stripRows) * (shape[1] / form.blockElements) * form.unitBytes;
}
