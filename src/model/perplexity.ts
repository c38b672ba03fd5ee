// Perplexity of a model on a text. Borrows a sequence; the losses are computed on the workers.
import { TesseraeError } from '../base/errors.js';
import type { Sequence } from '../forward/sequence.js';

export interface PerplexityOptions {
  /** Positions per window, BOS included; 256 by default, or the context where that is smaller. */
  readonly window?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: { readonly tokens: number; readonly totalTokens: number }) => void) | undefined;
}

export interface Perplexity {
  /** exp(nll). */
  readonly perplexity: number;
  /** Mean negative log likelihood per predicted token, in nats. */
  readonly nll: number;
  /** Tokens that were predicted. */
  readonly tokens: number;
}

/**
 * Without a BOS token each window begins with its first text token, which is then not predicted.
 * @throws TesseraeError ERR_ARGUMENT when no token is left to predict
 */
export async function perplexityOf(
  sequence: Sequence,
  bosId: number | undefined,
  ids: readonly number[],
  { window, signal, onProgress }: PerplexityOptions & { readonly window: number },
): Promise<Perplexity> {
  const textPerWindow = bosId === undefined ? window : window - 1;
  let total = 0;
  let tokens = 0;
  for (let from = 0; from < ids.length; from += textPerWindow) {
    const text = ids.slice(from, from + textPerWindow);
    const windowIds = bosId === undefined ? text : [bosId, ...text];
    const inputs = windowIds.slice(0, -1);
    const targets = windowIds.slice(1);
    sequence.cut(0);
    const visit = (losses: Float32Array) => {
      for (const loss of losses) total += loss;
    };
    await sequence.forward({ ids: inputs, output: 'losses', targets, signal, visit });
    tokens += targets.length;
    onProgress?.({ tokens: Math.min(from + textPerWindow, ids.length), totalTokens: ids.length });
  }
  if (tokens === 0) throw new TesseraeError('ERR_ARGUMENT', 'the text has no token to predict', { op: 'perplexity' });
  const nll = total / tokens;
  return { perplexity: Math.exp(nll), nll, tokens };
}
