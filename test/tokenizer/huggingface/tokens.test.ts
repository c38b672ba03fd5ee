// The tokens of a tokenizer.json: texts, types, ids and scores, and the files that are refused.
import { describe, expect, test } from 'vitest';
import { TimeSlice } from '../../../src/base/time-slice.js';
import { idOf, markWords } from '../../../src/tokenizer/huggingface/huggingface-tokens.js';
import { BYTE, CONTROL, NORMAL, UNKNOWN, UNUSED, USER_DEFINED } from '../../../src/tokenizer/vocabulary/special-ids.js';
import { CountedSlice, tokensOf } from '../../support/tokenizers/plain-metadata.js';

const read = (model: object, added_tokens?: object[]) => tokensOf({ added_tokens, model });
const refusal = (message: string, code = 'ERR_MODEL_FILE') => ({ code, message: `tokenizer.json: ${message}` });
const numbered = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, id) => [`t${id}`, id]));

describe('the tokens of a file', () => {
  test('are those of the vocabulary and the added ones, by id', async () => {
    const tokens = await read({ vocab: { b: 1, a: 0, é: 4 } }, [
      { id: 3, content: '<x>', special: true },
      { id: 1, content: 'b' },
      { id: 5, content: '<y>', special: false },
    ]);
    expect([...tokens.texts]).toEqual(['a', 'b', '', '<x>', 'é', '<y>']);
    expect([...tokens.types]).toEqual([NORMAL, USER_DEFINED, UNUSED, CONTROL, NORMAL, USER_DEFINED]);
    expect(tokens.scores).toBeUndefined();
    // What an id that no token has looks like is no token.
    expect(['a', 'b', '', '<x>', 'é', '<y>', 'c'].map((text) => idOf(tokens, text))).toEqual([
      0,
      1,
      undefined,
      3,
      4,
      5,
      undefined,
    ]);
    expect([...(await read({ vocab: { a: 0 } })).texts]).toEqual(['a']);
    const withEmpty = await read({ vocab: { '': 0, a: 1 } });
    expect([idOf(withEmpty, ''), withEmpty.types[0]]).toEqual([0, NORMAL]);
  });

  test('have scores where they are a list, in the order of ids; added ones have none', async () => {
    const added = [
      { id: 1, content: 'b', special: true },
      { id: 3, content: 'd' },
    ];
    const tokens = await read(
      {
        vocab: [
          ['a', -1.5],
          ['b', -2],
          ['c', 0.25],
        ],
      },
      added,
    );
    expect([...tokens.texts]).toEqual(['a', 'b', 'c', 'd']);
    expect([...(tokens.scores ?? [])]).toEqual([-1.5, -2, 0.25, 0]);
    expect([...tokens.types]).toEqual([NORMAL, CONTROL, NORMAL, USER_DEFINED]);
  });

  test('may be few beside many added ones', async () => {
    const added = Array.from({ length: 40 }, (_, id) => ({ id: id + 1, content: `${id}`.repeat(9) }));
    const tokens = await read({ vocab: { a: 0 } }, added);
    expect([...tokens.texts]).toEqual(['a', ...added.map(({ content }) => content)]);
  });

  test('are bytes if they are spelled like one and the model has bytes', async () => {
    const texts = ['<0x0A>', '<0xFF>', '<0x0a>', '<0x0G>', '<0x0A', '<0x0A>>', 'x0x0A>', 'abcdef', '<abcd>', '0x0A>'];
    const vocab = Object.fromEntries(texts.map((text, id) => [text, id]));
    const types = async (byte_fallback?: boolean) => [...(await read({ vocab, byte_fallback })).types];
    expect(await types(true)).toEqual([BYTE, BYTE, ...texts.slice(2).map(() => NORMAL)]);
    expect(await types(false)).toEqual(texts.map(() => NORMAL));
    expect(await types()).toEqual(texts.map(() => NORMAL));
  });

  test('have at most one that is unknown: by id, or else by text', async () => {
    const vocab = { a: 0, b: 1, c: 2 };
    const types = async (model: object) => [...(await read({ vocab, ...model })).types];
    expect(await types({ unk_id: 2 })).toEqual([NORMAL, NORMAL, UNKNOWN]);
    expect(await types({ unk_token: 'b' })).toEqual([NORMAL, UNKNOWN, NORMAL]);
    expect(await types({ unk_id: 0, unk_token: 'b' })).toEqual([UNKNOWN, NORMAL, NORMAL]);
    for (const model of [{}, { unk_token: null, unk_id: null }, { unk_token: 'd' }, { unk_id: 3 }]) {
      expect(await types(model)).toEqual([NORMAL, NORMAL, NORMAL]);
    }
  });

  test('may leave out as many ids as there are tokens, and at most 4096', async () => {
    expect([...(await read({ vocab: { a: 0, b: 3 } })).texts]).toEqual(['a', '', '', 'b']);
    const tooMany = (tokens: number, largest: number) =>
      refusal(`model: vocab: has ${tokens} tokens, but ids up to ${largest}`);
    await expect(read({ vocab: { a: 0, b: 4 } })).rejects.toMatchObject(tooMany(2, 4));
    await expect(read({ vocab: { a: 2 ** 24 - 1 } })).rejects.toMatchObject(tooMany(1, 2 ** 24 - 1));
    // One token that the file gives twice counts once.
    const twice = read({ vocab: { a: 0, b: 5 } }, [{ id: 0, content: 'a' }]);
    await expect(twice).rejects.toMatchObject(tooMany(3, 5));
    const many = (largest: number) => read({ vocab: { ...numbered(5000), last: largest } });
    expect((await many(5000 + 4096)).texts.length).toBe(9097);
    await expect(many(5000 + 4097)).rejects.toMatchObject(tooMany(5001, 9097));
  });

  test('are read in slices', async () => {
    const slice = new CountedSlice();
    const added = Array.from({ length: 300 }, (_, id) => ({ id, content: `t${id}` }));
    const tokens = await tokensOf({ added_tokens: added, model: { vocab: numbered(600) } }, slice.asTimeSlice);
    // The vocabulary, the added ones; then all entries, the texts and the types.
    expect([slice.looks, slice.yields]).toEqual([3 + 2 + 4 + 3 + 3, 7]);
    await markWords(tokens, slice.asTimeSlice);
    expect([slice.looks, slice.yields]).toEqual([18, 9]);
    const list = new CountedSlice();
    const vocab = Array.from({ length: 257 }, (_, id) => [`t${id}`, 0]);
    await tokensOf({ model: { vocab } }, list.asTimeSlice);
    expect([list.looks, list.yields]).toEqual([4 * 2, 4]);
  });
});

