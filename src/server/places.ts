// How many answers may be computed or wait at once. More are refused, so that a client knows at once. Called by the endpoints.
import { whenAborted } from '../base/abort-watch.js';
import type { EnginePressure } from '../index.js';
import { RequestError } from './error-replies.js';

export class Places {
  readonly #most: number;
  readonly #pressure: () => EnginePressure;
  #taken = 0;
  #isDraining = false;
  #whenIdle: (() => void) | undefined;

  constructor(most: number, pressure: () => EnginePressure) {
    this.#most = most;
    this.#pressure = pressure;
  }

  get taken(): number {
    return this.#taken;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** @throws RequestError 503 while draining, 429 where there is no room */
  check(count = 1): void {
    if (this.#isDraining) throw draining();
    if (this.#taken + count <= this.#most) return;
    const { expectedWaitMs } = this.#pressure();
    const seconds = Math.min(60, Math.max(1, Math.ceil(expectedWaitMs / 1000)));
    throw new RequestError(429, 'server_full', `${this.#taken} of ${this.#most} requests are running or queued`, {
      'retry-after': String(seconds),
    });
  }

  /**
   * Takes places until the function that is returned is called, or the signal fires.
   * @throws RequestError 429, 503; 400 for more than there are
   */
  take(count: number, signal: AbortSignal): () => void {
    if (count > this.#most) {
      throw new RequestError(400, 'too_many_choices', `a request may have ${this.#most} answers at most`);
    }
    this.check(count);
    this.#taken += count;
    let isTaken = true;
    const release = () => {
      if (!isTaken) return;
      isTaken = false;
      leave();
      this.#taken -= count;
      if (this.#taken === 0) this.#whenIdle?.();
    };
    const leave = whenAborted(signal, release);
    if (signal.aborted) release();
    return release;
  }

  /** Refuses all that comes from now on. Resolves when nothing is left. */
  drain(): Promise<void> {
    this.#isDraining = true;
    if (this.#taken === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenIdle = resolve;
    });
  }
}

export function draining(): RequestError {
  return new RequestError(503, 'server_closing', 'the server is closing', { 'retry-after': '5' });
}
