// The automaton of a constraint: its states are terms, each with a table of the next state after every byte. States are
// made when first reached; above a limit all are forgotten and made again as needed. Called by constraint.ts.
import { runAtOnce } from '../base/time-slice.js';
import { byteClasses, type Term, type Terms, tooComplex } from './term.js';

/** The state from which no text can match. */
export const DEAD = 0;
/** Tables, of 1 KiB each, above which the automaton should be reset. */
const TABLES_KEPT = 16_384;
/** Tables that may be made before a reset: the limit for computing one mask. */
const MOST_TABLES = 131_072;
const TERMS_KEPT = 1 << 18;

export class Automaton {
  readonly #terms: Terms;
  readonly #start: Term;
  #states: (Term | undefined)[] = [];
  #tables: (Int32Array | undefined)[] = [];
  #numbers = new Map<Term, number>();
  #tableCount = 0;

  constructor(terms: Terms, start: Term) {
    this.#terms = terms;
    this.#start = start;
    this.reset();
  }

  /** Whether no text matches. */
  get isEmpty(): boolean {
    return this.#start.kind === 'empty';
  }

  /** The term of the state in which a text begins. */
  get startTerm(): Term {
    return this.#start;
  }

  /** Whether it holds so much that {@link reset} should be called before the next step. */
  get isFull(): boolean {
    return this.#tableCount > TABLES_KEPT || this.#terms.size > TERMS_KEPT;
  }

  /** The term of a state, which stays valid after a reset. */
  termOf(state: number): Term {
    return this.#states[state] as Term;
  }

  /** The number of a term's state, which is valid until {@link reset}. */
  stateOf(term: Term): number {
    if (term.kind === 'empty') return DEAD;
    let state = this.#numbers.get(term);
    if (state === undefined) {
      state = this.#states.length;
      this.#numbers.set(term, state);
      this.#states.push(term);
    }
    return state;
  }

  reset(): void {
    this.#terms.forget();
    this.#states = [undefined];
    this.#tables = [new Int32Array(256)];
    this.#numbers = new Map();
    this.#tableCount = 0;
  }

  /** The next state after each byte, where it is known. */
  knownTable(state: number): Int32Array | undefined {
    return this.#tables[state];
  }

  /** The next state after each byte. @throws TesseraeError ERR_FORMAT when there are too many states */
  table(state: number): Int32Array {
    return this.#tables[state] ?? runAtOnce(this.tableOf(this.termOf(state)));
  }

  /**
   * The same, of the state of a term, in steps. Between them the automaton may be reset.
   * @throws TesseraeError ERR_FORMAT when there are too many states
   */
  *tableOf(term: Term): Generator<void, Int32Array> {
    if (++this.#tableCount > MOST_TABLES) throw tooComplex(`one step needs more than ${MOST_TABLES} states`);
    const { classOf, examples } = byteClasses(term);
    const derived: Term[] = [];
    for (const byte of examples) {
      derived.push(this.#terms.derive(term, byte));
      yield;
    }
    const next = derived.map((one) => this.stateOf(one));
    const table = new Int32Array(256);
    for (let byte = 0; byte < 256; byte++) table[byte] = next[classOf[byte] as number] as number;
    this.#tables[this.stateOf(term)] = table;
    return table;
  }
}
