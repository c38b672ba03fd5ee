// Lets a job wait for room in the model's queue, where a single call would fail with ERR_QUEUE_FULL. Used by job-runner.ts.
import { whenAborted } from '../base/abort-watch.js';
import { AbortError } from '../base/errors.js';

const firstWaitMs = 25;
const longestWaitMs = 1000;

export class RoomWaiting {
  /** Jobs that wait, in the order in which they came. */
  readonly #waiting = new Set<() => void>();

  /** Repeats `work` until the queue takes it. @throws what `work` throws otherwise; AbortError when the signal fires */
  async run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    for (let waitMs = firstWaitMs; ; waitMs = Math.min(2 * waitMs, longestWaitMs)) {
      try {
        return await work();
      } catch (error) {
        if ((error as { code?: unknown } | null)?.code !== 'ERR_QUEUE_FULL') throw error;
      }
      await this.#wait(waitMs, signal);
      if (signal.aborted) throw new AbortError(signal.reason);
    }
  }

  /** A job has ended, so that there may be room for the one that waits longest. */
  wakeOne(): void {
    const [first] = this.#waiting;
    first?.();
  }

  #wait(waitMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        leave();
        resolve();
      };
      const timer = setTimeout(wake, waitMs);
      this.#waiting.add(wake);
      const leave = whenAborted(signal, wake);
      if (signal.aborted) wake();
    });
  }
}
