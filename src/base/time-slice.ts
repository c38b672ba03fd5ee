// Keeps long JavaScript work from blocking the event loop: the work runs in slices of a few milliseconds and lets the
// loop run between them. All work of the process together has one slice in each turn of the loop, however many callers
// there are. It starts no threads. Used by all rooms whose loops scale with their input.
import { AbortError } from './errors.js';

/** How long one slice may run. Short enough that a slice and a garbage collection together stay under 10 ms. */
const SLICE_MS = 3;

interface Waiting {
  readonly signal: AbortSignal | undefined;
  readonly resume: () => void;
}

let waiting: Waiting[] = [];
let isScheduled = false;
/** When the time for slices that begin in this turn of the event loop is used up; 0 while none has begun. */
let turnEnd = 0;

/** The end of a slice that begins now. */
function endOfSlice(sliceMs: number): number {
  const now = performance.now();
  if (turnEnd === 0) {
    turnEnd = now + SLICE_MS;
    schedule();
  }
  return Math.min(now + sliceMs, turnEnd);
}

function schedule(): void {
  if (isScheduled) return;
  isScheduled = true;
  setImmediate(takeTurn);
}

/** Resumes the work that has waited longest, and all whose signal has fired: that ends at once. */
function takeTurn(): void {
  isScheduled = false;
  turnEnd = 0;
  const next = waiting.shift();
  if (next === undefined) return;
  const aborted = waiting.filter(({ signal }) => signal?.aborted);
  if (aborted.length > 0) waiting = waiting.filter(({ signal }) => !signal?.aborted);
  if (waiting.length > 0) schedule();
  for (const { resume } of [next, ...aborted]) resume();
}

/** The current slice of long work: `if (timeSlice.isOver()) await timeSlice.yield();` in every loop that scales with the input. */
export class TimeSlice {
  readonly #signal: AbortSignal | undefined;
  readonly #sliceMs: number;
  #sliceEnd: number;

  /** @throws AbortError when the signal has already fired. */
  constructor(signal?: AbortSignal, sliceMs = SLICE_MS) {
    this.#signal = signal;
    this.#sliceMs = sliceMs;
    this.#sliceEnd = endOfSlice(sliceMs);
    this.throwIfAborted();
  }

  /** Whether the slice's time is used up. Reads the clock: call it every few microseconds of work, not more often. */
  isOver(): boolean {
    return performance.now() >= this.#sliceEnd;
  }

  /** Starts a new slice: for a caller who sees that the event loop has run, and has slices of its own. */
  restart(): void {
    this.#sliceEnd = performance.now() + this.#sliceMs;
  }

  /** Lets the event loop and work that waits run, then starts a new slice. @throws AbortError when the signal has fired. */
  async yield(): Promise<void> {
    this.throwIfAborted();
    await new Promise<void>((resume) => {
      waiting.push({ signal: this.#signal, resume });
      schedule();
    });
    this.throwIfAborted();
    this.#sliceEnd = endOfSlice(this.#sliceMs);
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
