// Writes a GGUF file in the shape of a small sentence encoder of the BERT architecture with random weights. Used by the
// suite serving.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type GgufTensorSource, writeGguf } from '../../src/checkpoint/gguf/write-gguf.js';
import { f32, flag, type MetadataEntry, string, tokenizerMetadata, u32 } from './metadata-values.js';
import { type ModelTypeName, modelTypes } from './model-shapes.js';
import { randomMatrix, randomVector } from './random-weights.js';

export interface EncoderSizes {
  readonly layers: number;
  readonly dim: number;
  readonly heads: number;
  readonly ffn: number;
  readonly vocabulary: number;
}

/** The sizes of the many sentence encoders of 6 layers that are 384 wide. */
export const bertSizes: EncoderSizes = { layers: 6, dim: 384, heads: 12, ffn: 1536, vocabulary: 30_522 };

const contextLength = 512;
const tokenTypes = 2;
const meanPooling = 1;

/** The path of the model file in `folder`. Writes it if it is missing; a file that exists is complete. */
export async function encoderFile(
  folder: string,
  sizes: EncoderSizes,
  type: ModelTypeName,
  signal: AbortSignal | undefined,
): Promise<string> {
  const path = join(folder, `random-bert-${sizes.layers}x${sizes.dim}-${type}.gguf`);
  if (existsSync(path)) return path;
  const content = { metadata: metadataOf(sizes), tensors: tensorsOf(sizes, type) };
  await writeGguf(path, content, signal === undefined ? {} : { signal });
  return path;
}

function metadataOf({ layers, dim, heads, ffn, vocabulary }: EncoderSizes): MetadataEntry[] {
  return [
    ['general.architecture', string('bert')],
    ['general.name', string(`random bert ${layers}x${dim}`)],
    ['bert.context_length', u32(contextLength)],
    ['bert.embedding_length', u32(dim)],
    ['bert.block_count', u32(layers)],
    ['bert.feed_forward_length', u32(ffn)],
    ['bert.attention.head_count', u32(heads)],
    ['bert.attention.layer_norm_epsilon', f32(1e-12)],
    ['bert.attention.causal', flag(false)],
    ['bert.pooling_type', u32(meanPooling)],
    ['tokenizer.ggml.token_type_count', u32(tokenTypes)],
    ...tokenizerMetadata(vocabulary),
  ];
}

function tensorsOf({ layers, dim, ffn, vocabulary }: EncoderSizes, type: ModelTypeName): GgufTensorSource[] {
  let seed = 1;
  const vector = (name: string, length: number, centre: number): GgufTensorSource => {
    return { name, type: 'F32', shape: [length], data: randomVector(length, centre, seed++) };
  };
  const matrix = (name: string, rows: number, columns: number, own = modelTypes[type]): GgufTensorSource => {
    const data = randomMatrix(own, rows, columns, seed++);
    return { name: `${name}.weight`, type: own, shape: [rows, columns], data };
  };
  const norm = (name: string) => [vector(`${name}.weight`, dim, 1), vector(`${name}.bias`, dim, 0)];
  const biased = (name: string, rows: number, columns: number) => {
    return [matrix(name, rows, columns), vector(`${name}.bias`, rows, 0)];
  };
  const blocks = Array.from({ length: layers }, (_, layer) => {
    const block = `blk.${layer}`;
    return [
      ...['attn_q', 'attn_k', 'attn_v', 'attn_output'].flatMap((name) => biased(`${block}.${name}`, dim, dim)),
      ...norm(`${block}.attn_output_norm`),
      ...biased(`${block}.ffn_up`, ffn, dim),
      ...biased(`${block}.ffn_down`, dim, ffn),
      ...norm(`${block}.layer_output_norm`),
    ];
  });
  return [
    matrix('token_embd', vocabulary, dim),
    matrix('position_embd', contextLength, dim, 'F32'),
    matrix('token_types', tokenTypes, dim, 'F32'),
    ...norm('token_embd_norm'),
    ...blocks.flat(),
  ];
}
