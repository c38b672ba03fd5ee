// Compiles free text with tags to terms: an automaton of Aho and Corasick finds the triggers in the text, with a rule for each
// of its states; after a trigger follow the rests of the tags that begin with it. Called by job.ts.
import { TesseraeError } from '../../base/errors.js';
import { controlBytes } from '../control-bytes.js';
import type { TagsFormat } from '../format.js';
import type { Rule, Term, Terms } from '../term.js';
import { compileJsonSchema } from './json-schema.js';

/** The bytes of all triggers together. */
const MOST_TRIGGER_BYTES = 4096;

/** @throws TesseraeError ERR_FORMAT */
export function compileTags({ tags, triggers, opening }: TagsFormat, terms: Terms): Term {
  const free = new FreeText(triggers, terms);
  // Tags often differ by their beginnings alone.
  const values = new Map<string, Term>();
  const termOf = (jsonSchema: object) => {
    const key = JSON.stringify(jsonSchema);
    const value = values.get(key) ?? compileJsonSchema(jsonSchema, terms);
    values.set(key, value);
    return value;
  };
  const all = terms.either(
    ...tags.map(({ begin, jsonSchema, end }) => {
      const rest = end === undefined ? [] : [free.literal(end), free.start];
      return terms.sequence(free.literal(begin), termOf(jsonSchema), ...rest);
    }),
  );
  free.complete(all);
  return opening === undefined ? free.start : free.opened(Buffer.from(opening), all);
}

/** A state of the automaton: how much of a trigger the text ends with. */
interface State {
  readonly next: Map<number, State>;
  readonly rule: Rule;
  /** The state of the longest proper end of this one's bytes. */
  fallback: State | undefined;
  /** The trigger that ends here. */
  trigger: Uint8Array | undefined;
}

class FreeText {
  readonly #terms: Terms;
  readonly #triggers: readonly string[];
  readonly #root: State;
  readonly #states: State[] = [];
  /** Free text, from a place at which no trigger has begun. */
  readonly start: Term;

  constructor(triggers: readonly string[], terms: Terms) {
    this.#terms = terms;
    this.#triggers = triggers;
    this.#root = this.#state();
    this.start = this.#after(this.#root);
    const nested = triggers.find((one) => triggers.some((other) => other !== one && other.includes(one)));
    if (nested !== undefined || new Set(triggers).size < triggers.length) {
      throw new TesseraeError('ERR_FORMAT', 'a trigger of the format may not be part of another one');
    }
    const patterns = triggers.flatMap((trigger) => [Buffer.from(trigger), controlBytes(trigger)]);
    if (patterns.reduce((sum, { length }) => sum + length, 0) > MOST_TRIGGER_BYTES) {
      throw new TesseraeError('ERR_FORMAT', 'the triggers of the format are too long');
    }
    for (const pattern of patterns) this.#add(pattern);
    this.#link();
  }

  /** A text in a tag: triggers in it may be control tokens. */
  literal(text: string): Term {
    const terms: Term[] = [];
    let rest = text;
    while (rest !== '') {
      const found = this.#triggers.find((trigger) => rest.startsWith(trigger));
      if (found === undefined) {
        const [character = ''] = rest;
        terms.push(this.#terms.literal(character));
        rest = rest.slice(character.length);
      } else {
        const control = Array.from(controlBytes(found), (byte) => this.#terms.byte(byte));
        terms.push(this.#terms.either(this.#terms.literal(found), this.#terms.sequence(...control)));
        rest = rest.slice(found.length);
      }
    }
    return this.#terms.sequence(...terms);
  }

  /** Gives the states their terms, when those of the tags are known. */
  complete(tags: Term): void {
    for (const state of this.#states) state.rule.body = this.#onward(state, tags);
  }

  /** Free text that begins with the opening only as a tag. */
  opened(opening: Uint8Array, tags: Term): Term {
    let states: State[] = [this.#root];
    for (const byte of opening) states = [...states, this.#step(states.at(-1) as State, byte)];
    if (states.some(({ trigger }) => trigger !== undefined)) {
      throw new TesseraeError('ERR_FORMAT', 'the opening of the format may have no trigger in it');
    }
    let term = this.#afterBytes(tags, opening);
    // From the last byte of the opening to the first: this byte goes on, any other one leaves it.
    for (let at = opening.length - 1; at >= 0; at--) {
      const byte = opening[at] as number;
      const leaving = this.#onward(states[at] as State, tags, byte);
      const onward = this.#terms.sequence(this.#terms.byte(byte), term);
      term = this.#terms.optional(this.#terms.either(onward, leaving));
    }
    return term;
  }

  #state(): State {
    const state = { next: new Map<number, State>(), rule: this.#terms.rule(), fallback: undefined, trigger: undefined };
    this.#states.push(state);
    return state;
  }

  #add(pattern: Uint8Array): void {
    let state = this.#root;
    for (const byte of pattern) {
      const next = state.next.get(byte) ?? this.#state();
      state.next.set(byte, next);
      state = next;
    }
    state.trigger = pattern;
  }

  #link(): void {
    const queue = [this.#root];
    for (const state of queue) {
      for (const [byte, next] of state.next) {
        next.fallback = this.#step(state.fallback, byte);
        queue.push(next);
      }
    }
  }

  #step(from: State | undefined, byte: number): State {
    for (let state = from; state !== undefined; state = state.fallback) {
      const next = state.next.get(byte);
      if (next !== undefined) return next;
    }
    return this.#root;
  }

  /** What may follow in a state: more of the text, or its end. */
  #after({ rule }: State): Term {
    return this.#terms.optional(this.#terms.reference(rule));
  }

  #afterBytes(term: Term, bytes: Uint8Array): Term {
    let rest = term;
    for (const byte of bytes) rest = this.#terms.derive(rest, byte);
    return rest;
  }

  /** What may follow in a state, by at least one byte. */
  #onward(state: State, tags: Term, except?: number): Term {
    const sets = new Map<State, Uint8Array>();
    for (let byte = 0; byte < 256; byte++) {
      if (byte === except) continue;
      const next = this.#step(state, byte);
      const set = sets.get(next) ?? new Uint8Array(256);
      set[byte] = 1;
      sets.set(next, set);
    }
    const ways = [...sets].map(([next, set]) => {
      const after = next.trigger === undefined ? this.#after(next) : this.#afterBytes(tags, next.trigger);
      return this.#terms.sequence(this.#terms.ofSet(set), after);
    });
    return this.#terms.either(...ways);
  }
}
