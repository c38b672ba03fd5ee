// The quantized weight types, by their names in GGUF files, and the sizes of their blocks. Mirrors
// native/kernels/formats/quantized_format.h and strip.h, which also describe the contents of a block.

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

export interface QuantizedTypeInfo {
  /** Its number in the enum QuantizedType of native/kernels/formats/quantized_format.h. */
  readonly code: number;
  /** Weights of a block. A row is whole blocks. */
  readonly blockElements: number;
  /** Size of a block in a file. */
  readonly blockBytes: number;
  /** Size of one block of each of eight rows, in the layout of the kernels. */
  readonly unitBytes: number;
}

const info = (code: number, blockElements: number, blockBytes: number, unitBytes: number): QuantizedTypeInfo => ({
  code,
  blockElements,
  blockBytes,
  unitBytes,
});

export const quantizedTypes: Readonly<Record<QuantizedType, QuantizedTypeInfo>> = {
  Q4_0: info(0, 32, 18, 144),
  Q4_1: info(1, 32, 20, 160),
  Q5_0: info(2, 32, 22, 176),
  Q5_1: info(3, 32, 24, 192),
  Q8_0: info(4, 32, 34, 272),
  Q2_K: info(5, 256, 84, 672),
  Q3_K: info(6, 256, 110, 912),
  Q4_K: info(7, 256, 144, 1184),
  Q5_K: info(8, 256, 176, 1440),
  Q6_K: info(9, 256, 210, 1680),
  IQ4_NL: info(10, 32, 18, 144),
  IQ4_XS: info(11, 256, 136, 1104),
};

/** Rows in a strip of the kernels' layout. */
export const stripRows = 8;

export function isQuantizedType(name: unknown): name is QuantizedType {
  return typeof name === 'string' && Object.hasOwn(quantizedTypes, name);
}

/** Bytes of a matrix [n, k] in a file. */
export function fileBytes(type: QuantizedType, [n, k]: readonly [number, number]): number {
  const { blockElements, blockBytes } = quantizedTypes[type];
  return n * (k / blockElements) * blockBytes;
}

/** Bytes of a matrix [n, k] in the layout of the kernels. */
export function imageBytes(type: QuantizedType, [n, k]: readonly [number, number]): number {
  const { blockElements, unitBytes } = quantizedTypes[type];
  return Math.ceil(n / stripRows) * (k / blockElements) * unitBytes;
}
