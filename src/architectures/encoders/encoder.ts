// What the encoders share (BERT and its relatives): their configuration, and the embedding of their tokens. What the layers
// of each compute is in its own file.

import type { JsonView } from '../../base/json-view.js';
import type { ModelMetadata } from '../../metadata/model-metadata.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { EncoderInputs, ModelConfig, WeightSpec } from '../architecture.js';
import { type BaseConfig, ConfigReader, readSizes } from '../config-reader.js';
import type { MetadataBuilder } from '../huggingface-mapping.js';
import { embed, type Layer, layerNorm, type Pass, tensorOf } from '../stages.js';
import { layerNormVectors, matrix } from '../weight-specs.js';

export interface EncoderConfig extends BaseConfig {
  /** Rows of the table of token types: 0 for the first sentence, 1 for the second. */
  readonly tokenTypes: number;
}

export type EncoderPass<Config extends EncoderConfig = EncoderConfig> = Pass<Config, EncoderInputs>;
export type EncoderLayer<Config extends EncoderConfig = EncoderConfig> = Layer<Config, EncoderInputs>;

/** @throws TesseraeError ERR_MODEL_FILE, ERR_UNSUPPORTED, as {@link readSizes} */
export function readEncoderConfig(metadata: ModelMetadata, architecture: string): EncoderConfig {
  const reader = new ConfigReader(metadata, architecture);
  const sizes = readSizes(reader, 'layer');
  if (reader.flag('attention.causal', false)) {
    throw reader.error(
      'attention.causal',
      'asks for causal attention in an encoder, which is not supported',
      'ERR_UNSUPPORTED',
    );
  }
  if (sizes.kvHeads !== sizes.heads) {
    throw reader.error('attention.head_count_kv', 'differs from the number of heads in an encoder', 'ERR_UNSUPPORTED');
  }
  return { ...sizes, tokenTypes: metadata.count('tokenizer.ggml.token_type_count', 1) };
}

/** What the configs of all encoders give. */
export function addEncoderMetadata(config: JsonView, metadata: MetadataBuilder): void {
  metadata.count('tokenizer.ggml.token_type_count', config.at('type_vocab_size'));
  metadata.flag('.attention.causal', false);
}

/**
 * The tables of the embedding, and the tensors of all layers.
 * @param layer gives the tensors of the layer whose names begin with `block`
 */
export function encoderWeights(
  { vocabulary, dim, layers, tokenTypes }: EncoderConfig,
  layer: (block: string) => readonly WeightSpec[],
): WeightSpec[] {
  return [
    matrix('token_embd', vocabulary, dim, { isTable: true }),
    matrix('token_types', tokenTypes, dim, { asF32: true, optional: true }),
    ...layerNormVectors('token_embd_norm', dim),
    ...Array.from({ length: layers }, (_, index) => layer(`blk.${index}`)).flat(),
  ];
}

/**
 * The embedding of the tokens, all of type 0, normalised. f32 [tokens, dim].
 * @param positions the embedding of their positions, which is added; none for other kinds of positions
 */
export function embedTyped(pass: EncoderPass, positions?: Tensor): Tensor {
  const { p } = pass;
  const x = embed(pass);
  if (pass.weights.has('token_types.weight')) {
    p.add(x, tensorOf(pass, 'token_types').slice([0, 1]), { out: x });
  }
  if (positions !== undefined) p.add(x, positions, { out: x });
  return layerNorm(pass, 'token_embd_norm', x, { out: x });
}

/** ALiBi (Press et al. 2022) for any number of heads, as llama.cpp computes it. */
export function alibiSlopes({ heads }: ModelConfig, maxBias: number): Float32Array {
  const powerOfTwo = 2 ** Math.floor(Math.log2(heads));
  return Float32Array.from({ length: heads }, (_, head) =>
    head < powerOfTwo
      ? 2 ** ((-maxBias * (head + 1)) / powerOfTwo)
      : 2 ** ((-maxBias * (2 * (head - powerOfTwo) + 1)) / (2 * powerOfTwo)),
  );
}
