// Terms of a grammar over bytes, hash-consed, with their Brzozowski derivatives: what may follow after a byte. A term is
// a state of the automaton: a sequence is its stack, alternatives are what it has not decided yet. Called by automaton.ts
// and by the compilers of regular expressions and JSON schemas.
import { TesseraeError } from '../base/errors.js';

interface TermBase {
  readonly id: number;
  /** Whether nothing more need follow. */
  readonly nullable: boolean;
  /** Whether an intersection stands where the next byte is matched: only these can turn out to match nothing. */
  readonly meets: boolean;
}

export type Term = TermBase &
  (
    | { readonly kind: 'empty' | 'end' }
    /** One byte of a set, a flag for each. */
    | { readonly kind: 'bytes'; readonly set: Uint8Array }
    | { readonly kind: 'sequence'; readonly head: Term; readonly tail: Term }
    | { readonly kind: 'either' | 'both'; readonly members: readonly Term[] }
    | { readonly kind: 'repeat'; readonly body: Term; readonly least: number; readonly most: number }
    | { readonly kind: 'rule'; readonly rule: Rule }
  );

/** A named term, so that terms can recur. Rules match at least one byte. */
export interface Rule {
  readonly id: number;
  body: Term;
  /** While a derivative is taken: meeting the rule again at the same place adds nothing. */
  visiting: boolean;
}

/** Undecided alternatives of one state; more mean that the grammar is too ambiguous to be followed quickly. */
const MOST_ALTERNATIVES = 4096;

type Shape<T> = T extends unknown ? Omit<T, 'id' | 'meets'> : never;

/** Makes terms; equal ones are the same object. One serves one format. */
export class Terms {
  readonly #made = new Map<string, Term>();
  #ids = 0;
  readonly empty = this.#make('empty', { kind: 'empty', nullable: false });
  readonly end = this.#make('end', { kind: 'end', nullable: true });

  /** One byte out of inclusive ranges. */
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
    return this.sequence(...Array.from(Buffer.from(text), (byte) => this.bytes([byte, byte])));
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
    return this.#gather('either', [...members.values()]) ?? this.empty;
  }

  /** What all terms match. They must match finitely many states' worth: no rules. */
  both(...terms: readonly Term[]): Term {
    if (terms.some(({ kind }) => kind === 'empty')) return this.empty;
    const members = new Map(
      terms.flatMap((term) => (term.kind === 'both' ? term.members : [term])).map((t) => [t.id, t]),
    );
    return this.#gather('both', [...members.values()]) ?? this.end;
  }

  #gather(kind: 'either' | 'both', members: Term[]): Term | undefined {
    if (members.length < 2) return members[0];
    if (members.length > MOST_ALTERNATIVES) throw tooComplex(`more than ${MOST_ALTERNATIVES} open alternatives`);
    members.sort((a, b) => a.id - b.id);
    const nullable = kind === 'either' ? members.some((term) => term.nullable) : members.every((term) => term.nullable);
    return this.#make(`${kind}${members.map(({ id }) => id).join()}`, { kind, members, nullable });
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
    const term = { ...shape, id: this.#ids++, meets: meets(shape) } as Term;
    this.#made.set(key, term);
    return term;
  }

  /** How many terms there are. */
  get size(): number {
    return this.#made.size;
  }

  /** Forgets the terms: those that are still in use stay valid, but equal ones are no longer the same. */
  forget(): void {
    this.#made.clear();
    for (const term of [this.empty, this.end]) this.#made.set(term.kind, term);
  }

  /** What may follow a term once it has matched a byte. */
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
      case 'both':
        return this.both(...term.members.map((member) => this.derive(member, byte)));
      case 'repeat': {
        // Where the body may match nothing, this covers all the ways to leave repetitions out.
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

  /** The same term without what can never be completed. `isLive` judges intersections. */
  prune(term: Term, isLive: (term: Term) => boolean): Term {
    if (!term.meets) return term;
    if (term.kind === 'either') return this.either(...term.members.map((member) => this.prune(member, isLive)));
    if (term.kind === 'sequence') {
      // A head that may match nothing is one, whatever stands in its tail.
      return this.#pair(this.prune(term.head, isLive), term.tail);
    }
    return term.kind === 'both' && !isLive(term) ? this.empty : term;
  }
}

function meets(shape: Shape<Term>): boolean {
  if (shape.kind === 'both') return true;
  if (shape.kind === 'either') return shape.members.some((member) => member.meets);
  return shape.kind === 'sequence' && shape.head.meets;
}

/** Parts bytes into classes that a term cannot tell apart. @returns the class of each byte, and one byte of each class */
export function byteClasses(term: Term): { classOf: Uint8Array; examples: number[] } {
  const sets = new Set<Uint8Array>();
  const visit = (at: Term): void => {
    if (at.kind === 'bytes') sets.add(at.set);
    else if (at.kind === 'either' || at.kind === 'both') at.members.forEach(visit);
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
