// The options of `model.embed`, and how a model's file asks for its states to be pooled. Called by Model and by loading.
import { checkFlag, checkWord } from '../base/options.js';
import type { ModelMetadata } from '../metadata/model-metadata.js';
import { type Pooling, type PoolingKind, poolingKinds } from '../serving/pooling.js';

export interface EmbedOptions {
  /** `mean` of all tokens, or the state of the `last` or `first` token; what the model was made for by default. */
  readonly pooling?: PoolingKind | undefined;
  /** Scale the vector to length 1; true by default. */
  readonly normalize?: boolean | undefined;
}

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

/** @throws TesseraeError ERR_ARGUMENT */
export function poolingOf({ pooling, normalize }: EmbedOptions, fallback: PoolingKind): Pooling {
  return {
    pooling: checkWord(pooling ?? fallback, poolingKinds, 'pooling', 'embed'),
    normalize: checkFlag(normalize, true, 'normalize', 'embed'),
  };
}
