// Runs one piece of work for each of many items, some at a time: for lists, whose results come in order, and for anything
// that can be iterated, whose results come as they are wanted. Called by the methods of a model that take many items.

import { AbortWatch } from '../base/abort-watch.js';
import { unreadable } from '../base/describe.js';
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

interface Stoppable {
  abort(reason: unknown): void;
}

/** The calls that a signal stops. */
const calls = new AbortWatch<Stoppable>((call, signal) => call.abort(signal.reason));

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
  try {
    return copyItems(given, op);
  } catch (cause) {
    throw unreadable(cause, 'the items', op);
  }
}

function copyItems<I>(given: readonly I[], op: string): I[] {
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
  if (signal !== undefined) calls.add(signal, stop);
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
    if (signal !== undefined) calls.remove(signal, stop);
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
  /** Called before an item is taken. What it throws ends the source, as if that had thrown it. */
  readonly checkOpen: () => void;
}

/**
 * Yields the outcome of `work` for each item of a source as soon as it is there, and takes the next item only as results are
 * taken. Where the source throws, the items that were taken complete, and then its error is thrown. Leaving early aborts what
 * runs.
 * @throws TesseraeError ERR_ARGUMENT when the source cannot be iterated; AbortError
 */
export async function* eachItem<I, T>(
  source: Iterable<I> | AsyncIterable<I>,
  run: EachRun,
  work: (item: I, signal: AbortSignal, index: number) => Promise<T>,
): AsyncGenerator<EachOutcome<T>, void, void> {
  const iterator = iteratorOf<I>(source, run.op);
  const { signal, lanes, ordered } = run;
  if (signal?.aborted) throw new AbortError(signal.reason);
  const items = new TakenItems(iterator, run.checkOpen, work);
  if (signal !== undefined) calls.add(signal, items);
  try {
    for (let given = 0; !items.isDone; ) {
      if (signal?.aborted) throw new AbortError(signal.reason);
      const outcome = items.outcome(ordered ? given : undefined);
      if (outcome !== undefined) {
        given++;
        yield outcome;
      } else {
        if (items.inHand < lanes) items.take();
        await items.change();
      }
    }
    items.throwFailure();
  } finally {
    if (signal !== undefined) calls.remove(signal, items);
    await items.close();
  }
}

/** The items that were taken from a source: those that are worked on, and the outcomes that nobody has got yet. */
class TakenItems<I, T> implements Stoppable {
  readonly #iterator: AsyncIterator<I> | Iterator<I>;
  readonly #checkOpen: () => void;
  readonly #work: (item: I, signal: AbortSignal, index: number) => Promise<T>;
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();
  /** In the order in which they were there. */
  readonly #outcomes = new Map<number, EachOutcome<T>>();
  #taken = 0;
  #isTaking = false;
  #isOver = false;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(
    iterator: AsyncIterator<I> | Iterator<I>,
    checkOpen: () => void,
    work: (item: I, signal: AbortSignal, index: number) => Promise<T>,
  ) {
    this.#iterator = iterator;
    this.#checkOpen = checkOpen;
    this.#work = work;
  }

  get inHand(): number {
    return this.#running.size + this.#outcomes.size;
  }

  get isDone(): boolean {
    return this.#isOver && this.inHand === 0;
  }

  /** The outcome of an item, or of any, if it is there. */
  outcome(index: number | undefined): EachOutcome<T> | undefined {
    const [outcome] = index === undefined ? this.#outcomes.values() : [this.#outcomes.get(index)];
    if (outcome !== undefined) this.#outcomes.delete(outcome.index);
    return outcome;
  }

  /** Takes the next item, unless that is under way. A source may let wait for it; outcomes come meanwhile. */
  take(): void {
    if (this.#isTaking || this.#isOver) return;
    this.#isTaking = true;
    const taking = this.#takeNext().catch((error: unknown) => {
      this.#isOver = true;
      this.#failure = { error };
    });
    void taking.then(() => {
      this.#isTaking = false;
      this.#wake?.();
    });
  }

  /** Until an item was taken, or there is an outcome. To be called where neither is the case. */
  change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  abort(reason: unknown): void {
    this.#stop.abort(reason);
    this.#wake?.();
  }

  /** @throws what the source has thrown */
  throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Stops what runs, and waits for it. */
  async close(): Promise<void> {
    this.#stop.abort();
    if (!this.#isOver) {
      const closed = this.#iterator.return?.();
      // A source that is waiting for its next item may never answer.
      if (this.#isTaking) Promise.resolve(closed).catch(() => {});
      else await closed;
    }
    await Promise.all(this.#running);
  }

  async #takeNext(): Promise<void> {
    this.#checkOpen();
    const step = await this.#iterator.next();
    if (step.done === true) this.#isOver = true;
    else if (!this.#stop.signal.aborted) {
      const running = this.#finish(step.value, this.#taken++).then(() => {
        this.#running.delete(running);
        this.#wake?.();
      });
      this.#running.add(running);
    }
  }

  async #finish(item: I, index: number): Promise<void> {
    try {
      this.#outcomes.set(index, { index, value: await this.#work(item, this.#stop.signal, index) });
    } catch (error) {
      this.#outcomes.set(index, { index, reason: indexed(error, index) });
    }
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
