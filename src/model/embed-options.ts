// The options of `model.embed`, and how a model's file asks for its states to be pooled. Called by Model and by loading.
import { TesseraeError } from '../base/errors.js';
import { checkFlag, checkRange, checkWord } from '../base/options.js';
import type { ModelMetadata } from '../metadata/model-metadata.js';
import { type Pooling, type PoolingKind, poolingKinds } from '../ops/rowwise/pool-rows.js';
import type { ModelInfo } from './model-info.js';

export interface EmbedOptions {
  /** `mean` of all tokens, or the state of the `last` or `first` token; what the model was made for by default. */
  readonly pooling?: PoolingKind | undefined;
  /** Scale the vector to length 1; true by default. */
  readonly normalize?: boolean | undefined;
  /** The leading dimensions alone, for models that were trained so (Matryoshka): cut first, then normalized. */
  readonly dimensions?: number | undefined;
  /**
   * A text that does not fit fails with ERR_CONTEXT (`error`, the default), or is cut at the `end`: the tokenizer stops
   * there, and what is behind costs no time.
   */
  readonly truncate?: 'error' | 'end' | undefined;
  /** Called for each text that was cut, with its tokens, and how many of them were kept. */
  readonly onTruncated?: ((text: Truncation) => unknown) | undefined;
}

export interface Truncation {
  readonly index: number;
  /**
   * How many tokens the text has. They are counted up to {@link mostCounted}, or up to one more than fits where that is
   * more; a text with as many may have more.
   */
  readonly tokens: number;
  readonly kept: number;
}

/** The tokens of a text that is cut are counted up to so many: a text of any length is cut in a few milliseconds. */
export const mostCounted = 1 << 16;

export const embedKeys = ['pooling', 'normalize', 'dimensions', 'truncate', 'onTruncated'] as const;

/** The values of llama.cpp's `pooling_type`: none, mean, cls, last. The states of single tokens are pooled as a mean. */
const poolingOfType: readonly (PoolingKind | undefined)[] = ['mean', 'mean', 'first', 'last'];

/**
 * How a model's states are pooled where its user does not say it.
 * @throws TesseraeError ERR_UNSUPPORTED for a model that ranks texts instead
 */
export function readPooling(metadata: ModelMetadata): PoolingKind {
  const key = `${metadata.string('general.architecture')}.pooling_type`;
  const type = metadata.count(key, 1);
  const pooling = poolingOfType[type];
  if (pooling === undefined) throw metadata.error(key, `is ${type}, which is not supported`, 'ERR_UNSUPPORTED');
  return pooling;
}

export interface EmbedSettings {
  readonly pooling: Pooling;
  readonly truncates: boolean;
  readonly onTruncated: ((text: Truncation) => unknown) | undefined;
}

/** @throws TesseraeError ERR_ARGUMENT */
export function embedSettingsOf(options: EmbedOptions, info: ModelInfo, op: string): EmbedSettings {
  const { pooling, normalize, dimensions, truncate, onTruncated } = options;
  if (onTruncated !== undefined && typeof onTruncated !== 'function') {
    throw new TesseraeError('ERR_ARGUMENT', 'onTruncated must be a function', { op });
  }
  return {
    pooling: {
      pooling: checkWord(pooling ?? info.pooling, poolingKinds, 'pooling', op),
      normalize: checkFlag(normalize, true, 'normalize', op),
      dimensions: checkRange(dimensions, 'dimensions', op, 1, info.dim) ?? info.dim,
    },
    truncates: checkWord(truncate, ['error', 'end'], 'truncate', op) === 'end',
    onTruncated,
  };
}
