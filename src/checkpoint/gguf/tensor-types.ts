// The tensor types of ggml by their code in a GGUF file: name, elements per block, bytes per block (ggml.h and the
// block structs of ggml-common.h), and which of them this library computes with. Converts nothing.
import { quantizedTypes } from '../../ops/quantized/quantized-type.js';

export interface TensorType {
  readonly name: string;
  readonly blockElements: number;
  readonly blockBytes: number;
}

const table: readonly (readonly [code: number, name: string, blockElements: number, blockBytes: number])[] = [
  [0, 'F32', 1, 4],
  [1, 'F16', 1, 2],
  [2, 'Q4_0', 32, 18],
  [3, 'Q4_1', 32, 20],
  [6, 'Q5_0', 32, 22],
  [7, 'Q5_1', 32, 24],
  [8, 'Q8_0', 32, 34],
  [10, 'Q2_K', 256, 84],
  [11, 'Q3_K', 256, 110],
  [12, 'Q4_K', 256, 144],
  [13, 'Q5_K', 256, 176],
  [14, 'Q6_K', 256, 210],
  [16, 'IQ2_XXS', 256, 66],
  [17, 'IQ2_XS', 256, 74],
  [18, 'IQ3_XXS', 256, 98],
  [19, 'IQ1_S', 256, 50],
  [20, 'IQ4_NL', 32, 18],
  [21, 'IQ3_S', 256, 110],
  [22, 'IQ2_S', 256, 82],
  [23, 'IQ4_XS', 256, 136],
  [24, 'I8', 1, 1],
  [25, 'I16', 1, 2],
  [26, 'I32', 1, 4],
  [27, 'I64', 1, 8],
  [28, 'F64', 1, 8],
  [29, 'IQ1_M', 256, 56],
  [30, 'BF16', 1, 2],
  [34, 'TQ1_0', 256, 54],
  [35, 'TQ2_0', 256, 66],
  [39, 'MXFP4', 32, 17],
];

/** Tensor types by their code in the file. The size of a type with another code is unknown. */
export const tensorTypes: ReadonlyMap<number, TensorType> = new Map(
  table.map(([code, name, blockElements, blockBytes]) => [code, { name, blockElements, blockBytes }]),
);

/** Codes by name. */
export const tensorTypeCodes: ReadonlyMap<string, number> = new Map(table.map(([code, name]) => [name, code]));

/** The types that this library computes with. Files with the others can be inspected, but not loaded. */
export const supportedTensorTypes: ReadonlySet<string> = new Set([
  'F32',
  'F16',
  'BF16',
  ...Object.keys(quantizedTypes),
]);

/**
 * The bytes of a tensor; `undefined` where its rows are not whole blocks or the size is no safe integer.
 * @param shape row-major: the last dimension is the row length
 */
export function tensorSizeBytes(type: TensorType, shape: readonly number[]): number | undefined {
  const rowLength = shape.at(-1) ?? 0;
  if (rowLength % type.blockElements !== 0) return undefined;
  let blocks = rowLength / type.blockElements;
  for (const size of shape.slice(0, -1)) {
    blocks *= size;
    if (!Number.isSafeInteger(blocks)) return undefined;
  }
  const sizeBytes = blocks * type.blockBytes;
  return Number.isSafeInteger(sizeBytes) ? sizeBytes : undefined;
}
