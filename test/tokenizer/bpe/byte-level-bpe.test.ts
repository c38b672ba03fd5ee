// The byte-level BPE tokenizer: the token ids of the bundled model's card, round trips, streams, special tokens,
// invalid and long input.
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { openGguf } from '../../../src/checkpoint/gguf/gguf-file.js';
import type { ModelMetadata } from '../../../src/metadata/model-metadata.js';
import { StringList } from '../../../src/metadata/string-list.js';
import type { MetadataValue } from '../../../src/metadata/value-types.js';
import { byteCharacters } from '../../../src/tokenizer/bpe/byte-alphabet.js';
import { createTokenizer } from '../../../src/tokenizer/create-tokenizer.js';
import type { Tokenizer } from '../../../src/tokenizer/tokenizer.js';
import { bundledModelPath, card, readFixtureText } from '../../support/models/bundled-model.js';
import { measureLoopDelay } from '../../support/running/event-loop.js';
import { smallTokenizer } from '../../support/tokenizers/small-tokenizer.js';

const anyText = fc.string({ unit: 'binary', maxLength: 200 });

let metadata: ModelMetadata;
let tokenizer: Tokenizer;

beforeAll(async () => {
  await using file = await openGguf(bundledModelPath);
  metadata = file.metadata;
  tokenizer = await createTokenizer(metadata);
});

describe('the bundled vocabulary', () => {
  test('encodes to the ids of the card', () => {
    expect(tokenizer.encode(readFixtureText('check.txt'))).toEqual(card.check.ids);
    const heldout = readFixtureText('heldout.txt');
    const ids = tokenizer.encode(heldout);
    expect(ids.length).toBe(card.heldout.tokens);
    expect(ids.slice(0, card.heldout.firstIds.length)).toEqual(card.heldout.firstIds);
    expect(tokenizer.decode(ids)).toBe(heldout);
    const prompt = tokenizer.encode(card.greedy.prompt, { addBos: true });
    expect(prompt).toEqual(card.greedy.ids.slice(0, prompt.length));
    expect(tokenizer.decode(card.greedy.ids)).toBe(card.greedy.text);
  });

  test('has the sizes and special ids of the card', () => {
    expect(tokenizer.kind).toBe('gpt2');
    expect(tokenizer.vocabularySize).toBe(card.vocabulary);
    expect(tokenizer.bosId).toBe(0);
    expect(tokenizer.eosId).toBe(0);
    expect(tokenizer.addsBos).toBe(true);
    expect(tokenizer.tokenText(0)).toBe('<|endoftext|>');
  });
});

/**
 * Oracle: GPT-2's pattern as a regular expression, and merging by repeated search. Slow, and simple enough to trust.
 */
async function naiveEncoder(source: ModelMetadata): Promise<(text: string) => number[]> {
  const pattern =
    /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
  const ids = new Map([...source.strings('tokenizer.ggml.tokens')].map((text, id) => [text, id]));
  const ranks = new Map([...source.strings('tokenizer.ggml.merges')].map((merge, rank) => [merge, rank]));
  return (text) =>
    (text.match(pattern) ?? []).flatMap((word) => {
      const symbols = [...Buffer.from(word)].map((byte) => byteCharacters[byte] as string);
      for (;;) {
        let best = Number.POSITIVE_INFINITY;
        let at = -1;
        for (let i = 0; i + 1 < symbols.length; i++) {
          const rank = ranks.get(`${symbols[i]} ${symbols[i + 1]}`) ?? best;
          if (rank < best) [best, at] = [rank, i];
        }
        if (at < 0) return symbols.map((symbol) => ids.get(symbol) as number);
        symbols.splice(at, 2, `${symbols[at]}${symbols[at + 1]}`);
      }
    });
}

