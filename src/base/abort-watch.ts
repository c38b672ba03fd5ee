// Adds one listener to each AbortSignal, for any number of runs that it can stop: Node warns of a leak from the eleventh
// listener on. Used by all rooms that listen to a signal of the user.
export class AbortWatch<Item extends object> {
  readonly #onAbort: (item: Item, signal: AbortSignal) => void;
  /** The only item of the only signal: in fields, since a map allocates anew when it gets empty. The map has all others. */
  #signal: AbortSignal | undefined;
  #item: Item | undefined;
  readonly #items = new Map<AbortSignal, Set<Item>>();
  readonly #listener = ({ target }: Event) => {
    const signal = target as AbortSignal;
    const items = signal === this.#signal ? [this.#item as Item] : [...(this.#items.get(signal) ?? [])];
    for (const item of items) this.#onAbort(item, signal);
  };

  constructor(onAbort: (item: Item, signal: AbortSignal) => void) {
    this.#onAbort = onAbort;
  }

  /** Calls `onAbort` for the item when the signal fires; not if it has fired already. */
  add(signal: AbortSignal, item: Item): void {
    const items = this.#items.get(signal);
    if (items !== undefined) {
      items.add(item);
    } else if (signal === this.#signal) {
      this.#items.set(signal, new Set([this.#item as Item, item]));
      this.#signal = this.#item = undefined;
    } else {
      if (this.#signal === undefined) [this.#signal, this.#item] = [signal, item];
      else this.#items.set(signal, new Set([item]));
      signal.addEventListener('abort', this.#listener);
    }
  }

  remove(signal: AbortSignal, item: Item): void {
    if (signal === this.#signal) {
      if (item !== this.#item) return;
      this.#signal = this.#item = undefined;
    } else {
      const items = this.#items.get(signal);
      if (!items?.delete(item) || items.size > 0) return;
      this.#items.delete(signal);
    }
    signal.removeEventListener('abort', this.#listener);
  }
}

const actions = new AbortWatch<() => void>((action) => action());

/**
 * Calls `action` when the signal fires; not if it has fired already.
 * @returns ends that; to be called when the action is not wanted any more, or was called
 */
export function whenAborted(signal: AbortSignal | undefined, action: () => void): () => void {
  if (signal === undefined) return () => {};
  actions.add(signal, action);
  return () => actions.remove(signal, action);
}
