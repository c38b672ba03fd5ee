// Runs one piece of work for each of many items, some at a time: for lists, whose results come in order, and for anything
// that can be iterated, whose results come as they are wanted. Called by the methods of a model that take many items.
import { AbortError, indexed, TesseraeError } from '../base/errors.js';

export interface BatchProgress {
  /** Items done, and items in all. */
  readonly done: number;
  readonly total: number;
}

export interface BatchRun {
  readonly op: string;
  /** How many run at the same time. */
  readonly lanes: number;
  readonly onProgress?: ((progress: BatchProgress) => unknown) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Items of a list, at most: they and their results are held at once. */
const mostItems = 1 << 20;

/** An item's outcome in a call that goes on after failures. */
export type Settled<T> = PromiseSettledResult<T>;

/**
 * The results of `work`, in order. The first failure stops the others, and rejects with the item's index.
 * @throws TesseraeError ERR_ARGUMENT when `given` is no array; AbortError when the signal fires
 */
export async function forEachItem<I, T>(
  given: readonly I[],
  run: BatchRun,
  work: (item: I, signal: AbortSignal, index: number) => Promise<T>,
): Promise<T[]> {
  const items = itemsOf(given, run.op);
  const results = new Array<T>(items.length);
  await inLanes(items.length, run, async (index, stop) => {
    try {
      results[index] = await work(items[index] as I, stop, index);
    } catch (error) {
      throw indexed(error, index);
    }
  });
  return results;
}

/**
 * The outcomes of `work`, in order: a failure is its item's alone.
 * @throws TesseraeError ERR_ARGUMENT when `given` is no array; AbortError when the signal fires
 */
export async function settleEachItem<I, T>(
  given: readonly I[],
  run: BatchRun,
  work: (item: I, signal: AbortSignal, index: number) => Promise<T>,
): Promise<Settled<T>[]> {
  const items = itemsOf(given, run.op);
  const outcomes = new Array<Settled<T>>(items.length);
  await inLanes(items.length, run, async (index, stop) => {
    try {
      outcomes[index] = { status: 'fulfilled', value: await work(items[index] as I, stop, index) };
    } catch (error) {
      if (stop.aborted) throw error;
      outcomes[index] = { status: 'rejected', reason: indexed(error, index) };
    }
  });
  return outcomes;
}

/** A copy. Its length is looked at first: an array may have billions of holes. */
function itemsOf<I>(given: readonly I[], op: string): I[] {
  if (!Array.isArray(given)) throw new TesseraeError('ERR_ARGUMENT', 'expected an array of texts', { op });
  if (given.length > mostItems) {
    const message = `an array of ${given.length} items is longer than ${mostItems}; iterate larger sources item by item`;
    throw new TesseraeError('ERR_ARGUMENT', message, { op });
  }
  return [...given];
}

async function inLanes(
  total: number,
  { lanes: mostLanes, onProgress, signal }: BatchRun,
  work: (index: number, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  if (signal?.aborted) throw new AbortError(signal.reason);
  const stop = new AbortController();
  const onAbort = () => stop.abort(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  let next = 0;
  let done = 0;
  const lane = async () => {
    while (next < total && !stop.signal.aborted) {
      await work(next++, stop.signal);
      // A callback that rejects fails this call, and never the process.
      await onProgress?.({ done: ++done, total });
    }
  };
  try {
    const lanes = Array.from({ length: Math.min(total, mostLanes) }, lane);
    // On a failure the other lanes are stopped and waited for, so that nothing is left running.
    const failed = Promise.all(lanes).catch((error: unknown) => {
      stop.abort(error);
      throw error;
    });
    await Promise.allSettled([failed, ...lanes]);
    await failed;
    if (signal?.aborted) throw new AbortError(signal.reason);
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

/** The outcome of one item of a source. */
export interface EachOutcome<T> {
  /** The item's place in the source, from 0. */
  readonly index: number;
  /** What came of it; undefined where it failed. */
  readonly value?: T;
  /** Why it failed. */
  readonly reason?: unknown;
}

export interface EachRun {
  readonly op: string;
  /** How many items are taken from the source before their results are wanted. */
  readonly lanes: number;
  /** Results in the order of the source; otherwise as they are done. */
  readonly ordered: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Yields the outcome of `work` for each item of a source, and takes the next item only as results are taken. Where the source
 * throws, the items that were taken complete, and then its error is thrown. Leaving early aborts what runs.
 * @throws TesseraeError ERR_ARGUMENT when the source cannot be iterated; AbortError
 */
export async function* eachItem<I, T>(
  source: Iterable<I> | AsyncIterable<I>,
  { op, lanes, ordered, signal }: EachRun,
  work: (item: I, signal: AbortSignal, index: number) => Promise<T>,
): AsyncGenerator<EachOutcome<T>, void, void> {
  const iterator = iteratorOf<I>(source, op);
  if (signal?.aborted) throw new AbortError(signal.reason);
  const stop = new AbortController();
  const onAbort = () => stop.abort(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  const running = new Map<number, Promise<EachOutcome<T>>>();
  let taken = 0;
  let isOver = false;
  let failure: { readonly error: unknown } | undefined;
  const outcomeOf = async (item: I, index: number): Promise<EachOutcome<T>> => {
    try {
      return { index, value: await work(item, stop.signal, index) };
    } catch (error) {
      return { index, reason: indexed(error, index) };
    }
  };
  const take = async (): Promise<void> => {
    try {
      const step = await iterator.next();
      if (step.done === true) isOver = true;
      else {
        const index = taken++;
        running.set(index, outcomeOf(step.value, index));
      }
    } catch (error) {
      isOver = true;
      failure = { error };
    }
  };
  try {
    for (let given = 0; ; given++) {
      while (!isOver && running.size < lanes) await take();
      if (running.size === 0) break;
      const outcome = await (ordered ? running.get(given) : Promise.race(running.values()));
      running.delete((outcome as EachOutcome<T>).index);
      if (stop.signal.aborted) throw new AbortError(signal?.reason);
      yield outcome as EachOutcome<T>;
    }
    if (failure !== undefined) throw failure.error;
  } finally {
    stop.abort();
    signal?.removeEventListener('abort', onAbort);
    if (!isOver) await iterator.return?.();
    await Promise.allSettled(running.values());
  }
}

function iteratorOf<I>(source: unknown, op: string): AsyncIterator<I> | Iterator<I> {
  const isObject = (typeof source === 'object' && source !== null) || typeof source === 'function';
  const iterable = source as Partial<Iterable<I> & AsyncIterable<I>>;
  if (isObject && typeof iterable[Symbol.asyncIterator] === 'function') {
    return (iterable as AsyncIterable<I>)[Symbol.asyncIterator]();
  }
  if (isObject && typeof iterable[Symbol.iterator] === 'function') return (iterable as Iterable<I>)[Symbol.iterator]();
  throw new TesseraeError('ERR_ARGUMENT', 'expected something to iterate that is no string', { op });
}
