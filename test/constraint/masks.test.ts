// Masks of tokens, without an engine: a token may come next where some text goes on with its bytes, however the masks are
// computed, kept and forgotten.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Automaton } from '../../src/constraint/automaton.js';
import { utf8 } from '../../src/constraint/compile/characters.js';
import { compileRegex } from '../../src/constraint/compile/regex.js';
import { Constraint, ConstraintState } from '../../src/constraint/constraint.js';
import { type Term, Terms } from '../../src/constraint/term.js';
import { createTokenTrie } from '../../src/constraint/token-trie.js';
import { bareTokenizer } from '../support/tokenizers/bare-tokenizer.js';

afterEach(() => {
  vi.restoreAllMocks();
});

async function constraintOf(regex: string, texts: readonly string[], vocabulary = texts.length, ends = [0]) {
  const terms = new Terms();
  const automaton = new Automaton(terms, compileRegex(regex, terms, { encoding: utf8 }));
  const tokenizer = bareTokenizer(texts, ends);
  const trie = await createTokenTrie(tokenizer, undefined);
  return { terms, automaton, constraint: new Constraint(automaton, trie, tokenizer, vocabulary) };
}

const idsOf = (mask: Uint32Array) =>
  Array.from({ length: 32 * mask.length }, (_, id) => id).filter(
    (id) => ((mask[id >>> 5] as number) >>> (id & 31)) & 1,
  );

/** The tokens that may follow a term: those with bytes by which something is left of it, and end tokens where it may end. */
function expectedAfter(terms: Terms, term: Term, texts: readonly string[], ends: readonly number[] = [0]): number[] {
  return Array.from(texts.keys()).filter((id) => {
    if (ends.includes(id)) return term.nullable;
    let rest = term;
    for (const byte of Buffer.from(texts[id] as string)) rest = terms.derive(rest, byte);
    return texts[id] !== '' && rest.kind !== 'empty';
  });
}

/** Makes each slice of time over at once. */
function shortSlices() {
  let now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => {
    now += 1000;
    return now;
  });
}

const texts = ['</s>', 'a', 'b', 'ab', 'abc', 'ba', '', 'c', 'cc', 'aab', 'é', 'ab', '\xe9b', 'bc'];

describe('a mask has the tokens that may come next', () => {
  test.each(['(ab|c)*', 'a{2,3}b?', '[^a]b*|abc', '(a|é)+', 'abc'])('/%s/, after each text', async (regex) => {
    const { terms, constraint } = await constraintOf(regex, texts);
    const seen = new Set<string>();
    const walk = async (ids: readonly number[]) => {
      const state = new ConstraintState(constraint);
      let term = constraint.automaton.startTerm;
      for (const id of ids) {
        state.accept(id);
        for (const byte of Buffer.from(texts[id] as string)) term = terms.derive(term, byte);
      }
      expect([state.isComplete, state.isFinal]).toEqual([term.nullable, term.kind === 'end']);
      if (term.kind === 'end') expect(idsOf(await state.mask(undefined))).toEqual([0]);
      const next = idsOf(await state.mask(undefined));
      expect(next).toEqual(expectedAfter(terms, term, texts));
      if (ids.length < 3) for (const id of next) if (id !== 0) await walk([...ids, id]);
      seen.add(next.join());
    };
    await walk([]);
    expect(seen.size).toBeGreaterThan(1);
  });

  test('a bit for each logit, of which there may be more than tokens', async () => {
    const many = ['</s>', ...Array.from({ length: 99 }, (_, i) => String.fromCharCode(0x21 + (i % 64)))];
    for (const [vocabulary, words] of [
      [100, 4],
      [128, 4],
      [129, 5],
    ] as const) {
      const { terms, automaton, constraint } = await constraintOf('[0-9]*', many, vocabulary, [0, 99]);
      const mask = await constraint.maskOf(automaton.startTerm, undefined);
      expect(mask).toHaveLength(words);
      expect(mask.buffer).toBeInstanceOf(SharedArrayBuffer);
      expect(idsOf(mask)).toEqual(expectedAfter(terms, automaton.startTerm, many, [0, 99]));
    }
  });

  test('where none may, though a byte may, there is an error', async () => {
    const { automaton, constraint } = await constraintOf('x+', texts);
    await expect(constraint.maskOf(automaton.startTerm, undefined)).rejects.toMatchObject({
      code: 'ERR_FORMAT',
      message: 'no token of the vocabulary can continue the text in its format',
    });
    const other = await constraintOf('x*', texts);
    expect(idsOf(await other.constraint.maskOf(other.automaton.startTerm, undefined))).toEqual([0]);
  });
});

