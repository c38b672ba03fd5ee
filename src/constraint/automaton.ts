// The automaton of a format: states are terms of its grammar, made when they are first met, each with a table of what
// follows after every byte. Bounded: what is over the limit is forgotten and made anew. Called by constraint.ts.
import { byteClasses, type Term, type Terms, tooComplex } from './term.js';

/** The state from which the format cannot be completed. */
export const DEAD = 0;
/** Tables of 1 KiB each that are kept; and that one step may need at most. */
const STATES_KEPT = 16_384;
const STATES_MOST = 131_072;
const TERMS_KEPT = 1 << 18;
/** Steps of a search for a way to complete an intersection. */
const SEARCH_MOST = 50_000;

export class Automaton {
  readonly #terms: Terms;
  readonly #start: Term;
  #states: (Term | undefined)[] = [];
  #tables: (Int32Array | undefined)[] = [];
  #numbers = new Map<Term, number>();
  #expanded = 0;
  /** Of intersections: whether they can be completed. */
  #live = new Map<Term, boolean>();

  constructor(terms: Terms, start: Term) {
    this.#terms = terms;
    this.#start = terms.prune(start, (term) => this.#isLive(term));
    this.reset();
  }

  /** Whether anything matches at all. */
  get isEmpty(): boolean {
    return this.#start.kind === 'empty';
  }

  /** What the format begins with. */
  get startTerm(): Term {
    return this.#start;
  }

  /** Whether so much was met that it should be reset, which is possible between two steps. */
  get isFull(): boolean {
    return this.#expanded > STATES_KEPT || this.#terms.size > TERMS_KEPT;
  }

  /** What a state stands for; it outlives a reset. */
  termOf(state: number): Term {
    return this.#states[state] as Term;
  }

  /** The number of a state; numbers hold until {@link reset}. */
  stateOf(term: Term): number {
    return this.#number(term);
  }

  reset(): void {
    this.#terms.forget();
    this.#states = [undefined];
    this.#tables = [new Int32Array(256)];
    this.#numbers = new Map();
    this.#live = new Map();
    this.#expanded = 0;
  }

  /** Whether nothing may follow. */
  isFinal(state: number): boolean {
    return this.table(state).every((next) => next === DEAD);
  }

  /** The state after each byte. */
  table(state: number): Int32Array {
    const known = this.#tables[state];
    if (known !== undefined) return known;
    if (++this.#expanded > STATES_MOST) throw tooComplex(`one step meets more than ${STATES_MOST} states`);
    const term = this.termOf(state);
    const { classOf, examples } = byteClasses(term);
    const isLive = (intersection: Term) => this.#isLive(intersection);
    const next = examples.map((byte) => this.#number(this.#terms.prune(this.#terms.derive(term, byte), isLive)));
    const table = new Int32Array(256);
    for (let byte = 0; byte < 256; byte++) table[byte] = next[classOf[byte] as number] as number;
    this.#tables[state] = table;
    return table;
  }

  #number(term: Term): number {
    if (term.kind === 'empty') return DEAD;
    let state = this.#numbers.get(term);
    if (state === undefined) {
      state = this.#states.length;
      this.#numbers.set(term, state);
      this.#states.push(term);
    }
    return state;
  }

  /** Searches, depth first, for a way to complete a term that has no rules. */
  #isLive(term: Term): boolean {
    const known = this.#live.get(term);
    if (known !== undefined) return known;
    const path: { term: Term; next: Term[] }[] = [];
    const seen = new Set<Term>();
    const enter = (at: Term) => {
      seen.add(at);
      if (seen.size > SEARCH_MOST)
        throw tooComplex('a pattern and a length, or two patterns, are hard to meet together');
      const next = byteClasses(at).examples.map((byte) => this.#terms.derive(at, byte));
      path.push({ term: at, next: [...new Set(next)] });
    };
    const isEnd = (at: Term) => at.nullable || this.#live.get(at) === true;
    if (isEnd(term)) return true;
    enter(term);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const next = top.next.pop();
      if (next === undefined) {
        path.pop();
      } else if (isEnd(next)) {
        for (const step of path) this.#live.set(step.term, true);
        return true;
      } else if (next.kind !== 'empty' && !seen.has(next) && this.#live.get(next) !== false) {
        enter(next);
      }
    }
    // All that was met leads nowhere.
    for (const dead of seen) this.#live.set(dead, false);
    return false;
  }
}
