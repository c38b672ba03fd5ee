// Terms alone: equal ones are the same object, derivatives match what a naive matcher matches, and a term survives the
// journey from the thread that compiles it.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TimeSlice } from '../../src/base/time-slice.js';
import { Automaton, DEAD } from '../../src/constraint/automaton.js';
import { readTerms, writeTerms } from '../../src/constraint/compiled-terms.js';
import { byteClasses, type Term, Terms } from '../../src/constraint/term.js';

const [A, B, C] = [0x61, 0x62, 0x63];
const bytes = (text: string): number[] => [...Buffer.from(text)];

/** Whether a text matches, by one derivative after the other. */
function matches(terms: Terms, term: Term, text: string): boolean {
  return bytes(text).reduce((at, byte) => terms.derive(at, byte), term).nullable;
}

/** Whether a text matches, by the tables of an automaton. */
function runs(automaton: Automaton, text: string): boolean {
  let state = automaton.stateOf(automaton.startTerm);
  for (const byte of bytes(text)) {
    if (state === DEAD) return false;
    state = automaton.table(state)[byte] as number;
  }
  return state !== DEAD && automaton.termOf(state).nullable;
}

/** A regular expression over a, b and c, and the term of it. */
type Pattern = { readonly source: string; readonly term: (terms: Terms) => Term };

const patterns = fc.letrec<{ pattern: Pattern }>((tie) => ({
  pattern: fc.oneof(
    { maxDepth: 4, depthIdentifier: 'pattern' },
    fc.constantFrom<Pattern[]>(
      { source: '', term: (terms) => terms.end },
      { source: '[]', term: (terms) => terms.empty },
      { source: 'a', term: (terms) => terms.byte(A) },
      { source: '[ab]', term: (terms) => terms.bytes([A, B]) },
      { source: 'abc', term: (terms) => terms.literal('abc') },
      { source: '(?:ab|a|abc|c)', term: (terms) => terms.words(['ab', 'c', 'a', 'abc']) },
    ),
    fc.tuple(tie('pattern'), tie('pattern')).map(
      ([a, b]): Pattern => ({
        source: `(?:${a.source})(?:${b.source})`,
        term: (terms) => terms.sequence(a.term(terms), b.term(terms)),
      }),
    ),
    fc.tuple(tie('pattern'), tie('pattern')).map(
      ([a, b]): Pattern => ({
        source: `(?:${a.source}|${b.source})`,
        term: (terms) => terms.either(a.term(terms), b.term(terms)),
      }),
    ),
    fc.tuple(tie('pattern'), fc.nat({ max: 2 }), fc.constantFrom(0, 1, 2, Number.POSITIVE_INFINITY)).map(
      ([a, least, more]): Pattern => ({
        source: `(?:${a.source}){${least},${Number.isFinite(more) ? least + more : ''}}`,
        term: (terms) => terms.repeat(a.term(terms), least, least + more),
      }),
    ),
    tie('pattern').map(
      (a): Pattern => ({
        source: `(?:${a.source})?`,
        term: (terms) => terms.optional(a.term(terms)),
      }),
    ),
  ),
})).pattern;

const texts = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 7 }), { maxLength: 12 });

test('terms match as regular expressions do: by derivatives, by tables, and as they are compiled elsewhere', async () => {
  await fc.assert(
    fc.asyncProperty(patterns, texts, async ({ source, term }, candidates) => {
      const terms = new Terms();
      const start = term(terms);
      const automaton = new Automaton(terms, start);
      const there = new Terms();
      const copy = await readTerms(writeTerms(start), there, new TimeSlice());
      const regex = new RegExp(`^(?:${source})$`, 'v');
      const samples = ['', 'a', 'ab', 'abc', 'aab', ...candidates];
      const expected = samples.filter((text) => regex.test(text));
      expect(samples.filter((text) => matches(terms, start, text))).toEqual(expected);
      expect(samples.filter((text) => runs(automaton, text))).toEqual(expected);
      expect(samples.filter((text) => matches(there, copy, text))).toEqual(expected);
    }),
  );
});