describe('masks are kept', () => {
  test('for equal states', async () => {
    const { terms, constraint } = await constraintOf('(ab|c)*', texts);
    const maskAfter = (...ids: readonly number[]) => {
      const state = new ConstraintState(constraint);
      for (const id of ids) state.accept(id);
      return state.mask(undefined);
    };
    const first = await maskAfter(7);
    expect(await maskAfter(7)).toBe(first);
    expect(await maskAfter(3, 7, 8)).toBe(first);
    expect(await maskAfter(1)).not.toBe(first);
    expect(await constraint.maskOf(terms.literal('ab'), undefined)).not.toBe(first);
  });

  test('up to 16 MiB of them, those used last', async () => {
    // Masks of 8 MiB.
    const { terms, constraint } = await constraintOf('a', texts, 2 ** 26);
    const maskOf = (text: string) => constraint.maskOf(terms.literal(text), undefined);
    const [a, b] = [await maskOf('a'), await maskOf('b')];
    expect([(await maskOf('b')) === b, (await maskOf('a')) === a]).toEqual([true, true]);
    const c = await maskOf('c');
    expect([(await maskOf('a')) === a, (await maskOf('c')) === c]).toEqual([true, true]);
    expect([(await maskOf('b')) === b, (await maskOf('c')) === c]).toEqual([false, true]);
  });

  test('until the automaton is full, which forgets them', async () => {
    const { terms, automaton, constraint } = await constraintOf('a{0,20000}(bc)*', texts);
    const start = automaton.startTerm;
    const first = await constraint.maskOf(start, undefined);
    let state = automaton.stateOf(start);
    while (!automaton.isFull) state = automaton.table(state)[0x61] as number;
    const far = automaton.termOf(state);
    // The state's number is that of another term now.
    const expected = expectedAfter(terms, terms.literal('cc'), texts);
    expect(idsOf(await constraint.maskOf(terms.literal('cc'), undefined))).toEqual(expected);
    expect(automaton.isFull).toBe(false);
    expect(idsOf(await constraint.maskOf(far, undefined))).toEqual(expectedAfter(terms, far, texts));
    const again = await constraint.maskOf(start, undefined);
    expect(again).not.toBe(first);
    expect(again).toEqual(first);
  });
});

describe('a mask that takes long is computed in slices', () => {
  const wordsOf = (count: number) => {
    const numbers = Array.from({ length: count }, (_, i) => `${(i * 7919) % 10_007} ${i}`);
    return ['</s>', ...numbers, 'x', 'yy'];
  };
  const regex = '([0-9]{1,3} ?)*x?';

  test.each([false, true])('between which the automaton may be reset: %j', async (resets) => {
    const words = wordsOf(300);
    const { terms, automaton, constraint } = await constraintOf(regex, words);
    const start = automaton.startTerm;
    shortSlices();
    let turns = 0;
    let isDone = false;
    const computing = constraint.maskOf(start, undefined).finally(() => {
      isDone = true;
    });
    while (!isDone) {
      await nextTurn();
      turns += 1;
      if (resets && turns % 8 === 1) automaton.reset();
    }
    const mask = await computing;
    expect(turns).toBeGreaterThan(10);
    expect(idsOf(mask)).toEqual(expectedAfter(terms, start, words));
    if (!resets) expect(await constraint.maskOf(start, undefined)).toBe(mask);
  });

  test('also where all tables are known', async () => {
    const words = wordsOf(1000);
    const { automaton, constraint } = await constraintOf(regex, words, 4_000);
    const first = await constraint.maskOf(automaton.startTerm, undefined);
    // The same tables, and no mask.
    const tokenizer = bareTokenizer(words, [0]);
    const other = new Constraint(automaton, await createTokenTrie(tokenizer, undefined), tokenizer, 4_000);
    shortSlices();
    let isDone = false;
    const computing = other.maskOf(automaton.startTerm, undefined).finally(() => {
      isDone = true;
    });
    let turns = 0;
    while (!isDone) {
      await nextTurn();
      turns += 1;
    }
    expect(await computing).toEqual(first);
    // One for each 2,048 nodes of the trie.
    expect(turns).toBeGreaterThan(1);
    expect(turns).toBeLessThan(5);
  });

  test('and in one where there is time', async () => {
    const { automaton, constraint } = await constraintOf(regex, wordsOf(10));
    vi.spyOn(performance, 'now').mockReturnValue(0);
    let turned = false;
    const turn = nextTurn().then(() => {
      turned = true;
    });
    await constraint.maskOf(automaton.startTerm, undefined);
    expect(turned).toBe(false);
    await turn;
  });

  test('and ends when the signal fires', async () => {
    const { automaton, constraint } = await constraintOf(regex, wordsOf(10));
    shortSlices();
    const controller = new AbortController();
    const computing = constraint.maskOf(automaton.startTerm, controller.signal);
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(computing).rejects.toMatchObject({ code: 'ABORT_ERR', cause: reason });
    await expect(constraint.maskOf(automaton.startTerm, controller.signal)).rejects.toMatchObject({ cause: reason });
  });
});
