// Terms: a grammar over bytes, hash-consed, with Brzozowski derivatives (a term's derivative by a byte is what may
// follow that byte). Each term is a state of the automaton; a sequence is its stack, alternatives are its open
// possibilities. Called by automaton.ts and by the compilers in compile/.
import { TesseraeError } from '../base/errors.js';

interface TermBase {
  readonly id: number;
  /** Whether the term matches the empty text, so that the text may end here. */
  readonly nullable: boolean;
}

export type Term = TermBase &
  /** Matches nothing, and the empty text. */
  (
    | { readonly kind: 'empty' | 'end' }
    /** One byte of a set, a flag for each. */
    | { readonly kind: 'bytes'; readonly set: Uint8Array }
    | { readonly kind: 'sequence'; readonly head: Term; readonly tail: Term }
    | { readonly kind: 'either'; readonly members: readonly Term[] }
    | { readonly kind: 'repeat'; readonly body: Term; readonly least: number; readonly most: number }
    | { readonly kind: 'rule'; readonly rule: Rule }
  );

/** A named term, which allows recursion. A rule matches at least one byte. */
export interface Rule {
  readonly id: number;
  body: Term;
  /** Set while a derivative of the rule is computed: reaching it again before a byte is matched adds nothing. */
  visiting: boolean;
}

/** Alternatives of one term. With more, the grammar is too ambiguous to be followed quickly. */
const MOST_ALTERNATIVES = 4096;

type Shape<T> = T extends unknown ? Omit<T, 'id'> : never;

/** Makes terms; equal terms are the same object. Each constraint has its own. */
export class Terms {
  readonly #made = new Map<string, Term>();
  readonly #most: number;
  /** The terms of single bytes. */
  readonly #single: Term[] = [];
  #ids = 0;
  readonly empty = this.#make('empty', { kind: 'empty', nullable: false });
  readonly end = this.#make('end', { kind: 'end', nullable: true });

  /** @param most the number of terms that there may be */
  constructor(most = Number.POSITIVE_INFINITY) {
    this.#most = most;
  }

  /** One byte of a set, which has a flag for each byte. */
  ofSet(set: Uint8Array): Term {
    return this.#byteSet(set);
  }

  /** One certain byte. */
  byte(byte: number): Term {
    this.#single[byte] ??= this.bytes([byte, byte]);
    return this.#single[byte] as Term;
  }

  /** One byte of any of the inclusive ranges. */
  bytes(...ranges: readonly (readonly [from: number, to: number])[]): Term {
    const set = new Uint8Array(256);
    for (const [from, to] of ranges) set.fill(1, from, to + 1);
    return this.#byteSet(set);
  }

