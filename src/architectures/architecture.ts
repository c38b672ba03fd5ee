// What an architecture states: how it reads its sizes from a model's metadata, which tensors it needs, how it records a
// forward pass, and how a Hugging Face folder maps to all this. Each has one file below, and one line in registry.ts.

import type { ModelMetadata } from '../metadata/model-metadata.js';
import type { ProgramBuilder } from '../ops/calls/program-builder.js';
import type { PackedMatrix } from '../ops/matmul/pack.js';
import type { QuantizedMatrix } from '../ops/quantized/quantized-matrix.js';
import type { HeadNorms } from '../ops/rowwise/norm.js';
import type { Rotation } from '../ops/rowwise/rope.js';
import type { Tensor } from '../tensor/tensor.js';
import type { HuggingFaceMapping } from './huggingface-mapping.js';

/** The sizes that every model has. */
export interface ModelConfig {
  readonly architecture: string;
  readonly layers: number;
  /** Width of the hidden states. */
  readonly dim: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vocabulary: number;
  /** Positions that the model was trained for. */
  readonly contextLength: number;
}

/** A tensor that the architecture reads from the checkpoint. Shapes are row-major: [out, in] for a projection. */
export interface WeightSpec {
  readonly name: string;
  readonly shape: readonly number[];
  /** Whether loading widens it to f32, as it does vectors. Matrices keep the file's type. */
  readonly asF32: boolean;
  /** Whether it is a matrix whose rows are not looked up: used by products alone, it can be kept as they read it. */
  readonly isFactor: boolean;
  /** Whether it may be absent. */
  readonly optional: boolean;
  /** Another shape that it may have. */
  readonly otherShape?: readonly number[];
  /**
   * The weights that its rows are, one after the other. Where it has as many rows as they, each of them is loaded by
   * itself, under its own name; otherwise it is one weight.
   */
  readonly parts?: readonly WeightPart[];
}

export interface WeightPart {
  readonly name: string;
  readonly rows: number;
}

/** A loaded tensor, or a matrix as products read it: in panels, or in the file's quantized type. */
export type Weight = Tensor | PackedMatrix | QuantizedMatrix;

/** The loaded tensors, by GGUF's names. */
export type Weights = ReadonlyMap<string, Weight>;

/** A weight whose spec has `asF32`: always a tensor. */
export function vectorIn(weights: Weights, name: string): Tensor<'f32'> | undefined {
  return weights.get(name) as Tensor<'f32'> | undefined;
}

/**
 * Small f32 vectors that an architecture computes once from its configuration, under its own names: for example the
 * frequencies of rotary positions.
 */
export type Constants = ReadonlyMap<string, Tensor>;

/** The queries, keys and values of a layer: [tokens, heads or kvHeads, headDim]. */
export interface QueriesKeysValues {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  /** Queries and keys are still to be normalised, each head by itself, where they are and before they are rotated. */
  readonly norms?: HeadNorms;
  /** Queries and keys are still to be rotated by the positions of their tokens, where they are: see the op `rope`. */
  readonly rotation?: Rotation;
}

export interface AttendOptions {
  readonly scale?: number;
  readonly softcap?: number;
  readonly window?: number | undefined;
}

/**
 * Records the attention of a layer: each token's query against the keys of its sequence so far, its own included. The
 * result is f32 [tokens, heads · headDim].
 */
export type Attend = (layer: number, heads: QueriesKeysValues, options: AttendOptions) => Tensor;

/** The tensors of one forward pass over `tokens` tokens, of one sequence or of many. */
export interface ForwardInputs {
  /** i32 [tokens]. */
  readonly ids: Tensor;
  /** i32 [tokens]: the position of each token in its sequence. */
  readonly positions: Tensor;
  readonly attend: Attend;
  readonly constants: Constants;
}

/**
 * Records the attention of an encoder's layer: each token's query against all keys of its text. The result is f32
 * [tokens, heads · headDim].
 * @param slopes f32 [heads]: subtracted from a score for each position between query and key
 */
export type AttendWhole = (heads: QueriesKeysValues, slopes?: Tensor) => Tensor;

/** The tensors of one forward pass of an encoder over the tokens of many texts, one text after the other. */
export interface EncoderInputs {
  /** i32 [tokens]. */
  readonly ids: Tensor;
  /** i32 [tokens]: the position of each token in its text. */
  readonly positions: Tensor;
  readonly attend: AttendWhole;
  readonly constants: Constants;
}

/** What decoders and encoders have in common. */
interface CommonArchitecture<Config extends ModelConfig> {
  /** The value of `general.architecture` in GGUF. */
  readonly name: string;
  /** How the config.json and the tensors of a Hugging Face folder map to this metadata and these weights. */
  readonly huggingFace: HuggingFaceMapping;
  /** @throws TesseraeError ERR_MODEL_FILE for inconsistent sizes, ERR_UNSUPPORTED for what is not computed */
  readConfig(metadata: ModelMetadata): Config;
  /** All tensors of the model. A checkpoint with others is refused. */
  weights(config: Config): readonly WeightSpec[];
  /**
   * The constants that `recordHidden` reads. Their lengths do not depend on the weights.
   * @param capacity positions in a session, or in a text
   */
  constants(config: Config, weights: Weights, capacity: number): Readonly<Record<string, Float32Array>>;
}

/** A decoder: the state of a token depends on the tokens before it, and gives the logits of the next one. */
export interface DecoderArchitecture<Config extends ModelConfig = ModelConfig> extends CommonArchitecture<Config> {
  readonly kind: 'decoder';
  /**
   * The hidden states after the last layer and norm, f32 [tokens, dim]. Yields after each layer, so that the event loop
   * can run.
   */
  recordHidden(p: ProgramBuilder, config: Config, weights: Weights, inputs: ForwardInputs): Generator<void, Tensor>;
  /** The logits of such hidden states, f32 [tokens, vocabulary]. */
  recordLogits(p: ProgramBuilder, config: Config, weights: Weights, hidden: Tensor): Tensor;
}

/** An encoder: the state of a token depends on the whole text. It gives embeddings, but no logits. */
export interface EncoderArchitecture<Config extends ModelConfig = ModelConfig> extends CommonArchitecture<Config> {
  readonly kind: 'encoder';
  /** The hidden states after the last layer, f32 [tokens, dim]. Yields after each layer. */
  recordHidden(p: ProgramBuilder, config: Config, weights: Weights, inputs: EncoderInputs): Generator<void, Tensor>;
}

export type Architecture<Config extends ModelConfig = ModelConfig> =
  | DecoderArchitecture<Config>
  | EncoderArchitecture<Config>;
