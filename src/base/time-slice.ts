// Keeps long JavaScript work from blocking the event loop: it runs in slices of a few milliseconds, with a turn of
// the loop in between. It starts no threads. Called by the GGUF reader and writer, by the tokenizers and sessions, and
// by the engine to record a model's programs.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AbortError } from './errors.js';

/** How long one slice may run. Short enough that a slice and a garbage collection together stay under 10 ms. */
const SLICE_MS = 3;

/** A clock for sliced work: `if (pace.due()) await pace.rest();` in every loop that scales with the input. */
export class Pace {
  readonly #signal: AbortSignal | undefined;
  readonly #sliceMs: number;
  #sliceEnd: number;

  /** @throws AbortError when the signal has already fired. */
  constructor(signal?: AbortSignal, sliceMs = SLICE_MS) {
    this.#signal = signal;
    this.#sliceMs = sliceMs;
    this.#sliceEnd = performance.now() + sliceMs;
    this.check();
  }

  /** Whether the slice is used up. Reads the clock: call it every few microseconds of work, not more often. */
  due(): boolean {
    return performance.now() >= this.#sliceEnd;
  }

  /** Gives the event loop a turn, then starts a new slice. @throws AbortError when the signal has fired. */
  async rest(): Promise<void> {
    this.check();
    await nextTurn();
    this.check();
    this.#sliceEnd = performance.now() + this.#sliceMs;
  }

  /** @throws AbortError when the signal has fired. */
  check(): void {
    if (this.#signal?.aborted) throw new AbortError(this.#signal.reason);
  }
}

/** Runs a generator to its end, with a turn of the event loop at those of its yields where the slice is used up. */
export async function runInSlices<T>(work: Generator<void, T>, pace: Pace): Promise<T> {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    if (pace.due()) await pace.rest();
  }
}

/** Runs a generator to its end without a rest: for work that is known to be short. */
export function runAtOnce<T>(work: Generator<void, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}
