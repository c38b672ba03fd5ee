// Runs one generation request on one sequence: computes what the request is to choose from, token by token. Called by
// ServedDecoder.
import type { Sequence } from '../forward/sequence.js';
import type { GenerationResult, Piece } from '../generation/generation-result.js';
import type { GenerationRequest } from '../generation/request.js';

export interface RequestRun {
  /** Empty, or with the prompt where `prefill` is given. */
  readonly sequence: Sequence;
  readonly request: GenerationRequest;
  readonly loadMs: number;
  /** When it was asked for, by performance.now(). */
  readonly askedAt: number;
  /** What the sequence has computed of the prompt already. */
  readonly prefill?: Prefill | undefined;
}

/** The logits after a prompt, to begin several continuations from. */
export interface Prefill {
  readonly logits: Float32Array;
  readonly ms: number;
}

/** Computes a prompt in an empty sequence. */
export async function prefillOf(
  sequence: Sequence,
  ids: readonly number[],
  signal: AbortSignal | undefined,
): Promise<Prefill> {
  const started = performance.now();
  let logits = new Float32Array(0);
  const visit = (rows: Float32Array) => {
    logits = Float32Array.from(rows);
  };
  await sequence.forward({ ids, output: 'lastLogits', signal, visit });
  return { logits, ms: performance.now() - started };
}

/** Yields piece by piece; the generator's return value is the result as a whole. */
export async function* runRequest({
  sequence,
  request,
  loadMs,
  askedAt,
  prefill,
}: RequestRun): AsyncGenerator<Piece, GenerationResult, void> {
  const { promptIds, signal } = request;
  const visit = (logits: Float32Array, mostLikely?: number) => request.choose(logits, mostLikely);
  await request.prepare();
  const started = performance.now();
  if (prefill === undefined) await sequence.forward({ ids: promptIds, output: 'lastLogits', signal, visit });
  else request.choose(prefill.logits);
  const prefilled = performance.now();
  while (request.ending === undefined) {
    const piece = request.accept();
    if (piece !== undefined) yield piece;
    if (request.ending !== undefined) break;
    await request.prepare();
    await sequence.forward({ ids: [request.chosen], output: 'lastLogits', signal, visit });
  }
  return request.result({
    loadMs,
    prefillMs: prefill?.ms ?? prefilled - started,
    decodeMs: performance.now() - prefilled,
    timeToFirstTokenMs: prefilled - askedAt,
  });
}
