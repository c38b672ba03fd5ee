// Embedding of a text: the hidden states of its tokens, pooled into one vector. Borrows a session from the model.
import { checkFlag, checkWord } from './options.js';
import type { Session } from './session.js';

const poolings = ['mean', 'last', 'first'] as const;

export interface EmbedOptions {
  /** `mean` of all tokens (the default), or the state of the `last` or `first` token. */
  readonly pooling?: (typeof poolings)[number] | undefined;
  /** Scale the vector to length 1; true by default. */
  readonly normalize?: boolean | undefined;
}

export interface Pooling {
  readonly pooling: (typeof poolings)[number];
  readonly normalize: boolean;
}

/** @throws TesseraeError ERR_ARGUMENT */
export function poolingOf({ pooling, normalize }: EmbedOptions): Pooling {
  return {
    pooling: checkWord(pooling, poolings, 'pooling', 'embed'),
    normalize: checkFlag(normalize, true, 'normalize', 'embed'),
  };
}

export async function embedText(
  session: Session,
  dim: number,
  ids: readonly number[],
  { pooling, normalize }: Pooling,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const sums = new Float64Array(dim);
  let row = 0;
  await session.forward(ids, { output: 'hidden', signal }, (rows) => {
    for (let at = 0; at < rows.length; at += dim, row++) {
      if (pooling === 'first' && row > 0) continue;
      if (pooling === 'last' && row < ids.length - 1) continue;
      for (let column = 0; column < dim; column++) {
        sums[column] = (sums[column] as number) + (rows[at + column] as number);
      }
    }
  });
  const count = pooling === 'mean' ? row : 1;
  const scale = normalize ? Math.sqrt(sums.reduce((sum, value) => sum + value * value, 0)) : count;
  return Float32Array.from(sums, (value) => (scale === 0 ? 0 : value / scale));
}
