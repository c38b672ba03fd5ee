// How long the calling thread computes by itself before it lets the event loop turn. Results that are there at once
// fulfil their promises in microtasks: a loop over such calls would keep the event loop from turning, for as long as it goes
// on. Used by the team alone.

const mostNs = 1_000_000;

export class OwnTime {
  #ns = 0;
  readonly #onTurn = (): void => {
    this.#ns = 0;
  };

  /** Whether some is left before the event loop turns again. */
  get isLeft(): boolean {
    return this.#ns < mostNs;
  }

  /** Counts what has been computed, or is about to be. */
  spend(ns: number): void {
    if (this.#ns === 0) setImmediate(this.#onTurn);
    this.#ns += ns;
  }
}
