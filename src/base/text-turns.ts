// Runs long work of many callers, such as tokenizing, in turns: all of it together takes one slice of a few milliseconds in
// each turn of the event loop, however many callers there are. Used for work on texts; what serves models has slices of its
// own (time-slice.ts).
import { AbortError } from './errors.js';

/** How long all work may run in one turn of the event loop. */
const TURN_MS = 3;
/** How long one caller's work runs before that of the next. */
const QUANTUM_MS = 1;

interface Work {
  readonly signal: AbortSignal | undefined;
  /** Goes on until a time. @returns whether the work is over */
  readonly advance: (until: number) => boolean;
  readonly abort: () => void;
}

let waiting: Work[] = [];
/** When the time of this turn is used up; 0 while none of it is used. */
let turnEnd = 0;
let isScheduled = false;

/**
 * Runs a generator to its end. Work that is short, and has time left in this turn, is done at once.
 * @throws what the generator throws; AbortError when the signal fires
 */
export function runInTurns<T>(steps: Generator<void, T>, signal?: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(new AbortError(signal?.reason));
    if (signal?.aborted) return abort();
    const advance = (until: number) => {
      try {
        for (;;) {
          const step = steps.next();
          if (step.done === true) {
            resolve(step.value);
            return true;
          }
          if (signal?.aborted) {
            abort();
            return true;
          }
          if (performance.now() >= until) return false;
        }
      } catch (error) {
        reject(error);
        return true;
      }
    };
    const now = performance.now();
    if (turnEnd === 0) {
      turnEnd = now + TURN_MS;
      schedule();
    }
    if (waiting.length === 0 && now < turnEnd && advance(turnEnd)) return;
    waiting.push({ signal, advance, abort });
    schedule();
  });
}

function schedule(): void {
  if (isScheduled) return;
  isScheduled = true;
  setImmediate(takeTurn);
}

function takeTurn(): void {
  isScheduled = false;
  turnEnd = 0;
  waiting = waiting.filter(({ signal, abort }) => {
    if (signal?.aborted) abort();
    return !signal?.aborted;
  });
  if (waiting.length === 0) return;
  turnEnd = performance.now() + TURN_MS;
  schedule();
  for (let now = performance.now(); now < turnEnd; now = performance.now()) {
    const work = waiting.shift();
    if (work === undefined) break;
    if (!work.advance(Math.min(now + QUANTUM_MS, turnEnd))) waiting.push(work);
  }
}
