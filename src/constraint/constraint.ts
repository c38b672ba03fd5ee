// Holds a generation to a format: tells which tokens may come next, as a mask over the vocabulary. Masks are computed
// once for each state of the format's automaton and kept. Called by generation.ts; compiled formats are kept by format.ts.
import { TesseraeError } from '../base/errors.js';
import { TimeSlice } from '../base/time-slice.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { type Automaton, DEAD } from './automaton.js';
import type { Term } from './term.js';
import type { TokenTrie } from './token-trie.js';

/** Masks of one format that are kept, in bytes. */
const MASK_BYTES_KEPT = 16 * 2 ** 20;
const NODES_PER_LOOK = 2048;

/** A compiled format for the vocabulary of a model, with the masks that were needed so far. Shared by generations. */
export class TokenMasks {
  readonly automaton: Automaton;
  readonly #trie: TokenTrie;
  readonly #tokenizer: Tokenizer;
  readonly #words: number;
  /** By state, the one that was used last at the end. */
  readonly #masks = new Map<number, Uint32Array>();

  constructor(automaton: Automaton, trie: TokenTrie, tokenizer: Tokenizer, vocabulary: number) {
    this.automaton = automaton;
    this.#trie = trie;
    this.#tokenizer = tokenizer;
    this.#words = Math.ceil(vocabulary / 32);
  }

  /**
   * A bit for each token that may follow.
   * @throws TesseraeError ERR_FORMAT when no token can, though a byte could; AbortError when the signal fires
   */
  async maskOf(from: Term, signal: AbortSignal | undefined): Promise<Uint32Array> {
    const { automaton } = this;
    if (automaton.isFull) {
      automaton.reset();
      this.#masks.clear();
    }
    const state = automaton.stateOf(from);
    let mask = this.#masks.get(state);
    if (mask === undefined) {
      mask = await this.#compute(from, signal);
      if (mask.every((bits) => bits === 0)) {
        throw new TesseraeError('ERR_FORMAT', 'the vocabulary has no token with which the format can go on');
      }
      if ((this.#masks.size + 1) * mask.byteLength > MASK_BYTES_KEPT) {
        for (const oldest of [...this.#masks.keys()].slice(0, 1)) this.#masks.delete(oldest);
      }
    }
    // Looked up anew: the automaton may have been reset by another generation meanwhile.
    const now = automaton.stateOf(from);
    this.#masks.delete(now);
    this.#masks.set(now, mask);
    return mask;
  }

  async #compute(from: Term, signal: AbortSignal | undefined): Promise<Uint32Array> {
    const { automaton } = this;
    const { bytes, depths, ends, deepest, tokenStarts, tokens } = this.#trie;
    const mask = new Uint32Array(this.#words);
    const set = (id: number) => {
      mask[id >>> 5] = (mask[id >>> 5] as number) | (1 << (id & 31));
    };
    const timeSlice = new TimeSlice(signal);
    // The states on the way to the node, as terms: numbers end when the automaton is reset during a rest.
    let terms: Term[] = [];
    const states = new Int32Array(deepest + 1);
    states[0] = automaton.stateOf(from);
    for (let node = 0, looked = 0; node < bytes.length; ) {
      const depth = depths[node] as number;
      if (++looked % NODES_PER_LOOK === 0 && timeSlice.isOver()) {
        terms = Array.from(states.subarray(0, depth + 1), (state) => automaton.termOf(state));
        await timeSlice.yield();
        for (const [at, term] of terms.entries()) states[at] = automaton.stateOf(term);
      }
      const next = automaton.table(states[depth] as number)[bytes[node] as number] as number;
      if (next === DEAD) {
        node = ends[node] as number;
        continue;
      }
      states[depth + 1] = next;
      const end = tokenStarts[node + 1] as number;
      for (let i = tokenStarts[node] as number; i < end; i++) set(tokens[i] as number);
      node += 1;
    }
    if (from.nullable) for (const id of this.#tokenizer.endIds) set(id);
    return mask;
  }
}

/** One generation's way through a format. */
export class Constraint {
  readonly #masks: TokenMasks;
  readonly #tokenizer: Tokenizer;
  #at: Term;

  constructor(masks: TokenMasks, tokenizer: Tokenizer) {
    this.#masks = masks;
    this.#tokenizer = tokenizer;
    this.#at = masks.automaton.startTerm;
  }

  /** Whether the text so far is whole. */
  get isComplete(): boolean {
    return this.#at.nullable;
  }

  /** Whether it is whole and nothing may follow. */
  get isFinal(): boolean {
    const { automaton } = this.#masks;
    return this.isComplete && automaton.isFinal(automaton.stateOf(this.#at));
  }

  /** A bit for each token that may come next: end tokens only where the text is whole. */
  mask(signal: AbortSignal | undefined): Promise<Uint32Array> {
    return this.#masks.maskOf(this.#at, signal);
  }

  /** Goes on by a token that the mask allowed. */
  accept(id: number): void {
    const { automaton } = this.#masks;
    let state = automaton.stateOf(this.#at);
    for (const byte of this.#tokenizer.tokenBytes(id)) state = automaton.table(state)[byte] as number;
    this.#at = automaton.termOf(state);
  }
}
