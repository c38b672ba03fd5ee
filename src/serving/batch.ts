// Runs one piece of work for each of many prompts, a few at a time. Called by the methods of a model that take arrays.
import { AbortError, TesseraeError } from '../base/errors.js';

export interface BatchProgress {
  /** Items done, and items in all. */
  readonly done: number;
  readonly total: number;
}

export interface BatchRun {
  readonly op: string;
  /** How many run at the same time. */
  readonly lanes: number;
  readonly onProgress?: ((progress: BatchProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The results of `work`, in order. The first failure stops the others.
 * @throws TesseraeError ERR_ARGUMENT when `given` is no array; AbortError when the signal fires
 */
export async function forEachItem<I, T>(
  given: readonly I[],
  { op, lanes: mostLanes, onProgress, signal }: BatchRun,
  work: (item: I, signal: AbortSignal) => Promise<T>,
): Promise<T[]> {
  if (!Array.isArray(given)) throw new TesseraeError('ERR_ARGUMENT', 'expected an array of texts', { op });
  const items = [...given];
  if (signal?.aborted) throw new AbortError(signal.reason);
  const results = new Array<T>(items.length);
  const stop = new AbortController();
  const onAbort = () => stop.abort(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  let next = 0;
  let done = 0;
  const lane = async () => {
    while (next < items.length && !stop.signal.aborted) {
      const index = next++;
      results[index] = await work(items[index] as I, stop.signal);
      onProgress?.({ done: ++done, total: items.length });
    }
  };
  try {
    const lanes = Array.from({ length: Math.min(items.length, mostLanes) }, lane);
    // On a failure the other lanes are stopped and waited for, so that nothing is left running.
    const failed = Promise.all(lanes).catch((error: unknown) => {
      stop.abort(error);
      throw error;
    });
    await Promise.allSettled([failed, ...lanes]);
    await failed;
    if (signal?.aborted) throw new AbortError(signal.reason);
    return results;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}
