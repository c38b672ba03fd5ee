// Keeps long JavaScript work from blocking the event loop: the work runs in slices of a few milliseconds and lets the
// loop run between them. It starts no threads. Used by all rooms whose loops scale with their input.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AbortError } from './errors.js';

/** How long one slice may run. Short enough that a slice and a garbage collection together stay under 10 ms. */
const SLICE_MS = 3;

/** The current slice of long work: `if (timeSlice.isOver()) await timeSlice.yield();` in every loop that scales with the input. */
export class TimeSlice {
  readonly #signal: AbortSignal | undefined;
  readonly #sliceMs: number;
  #sliceEnd: number;

  /** @throws AbortError when the signal has already fired. */
  constructor(signal?: AbortSignal, sliceMs = SLICE_MS) {
    this.#signal = signal;
    this.#sliceMs = sliceMs;
    this.#sliceEnd = performance.now() + sliceMs;
    this.throwIfAborted();
  }

  /** Whether the slice's time is used up. Reads the clock: call it every few microseconds of work, not more often. */
  isOver(): boolean {
    return performance.now() >= this.#sliceEnd;
  }

  /** Starts a new slice: for a caller who sees that the event loop has run. */
  restart(): void {
    this.#sliceEnd = performance.now() + this.#sliceMs;
  }

  /** Lets the event loop run, then starts a new slice. @throws AbortError when the signal has fired. */
  async yield(): Promise<void> {
    this.throwIfAborted();
    await nextTurn();
    this.throwIfAborted();
    this.restart();
  }

  /** @throws AbortError when the signal has fired. */
  throwIfAborted(): void {
    if (this.#signal?.aborted) throw new AbortError(this.#signal.reason);
  }
}

/** Runs a generator to its end; lets the event loop run at a yield once the slice's time is used up. */
export async function runInSlices<T>(work: Generator<void, T>, timeSlice: TimeSlice): Promise<T> {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    if (timeSlice.isOver()) await timeSlice.yield();
  }
}

/** Runs a generator to its end without letting the event loop run: for work that is known to be short. */
export function runAtOnce<T>(work: Generator<void, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}
