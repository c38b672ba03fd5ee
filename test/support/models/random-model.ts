// Writes small models of any architecture with seeded random weights: the tensors that the architecture names, in any
// type. They compute like trained models; their text has no meaning. Used by tests.
import { architectureOf } from '../../../src/architectures/registry.js';
import { type GgufTensorSource, writeGguf } from '../../../src/checkpoint/gguf/write-gguf.js';
import { ModelMetadata } from '../../../src/metadata/model-metadata.js';
import { StringList } from '../../../src/metadata/string-list.js';
import type { MetadataValue } from '../../../src/metadata/value-types.js';
import { type LlamaContent, randomVocabulary } from './random-llama.js';
import { randomTensor, type WeightType } from './random-weights.js';

export interface RandomModel {
  /** The value of `general.architecture`. */
  readonly architecture: string;
  readonly layers?: number;
  readonly dim?: number;
  readonly heads?: number;
  readonly kvHeads?: number;
  /** Width of a head; dim / heads by default. */
  readonly headDim?: number;
  readonly ffn?: number;
  readonly context?: number;
  /** At least 257, with the made-up vocabulary. */
  readonly vocab?: number;
  /** Type of the matrices, or of each by its name; F32 by default. Rows of quantized ones must be whole blocks. */
  readonly type?: WeightType | ((name: string) => WeightType);
  /** Whether an optional tensor is there, by its name; by default none is. */
  readonly optional?: (name: string) => boolean;
  /** Whether a tensor has the other shape that it may have, by its name; by default none has. */
  readonly otherShapes?: (name: string) => boolean;
  /** Added to the metadata, or replaces it. Keys that begin with a dot get the architecture's name in front. */
  readonly metadata?: Readonly<Record<string, MetadataValue>>;
  /** All `tokenizer.ggml.*` entries, instead of the made-up byte-level vocabulary. */
  readonly tokenizer?: Readonly<Record<string, MetadataValue>>;
  readonly seed?: number;
}

export const u32 = (value: number): MetadataValue => ({ type: 'u32', value });
export const f32 = (value: number): MetadataValue => ({ type: 'f32', value: Math.fround(value) });
export const text = (value: string): MetadataValue => ({ type: 'string', value });
export const flag = (value: boolean): MetadataValue => ({ type: 'bool', value });

/** The metadata that each architecture needs beside the sizes that all have. */
const metadataOf: Readonly<Record<string, Readonly<Record<string, MetadataValue>>>> = {
  gpt2: { '.attention.layer_norm_epsilon': f32(1e-5) },
  gemma2: {
    '.attention.sliding_window': u32(7),
    '.attn_logit_softcapping': f32(5),
    '.final_logit_softcapping': f32(3),
  },
  gemma3: {
    '.attention.sliding_window': u32(7),
    '.rope.freq_base': f32(1e6),
    '.rope.scaling.type': text('linear'),
    '.rope.scaling.factor': f32(8),
  },
  bert: encoderMetadata(),
  'nomic-bert': { ...encoderMetadata(), '.rope.freq_base': f32(1000) },
  'jina-bert-v2': { ...encoderMetadata(), '.attention.max_alibi_bias': f32(8) },
};

function encoderMetadata(): Record<string, MetadataValue> {
  return {
    '.attention.layer_norm_epsilon': f32(1e-12),
    '.attention.causal': flag(false),
    '.pooling_type': u32(1),
    'tokenizer.ggml.token_type_count': u32(2),
  };
}

/** Writes the model to `path`. The same options give the same bytes. @param change may damage the model first */
export async function writeRandomModel(
  path: string,
  model: RandomModel,
  change: (content: LlamaContent) => void = () => {},
): Promise<void> {
  const metadata = new Map(metadataEntries(model));
  const content = { metadata, tensors: tensorsOf(model, new ModelMetadata(metadata, path)) };
  change(content);
  await writeGguf(path, content);
}

/** The metadata that such a model has. */
export function randomMetadata(model: RandomModel): ModelMetadata {
  return new ModelMetadata(metadataEntries(model), 'random');
}

function metadataEntries(model: RandomModel): [string, MetadataValue][] {
  const { architecture, layers = 2, dim = 32, heads = 4, kvHeads = heads, ffn = 64, context = 512 } = model;
  const { headDim = dim / heads } = model;
  const own: Record<string, MetadataValue> = {
    'general.architecture': text(architecture),
    'general.name': text(`random ${architecture}`),
    '.context_length': u32(context),
    '.embedding_length': u32(dim),
    '.block_count': u32(layers),
    '.feed_forward_length': u32(ffn),
    '.attention.head_count': u32(heads),
    '.attention.head_count_kv': u32(kvHeads),
    '.attention.layer_norm_rms_epsilon': f32(1e-5),
    '.attention.key_length': u32(headDim),
    '.attention.value_length': u32(headDim),
    '.rope.dimension_count': u32(headDim),
    ...(model.tokenizer ?? madeUpTokenizer(model)),
    ...metadataOf[architecture],
    ...model.metadata,
  };
  return Object.entries(own).map(([key, value]) => [key.startsWith('.') ? architecture + key : key, value]);
}

function madeUpTokenizer({ vocab = 300, seed = 1 }: RandomModel): Record<string, MetadataValue> {
  const { tokens, merges } = randomVocabulary(vocab, seed);
  const endOfText = 0;
  const control = 3;
  const types = Int32Array.from(tokens, (_, id) => (id === endOfText ? control : 1));
  return {
    'tokenizer.ggml.model': text('gpt2'),
    'tokenizer.ggml.pre': text('gpt-2'),
    'tokenizer.ggml.tokens': { type: 'array', element: 'string', value: StringList.from(tokens) },
    'tokenizer.ggml.token_type': { type: 'array', element: 'i32', value: types },
    'tokenizer.ggml.merges': { type: 'array', element: 'string', value: StringList.from(merges) },
    'tokenizer.ggml.bos_token_id': u32(endOfText),
    'tokenizer.ggml.eos_token_id': u32(endOfText),
    'tokenizer.ggml.add_bos_token': flag(true),
  };
}

function tensorsOf(model: RandomModel, metadata: ModelMetadata): GgufTensorSource[] {
  const { type = 'F32', optional = () => false, otherShapes = () => false, seed = 1 } = model;
  const architecture = architectureOf(metadata);
  const specs = architecture.weights(architecture.readConfig(metadata));
  return specs
    .filter((spec) => !spec.optional || optional(spec.name))
    .map(({ name, shape: usual, asF32, otherShape }, index) => {
      const shape = otherShape !== undefined && otherShapes(name) ? otherShape : usual;
      const typeOf = typeof type === 'string' ? type : type(name);
      return randomTensor(name, asF32 ? 'F32' : typeOf, shape, { ...spreadOf(name, shape), seed: seed * 1000 + index });
    });
}

/** Norms are near 1, divisors larger, biases small; matrices preserve the magnitude of activations. */
function spreadOf(name: string, shape: readonly number[]): { center: number; spread: number } {
  if (/norm(_2)?\.weight$/.test(name)) return { center: 1, spread: 0.1 };
  if (name.startsWith('rope_')) return { center: 2, spread: 1 };
  if (name.endsWith('.bias')) return { center: 0, spread: 0.2 };
  // A uniform spread of sqrt(3 / columns) has variance 1 / columns.
  return { center: 0, spread: Math.sqrt(3 / (shape.at(-1) as number)) };
}
