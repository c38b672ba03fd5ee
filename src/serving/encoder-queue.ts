// The texts that wait for an encoder, in the order of their lengths, and the choice of those that are computed together: the
// one whose turn it is, and those that fill its group. Pure. Used by ServedEncoder.
import { encoderBucketFor, groupRows, groupTexts } from '../forward/encoder-buckets.js';
import type { Turn } from '../generation/turn-options.js';

export interface QueuedText {
  readonly ids: readonly number[];
  readonly turn: Turn;
  /** It waited for room before it came, and keeps no others out. */
  readonly isPatient: boolean;
}

interface Entry<T> {
  readonly text: T;
  readonly arrivedAt: number;
  readonly number: number;
}

/** Texts to be computed together. */
export interface TakenTexts<T> {
  readonly entries: readonly Entry<T>[];
  /** Tokens of all of them. */
  readonly tokens: number;
}

interface Tenant {
  waiting: number;
  /** Tokens taken since it has had texts here, counted from those of the tenant that had least then. */
  served: number;
}

/** Waiting for so long raises a text by one step of priority. */
const agingMs = 1000;

export class EncoderQueue<T extends QueuedText> {
  /** Shortest first; of one length the first to come first. */
  readonly #byLength: Entry<T>[] = [];
  readonly #entries = new Map<T, Entry<T>>();
  readonly #tenants = new Map<string, Tenant>();
  #arrivals = 0;
  #tokens = 0;
  #patient = 0;
  #deadlines = 0;

  get size(): number {
    return this.#byLength.length;
  }

  /** Those that waited for room before they came. */
  get patient(): number {
    return this.#patient;
  }

  /** Of all texts that wait. */
  get tokens(): number {
    return this.#tokens;
  }

  push(text: T, now = performance.now()): void {
    this.#add({ text, arrivedAt: now, number: this.#arrivals++ });
  }

  /** Puts texts back that were taken, to where they were. */
  putBack({ entries }: TakenTexts<T>): void {
    for (const entry of entries) this.#add(entry);
  }

  remove(text: T): void {
    const entry = this.#entries.get(text);
    if (entry !== undefined) this.#cut(this.#placeOf(entry), 1);
  }

  values(): T[] {
    return [...this.#entries.keys()];
  }

  overdue(now: number): T[] {
    if (this.#deadlines === 0) return [];
    return this.values().filter(({ turn: { deadlineAt } }) => deadlineAt !== undefined && deadlineAt <= now);
  }

  /**
   * Takes the text whose turn it is, and fills its group: the longest text that still fits, again and again, so that few
   * tokens are missing at the end.
   * @param mostTokens of a group; the first text may have more. Less than {@link groupRows} where memory is short.
   */
  take(now: number, mostTokens: number): TakenTexts<T> | undefined {
    const first = this.#next(now);
    if (first === -1) return undefined;
    const entries = this.#cut(first, 1);
    let tokens = (entries[0] as Entry<T>).text.ids.length;
    // Where memory is short nothing is added to a text that has more.
    const most = mostTokens < groupRows ? mostTokens : Math.max(mostTokens, encoderBucketFor(tokens));
    while (entries.length < groupTexts) {
      const next = this.#longestWithin(most - tokens);
      if (next === -1) break;
      const [entry] = this.#cut(next, 1) as [Entry<T>];
      entries.push(entry);
      tokens += entry.text.ids.length;
    }
    for (const { text } of entries) this.#serve(text.turn.tenant, text.ids.length);
    return { entries, tokens };
  }

  /** Of the longest texts of at most so many tokens the one that came first; -1 where all are longer. */
  #longestWithin(tokens: number): number {
    const longest = this.#indexOf(tokens + 1, -1) - 1;
    return longest < 0 ? -1 : this.#indexOf((this.#byLength[longest] as Entry<T>).text.ids.length, -1);
  }

  #next(now: number): number {
    const all = this.#byLength;
    let first = -1;
    for (let index = 0; index < all.length; index++) {
      if (first === -1 || this.#isBefore(all[index] as Entry<T>, all[first] as Entry<T>, now)) first = index;
    }
    return first;
  }

  /** By priority, raised with time; then fair between tenants; then in the order of arrival. */
  #isBefore(a: Entry<T>, b: Entry<T>, now: number): boolean {
    const raised = ({ text, arrivedAt }: Entry<T>) => text.turn.priority + Math.floor((now - arrivedAt) / agingMs);
    const served = ({ text }: Entry<T>) => this.#tenants.get(text.turn.tenant)?.served ?? 0;
    const difference = raised(b) - raised(a) || served(a) - served(b) || a.number - b.number;
    return difference < 0;
  }

  #add(entry: Entry<T>): void {
    const { text } = entry;
    this.#byLength.splice(this.#placeOf(entry), 0, entry);
    this.#entries.set(text, entry);
    this.#count(text, 1);
  }

  #cut(from: number, count: number): Entry<T>[] {
    const cut = this.#byLength.splice(from, count);
    for (const { text } of cut) {
      this.#entries.delete(text);
      this.#count(text, -1);
    }
    return cut;
  }

  #count({ ids, isPatient, turn }: T, by: 1 | -1): void {
    this.#tokens += by * ids.length;
    if (isPatient) this.#patient += by;
    if (turn.deadlineAt !== undefined) this.#deadlines += by;
    const tenant = this.#tenants.get(turn.tenant);
    if (tenant === undefined) this.#tenants.set(turn.tenant, { waiting: by, served: this.#leastServed() });
    else {
      tenant.waiting += by;
      // It makes up for nothing, and owes nothing, when it comes back.
      if (tenant.waiting === 0) this.#tenants.delete(turn.tenant);
    }
  }

  #serve(name: string, tokens: number): void {
    const tenant = this.#tenants.get(name);
    if (tenant !== undefined) tenant.served += tokens;
  }

  #leastServed(): number {
    let least: number | undefined;
    for (const { served } of this.#tenants.values()) least = Math.min(least ?? served, served);
    return least ?? 0;
  }

  #placeOf({ text: { ids }, number }: Entry<T>): number {
    return this.#indexOf(ids.length, number);
  }

  /** How many texts are shorter than `tokens`, or as long and came before the one of this number. */
  #indexOf(tokens: number, number: number): number {
    let low = 0;
    let high = this.#byLength.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#byLength[middle] as Entry<T>;
      if ((other.text.ids.length - tokens || other.number - number) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
