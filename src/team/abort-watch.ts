// One listener for each AbortSignal, however many runs it can stop: Node warns of a leak from the eleventh listener on.
// Used by the team alone.
export class AbortWatch {
  readonly #callbacks = new Map<AbortSignal, Set<() => void>>();
  readonly #listener = ({ target }: Event) => {
    for (const callback of [...(this.#callbacks.get(target as AbortSignal) ?? [])]) callback();
  };

  /** Calls back when the signal fires; not when it has fired before. */
  add(signal: AbortSignal, callback: () => void): void {
    let callbacks = this.#callbacks.get(signal);
    if (callbacks === undefined) {
      callbacks = new Set();
      this.#callbacks.set(signal, callbacks);
      signal.addEventListener('abort', this.#listener);
    }
    callbacks.add(callback);
  }

  remove(signal: AbortSignal, callback: () => void): void {
    const callbacks = this.#callbacks.get(signal);
    callbacks?.delete(callback);
    if (callbacks?.size !== 0) return;
    this.#callbacks.delete(signal);
    signal.removeEventListener('abort', this.#listener);
  }
}
