// The tokens of fixed texts with the unigram model: spaces, unknown characters, the kinds of tokens that text may
// become, and the first tokens of long texts.
import { describe, expect, test } from 'vitest';
import { createTokenizer } from '../../../src/tokenizer/create-tokenizer.js';
import type { EncodeOptions, Tokenizer } from '../../../src/tokenizer/tokenizer.js';
import { workOn } from '../../support/tokenizers/pauses.js';
import { count, flag, type SmallToken, tokenizerMetadata } from '../../support/tokenizers/tokenizer-metadata.js';

const specials: SmallToken[] = [
  { text: '<pad>', type: 3 },
  { text: '</s>', type: 3 },
  { text: '<unk>', type: 2 },
];
const make = (tokens: readonly SmallToken[], more = {}) =>
  createTokenizer(tokenizerMetadata('t5', [...specials, ...tokens], more));
const textsOf = (tokenizer: Tokenizer, text: string, options?: EncodeOptions) =>
  tokenizer.encode(text, options).map((id) => tokenizer.tokenText(id));
const adds = { 'tokenizer.ggml.add_space_prefix': flag(true) };
const joins = { 'tokenizer.ggml.remove_extra_whitespaces': flag(true) };

const tokens: SmallToken[] = [
  { text: '▁', score: -3 },
  { text: 'a', score: -2 },
  { text: '▁a', score: -4 },
  { text: 'é', score: -2.5 },
];

describe('spaces', () => {
  test('are kept, with one in front, or joined', async () => {
    const of = async (text: string, more: object) => textsOf(await make(tokens, more), text);
    expect(await of('a  a ', {})).toEqual(['a', '▁', '▁a', '▁']);
    expect(await of('a  a ', adds)).toEqual(['▁a', '▁', '▁a', '▁']);
    expect(await of(' a', adds)).toEqual(['▁', '▁a']);
    expect(await of('a a', adds)).toEqual(['▁a', '▁a']);
    expect(await of('  a  a ', joins)).toEqual(['▁a', '▁a']);
    expect(await of('  a  a ', { ...adds, ...joins })).toEqual(['▁a', '▁a']);
    for (const more of [{}, adds]) expect(await of('  ', more)).toEqual(['▁', '▁']);
    for (const more of [joins, { ...adds, ...joins }]) expect(await of('  ', more)).toEqual([]);
    for (const more of [{}, adds, joins]) expect(await of('', more)).toEqual([]);
  });

  test('that were added are removed again', async () => {
    for (const [more, text] of [
      [adds, 'a'],
      [joins, 'a'],
      [{}, ' a'],
    ] as const) {
      const tokenizer = await make(tokens, more);
      expect(textsOf(tokenizer, text)).toEqual(['▁a']);
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    }
  });
});

describe('a character without a token', () => {
  test('is unknown, and so is a run of such; it costs 10 more than the worst token', async () => {
    const tokenizer = await make(tokens);
    expect([tokenizer.kind, tokenizer.eosId, tokenizer.addsEos]).toEqual(['t5', 1, true]);
    expect(textsOf(tokenizer, 'xyz')).toEqual(['<unk>']);
    expect(textsOf(tokenizer, 'xaéy漢a')).toEqual(['<unk>', 'a', 'é', '<unk>', 'a']);
    // A token for three, of which one has a token of its own: worth it above the sum of the others.
    const split = async (score: number) => textsOf(await make([...tokens, { text: 'xay', score, type: 1 }]), 'xay');
    expect(await split(-20)).toEqual(['xay']);
    // The least score is then its own.
    expect(await split(-3)).toEqual(['xay']);
    const user = [...tokens, { text: 'w', score: -50 }];
    expect(textsOf(await make([...user, { text: 'xw', score: -49 }]), 'xw')).toEqual(['xw']);
  });

  test('costs as much as it does with scores that a text can be split by', async () => {
    // The worst normal token is at -4, so that an unknown character costs 14, and one with an unused token what that says.
    const of = async (score: number) => textsOf(await make([...tokens, { text: 'ax', score, type: 5 }]), 'ax');
    expect(await of(-15.9)).toEqual(['ax']);
    expect(await of(-16.1)).toEqual(['a', '<unk>']);
    // Without normal tokens, 10.
    const none = async (score: number) =>
      textsOf(
        await make([
          { text: 'x', score: -1, type: 5 },
          { text: 'xy', score, type: 5 },
        ]),
        'xy',
      );
    expect(await none(-10.9)).toEqual(['xy']);
    expect(await none(-11.1)).toEqual(['x', '<unk>']);
  });
});