describe('a file is refused', () => {
  test.each<[string, object, string]>([
    ['without a vocabulary', {}, 'model: vocab: must be an object or a list'],
    ['with a vocabulary that is a text', { vocab: 'a' }, 'model: vocab: must be an object or a list'],
    ['with a negative id', { vocab: { a: -1 } }, 'model: vocab: has the invalid id -1'],
    ['with half an id', { vocab: { a: 0.5 } }, 'model: vocab: has the invalid id 0.5'],
    ['with a huge id', { vocab: { a: 2 ** 24 } }, 'model: vocab: has the invalid id 16777216'],
    ['with a list entry without a token', { vocab: [['a', 0], []] }, 'model: vocab: has no token at 1'],
    ['with a list entry without a score', { vocab: [['a', 0], ['b']] }, 'model: vocab: has no score at 1'],
    [
      'with a longer list entry',
      {
        vocab: [
          ['a', 0],
          ['b', 0, 0],
        ],
      },
      'model: vocab: has more than a token and a score at 1',
    ],
    ['with a list of texts', { vocab: ['a'] }, 'model: vocab: must be a list'],
  ])('%s', async (_, model, message) => {
    await expect(read(model)).rejects.toMatchObject(refusal(message));
  });

  test('that gives one id to two texts, also to an added token', async () => {
    const inList = read({ vocab: { a: 0, b: 1, c: 1 } });
    await expect(inList).rejects.toMatchObject(refusal('model: vocab: gives the id 1 to "c" and to "b"'));
    const added = read({ vocab: { a: 0, b: 1 } }, [{ id: 0, content: 'ax' }]);
    await expect(added).rejects.toMatchObject(refusal('model: vocab: gives the id 0 to "ax" and to "a"'));
  });

  test('with an added token that must be a whole word, or that has no text or id', async () => {
    const add = (token: object) => read({ vocab: { a: 0 } }, [{ id: 1, content: 'b', ...token }]);
    await expect(add({ single_word: true })).rejects.toMatchObject(
      refusal('added_tokens[0]: single_word is not supported', 'ERR_UNSUPPORTED'),
    );
    expect((await add({ single_word: false })).types[1]).toBe(USER_DEFINED);
    await expect(add({ content: 1 })).rejects.toMatchObject(
      refusal('added_tokens[0]: content: must be a string, got 1'),
    );
    await expect(add({ id: -1 })).rejects.toMatchObject(refusal('added_tokens[0]: id: must be a token id, got -1'));
  });
});

test('the words of a BERT vocabulary are marked where they begin, instead of within', async () => {
  const vocab = Object.fromEntries(
    ['the', '##s', '##', '#', '#a', '###', 'a##b', '[UNK]', '##x', '', '#b#'].map((text, id) => [text, id]),
  );
  const tokens = await read({ vocab, unk_token: '[UNK]' }, [{ id: 8, content: '##x', special: true }]);
  expect([...(await markWords(tokens, new TimeSlice()))]).toEqual([
    '▁the',
    's',
    '▁##',
    '▁#',
    '▁#a',
    '#',
    '▁a##b',
    '[UNK]',
    '##x',
    '▁',
    '▁#b#',
  ]);
});