describe('equal terms', () => {
  test('are the same object, however they were made', () => {
    const terms = new Terms();
    const { end, empty } = terms;
    const a = terms.byte(A);
    const ab = terms.bytes([A, A], [B, B]);
    expect(terms.bytes([A, B])).toBe(ab);
    expect(terms.either(terms.byte(B), a, empty)).toBe(ab);
    expect(terms.ofSet(new Uint8Array(256).fill(1, A, B + 1))).toBe(ab);
    expect(terms.bytes()).toBe(empty);
    expect(terms.literal('')).toBe(end);
    expect(terms.literal('ab')).toBe(terms.sequence(a, end, terms.byte(B)));
    expect(terms.sequence(terms.literal('ab'), terms.byte(C))).toBe(terms.sequence(a, terms.literal('bc')));
    expect(terms.sequence(a, empty)).toBe(empty);
    const word = terms.literal('xy');
    expect(terms.either(word, a, word)).toBe(terms.either(a, word));
    expect(terms.either(terms.either(word, a), a, terms.either())).toBe(terms.either(a, word));
    expect(terms.either(word)).toBe(word);
    const other = terms.literal('yz');
    expect(terms.either(other, word)).toBe(terms.either(word, other));
    expect(terms.repeat(a, 1, 1)).toBe(a);
    expect([terms.repeat(a, 0, 0), terms.repeat(end, 3), terms.repeat(empty, 0)]).toEqual([end, end, end]);
    expect([terms.repeat(a, 2, 1), terms.repeat(empty, 1)]).toEqual([empty, empty]);
    expect(terms.repeat(a, 1, 2)).not.toBe(terms.repeat(a, 1, 3));
    expect(terms.repeat(a, 1, 2)).not.toBe(terms.repeat(a, 0, 2));
  });

  test('that are words share their beginnings, in whatever order they are given', () => {
    const terms = new Terms();
    const shared = terms.sequence(terms.byte(A), terms.bytes([B, C]));
    expect(terms.words(['ab', 'ac'])).toBe(shared);
    const all = terms.words(['ab', 'bcab', 'ac', 'ab', 'a']);
    expect(all).toBe(
      terms.either(terms.sequence(terms.byte(A), terms.optional(terms.bytes([B, C]))), terms.literal('bcab')),
    );
    expect(['a', 'ab', 'bcab', 'bc', 'b', ''].filter((text) => matches(terms, all, text))).toEqual(['a', 'ab', 'bcab']);
    expect(terms.words(['a', 'a'])).toBe(terms.byte(A));
    expect([terms.words([]), terms.words([''])]).toEqual([terms.empty, terms.end]);
  });

  test('alone have the same number, also among rules', () => {
    const terms = new Terms();
    const all = [terms.rule(), terms.byte(A), terms.rule(), terms.byte(B), terms.rule(), terms.literal('ab')];
    expect(new Set(all.map(({ id }) => id)).size).toBe(6);
  });

  test('made after others were forgotten are others, and match the same', () => {
    const terms = new Terms();
    const before = terms.literal('ab');
    expect(terms.size).toBe(5);
    terms.forget();
    expect(terms.size).toBe(2);
    const after = terms.literal('ab');
    expect(after).not.toBe(before);
    for (const term of [before, after]) expect(matches(terms, term, 'ab')).toBe(true);
    expect(terms.sequence(terms.end)).toBe(terms.end);
    expect(terms.either()).toBe(terms.empty);
  });
});

describe('too many', () => {
  const tooComplex = (message: RegExp) =>
    expect.objectContaining({ code: 'ERR_FORMAT', message: expect.stringMatching(message) });

  test('parts are refused', () => {
    const terms = new Terms(5);
    terms.literal('ab');
    expect(() => terms.byte(C)).toThrow(tooComplex(/too complex: it has more than 5 parts/));
  });

  test('open alternatives are refused: more than 4096', () => {
    const terms = new Terms();
    const words = Array.from({ length: 4096 }, (_, i) => terms.sequence(terms.byte(i & 255), terms.byte(i >> 8)));
    const all = terms.either(...words);
    expect(matches(terms, all, 'a')).toBe(false);
    expect(() => terms.either(all, terms.literal('abc'))).toThrow(tooComplex(/more than 4096 open alternatives/));
  });
});

describe('a rule', () => {
  /** Balanced parentheses around an x, possibly by a detour over another rule. */
  function balanced(terms: Terms): Term {
    const [outer, inner] = [terms.rule(), terms.rule()];
    inner.body = terms.either(terms.byte(0x78), terms.reference(outer));
    outer.body = terms.either(
      terms.byte(0x78),
      terms.sequence(terms.literal('('), terms.reference(inner), terms.literal(')')),
    );
    return terms.reference(outer);
  }

  const samples = [
    ['x', true],
    ['((x))', true],
    ['(x', false],
    ['()', false],
    ['(x))', false],
    ['', false],
  ] as const;

  test('refers to itself, also after the journey', async () => {
    const terms = new Terms();
    const start = balanced(terms);
    const there = new Terms();
    const compiled = writeTerms(start);
    expect(compiled.ruleCount).toBe(2);
    const copy = await readTerms(compiled, there, new TimeSlice());
    for (const [text, isMatch] of samples) {
      expect(matches(terms, start, text)).toBe(isMatch);
      expect(matches(there, copy, text)).toBe(isMatch);
      expect(runs(new Automaton(terms, start), text)).toBe(isMatch);
    }
  });

  test('that begins with itself adds nothing by that', () => {
    const terms = new Terms();
    const rule = terms.rule();
    rule.body = terms.either(terms.sequence(terms.reference(rule), terms.byte(A)), terms.byte(B));
    const term = terms.reference(rule);
    expect(matches(terms, term, 'b')).toBe(true);
    expect(byteClasses(term).examples).toHaveLength(2);
    expect(rule.visiting).toBe(false);
  });
});

