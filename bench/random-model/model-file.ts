// Writes GGUF files of the llama architecture with random weights: as fast as trained models of the same shape. Used by
// `tesserae bench model --shape` and by the suite serving.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type GgufTensorSource, writeGguf } from '../../src/checkpoint/gguf/write-gguf.js';
import { f32, type MetadataEntry, string, tokenizerMetadata, u32 } from './metadata-values.js';
import { type ModelShapeName, type ModelSizes, type ModelTypeName, modelShapes, modelTypes } from './model-shapes.js';
import { fits, randomMatrix, randomVector, type WeightType } from './random-weights.js';

const contextLength = 2048;

/** The path of the model file in `folder`. Writes it if it is missing; a file that exists is complete. */
export async function modelFile(
  folder: string,
  shape: ModelShapeName,
  type: ModelTypeName,
  signal: AbortSignal | undefined,
): Promise<string> {
  return modelFileOf(folder, { name: shape, sizes: modelShapes[shape], type }, signal);
}

/** A model file to write. Two models of the same name have the same sizes. */
export interface NamedModel {
  readonly name: string;
  readonly sizes: ModelSizes;
  readonly type: ModelTypeName;
}

/** The same for sizes that have no name in the list. */
export async function modelFileOf(
  folder: string,
  { name, sizes, type }: NamedModel,
  signal: AbortSignal | undefined,
): Promise<string> {
  const path = join(folder, `random-${name}-${type}.gguf`);
  if (existsSync(path)) return path;
  const content = { metadata: metadataOf(`random ${name}`, sizes), tensors: tensorsOf(sizes, modelTypes[type]) };
  await writeGguf(path, content, signal === undefined ? {} : { signal });
  return path;
}

function metadataOf(name: string, sizes: ModelSizes): MetadataEntry[] {
  return [
    ['general.architecture', string('llama')],
    ['general.name', string(name)],
    ['llama.context_length', u32(contextLength)],
    ['llama.embedding_length', u32(sizes.dim)],
    ['llama.block_count', u32(sizes.layers)],
    ['llama.feed_forward_length', u32(sizes.ffn)],
    ['llama.attention.head_count', u32(sizes.heads)],
    ['llama.attention.head_count_kv', u32(sizes.kvHeads)],
    ['llama.attention.layer_norm_rms_epsilon', f32(1e-5)],
    ['llama.rope.freq_base', f32(10_000)],
    ['llama.rope.dimension_count', u32(sizes.dim / sizes.heads)],
    ['llama.vocab_size', u32(sizes.vocabulary)],
    ...tokenizerMetadata(sizes.vocabulary),
  ];
}

/** The type of a matrix. Rows that are not whole blocks get Q5_0, as llama.cpp's quantize gives them. */
function typeFor(type: WeightType, columns: number): WeightType {
  return fits(type, columns) ? type : 'Q5_0';
}

function tensorsOf({ layers, dim, heads, kvHeads, ffn, vocabulary }: ModelSizes, type: WeightType): GgufTensorSource[] {
  const kvDim = (dim / heads) * kvHeads;
  let seed = 1;
  const norm = (name: string): GgufTensorSource => {
    return { name: `${name}.weight`, type: 'F32', shape: [dim], data: randomVector(dim, 1, seed++) };
  };
  const matrix = (name: string, rows: number, columns: number): GgufTensorSource => {
    const own = typeFor(type, columns);
    const data = randomMatrix(own, rows, columns, seed++);
    return { name: `${name}.weight`, type: own, shape: [rows, columns], data };
  };
  const blocks = Array.from({ length: layers }, (_, layer) => [
    norm(`blk.${layer}.attn_norm`),
    norm(`blk.${layer}.ffn_norm`),
    matrix(`blk.${layer}.attn_q`, dim, dim),
    matrix(`blk.${layer}.attn_k`, kvDim, dim),
    matrix(`blk.${layer}.attn_v`, kvDim, dim),
    matrix(`blk.${layer}.attn_output`, dim, dim),
    matrix(`blk.${layer}.ffn_gate`, ffn, dim),
    matrix(`blk.${layer}.ffn_up`, ffn, dim),
    matrix(`blk.${layer}.ffn_down`, dim, ffn),
  ]);
  return [matrix('token_embd', vocabulary, dim), ...blocks.flat(), norm('output_norm')];
}
