// A compiled format as it is sent from the thread that compiles it: the terms as numbers, each after those that it is made of.
// Written by compile/job.ts there, and read by constraint-compiler.ts in time slices.
import type { TimeSlice } from '../base/time-slice.js';
import type { Rule, Term, Terms } from './term.js';

export interface CompiledTerms {
  /** The place of the start; then for each term its kind, and what it is made of. */
  readonly words: Int32Array<ArrayBuffer>;
  /** Sets of bytes, 32 bytes each. */
  readonly sets: Uint8Array<ArrayBuffer>;
  readonly ruleCount: number;
}

const kinds = ['empty', 'end', 'bytes', 'sequence', 'either', 'repeat', 'rule', 'body'] as const;
const codes = Object.fromEntries(kinds.map((kind, code) => [kind, code])) as Record<(typeof kinds)[number], number>;
const UNLIMITED = -1;
const TERMS_PER_LOOK = 256;

export function writeTerms(start: Term): CompiledTerms {
  const words: number[] = [];
  const sets: Uint8Array[] = [];
  const places = new Map<Term, number>();
  const rules = new Map<Rule, number>();
  const write = (root: Term) => {
    // A term stays on the stack until all that it is made of has its place.
    const stack = [root];
    for (let term = stack.at(-1); term !== undefined; term = stack.at(-1)) {
      const missing = places.has(term) ? [] : partsOf(term).filter((part) => !places.has(part));
      if (missing.length > 0) {
        for (const part of missing) stack.push(part);
        continue;
      }
      stack.pop();
      if (places.has(term)) continue;
      pushTerm(term);
      places.set(term, places.size);
    }
  };
  const place = (term: Term) => places.get(term) as number;
  const pushTerm = (term: Term) => {
    words.push(codes[term.kind]);
    if (term.kind === 'bytes') {
      words.push(sets.length);
      sets.push(term.set);
    } else if (term.kind === 'sequence') words.push(place(term.head), place(term.tail));
    else if (term.kind === 'either') {
      words.push(term.members.length);
      for (const member of term.members) words.push(place(member));
    } else if (term.kind === 'repeat') {
      words.push(place(term.body), term.least, Number.isFinite(term.most) ? term.most : UNLIMITED);
    } else if (term.kind === 'rule') {
      if (!rules.has(term.rule)) rules.set(term.rule, rules.size);
      words.push(rules.get(term.rule) as number);
    }
  };
  write(start);
  // Rules may come up while the bodies of others are written.
  for (const [rule, number] of rules) {
    write(rule.body);
    words.push(codes.body, number, place(rule.body));
  }
  return { words: withStart(place(start), words), sets: packed(sets), ruleCount: rules.size };
}

function withStart(start: number, words: readonly number[]): Int32Array<ArrayBuffer> {
  const all = new Int32Array(words.length + 1);
  all[0] = start;
  all.set(words, 1);
  return all;
}

function partsOf(term: Term): readonly Term[] {
  if (term.kind === 'sequence') return [term.tail, term.head];
  if (term.kind === 'either') return term.members;
  return term.kind === 'repeat' ? [term.body] : [];
}

function packed(sets: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(32 * sets.length);
  for (const [i, set] of sets.entries()) {
    for (let byte = 0; byte < 256; byte++) {
      const at = 32 * i + (byte >> 3);
      bytes[at] = (bytes[at] as number) | ((set[byte] as number) << (byte & 7));
    }
  }
  return bytes;
}

/** Makes the terms. @throws AbortError when the signal fires */
export async function readTerms(compiled: CompiledTerms, terms: Terms, timeSlice: TimeSlice): Promise<Term> {
  const { words, sets, ruleCount } = compiled;
  const rules = Array.from({ length: ruleCount }, () => terms.rule());
  const made: Term[] = [];
  let at = 1;
  const word = () => words[at++] as number;
  const part = () => made[word()] as Term;
  while (at < words.length) {
    if (made.length % TERMS_PER_LOOK === 0 && timeSlice.isOver()) await timeSlice.yield();
    switch (kinds[word()]) {
      case 'empty':
        made.push(terms.empty);
        break;
      case 'end':
        made.push(terms.end);
        break;
      case 'bytes':
        made.push(terms.ofSet(unpacked(sets, word())));
        break;
      case 'sequence': {
        const head = part();
        made.push(terms.sequence(head, part()));
        break;
      }
      case 'either':
        made.push(terms.either(...Array.from({ length: word() }, part)));
        break;
      case 'repeat': {
        const body = part();
        const least = word();
        const most = word();
        made.push(terms.repeat(body, least, most === UNLIMITED ? Number.POSITIVE_INFINITY : most));
        break;
      }
      case 'rule':
        made.push(terms.reference(rules[word()] as Rule));
        break;
      case 'body': {
        const rule = rules[word()] as Rule;
        rule.body = part();
        break;
      }
    }
  }
  return made[words[0] as number] as Term;
}

function unpacked(sets: Uint8Array, index: number): Uint8Array {
  const set = new Uint8Array(256);
  for (let byte = 0; byte < 256; byte++) set[byte] = ((sets[32 * index + (byte >> 3)] as number) >> (byte & 7)) & 1;
  return set;
}
