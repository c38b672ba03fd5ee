// Finds stop sequences in a text that comes in pieces, and holds back only what may still become one. A sequence is
// found at its last character, so the result does not depend on how the text is cut. Called by generation.ts.

export class StopMatcher {
  readonly #stops: readonly string[];
  /** Of each sequence, by length of a matched prefix: the next shorter prefix that its end also is (Knuth, Morris, Pratt). */
  readonly #fallbacks: readonly Int32Array[];
  /** How much of each sequence the text ends with. */
  readonly #matched: Int32Array;
  #held = '';
  #found: string | undefined;

  constructor(stops: readonly string[]) {
    this.#stops = stops;
    this.#fallbacks = stops.map(fallbacksOf);
    this.#matched = new Int32Array(stops.length);
  }

  /** The sequence that was found; of those that end at the same place, the longest. */
  get found(): string | undefined {
    return this.#found;
  }

  /** What of the text so far is certain to come before any stop sequence, and was not given before. */
  push(text: string): string {
    if (this.#stops.length === 0) return text;
    const pending = this.#held + text;
    for (let at = this.#held.length; at < pending.length; at++) {
      const found = this.#step(pending.charCodeAt(at));
      if (found === undefined) continue;
      this.#found = found;
      this.#held = '';
      return pending.slice(0, at + 1 - found.length);
    }
    const certain = pending.length - Math.max(...this.#matched);
    this.#held = pending.slice(certain);
    return pending.slice(0, certain);
  }

  /** What was held back, when no more text comes. */
  end(): string {
    const held = this.#held;
    this.#held = '';
    this.#matched.fill(0);
    return held;
  }

  #step(unit: number): string | undefined {
    let found: string | undefined;
    for (const [index, stop] of this.#stops.entries()) {
      const fallbacks = this.#fallbacks[index] as Int32Array;
      let matched = this.#matched[index] as number;
      while (matched > 0 && stop.charCodeAt(matched) !== unit) matched = fallbacks[matched] as number;
      if (stop.charCodeAt(matched) === unit) matched += 1;
      this.#matched[index] = matched;
      if (matched === stop.length && stop.length > (found?.length ?? 0)) found = stop;
    }
    return found;
  }
}

function fallbacksOf(stop: string): Int32Array {
  const fallbacks = new Int32Array(stop.length + 1);
  for (let at = 1, matched = 0; at < stop.length; at++) {
    while (matched > 0 && stop.charCodeAt(at) !== stop.charCodeAt(matched)) matched = fallbacks[matched] as number;
    if (stop.charCodeAt(at) === stop.charCodeAt(matched)) matched += 1;
    fallbacks[at + 1] = matched;
  }
  return fallbacks;
}
