// The texts that wait for an encoder, in the order of their lengths, and the choice of those that are computed together: the
// one whose turn it is, with those of about its length. Pure. Used by ServedEncoder.
import { paddedLength, textsOfOneLength } from '../forward/encoder-programs.js';
import type { Turn } from '../generation/turn-options.js';

export interface QueuedText {
  readonly ids: readonly number[];
  readonly turn: Turn;
}

interface Entry<T> {
  readonly text: T;
  readonly arrivedAt: number;
  readonly number: number;
}

/** Waiting for so long raises a text by one step of priority. */
const agingMs = 1000;

export class EncoderQueue<T extends QueuedText> {
  /** Shortest first; of one length the first to come first. */
  readonly #byLength: Entry<T>[] = [];
  #arrivals = 0;
  #tokens = 0;

  get size(): number {
    return this.#byLength.length;
  }

  /** Of all texts that wait. */
  get tokens(): number {
    return this.#tokens;
  }

  push(text: T, now = performance.now()): void {
    const entry = { text, arrivedAt: now, number: this.#arrivals++ };
    this.#byLength.splice(this.#placeAfter(text.ids.length), 0, entry);
    this.#tokens += text.ids.length;
  }

  remove(text: T): void {
    const index = this.#byLength.findIndex((entry) => entry.text === text);
    if (index === -1) return;
    this.#byLength.splice(index, 1);
    this.#tokens -= text.ids.length;
  }

  values(): T[] {
    return this.#byLength.map(({ text }) => text);
  }

  overdue(now: number): T[] {
    return this.values().filter(({ turn: { deadlineAt } }) => deadlineAt !== undefined && deadlineAt <= now);
  }

  /** Takes the text whose turn it is, and its neighbours by length as long as they fit into one program. */
  take(now: number): { readonly texts: T[]; readonly tokens: number } | undefined {
    const all = this.#byLength;
    let first = -1;
    for (let index = 0; index < all.length; index++) {
      if (first === -1 || isBefore(all[index] as Entry<T>, all[first] as Entry<T>, now)) first = index;
    }
    if (first === -1) return undefined;
    const lengthAt = (index: number) => (all[index] as Entry<T>).text.ids.length;
    let from = first;
    let end = first + 1;
    for (;;) {
      // Towards the longer ones as long as that pads nothing more, else towards the shorter ones.
      const tokens = paddedLength(lengthAt(end - 1));
      const count = end - from + 1;
      if (end < all.length && paddedLength(lengthAt(end)) === tokens && count <= textsOfOneLength(tokens)) end++;
      else if (from > 0 && count <= textsOfOneLength(tokens)) from--;
      else if (end < all.length && count <= textsOfOneLength(paddedLength(lengthAt(end)))) end++;
      else break;
    }
    const tokens = paddedLength(lengthAt(end - 1));
    const texts = all.splice(from, end - from).map(({ text }) => text);
    for (const { ids } of texts) this.#tokens -= ids.length;
    return { texts, tokens };
  }

  /** Behind all texts that are not longer. */
  #placeAfter(length: number): number {
    let low = 0;
    let high = this.#byLength.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#byLength[middle] as Entry<T>).text.ids.length <= length) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function isBefore<T extends QueuedText>(a: Entry<T>, b: Entry<T>, now: number): boolean {
  const raised = ({ text, arrivedAt }: Entry<T>) => text.turn.priority + Math.floor((now - arrivedAt) / agingMs);
  const difference = raised(a) - raised(b);
  return difference === 0 ? a.number < b.number : difference > 0;
}
