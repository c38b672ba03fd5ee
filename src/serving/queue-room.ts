// Lets items of large calls wait until the queue has room for one more, in the order in which they came. Used by what serves
// decoders and encoders.

export class QueueRoom {
  readonly #hasRoom: () => boolean;
  readonly #change: () => Promise<void>;
  /** Settles when the one that came last has entered. */
  #last: Promise<void> = Promise.resolve();

  /** @param change resolves when there may be more room than before */
  constructor(hasRoom: () => boolean, change: () => Promise<void>) {
    this.#hasRoom = hasRoom;
    this.#change = change;
  }

  /** Calls `enter` when there is room, or the signal has fired. */
  async enter<T>(signal: AbortSignal | undefined, enter: () => T | Promise<T>): Promise<T> {
    const before = this.#last;
    let pass = () => {};
    this.#last = new Promise((resolve) => {
      pass = resolve;
    });
    try {
      await before;
      while (!this.#hasRoom() && signal?.aborted !== true) await this.#change();
      return enter();
    } finally {
      pass();
    }
  }
}
