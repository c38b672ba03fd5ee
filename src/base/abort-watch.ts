// Adds one listener to each AbortSignal, for any number of runs that it can stop: Node warns of a leak from the eleventh
// listener on. Used by all rooms that listen to a signal of the user.
export class AbortWatch<Item extends object> {
  readonly #onAbort: (item: Item, signal: AbortSignal) => void;
  /** A single item as it is, several in a set: most signals serve one run at a time. */
  readonly #items = new Map<AbortSignal, Item | Set<Item>>();
  readonly #listener = ({ target }: Event) => {
    const signal = target as AbortSignal;
    const items = this.#items.get(signal);
    if (items === undefined) return;
    for (const item of items instanceof Set ? [...items] : [items]) this.#onAbort(item, signal);
  };

  constructor(onAbort: (item: Item, signal: AbortSignal) => void) {
    this.#onAbort = onAbort;
  }

  /** Calls `onAbort` for the item when the signal fires; not if it has fired already. */
  add(signal: AbortSignal, item: Item): void {
    const items = this.#items.get(signal);
    if (items instanceof Set) {
      items.add(item);
    } else if (items !== undefined) {
      this.#items.set(signal, new Set([items, item]));
    } else {
      this.#items.set(signal, item);
      signal.addEventListener('abort', this.#listener);
    }
  }

  remove(signal: AbortSignal, item: Item): void {
    const items = this.#items.get(signal);
    if (items instanceof Set) {
      items.delete(item);
      if (items.size > 0) return;
    } else if (items !== item) {
      return;
    }
    this.#items.delete(signal);
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
