// Embedding of a text: the hidden states of its tokens, pooled into one vector. Borrows a session from the model.
import { checkWord } from './options.js';
import type { Session } from './session.js';

const poolings = ['mean', 'last', 'first'] as const;

export interface EmbedOptions {
  /** `mean` of all tokens (the default), or the state of the `last` or `first` token. */
  readonly pooling?: (typeof poolings)[number] | undefined;
  /** Scale the vector to length 1; true by default. */
  readonly normalize?: boolean | undefined;
}

export async function embedText(
  session: Session,
  dim: number,
  ids: readonly number[],
  { pooling, normalize = true }: EmbedOptions,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const kind = checkWord(pooling, poolings, 'pooling', 'embed');
  const sums = new Float64Array(dim);
  let row = 0;
  await session.forward(ids, { output: 'hidden', signal }, (rows) => {
    for (let at = 0; at < rows.length; at += dim, row++) {
      if (kind === 'first' && row > 0) continue;
      if (kind === 'last' && row < ids.length - 1) continue;
      for (let column = 0; column < dim; column++)
        sums[column] = (sums[column] as number) + (rows[at + column] as number);
    }
  });
  const count = kind === 'mean' ? row : 1;
  const scale = normalize ? Math.sqrt(sums.reduce((sum, value) => sum + value * value, 0)) : count;
  return Float32Array.from(sums, (value) => (scale === 0 ? 0 : value / scale));
}
