// Limits how long the calling thread computes within one turn of the event loop. A program that the calling thread
// computes, or helps to compute, resolves its promise in a microtask. A loop that awaits such calls one after the other
// would never let the event loop turn; with this limit, the next program goes to the workers. Used by the team alone.

const mostNs = 1_000_000;

export class TurnBudget {
  #ns = 0;
  readonly #onTurn = (): void => {
    this.#ns = 0;
  };

  /** Whether time is left in this turn. The last use may exceed the limit. */
  get isLeft(): boolean {
    return this.#ns < mostNs;
  }

  /** Counts time that was spent in this turn, or is about to be. */
  spend(ns: number): void {
    if (this.#ns === 0) setImmediate(this.#onTurn);
    this.#ns += ns;
  }
}
