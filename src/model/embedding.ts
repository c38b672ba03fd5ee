// Embedding of texts: the hidden states of their tokens, pooled into one vector each, by a decoder's session or by an
// encoder. Called by Model.
import { type BatchRun, forEachItem } from './batch.js';
import { Encoder } from './encoder.js';
import type { GgufMetadata } from './gguf/metadata.js';
import { checkFlag, checkWord } from './options.js';
import type { Session } from './session.js';

const poolings = ['mean', 'last', 'first'] as const;
export type PoolingKind = (typeof poolings)[number];

export interface EmbedOptions {
  /** `mean` of all tokens, or the state of the `last` or `first` token; what the model was made for by default. */
  readonly pooling?: PoolingKind | undefined;
  /** Scale the vector to length 1; true by default. */
  readonly normalize?: boolean | undefined;
}

export interface Pooling {
  readonly pooling: PoolingKind;
  readonly normalize: boolean;
}

/** The values of llama.cpp's `pooling_type`: none, mean, cls, last. The states of single tokens are pooled as a mean. */
const poolingOfType: readonly (PoolingKind | undefined)[] = ['mean', 'mean', 'first', 'last'];

/**
 * How a model's states are pooled where its user does not say it.
 * @throws TesseraeError ERR_UNSUPPORTED for a model that ranks texts instead
 */
export function readPooling(metadata: GgufMetadata): PoolingKind {
  const key = `${metadata.string('general.architecture')}.pooling_type`;
  const type = metadata.count(key, 1);
  const pooling = poolingOfType[type];
  if (pooling === undefined) throw metadata.error(key, `is ${type}, which is not supported`, 'ERR_UNSUPPORTED');
  return pooling;
}

/** @throws TesseraeError ERR_ARGUMENT */
export function poolingOf({ pooling, normalize }: EmbedOptions, fallback: PoolingKind): Pooling {
  return {
    pooling: checkWord(pooling ?? fallback, poolings, 'pooling', 'embed'),
    normalize: checkFlag(normalize, true, 'normalize', 'embed'),
  };
}

/** The vector of a text by a decoder, whose session it is appended to. */
export async function embedText(
  session: Session,
  dim: number,
  ids: readonly number[],
  pooling: Pooling,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const pooled = new PooledStates(dim, ids.length, pooling);
  await session.forward(ids, { output: 'hidden', signal }, (rows) => pooled.add(rows));
  return pooled.vector();
}

/** Enough that one program is filled and emptied while the other computes. */
const encoderLanes = 2;

/** The vectors of texts by an encoder, in order. */
export async function embedTexts(
  encoder: Encoder,
  dim: number,
  texts: readonly (readonly number[])[],
  pooling: Pooling,
  { signal, onProgress }: Pick<BatchRun, 'signal' | 'onProgress'>,
): Promise<Float32Array[]> {
  const vectors = new Array<Float32Array>(texts.length);
  const total = texts.length;
  let done = 0;
  await forEachItem(Encoder.groups(texts), { op: 'embed', lanes: encoderLanes, signal }, (group, stop) =>
    encoder.forward(texts, group, stop, (index, rows) => {
      const pooled = new PooledStates(dim, rows.length / dim, pooling);
      pooled.add(rows);
      vectors[index] = pooled.vector();
      onProgress?.({ done: ++done, total });
    }),
  );
  return vectors;
}

/** Sums up the states of a text's tokens, as far as its pooling looks at them. */
class PooledStates {
  readonly #sums: Float64Array;
  readonly #length: number;
  readonly #pooling: Pooling;
  #row = 0;

  constructor(dim: number, length: number, pooling: Pooling) {
    this.#sums = new Float64Array(dim);
    this.#length = length;
    this.#pooling = pooling;
  }

  /** The states of the next tokens, f32 [tokens, dim]. */
  add(rows: Float32Array): void {
    const sums = this.#sums;
    const { pooling } = this.#pooling;
    for (let at = 0; at < rows.length; at += sums.length, this.#row++) {
      if (pooling === 'first' && this.#row > 0) continue;
      if (pooling === 'last' && this.#row < this.#length - 1) continue;
      for (let column = 0; column < sums.length; column++) {
        sums[column] = (sums[column] as number) + (rows[at + column] as number);
      }
    }
  }

  vector(): Float32Array {
    const { pooling, normalize } = this.#pooling;
    const sums = this.#sums;
    const count = pooling === 'mean' ? this.#length : 1;
    const scale = normalize ? Math.sqrt(sums.reduce((sum, value) => sum + value * value, 0)) : count;
    return Float32Array.from(sums, (value) => (scale === 0 ? 0 : value / scale));
  }
}