test('text may become normal, user-defined and unused tokens, but no others', async () => {
  const of = async (type: number) => textsOf(await make([...tokens, { text: 'aa', score: -1, type }]), 'aaa');
  expect(await of(1)).toEqual(['a', 'aa']);
  expect(await of(5)).toEqual(['a', 'aa']);
  // These are found before a text is split.
  expect(await of(4)).toEqual(['aa', 'a']);
  for (const type of [2, 3, 0]) expect(await of(type)).toEqual(['a', 'a', 'a']);
});

test('a character is unknown only where no token is that character', async () => {
  const rare = await make([...tokens, { text: 'z', score: -100, type: 5 }]);
  expect(textsOf(rare, 'aza')).toEqual(['a', 'z', 'a']);
  const others = [
    { text: 'qr', score: -50, type: 5 },
    { text: 'rs', score: -1 },
  ];
  expect(textsOf(await make([...tokens, ...others]), 'qrs')).toEqual(['<unk>', 'rs']);
  const first = await createTokenizer(tokenizerMetadata('t5', [{ text: 'a', score: -1 }, ...specials.slice(1)]));
  expect(first.encode('aa')).toEqual([0, 0]);
});

test('user-defined tokens score best, also where another token ends within', async () => {
  const more = [
    { text: 'b', score: -1 },
    { text: 'bc', score: -90, type: 4 },
    { text: 'c', score: -1 },
  ];
  const tokenizer = await make([...tokens, ...more]);
  expect(textsOf(tokenizer, 'abca')).toEqual(['a', 'bc', 'a']);
  expect(tokenizer.userTexts).toEqual(['bc']);
});

test('an unknown token must be there', async () => {
  const key = 'tokenizer.ggml.unknown_token_id';
  const two = createTokenizer(tokenizerMetadata('t5', [{ text: 'a' }, { text: 'b' }]));
  await expect(two).rejects.toMatchObject({
    code: 'ERR_MODEL_FILE',
    message: `small.gguf: metadata key "${key}" is missing, but this tokenizer needs it`,
  });
  const named = await createTokenizer(tokenizerMetadata('t5', [{ text: 'a' }, { text: 'b' }], { [key]: count(0) }));
  expect(named.encode('x')).toEqual([0]);
});

