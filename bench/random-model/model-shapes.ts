// The named shapes and tensor types of the model files with random weights. Writes none of them.

export interface ModelSizes {
  readonly layers: number;
  readonly dim: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly ffn: number;
  readonly vocabulary: number;
}

/** Shapes of the llama architecture; the output matrix is the embedding. */
export const modelShapes = {
  '135m': { layers: 30, dim: 576, heads: 9, kvHeads: 3, ffn: 1536, vocabulary: 49_152 },
  '1.2b': { layers: 16, dim: 2048, heads: 32, kvHeads: 8, ffn: 8192, vocabulary: 128_256 },
} as const satisfies Record<string, ModelSizes>;

export type ModelShapeName = keyof typeof modelShapes;
export const modelShapeNames = Object.keys(modelShapes) as ModelShapeName[];

export const modelTypes = { f32: 'F32', f16: 'F16', q8_0: 'Q8_0', q4_0: 'Q4_0', q4_k: 'Q4_K' } as const;
export type ModelTypeName = keyof typeof modelTypes;
export const modelTypeNames = Object.keys(modelTypes) as ModelTypeName[];