describe('encode', () => {
  test('agrees with the pattern and naive merging', async () => {
    const naive = await naiveEncoder(metadata);
    const pieces = [
      " 's",
      "'ll",
      "'LL",
      "it're'd",
      '  ',
      '\n',
      '\t ',
      '\u0085',
      '\u00a0',
      '\u3000',
      ' the',
      'nation',
      '12',
      ' ½',
      '…',
    ];
    const mixed = fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string({ unit: 'binary', maxLength: 5 })));
    fc.assert(
      fc.property(
        fc.oneof(
          anyText,
          mixed.map((parts) => parts.join('')),
        ),
        (text) => {
          expect(tokenizer.encode(text)).toEqual(naive(text));
        },
      ),
      { numRuns: 1500 },
    );
    const check = readFixtureText('check.txt');
    expect(naive(check)).toEqual(card.check.ids);
  });

  test('splits contractions and white space like the pattern', async () => {
    // Merges join all bytes within each word, so that the tokens are the words.
    const small = await smallTokenizer(['a b', 'Ġ Ġ', 'Ċ Ċ', "' s", "Ġ '"]);
    const words = (text: string) => small.encode(text).map((id) => small.tokenText(id));
    expect(words("ab's")).toEqual(['ab', "'s"]);
    expect(words("ab 's")).toEqual(['ab', "Ġ'", 's']);
    expect(words('  ab')).toEqual(['Ġ', 'Ġ', 'ab']);
    expect(words('   ab')).toEqual(['ĠĠ', 'Ġ', 'ab']);
    expect(words('ab  ')).toEqual(['ab', 'ĠĠ']);
    expect(words('\n\nab')).toEqual(['Ċ', 'Ċ', 'ab']);
  });

  test('merges by rank, of equal rank the leftmost, whatever the order of the merges', async () => {
    const small = await smallTokenizer(['b c', 'a b', 'a a', 'aa a']);
    const tokens = (text: string) => small.encode(text).map((id) => small.tokenText(id));
    expect(tokens('abc')).toEqual(['a', 'bc']);
    expect(tokens('aaaaa')).toEqual(['aa', 'aaa']);
    expect(tokens('ababc')).toEqual(['ab', 'a', 'bc']);
  });

  test('adds BOS only with the option', async () => {
    expect(tokenizer.encode('a', { addBos: true })).toEqual([0, ...tokenizer.encode('a')]);
    expect(tokenizer.encode('', { addBos: true })).toEqual([0]);
    expect(tokenizer.encode('')).toEqual([]);
    const small = await smallTokenizer([]);
    expect(small.bosId).toBeUndefined();
    expect(small.addsBos).toBe(false);
    expect(() => small.encode('a', { addBos: true })).toThrow(expect.objectContaining({ code: 'ERR_TOKENIZER' }));
  });

  test('matches control tokens only with the option, user-defined tokens always', async () => {
    const text = 'a<|endoftext|>b';
    const plain = tokenizer.encode(text);
    expect(plain).not.toContain(0);
    expect(tokenizer.decode(plain)).toBe(text);
    const ids = tokenizer.encode(text, { special: true });
    expect(ids).toEqual([...tokenizer.encode('a'), 0, ...tokenizer.encode('b')]);
    expect(tokenizer.decode(ids)).toBe('ab');
    expect(tokenizer.decode(ids, { special: true })).toBe(text);
    expect(tokenizer.tokenText(0)).toBe('<|endoftext|>');

    const small = await smallTokenizer(
      ['a b'],
      [
        { text: '<x>', type: 3 },
        { text: '<x>y', type: 3 },
        { text: '  ', type: 4 },
      ],
    );
    const tokens = (value: string, special: boolean) =>
      small.encode(value, { special }).map((id) => small.tokenText(id));
    expect(tokens('ab  ab<x>', false)).toEqual(['ab', '  ', 'ab', '<', 'x', '>']);
    expect(tokens('<x>y<x><x', true)).toEqual(['<x>y', '<x>', '<', 'x']);
    expect(tokens('  <x>', true)).toEqual(['  ', '<x>']);
    expect(small.decode(small.encode('ab  ab'))).toBe('ab  ab');
  });

  test('finds special tokens across the boundaries of its steps', async () => {
    const text = `${'word '.repeat(1000)}<|endoftext|>`.repeat(3);
    const ids = tokenizer.encode(text, { special: true });
    expect(ids.filter((id) => id === 0).length).toBe(3);
    expect(tokenizer.decode(ids, { special: true })).toBe(text);
  });

  test('refuses invalid text', async () => {
    for (const text of ['\ud800', 'ab\udc00', 'a\ud83d b', '\udc00\ud800', `${'a'.repeat(5000)}\ud800`]) {
      expect(() => tokenizer.encode(text)).toThrow(
        expect.objectContaining({ code: 'ERR_TOKENIZER', message: expect.stringContaining('lone surrogate') }),
      );
      await expect(tokenizer.encodeAsync(text)).rejects.toMatchObject({ code: 'ERR_TOKENIZER' });
    }
    expect(() => tokenizer.encode(7 as unknown as string)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
  });

  test('refuses a byte that the vocabulary lacks', async () => {
    const tokens = byteCharacters.filter((character) => character !== 'z');
    const small = await smallTokenizer([], [], {
      'tokenizer.ggml.tokens': { type: 'array', element: 'string', value: StringList.from(tokens) },
      'tokenizer.ggml.token_type': undefined,
    });
    expect(small.decode(small.encode('abc'))).toBe('abc');
    expect(() => small.encode('xyz')).toThrow('the vocabulary has no token for the byte 0x7a');
  });
});