describe('the first tokens of a long text', () => {
  /** Replaces yyy by a: y and yy may go on to it. */
  const map = (() => {
    const units = new Uint32Array(1280);
    // One node for each byte, in blocks of 256 units; leaves hold an offset of the replacement.
    const offset = (index: number, block: number) => (index ^ (256 * block)) << 10;
    units[0] = (1 << 10) | 0x200;
    units[256 ^ 0x79] = offset(256 ^ 0x79, 2) | 0x79;
    units[512 ^ 0x79] = offset(512 ^ 0x79, 3) | 0x79;
    units[768 ^ 0x79] = (offset(768 ^ 0x79, 4) | 0x79 | 0x100) >>> 0;
    units[1024] = 0x80000000;
    const bytes = Buffer.alloc(4 + 4 * units.length + 2);
    bytes.writeUInt32LE(4 * units.length, 0);
    for (const [at, unit] of units.entries()) bytes.writeUInt32LE(unit >>> 0, 4 + 4 * at);
    bytes.set(Buffer.from('a\0'), 4 + 4 * units.length);
    return { type: 'array', element: 'u8', value: Uint8Array.from(bytes) } as const;
  })();

  test('are those of the whole, wherever the part that is looked at ends', async () => {
    const long = { text: 'aaaaaaaaaaaaaaa', score: -3 };
    const tokenizer = await make([...tokens, long], adds);
    for (const unit of ['a', 'a ', '😀a', 'aé']) {
      for (const lead of ['', 'é', 'xy']) {
        const text = lead + unit.repeat(1500);
        const whole = tokenizer.encode(text);
        for (const limit of [1, 60, 128, 300]) {
          expect(tokenizer.encode(text, { limit })).toEqual(whole.slice(0, limit));
        }
      }
    }
  });

  test('are those of the whole where characters are replaced', async () => {
    const tokenizer = await make([...tokens, { text: 'y', score: -2 }], {
      'tokenizer.ggml.precompiled_charsmap': map,
    });
    expect(textsOf(tokenizer, 'yayyyyya')).toEqual(['y', 'a', 'a', 'y', 'y', 'a']);
    for (const lead of ['', 'a', 'aa']) {
      const text = lead + 'y'.repeat(3600);
      const whole = tokenizer.encode(text);
      expect(whole.length).toBe(lead.length + 1200);
      for (const limit of [1, 100, 340, 341, 342, 343, 344, 1000]) {
        expect(tokenizer.encode(text, { limit })).toEqual(whole.slice(0, limit));
      }
    }
  });

  test('are those of the whole where a token spans the end of the part that is looked at', async () => {
    const digits = [...'123456789'].map((text) => ({ text, score: -3 }));
    const long = [
      { text: 'cccccccc', score: -1 },
      { text: '123456789', score: -1 },
    ];
    const tokenizer = await make([...digits, ...long]);
    const text = `${'cccccccc'.repeat(127)}123456789${'c'.repeat(800)}`;
    expect(textsOf(tokenizer, text, { limit: 128 }).slice(-2)).toEqual(['cccccccc', '123456789']);
    // A pair of surrogates is not cut.
    const pair = await make(tokens);
    expect(pair.encode(`${'a'.repeat(1023)}😀${'a'.repeat(2000)}`, { limit: 2 })).toEqual([4, 4]);
  });

  test('do not depend on what is behind', async () => {
    const tokenizer = await make(tokens);
    const text = `${'a'.repeat(2000)}\ud800`;
    expect(() => tokenizer.encode(text)).toThrow(expect.objectContaining({ code: 'ERR_TOKENIZER' }));
    expect(tokenizer.encode(text, { limit: 10 })).toEqual(new Array(10).fill(4));
    // 1024 units are looked at first, or 8 for each token.
    expect(tokenizer.encode(`${'a'.repeat(1024)}\ud800`, { limit: 128 })).toEqual(new Array(128).fill(4));
    expect(tokenizer.encode(`${'a'.repeat(1600)}\ud800`, { limit: 200 })).toEqual(new Array(200).fill(4));
  });
});

test('work on a text pauses after each 2048 characters that are replaced, bytes and places that are looked at, and tokens', async () => {
  const tokenizer = await make([
    { text: '▁', score: -1 },
    { text: 'a', score: -1 },
    { text: 'é', score: -1 },
  ]);
  const pauses = (character: string, count: number) => workOn(tokenizer, character.repeat(count)).pauses;
  expect([1023, 1024, 2047, 2048, 5000].map((count) => pauses('a', count))).toEqual([0, 1, 1, 1 + 2 + 1, 2 + 4 + 2]);
  expect([pauses('é', 5000), pauses(' ', 5000)]).toEqual([2 + 7 + 2, 2 + 9 + 2]);
});

test('long texts are encoded in slices, with the same tokens', async () => {
  const tokenizer = await make(tokens, adds);
  const text = 'aé xa'.repeat(500);
  const tokensOfText = await tokenizer.encodeAsync(text);
  expect(tokensOfText).toEqual(tokenizer.encode(text));
  expect(tokenizer.decode(tokensOfText.filter((id) => id !== 2))).toBe('aé a'.repeat(500));
});