  #byteSet(set: Uint8Array): Term {
    if (!set.includes(1)) return this.empty;
    return this.#make(`b${Buffer.from(set).toString('latin1')}`, { kind: 'bytes', set, nullable: false });
  }

  /** The bytes of a text, one after the other. */
  literal(text: string): Term {
    return this.sequence(...Array.from(Buffer.from(text), (byte) => this.byte(byte)));
  }

  /** Any of many texts. Their common beginnings are shared, so that no state has more than 256 alternatives. */
  words(texts: readonly string[]): Term {
    const sorted = texts.map((text) => Buffer.from(text)).sort(Buffer.compare);
    return this.#words(sorted, 0, sorted.length, 0);
  }

  /** The texts from `from` to `to`, from a byte on. */
  #words(sorted: readonly Buffer[], from: number, to: number, at: number): Term {
    if (to - from === 1)
      return this.sequence(...Array.from((sorted[from] as Buffer).subarray(at), (byte) => this.byte(byte)));
    const alternatives: Term[] = [];
    let start = from;
    while (start < to && (sorted[start] as Buffer).length === at) start += 1;
    if (start > from) alternatives.push(this.end);
    while (start < to) {
      const byte = (sorted[start] as Buffer)[at] as number;
      let end = start + 1;
      while (end < to && (sorted[end] as Buffer)[at] === byte) end += 1;
      alternatives.push(this.#pair(this.byte(byte), this.#words(sorted, start, end, at + 1)));
      start = end;
    }
    return this.either(...alternatives);
  }

  sequence(...terms: readonly Term[]): Term {
    return terms.reduceRight((tail, head) => this.#pair(head, tail), this.end);
  }

  #pair(head: Term, tail: Term): Term {
    if (head.kind === 'empty' || tail.kind === 'empty') return this.empty;
    if (head.kind === 'end') return tail;
    if (tail.kind === 'end') return head;
    if (head.kind === 'sequence') return this.#pair(head.head, this.#pair(head.tail, tail));
    const nullable = head.nullable && tail.nullable;
    return this.#make(`s${head.id},${tail.id}`, { kind: 'sequence', head, tail, nullable });
  }

  either(...terms: readonly Term[]): Term {
    const members = new Map<number, Term>();
    let set: Uint8Array | undefined;
    const add = (term: Term) => {
      if (term.kind === 'either') term.members.forEach(add);
      else if (term.kind === 'bytes')
        set = set === undefined ? term.set : set.map((has, byte) => has | term.set[byte]!);
      else if (term.kind !== 'empty') members.set(term.id, term);
    };
    terms.forEach(add);
    if (set !== undefined) {
      const bytes = this.#byteSet(set);
      members.set(bytes.id, bytes);
    }
    const sorted = [...members.values()].sort((a, b) => a.id - b.id);
    if (sorted.length < 2) return sorted[0] ?? this.empty;
    if (sorted.length > MOST_ALTERNATIVES) throw tooComplex(`more than ${MOST_ALTERNATIVES} open alternatives`);
    const nullable = sorted.some((term) => term.nullable);
    return this.#make(`e${sorted.map(({ id }) => id).join()}`, { kind: 'either', members: sorted, nullable });
  }

  repeat(body: Term, least: number, most = Number.POSITIVE_INFINITY): Term {
    if (most < least) return this.empty;
    if (body.kind === 'empty') return least === 0 ? this.end : this.empty;
    if (most === 0 || body.kind === 'end') return this.end;
    if (least === 1 && most === 1) return body;
    const nullable = least === 0 || body.nullable;
    return this.#make(`r${body.id},${least},${most}`, { kind: 'repeat', body, least, most, nullable });
  }

  optional(term: Term): Term {
    return this.either(this.end, term);
  }

  reference(rule: Rule): Term {
    return this.#make(`n${rule.id}`, { kind: 'rule', rule, nullable: false });
  }

  rule(): Rule {
    return { id: this.#ids++, body: this.empty, visiting: false };
  }

  #make(key: string, shape: Shape<Term>): Term {
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    const term = { ...shape, id: this.#ids++ } as Term;
    this.#made.set(key, term);
    if (this.#made.size > this.#most) throw tooComplex(`it has more than ${this.#most} parts`);
    return term;
  }

  /** How many terms there are. */
  get size(): number {
    return this.#made.size;
  }

  /** Forgets all terms. Terms in use stay valid, but terms made from now on are other objects than equal older ones. */
  forget(): void {
    this.#made.clear();
    this.#single.length = 0;
    for (const term of [this.empty, this.end]) this.#made.set(term.kind, term);
  }

  /** The derivative of a term: what may follow once it has matched `byte`. */
  derive(term: Term, byte: number): Term {
    switch (term.kind) {
      case 'empty':
      case 'end':
        return this.empty;
      case 'bytes':
        return term.set[byte] === 1 ? this.end : this.empty;
      case 'sequence': {
        const onward = this.#pair(this.derive(term.head, byte), term.tail);
        return term.head.nullable ? this.either(onward, this.derive(term.tail, byte)) : onward;
      }
      case 'either':
        return this.either(...term.members.map((member) => this.derive(member, byte)));
      case 'repeat': {
        // With a nullable body, this also covers leaving out repetitions.
        const rest = this.repeat(term.body, Math.max(0, term.least - 1), term.most - 1);
        return this.#pair(this.derive(term.body, byte), rest);
      }
      case 'rule': {
        if (term.rule.visiting) return this.empty;
        term.rule.visiting = true;
        const derived = this.derive(term.rule.body, byte);
        term.rule.visiting = false;
        return derived;
      }
    }
  }
}

/**
 * Divides the bytes into classes: a term has the same derivative by all bytes of a class.
 * @returns the class of each byte, and one byte of each class
 */
export function byteClasses(term: Term): { classOf: Uint8Array; examples: number[] } {
  const sets = new Set<Uint8Array>();
  const visit = (at: Term): void => {
    if (at.kind === 'bytes') sets.add(at.set);
    else if (at.kind === 'either') at.members.forEach(visit);
    else if (at.kind === 'repeat') visit(at.body);
    else if (at.kind === 'sequence') {
      visit(at.head);
      if (at.head.nullable) visit(at.tail);
    } else if (at.kind === 'rule' && !at.rule.visiting) {
      at.rule.visiting = true;
      visit(at.rule.body);
      at.rule.visiting = false;
    }
  };
  visit(term);
  const classOf = new Uint8Array(256);
  let examples = [0];
  for (const set of sets) {
    const split = new Map<number, number>();
    examples = [];
    for (let byte = 0; byte < 256; byte++) {
      const key = 2 * (classOf[byte] as number) + (set[byte] as number);
      let number = split.get(key);
      if (number === undefined) {
        number = split.size;
        split.set(key, number);
        examples.push(byte);
      }
      classOf[byte] = number;
    }
  }
  return { classOf, examples };
}

export function tooComplex(why: string): TesseraeError {
  return new TesseraeError('ERR_FORMAT', `the format is too complex: ${why}`);
}
