// What an architecture is: how it reads its sizes from a file's metadata, which tensors it needs, and how it records a
// forward pass. One file beside this one for each, and a line in the table of index.ts.

import type { ModelMetadata } from '../metadata/model-metadata.js';
import type { ProgramBuilder } from '../ops/calls/program-builder.js';
import type { PagedKeyValues } from '../ops/paged/key-value-pages.js';
import type { QuantizedMatrix } from '../ops/quantized/quantized-matrix.js';
import type { Tensor } from '../tensor/tensor.js';
import type { HuggingFaceMapping } from './huggingface-mapping.js';

/** The sizes that every decoder has. */
export interface ModelConfig {
  readonly architecture: string;
  readonly layers: number;
  /** Width of the hidden states. */
  readonly dim: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vocabulary: number;
  /** Positions that the model was made for. */
  readonly contextLength: number;
}

/** A tensor that the architecture reads from the file. Shapes are row-major: [out, in] for a projection. */
export interface WeightSpec {
  readonly name: string;
  readonly shape: readonly number[];
  /** Vectors are small and computed with in f32: they are widened at load. Matrices keep their type. */
  readonly asF32: boolean;
  /** May be absent from the file. */
  readonly optional: boolean;
  /** Another shape that it may have. */
  readonly otherShape?: readonly number[];
}

/** A loaded tensor, or a matrix in the quantized type of the file. */
export type Weight = Tensor | QuantizedMatrix;

/** The loaded tensors by their name in the file. */
export type Weights = ReadonlyMap<string, Weight>;

/** A weight that was asked for with `asF32`, and so is a tensor. */
export function vectorIn(weights: Weights, name: string): Tensor<'f32'> | undefined {
  return weights.get(name) as Tensor<'f32'> | undefined;
}

/**
 * Small f32 vectors that an architecture computes once from its configuration, by names of its own: the frequencies of
 * rotary positions, for example.
 */
export type Constants = ReadonlyMap<string, Tensor>;

/** The tensors of one forward pass over `tokens` tokens of one sequence. */
export interface ForwardInputs {
  /** i32 [tokens]. */
  readonly ids: Tensor;
  /** i32 [tokens]: where each token stands in its sequence, which is also where its keys and values are kept. */
  readonly positions: Tensor;
  /** Keys and values of each layer. */
  readonly cache: readonly PagedKeyValues[];
  readonly constants: Constants;
}

/** The tensors of one forward pass over `batch` sequences of an encoder, all padded to the same number of tokens. */
export interface EncoderInputs {
  readonly batch: number;
  /** i32 [batch · tokens]. */
  readonly ids: Tensor;
  /** i32 [batch · tokens]: where each token stands in its sequence. */
  readonly positions: Tensor;
  /** i32 [batch]: the tokens of each sequence without the padding. */
  readonly lengths: Tensor;
  /** f32 [batch · tokens, heads · headDim], for what attention gives, layer after layer. */
  readonly mixed: Tensor;
  readonly constants: Constants;
}

/** What all architectures tell of themselves. */
interface ArchitectureFace<Config extends ModelConfig> {
  /** As `general.architecture` spells it. */
  readonly name: string;
  /** How a Hugging Face folder becomes such metadata and weights. */
  readonly huggingFace: HuggingFaceMapping;
  /** @throws TesseraeError ERR_MODEL_FILE for sizes that do not fit together, ERR_UNSUPPORTED for what is not built */
  readConfig(metadata: ModelMetadata): Config;
  weights(config: Config): readonly WeightSpec[];
  /** What `recordHidden` finds in its constants. `capacity`: positions in a session, or in a text. */
  constants(config: Config, weights: Weights, capacity: number): Readonly<Record<string, Float32Array>>;
}

/** A decoder: what it computes for a token depends on those before it, and it rates what comes next. */
export interface Architecture<Config extends ModelConfig = ModelConfig> extends ArchitectureFace<Config> {
  readonly kind: 'decoder';
  /** The hidden states after the last layer and norm, f32 [tokens, dim]. Yields after each layer: a chance to rest. */
  recordHidden(p: ProgramBuilder, config: Config, weights: Weights, inputs: ForwardInputs): Generator<void, Tensor>;
  /** The logits of such hidden states, f32 [tokens, vocabulary]. */
  recordLogits(p: ProgramBuilder, config: Config, weights: Weights, hidden: Tensor): Tensor;
}

/** An encoder: what it computes for a token depends on the whole text. It gives embeddings only. */
export interface EncoderArchitecture<Config extends ModelConfig = ModelConfig> extends ArchitectureFace<Config> {
  readonly kind: 'encoder';
  /** The hidden states after the last layer, f32 [batch · tokens, dim]. Yields after each layer. */
  recordHidden(p: ProgramBuilder, config: Config, weights: Weights, inputs: EncoderInputs): Generator<void, Tensor>;
}

export type AnyArchitecture<Config extends ModelConfig = ModelConfig> =
  | Architecture<Config>
  | EncoderArchitecture<Config>;