describe('decode', () => {
  test('undoes encode for any valid text', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
        expect(tokenizer.decode(tokenizer.encode(text, { special: true }), { special: true })).toBe(text);
      }),
      { numRuns: 2000 },
    );
    expect(tokenizer.decode(tokenizer.encode('\ufeffab'))).toBe('\ufeffab');
  });

  test('as a stream gives the same text, and never part of a character', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: card.vocabulary - 1 })), fc.boolean(), (ids, special) => {
        const decoder = tokenizer.decoder({ special });
        const pieces = ids.map((id) => decoder.push(id));
        pieces.push(decoder.end());
        expect(pieces.join('')).toBe(tokenizer.decode(ids, { special }));
      }),
      { numRuns: 1000 },
    );
    const emoji = tokenizer.encode('a😀b');
    const decoder = tokenizer.decoder();
    const pieces = emoji.map((id) => decoder.push(id));
    expect(pieces.filter((piece) => piece !== '')).toEqual(['a', '😀', 'b']);
    expect(decoder.end()).toBe('');
  });

  test('gives U+FFFD for invalid UTF-8, and for an incomplete character at the end', () => {
    const bytes = (...values: number[]) => values.map((byte) => 1 + byte);
    expect(tokenizer.tokenText(1 + 0x41)).toBe('A');
    expect(tokenizer.decode(bytes(0x41, 0xff, 0x42))).toBe('A\ufffdB');
    expect(tokenizer.decode(bytes(0xf0, 0x9f, 0x98))).toBe('\ufffd');
    const decoder = tokenizer.decoder();
    expect(bytes(0x41, 0xf0, 0x9f, 0x98).map((id) => decoder.push(id))).toEqual(['A', '', '', '']);
    expect(decoder.end()).toBe('\ufffd');
    expect(decoder.push(1 + 0x42)).toBe('B');
  });

  test('refuses ids that are not in the vocabulary', () => {
    for (const id of [-1, card.vocabulary, 1.5, Number.NaN, undefined as unknown as number, '1' as unknown as number]) {
      const refusal = expect.objectContaining({ code: 'ERR_TOKENIZER' });
      expect(() => tokenizer.decode([id])).toThrow(refusal);
      expect(() => tokenizer.decoder().push(id)).toThrow(refusal);
      expect(() => tokenizer.tokenText(id)).toThrow(refusal);
    }
  });
});

describe('long texts', () => {
  const longWord = 'etaoinshrdlu'.repeat(40_000);

  test('encodeAsync agrees with encode, also for two texts at once', async () => {
    const texts = [
      readFixtureText('heldout.txt'),
      longWord,
      'é'.repeat(10_001),
      `${' '.repeat(9_999)}a`,
      '😀'.repeat(3000),
    ];
    const encoded = await Promise.all(texts.map((text) => tokenizer.encodeAsync(text)));
    expect(encoded).toEqual(texts.map((text) => tokenizer.encode(text)));
    expect(encoded.map((ids) => tokenizer.decode(ids))).toEqual(texts);
  });

  test('a word that fills a megabyte takes time in proportion to its length', { retry: 2 }, () => {
    const time = (text: string) => {
      const start = performance.now();
      tokenizer.encode(text);
      return performance.now() - start;
    };
    time(longWord.slice(0, 60_000));
    const short = Math.min(...[1, 2, 3].map(() => time(longWord.slice(0, 60_000))));
    const long = Math.min(...[1, 2, 3].map(() => time(longWord)));
    expect(long / short).toBeLessThan(8 * 4);
  });

  test('encodeAsync leaves the event loop free', { retry: 2 }, async () => {
    const text = readFixtureText('heldout.txt').repeat(20) + longWord;
    await tokenizer.encodeAsync(text.slice(0, 500_000));
    const { p99, bound } = await measureLoopDelay(() => tokenizer.encodeAsync(text));
    expect(p99).toBeLessThan(bound);
  });

  test('encodeAsync stops when its signal fires', async () => {
    const reason = new Error('enough');
    const started = tokenizer.encodeAsync(longWord, { signal: AbortSignal.abort(reason) });
    await expect(started).rejects.toMatchObject({ name: 'AbortError', cause: reason });
    const controller = new AbortController();
    const running = tokenizer.encodeAsync(longWord.repeat(4), { signal: controller.signal });
    setTimeout(() => controller.abort(reason), 10);
    await expect(running).rejects.toMatchObject({ name: 'AbortError', cause: reason });
  });
});

