// What a generation's text must match, compiled for a model's tokens, and the state of one generation in it: which
// tokens may come next, as a mask over the vocabulary. constraint-compiler.ts makes constraints; generation/request.ts
// holds a state.
import { TesseraeError } from '../base/errors.js';
import { sharedArray } from '../base/memory/shared-memory.js';
import { TimeSlice } from '../base/time-slice.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { type Automaton, DEAD } from './automaton.js';
import type { Term } from './term.js';
import { bytesOfToken, type TokenTrie } from './token-trie.js';

/** Bytes of masks that a constraint keeps. */
const MASK_BYTES_KEPT = 16 * 2 ** 20;
const NODES_PER_LOOK = 2048;

/** A compiled constraint, with the masks computed so far. Generations with the same format share it. */
export class Constraint {
  readonly automaton: Automaton;
  readonly tokenizer: Tokenizer;
  readonly #trie: TokenTrie;
  readonly #words: number;
  /** By state, the one used last at the end. */
  readonly #masks = new Map<number, Uint32Array>();

  /** @param vocabulary the number of logits, which may exceed the number of the tokenizer's tokens */
  constructor(automaton: Automaton, trie: TokenTrie, tokenizer: Tokenizer, vocabulary: number) {
    this.automaton = automaton;
    this.tokenizer = tokenizer;
    this.#trie = trie;
    this.#words = Math.ceil(vocabulary / 32);
  }

  /**
   * The tokens that may follow in the state of a term, a bit each. Computed once for a state, in time slices.
   * @throws TesseraeError ERR_FORMAT when no token may follow, though a byte may; AbortError when the signal fires
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
        throw new TesseraeError('ERR_FORMAT', 'no token of the vocabulary can continue the text in its format');
      }
      if ((this.#masks.size + 1) * mask.byteLength > MASK_BYTES_KEPT) {
        for (const oldest of [...this.#masks.keys()].slice(0, 1)) this.#masks.delete(oldest);
      }
    }
    // Looked up again: another generation may have reset the automaton during the computation.
    const now = automaton.stateOf(from);
    this.#masks.delete(now);
    this.#masks.set(now, mask);
    return mask;
  }

  async #compute(from: Term, signal: AbortSignal | undefined): Promise<Uint32Array> {
    const { automaton } = this;
    const { bytes, depths, ends, deepest, tokenStarts, tokens } = this.#trie;
    // In shared memory, where the workers read it.
    const mask = sharedArray(Uint32Array, this.#words);
    const set = (id: number) => {
      mask[id >>> 5] = (mask[id >>> 5] as number) | (1 << (id & 31));
    };
    const timeSlice = new TimeSlice(signal);
    // The states on the path from the root to the node.
    const states = new Int32Array(deepest + 1);
    states[0] = automaton.stateOf(from);
    const pause = async (depth: number) => {
      // Kept as terms meanwhile: another generation may reset the automaton, which ends the states' numbers.
      const terms = Array.from(states.subarray(0, depth + 1), (state) => automaton.termOf(state));
      await timeSlice.yield();
      for (const [at, term] of terms.entries()) states[at] = automaton.stateOf(term);
    };
    const newTable = async (depth: number) => {
      const steps = automaton.tableOf(automaton.termOf(states[depth] as number));
      for (;;) {
        const step = steps.next();
        if (step.done === true) return step.value;
        if (timeSlice.isOver()) await pause(depth);
      }
    };
    for (let node = 0, looked = 0; node < bytes.length; ) {
      const depth = depths[node] as number;
      if (++looked % NODES_PER_LOOK === 0 && timeSlice.isOver()) await pause(depth);
      const table = automaton.knownTable(states[depth] as number) ?? (await newTable(depth));
      const next = table[bytes[node] as number] as number;
      if (next === DEAD) {
        node = ends[node] as number;
        continue;
      }
      states[depth + 1] = next;
      const end = tokenStarts[node + 1] as number;
      for (let i = tokenStarts[node] as number; i < end; i++) set(tokens[i] as number);
      node += 1;
    }
    if (from.nullable) for (const id of this.tokenizer.endIds) set(id);
    return mask;
  }
}

/** How far one generation's text has come in its constraint. */
export class ConstraintState {
  readonly #constraint: Constraint;
  /** A term, since the number of a state is valid only until the automaton is reset. */
  #at: Term;

  /** The state of an empty text. */
  constructor(constraint: Constraint) {
    this.#constraint = constraint;
    this.#at = constraint.automaton.startTerm;
  }

  /** Whether the text so far matches. */
  get isComplete(): boolean {
    return this.#at.nullable;
  }

  /** Whether the text so far matches and nothing may follow. */
  get isFinal(): boolean {
    // No part of a term matches nothing, so that something may follow all terms but this.
    return this.#at.kind === 'end';
  }

  /** The tokens that may come next, a bit each: end tokens only where the text so far matches. */
  mask(signal: AbortSignal | undefined): Promise<Uint32Array> {
    return this.#constraint.maskOf(this.#at, signal);
  }

  /** Appends a token that the mask allows. */
  accept(id: number): void {
    const { automaton, tokenizer } = this.#constraint;
    let state = automaton.stateOf(this.#at);
    for (const byte of bytesOfToken(tokenizer, id)) state = automaton.table(state)[byte] as number;
    this.#at = automaton.termOf(state);
  }
}
