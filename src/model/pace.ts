// Keeps long JavaScript work from blocking the event loop: it runs in slices of a few milliseconds, with a turn of
// the loop in between. It starts no threads. Called by the GGUF reader and writer and by the tokenizers.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AbortError } from '../errors.js';

/** How long one slice may run. Short enough that a slice and a garbage collection together stay under 10 ms. */
const SLICE_MS = 3;

/** A clock for sliced work: `if (pace.due()) await pace.rest();` in every loop that scales with the input. */
export class Pace {
  readonly #signal: AbortSignal | undefined;
  #sliceEnd = performance.now() + SLICE_MS;

  /** @throws AbortError when the signal has already fired. */
  constructor(signal?: AbortSignal) {
    this.#signal = signal;
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
    this.#sliceEnd = performance.now() + SLICE_MS;
  }

  /** @throws AbortError when the signal has fired. */
  check(): void {
    if (this.#signal?.aborted) throw new AbortError(this.#signal.reason);
  }
}