describe('the vocabulary in the file', () => {
  const strings = (...value: string[]): MetadataValue => ({
    type: 'array',
    element: 'string',
    value: StringList.from(value),
  });
  const u32 = (value: number): MetadataValue => ({ type: 'u32', value });

  test.each<[string, string, string, Record<string, MetadataValue | undefined>]>([
    [
      'an unknown tokenizer',
      'ERR_UNSUPPORTED',
      '"rwkv"',
      { 'tokenizer.ggml.model': { type: 'string', value: 'rwkv' } },
    ],
    [
      'an unknown pre-tokenizer',
      'ERR_UNSUPPORTED',
      '"qwen9"',
      { 'tokenizer.ggml.pre': { type: 'string', value: 'qwen9' } },
    ],
    ['no tokenizer', 'ERR_MODEL_FILE', 'tokenizer.ggml.model" is missing', { 'tokenizer.ggml.model': undefined }],
    ['no pre-tokenizer', 'ERR_MODEL_FILE', 'tokenizer.ggml.pre" is missing', { 'tokenizer.ggml.pre': undefined }],
    ['no tokens', 'ERR_MODEL_FILE', 'tokenizer.ggml.tokens" is missing', { 'tokenizer.ggml.tokens': undefined }],
    ['an empty list of tokens', 'ERR_MODEL_FILE', 'is empty', { 'tokenizer.ggml.tokens': strings() }],
    ['no merges', 'ERR_MODEL_FILE', 'tokenizer.ggml.merges" is missing', { 'tokenizer.ggml.merges': undefined }],
    [
      'tokens that are no strings',
      'ERR_MODEL_FILE',
      'must be an array of strings, got an array of 1 × u8',
      { 'tokenizer.ggml.tokens': { type: 'array', element: 'u8', value: new Uint8Array(1) } },
    ],
    [
      'a token that stands twice',
      'ERR_MODEL_FILE',
      '"a" twice, at 0 and 2',
      { 'tokenizer.ggml.tokens': strings('a', 'b', 'a') },
    ],
    ['a merge of an absent token', 'ERR_MODEL_FILE', '"a zz" at 0', { 'tokenizer.ggml.merges': strings('a zz') }],
    ['a merge to an absent token', 'ERR_MODEL_FILE', '"a b" at 0', { 'tokenizer.ggml.merges': strings('a b') }],
    ['a merge that is no pair', 'ERR_MODEL_FILE', '"ab" at 0', { 'tokenizer.ggml.merges': strings('ab') }],
    [
      'fewer types than tokens',
      'ERR_MODEL_FILE',
      'has 3 entries',
      { 'tokenizer.ggml.token_type': { type: 'array', element: 'i32', value: Int32Array.of(1, 1, 1) } },
    ],
    [
      'an unknown token type',
      'ERR_MODEL_FILE',
      'unknown type 9 at 7',
      { 'tokenizer.ggml.token_type': { type: 'array', element: 'i32', value: new Int32Array(256).fill(9, 7) } },
    ],
    ['a BOS id beyond the vocabulary', 'ERR_MODEL_FILE', 'is 256', { 'tokenizer.ggml.bos_token_id': u32(256) }],
    ['an EOS id beyond the vocabulary', 'ERR_MODEL_FILE', 'is 999', { 'tokenizer.ggml.eos_token_id': u32(999) }],
    [
      'BOS wanted but absent',
      'ERR_MODEL_FILE',
      'no BOS token',
      { 'tokenizer.ggml.add_bos_token': { type: 'bool', value: true } },
    ],
  ])('is refused with %s', async (_, code, message, overrides) => {
    await expect(smallTokenizer([], [], overrides)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
  });

  test('may have empty tokens, repeated merges, and characters outside of the byte alphabet', async () => {
    const small = await smallTokenizer(
      ['a b', 'a b'],
      [
        { text: '', type: 5 },
        { text: '', type: 5 },
        { text: 'x y', type: 1 },
      ],
    );
    expect(small.encode('ab').map((id) => small.tokenText(id))).toEqual(['ab']);
    expect(small.decode([small.vocabularySize - 2])).toBe('');
    expect(small.decode([small.vocabularySize - 1])).toBe('x y');
  });
});