describe('classes of bytes', () => {
  const classesOf = (term: Term) => {
    const { classOf, examples } = byteClasses(term);
    expect(examples.map((byte) => classOf[byte])).toEqual(examples.map((_, at) => at));
    return { classOf, count: examples.length };
  };

  test('are those that can come next: of a sequence its head, and what follows where that may be left out', () => {
    const terms = new Terms();
    expect(classesOf(terms.end).count).toBe(1);
    expect(classesOf(terms.literal('ab')).count).toBe(2);
    const optional = terms.sequence(terms.optional(terms.byte(A)), terms.byte(B), terms.byte(C));
    const { classOf, count } = classesOf(optional);
    expect(count).toBe(3);
    expect(new Set([A, B, C].map((byte) => classOf[byte])).size).toBe(3);
    expect(classOf[C]).toBe(classOf[0]);
    expect(classesOf(terms.repeat(terms.bytes([A, B]), 2)).count).toBe(2);
    const crossed = terms.either(terms.sequence(terms.bytes([A, B]), terms.byte(C)), terms.literal('bb'));
    expect(classesOf(crossed).count).toBe(3);
  });
});

describe('an automaton', () => {
  test('makes each state once, until it is reset', () => {
    const terms = new Terms();
    const automaton = new Automaton(terms, terms.literal('ab'));
    const start = automaton.stateOf(automaton.startTerm);
    expect(automaton.stateOf(automaton.startTerm)).toBe(start);
    expect(automaton.knownTable(start)).toBeUndefined();
    const table = automaton.table(start);
    expect(automaton.knownTable(start)).toBe(table);
    expect(automaton.table(start)).toBe(table);
    expect(table[B]).toBe(DEAD);
    expect([...automaton.table(DEAD)].every((state) => state === DEAD)).toBe(true);
    const after = automaton.termOf(table[A] as number);
    automaton.reset();
    expect(automaton.knownTable(start)).toBeUndefined();
    // The term stays valid; its number is another one.
    const state = automaton.stateOf(after);
    expect(automaton.termOf(automaton.table(state)[B] as number).kind).toBe('end');
  });

  test('is empty where no text matches, and full after more than 16,384 tables', () => {
    const terms = new Terms();
    expect(new Automaton(terms, terms.empty).isEmpty).toBe(true);
    expect(new Automaton(terms, terms.empty).stateOf(terms.empty)).toBe(DEAD);
    const automaton = new Automaton(terms, terms.repeat(terms.byte(A), 0, 20_000));
    expect([automaton.isEmpty, automaton.isFull]).toEqual([false, false]);
    let state = automaton.stateOf(automaton.startTerm);
    for (let i = 0; i < 16_384; i++) state = automaton.table(state)[A] as number;
    expect(automaton.isFull).toBe(false);
    automaton.table(state);
    expect(automaton.isFull).toBe(true);
    automaton.reset();
    expect(automaton.isFull).toBe(false);
  });
});

test('an automaton is full with more than 262,144 terms', () => {
  const { end } = new Terms();
  let size = 0;
  const forget = () => {
    size = 0;
  };
  const automaton = new Automaton(
    Object.create({
      get size() {
        return size;
      },
      forget,
    }),
    end,
  );
  size = 2 ** 18;
  expect(automaton.isFull).toBe(false);
  size += 1;
  expect(automaton.isFull).toBe(true);
  automaton.reset();
  expect(automaton.isFull).toBe(false);
});

test('reading terms ends when the signal fires', async () => {
  const reason = new Error('enough');
  const controller = new AbortController();
  const timeSlice = new TimeSlice(controller.signal, 0);
  controller.abort(reason);
  const reading = readTerms(writeTerms(new Terms().literal('ab')), new Terms(), timeSlice);
  await expect(reading).rejects.toMatchObject({ code: 'ABORT_ERR', cause: reason });
});
