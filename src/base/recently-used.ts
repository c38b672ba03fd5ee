// A map that keeps a few entries, and forgets the one that was used least lately. Used for what is costly to make again:
// templates, constraints.
export class RecentlyUsed<Key, Value> {
  /** The one used last at the end. */
  readonly #entries = new Map<Key, Value>();
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  get(key: Key): Value | undefined {
    const value = this.#entries.get(key);
    if (value !== undefined) this.set(key, value);
    return value;
  }

  set(key: Key, value: Value): void {
    const entries = this.#entries;
    entries.delete(key);
    if (entries.size === this.#most) entries.delete(entries.keys().next().value as Key);
    entries.set(key, value);
  }
}
