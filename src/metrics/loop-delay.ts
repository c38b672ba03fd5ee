// The delay of the event loop: how much later than asked for a timer fires. Measured from the first call on, so that an engine
// whose metrics nobody reads sets no timer. Used by the engine.
import { Histogram } from './histogram.js';

/** How often it is looked at. */
const periodMs = 20;

export class LoopDelay {
  readonly values = new Histogram([0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5]);
  #timer: NodeJS.Timeout | undefined;
  #dueAt = 0;
  #isOver = false;

  /** Begins to measure, unless that was done, or is over. The timer does not keep the process alive. */
  start(): void {
    if (this.#timer !== undefined || this.#isOver) return;
    this.#dueAt = performance.now() + periodMs;
    this.#timer = setInterval(() => this.#look(), periodMs).unref();
  }

  stop(): void {
    this.#isOver = true;
    clearInterval(this.#timer);
  }

  #look(): void {
    const now = performance.now();
    this.values.observe(Math.max(0, now - this.#dueAt) / 1000);
    this.#dueAt = now + periodMs;
  }
}
