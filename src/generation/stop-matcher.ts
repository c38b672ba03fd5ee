// Finds stop sequences in a text that arrives in pieces, and holds back no more than the beginning of a possible stop
// sequence. A sequence is found at its last character, so the result does not depend on how the text is cut into
// pieces. Called by request.ts.

export class StopMatcher {
  readonly #stops: readonly string[];
  /**
   * For each sequence and each length of a matched prefix: the length of the longest shorter prefix that this prefix
   * ends with (Knuth, Morris and Pratt 1977).
   */
  readonly #fallbacks: readonly Int32Array[];
  /** For each sequence, the length of its longest prefix that the text so far ends with. */
  readonly #matched: Int32Array;
  #held = '';
  #found: string | undefined;

  constructor(stops: readonly string[]) {
    this.#stops = stops;
    this.#fallbacks = stops.map(fallbacksOf);
    this.#matched = new Int32Array(stops.length);
  }

  /** The sequence that was found; the longest if several end at the same character. */
  get found(): string | undefined {
    return this.#found;
  }

  /** Appends text. @returns the part, of this and of what was held back, that precedes any stop sequence for certain */
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

  /** Ends the text. @returns what was held back */
  end(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }

  /** Appends a code unit. @returns the longest sequence that ends with it */
  #step(unit: number): string | undefined {
    let found: string | undefined;
    for (const [index, stop] of this.#stops.entries()) {
      const matched = extend(stop, this.#fallbacks[index] as Int32Array, this.#matched[index] as number, unit);
      this.#matched[index] = matched;
      if (matched === stop.length && stop.length > (found?.length ?? 0)) found = stop;
    }
    return found;
  }
}

function fallbacksOf(stop: string): Int32Array {
  const fallbacks = new Int32Array(stop.length + 1);
  for (let at = 1, matched = 0; at < stop.length; at++) {
    matched = extend(stop, fallbacks, matched, stop.charCodeAt(at));
    fallbacks[at + 1] = matched;
  }
  return fallbacks;
}

/** The length of the longest prefix of `stop` that a text ends with: after `unit`, if it was `matched` before it. */
function extend(stop: string, fallbacks: Int32Array, matched: number, unit: number): number {
  let length = matched;
  while (length > 0 && stop.charCodeAt(length) !== unit) length = fallbacks[length] as number;
  return stop.charCodeAt(length) === unit ? length + 1 : length;
}
