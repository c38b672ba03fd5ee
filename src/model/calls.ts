// The calls of a model that are under way, and why it takes no new ones, if so. Used by Model, and by what begins requests.

export class Calls {
  readonly #open = new Set<Promise<void>>();
  #refusal: Error | undefined;

  /** @throws why the model takes no new calls: its engine is closing */
  check(): void {
    if (this.#refusal !== undefined) throw this.#refusal;
  }

  /** From now on no calls are taken. */
  refuse(error: Error): void {
    this.#refusal ??= error;
  }

  /** Counts a call until it is over. */
  track<T>(call: Promise<T>): Promise<T> {
    const over = call.then(noop, noop);
    this.#open.add(over);
    void over.then(() => this.#open.delete(over));
    return call;
  }

  /** Resolves when all calls are over. */
  async over(): Promise<void> {
    while (this.#open.size > 0) await Promise.all(this.#open);
  }
}

const noop = () => {};
