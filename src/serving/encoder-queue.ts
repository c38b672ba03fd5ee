// The texts that wait for an encoder, and the choice of those that are computed together: those whose turn it is, and one or
// two of the right length to fill the group. Pure. Used by ServedEncoder.
import { encoderBucketFor, groupRows, groupTexts } from '../forward/encoder/encoder-buckets.js';
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

/** Texts of one tenant and one priority: it is always the turn of the one that came first. */
type Line<T> = Set<Entry<T>>;

/** Beginnings of lines that are looked at for a group: with many lines, fewer of its texts are chosen by their turn. */
const mostLooks = 1024;
/** Waiting for so long raises a text by one step of priority. */
const agingMs = 1000;

export class EncoderQueue<T extends QueuedText> {
  /** Shortest first; of one length the first to come first. */
  readonly #byLength: Entry<T>[] = [];
  readonly #entries = new Map<T, Entry<T>>();
  /** By tenant and priority, each in the order of arrival. */
  readonly #lines = new Map<string, Line<T>>();
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
    // They came before those that wait.
    for (const line of new Set(entries.map(({ text }) => this.#lines.get(lineOf(text)) as Line<T>))) {
      const inOrder = [...line].sort((a, b) => a.number - b.number);
      line.clear();
      for (const entry of inOrder) line.add(entry);
    }
  }

  remove(text: T): void {
    const entry = this.#entries.get(text);
    if (entry !== undefined) this.#cut(entry);
  }

  values(): T[] {
    return [...this.#entries.keys()];
  }

  overdue(now: number): T[] {
    if (this.#deadlines === 0) return [];
    return this.values().filter(({ turn: { deadlineAt } }) => deadlineAt !== undefined && deadlineAt <= now);
  }

  /**
   * Takes texts in their turn as long as they fit into a group, then the longest ones that still fit, so that few tokens are
   * missing.
   * @param mostTokens of a group; the first text may have more. Less than {@link groupRows} where memory is short.
   */
  take(now: number, mostTokens: number): TakenTexts<T> | undefined {
    let next = this.#next(now);
    if (next === undefined) return undefined;
    const entries: Entry<T>[] = [];
    let tokens = 0;
    const take = (entry: Entry<T>) => {
      const { ids, turn } = entry.text;
      // Before it is cut: its tenant is forgotten with its last text.
      (this.#tenants.get(turn.tenant) as Tenant).served += ids.length;
      this.#cut(entry);
      entries.push(entry);
      tokens += ids.length;
    };
    // Where memory is short nothing is added to a text that has more.
    const bucket = mostTokens < groupRows ? mostTokens : encoderBucketFor(next.text.ids.length);
    const most = Math.max(mostTokens, bucket);
    let looks = 0;
    do {
      take(next);
      looks += this.#lines.size;
      next = looks < mostLooks ? this.#next(now) : undefined;
    } while (next !== undefined && entries.length < groupTexts && tokens + next.text.ids.length <= most);
    while (entries.length < groupTexts) {
      const longest = this.#longestWithin(most - tokens);
      if (longest === undefined) break;
      take(longest);
    }
    return { entries, tokens };
  }

  /** Of the longest texts of at most so many tokens the one that came first; undefined where all are longer. */
  #longestWithin(tokens: number): Entry<T> | undefined {
    const longest = this.#byLength[this.#indexOf(tokens + 1, -1) - 1];
    return longest && this.#byLength[this.#indexOf(longest.text.ids.length, -1)];
  }

  /** The text whose turn it is. */
  #next(now: number): Entry<T> | undefined {
    let next: Entry<T> | undefined;
    for (const line of this.#lines.values()) {
      const [first] = line as Iterable<Entry<T>> as [Entry<T>];
      if (next === undefined || this.#isBefore(first, next, now)) next = first;
    }
    return next;
  }

  /** By priority, raised with time; then fair between tenants; then in the order of arrival. */
  #isBefore(a: Entry<T>, b: Entry<T>, now: number): boolean {
    const raised = ({ text, arrivedAt }: Entry<T>) => text.turn.priority + Math.floor((now - arrivedAt) / agingMs);
    const served = ({ text }: Entry<T>) => (this.#tenants.get(text.turn.tenant) as Tenant).served;
    const difference = raised(b) - raised(a) || served(a) - served(b) || a.number - b.number;
    return difference < 0;
  }

  #add(entry: Entry<T>): void {
    const { text } = entry;
    this.#byLength.splice(this.#placeOf(entry), 0, entry);
    this.#entries.set(text, entry);
    const key = lineOf(text);
    const line = this.#lines.get(key);
    if (line === undefined) this.#lines.set(key, new Set([entry]));
    else line.add(entry);
    this.#count(text, 1);
  }

  #cut(entry: Entry<T>): void {
    const { text } = entry;
    this.#byLength.splice(this.#placeOf(entry), 1);
    this.#entries.delete(text);
    const key = lineOf(text);
    const line = this.#lines.get(key) as Line<T>;
    line.delete(entry);
    if (line.size === 0) this.#lines.delete(key);
    this.#count(text, -1);
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

function lineOf({ turn }: QueuedText): string {
  return `${turn.priority} ${turn.tenant}`;
}
