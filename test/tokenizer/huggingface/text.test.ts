// How a tokenizer.json processes text, as metadata: each kind of model with its normalizers and pre-tokenizers, and the
// parts that are refused by name.
import { describe, expect, test } from 'vitest';
import { JsonView } from '../../../src/base/json-view.js';
import type { MetadataMap } from '../../../src/metadata/value-types.js';
import { translateText } from '../../../src/tokenizer/huggingface/huggingface-text.js';
import { gpt2Pattern } from '../../../src/tokenizer/words/patterns.js';
import { plainMetadata } from '../../support/tokenizers/plain-metadata.js';

/** The kind of tokenizer and the metadata of a tokenizer.json. */
function translate(file: object, hasMerges = true): Record<string, unknown> {
  const metadata: MetadataMap = new Map();
  const kind = translateText(new JsonView(file, 'tokenizer.json'), hasMerges, metadata);
  return { kind, ...plainMetadata(metadata) };
}

const unsupported = (what: string) =>
  expect.objectContaining({ code: 'ERR_UNSUPPORTED', message: `tokenizer.json: ${what} is not supported` });
const sequence = (listKey: string, depth: number, inner: object): object =>
  depth === 0 ? inner : { type: 'Sequence', [listKey]: [sequence(listKey, depth - 1, inner)] };

const bpe = { type: 'BPE' };
const byteLevel = { type: 'ByteLevel', add_prefix_space: false, use_regex: false };
const words = (pre_tokenizer: object, normalizer?: object, model: object = bpe) =>
  translate({ model, pre_tokenizer, normalizer });
const parts = (...pretokenizers: object[]) => ({ type: 'Sequence', pretokenizers });
const split = (more: object) => ({ type: 'Split', pattern: { Regex: '\\p{N}' }, behavior: 'Isolated', ...more });

describe('byte-level byte-pair encoding', () => {
  const plain = { kind: 'gpt2', pre: 'tesserae-patterns', patterns: [], ignore_merges: false };

  test('is a BPE with a pre-tokenizer ByteLevel, which may split as GPT-2 does', () => {
    expect(words(byteLevel)).toEqual(plain);
    expect(words({ ...byteLevel, use_regex: true })).toEqual({ ...plain, pre: 'gpt-2', patterns: [gpt2Pattern] });
    expect(words({ ...byteLevel, use_regex: undefined })).toEqual({ ...plain, pre: 'gpt-2', patterns: [gpt2Pattern] });
    for (const add_prefix_space of [true, undefined]) {
      const message = 'pre_tokenizer: add_prefix_space';
      expect(() => words({ ...byteLevel, add_prefix_space })).toThrow(unsupported(message));
    }
    expect(translate({ model: {}, pre_tokenizer: byteLevel })).toEqual(plain);
    expect(words(byteLevel, undefined, { ...bpe, ignore_merges: true })).toEqual({ ...plain, ignore_merges: true });
  });

  test('splits at digits and at known patterns, in their order', () => {
    const of = (...before: object[]) => words(parts(...before, byteLevel)).patterns;
    expect(of({ type: 'Digits', individual_digits: true })).toEqual(['\\p{N}']);
    expect(of({ type: 'Digits', individual_digits: false })).toEqual(['\\p{N}+']);
    expect(of({ type: 'Digits' })).toEqual(['\\p{N}+']);
    expect(of(split({ pattern: { Regex: '\\p{N}{1,3}' } }), split({ pattern: { Regex: '[0-9][0-9][0-9]' } }))).toEqual([
      '\\p{N}{1,3}',
      '[0-9][0-9][0-9]',
    ]);
    const smollm = words(parts({ type: 'Digits', individual_digits: true }, { ...byteLevel, use_regex: true }));
    expect([smollm.pre, smollm.patterns]).toEqual(['smollm', ['\\p{N}', gpt2Pattern]]);
  });

  test('splits so that no text is lost', () => {
    const of = (more: object) => words(parts(split(more), byteLevel)).patterns;
    expect(of({ invert: false })).toEqual(['\\p{N}']);
    expect(of({ behavior: 'Removed', invert: true })).toEqual(['\\p{N}']);
    const place = 'pre_tokenizer: pretokenizers[0]';
    for (const [behavior, invert] of [
      ['Removed', false],
      ['Removed', undefined],
      ['Isolated', true],
      ['MergedWithNext', false],
    ] as const) {
      expect(() => of({ behavior, invert })).toThrow(unsupported(`${place}: the behavior "${behavior}"`));
    }
    expect(() => of({ pattern: { Regex: 'x+' } })).toThrow(unsupported(`${place}: the pattern "x+"`));
    expect(() => of({ pattern: { String: ' ' } })).toThrow(expect.objectContaining({ code: 'ERR_MODEL_FILE' }));
    expect(() => words(parts({ type: 'Whitespace' }, byteLevel))).toThrow(unsupported(`${place}: "Whitespace"`));
  });

  test('has at most one normalizer, a normal form', () => {
    expect(words(byteLevel, { type: 'NFC' })).toEqual({ ...plain, normalizer: 'NFC' });
    expect(words(byteLevel, { type: 'Sequence', normalizers: [{ type: 'NFKD' }] })).toEqual({
      ...plain,
      normalizer: 'NFKD',
    });
    expect(words(byteLevel, { type: 'Sequence', normalizers: [] })).toEqual(plain);
    expect(() => words(byteLevel, { type: 'Lowercase' })).toThrow(unsupported('normalizer: "Lowercase"'));
    const two = { type: 'Sequence', normalizers: [{ type: 'NFC' }, { type: 'NFD' }] };
    expect(() => words(byteLevel, two)).toThrow(unsupported('normalizer: normalizers[0]: "NFC"'));
  });

  test('has parts in sequences, at most nine within each other', () => {
    expect(words(sequence('pretokenizers', 9, byteLevel))).toEqual(plain);
    expect(() => words(sequence('pretokenizers', 10, byteLevel))).toThrow(
      expect.objectContaining({ code: 'ERR_UNSUPPORTED', message: expect.stringContaining('so deeply nested') }),
    );
    expect(words(parts(byteLevel, { type: 'Sequence' }))).toEqual(plain);
  });
});

test.each(['continuing_subword_prefix', 'end_of_word_suffix'])('the option %s of a BPE is refused', (option) => {
  const of = (value: unknown) => words(byteLevel, undefined, { ...bpe, [option]: value });
  expect(() => of('##')).toThrow(unsupported(`model: the option ${option}`));
  expect([of('').kind, of(null).kind]).toEqual(['gpt2', 'gpt2']);
});

test('other models are refused; one with merges and without a type is a BPE', () => {
  expect(() => translate({ model: { type: 'WordLevel' } })).toThrow(unsupported('model: type: the model "WordLevel"'));
  expect(() => translate({ model: {}, pre_tokenizer: byteLevel }, false)).toThrow(
    unsupported('model: type: the model ""'),
  );
});

describe('the byte-pair encoding of SentencePiece', () => {
  const marks = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const prepend = { type: 'Prepend', prepend: '▁' };
  const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: false };
  const normalizers = (...list: object[]) => ({ type: 'Sequence', normalizers: list });
  const of = (normalizer?: object, pre_tokenizer?: object) => translate({ model: bpe, normalizer, pre_tokenizer });
  const never = { kind: 'llama', add_space_prefix: false };
  const with_ = (space_prefix: string) => ({ kind: 'llama', add_space_prefix: true, space_prefix });

  test('marks spaces by a normalizer, with one in front or without', () => {
    expect(of(marks)).toEqual(never);
    expect(of(normalizers(prepend, marks))).toEqual(with_('always'));
    const refused: [object, string][] = [
      [{ ...prepend, prepend: ' ' }, '"Prepend"'],
      [{ type: 'NFKC' }, '"NFKC"'],
      [{ ...marks, content: '_' }, '"Replace"'],
      [{ ...marks, type: 'Other' }, '"Other"'],
      [{ ...marks, pattern: { String: '  ' } }, '"Replace"'],
      [{ ...marks, pattern: { Regex: ' ' } }, '"Replace"'],
    ];
    for (const [part, name] of refused) expect(() => of(part)).toThrow(unsupported(`normalizer: ${name}`));
  });

  test('marks spaces by a pre-tokenizer, with one in front by its scheme', () => {
    expect(of(undefined, metaspace)).toEqual(with_('unless-there'));
    expect(of(undefined, { ...metaspace, prepend_scheme: 'first' })).toEqual(with_('first-unless-there'));
    expect(of(undefined, { ...metaspace, prepend_scheme: 'never' })).toEqual(never);
    expect(of(undefined, { ...metaspace, replacement: undefined })).toEqual(with_('unless-there'));
    // The option of older files.
    const old = { ...metaspace, prepend_scheme: undefined };
    expect(of(undefined, old)).toEqual(with_('unless-there'));
    expect(of(undefined, { ...old, add_prefix_space: true })).toEqual(with_('unless-there'));
    expect(of(undefined, { ...old, add_prefix_space: false })).toEqual(never);
    for (const more of [{ prepend_scheme: 'last' }, { replacement: '_' }, { split: true }, { split: undefined }]) {
      expect(() => of(undefined, { ...metaspace, ...more })).toThrow(unsupported('pre_tokenizer: "Metaspace"'));
    }
    expect(of(prepend, { ...metaspace, prepend_scheme: 'never' })).toEqual(never);
  });

  test('may split at spaces that the normalizer has replaced', () => {
    const spaces = { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious' };
    expect(of(marks, spaces)).toEqual(never);
    expect(() => of(prepend, spaces)).toThrow(unsupported('pre_tokenizer: "Split"'));
    expect(() => of(marks, { ...spaces, pattern: { String: 'x' } })).toThrow(unsupported('pre_tokenizer: "Split"'));
    expect(() => of(marks, { ...spaces, pattern: {} })).toThrow(unsupported('pre_tokenizer: "Split"'));
    expect(() => of(marks, { ...spaces, type: 'Punctuation' })).toThrow(unsupported('pre_tokenizer: "Punctuation"'));
  });

  test('is refused where nothing marks spaces', () => {
    const what = 'byte-pair encoding that writes spaces neither as bytes nor as U+2581';
    for (const normalizer of [undefined, prepend]) expect(() => of(normalizer)).toThrow(unsupported(what));
  });
});

describe('a unigram model', () => {
  const of = (normalizer?: object, pre_tokenizer?: object, model: object = {}) =>
    translate({ model: { type: 'Unigram', ...model }, normalizer, pre_tokenizer }, false);
  const plain = { kind: 't5', add_space_prefix: false, remove_extra_whitespaces: false };

  test('has a map of characters, and may join spaces', () => {
    expect(of()).toEqual(plain);
    const map = { type: 'Precompiled', precompiled_charsmap: Buffer.from([1, 255, 7]).toString('base64') };
    expect(of(map)).toEqual({ ...plain, precompiled_charsmap: [1, 255, 7] });
    expect(of({ type: 'Precompiled' })).toEqual({ ...plain, precompiled_charsmap: [] });
    const joins = { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' };
    for (const part of [joins, { type: 'Strip' }])
      expect(of(part)).toEqual({ ...plain, remove_extra_whitespaces: true });
    for (const part of [
      { type: 'NFKC' },
      { ...joins, type: 'Other' },
      { ...joins, pattern: { Regex: ' +' } },
      { ...joins, pattern: { String: ' {2,}' } },
    ]) {
      expect(() => of(part)).toThrow(unsupported(`normalizer: "${part.type}"`));
    }
  });

  test('may have a space in front', () => {
    const metaspace = { type: 'Metaspace', prepend_scheme: 'always' };
    expect(of(undefined, metaspace)).toEqual({ ...plain, add_space_prefix: true });
    expect(of(undefined, { ...metaspace, prepend_scheme: 'first' })).toEqual({ ...plain, add_space_prefix: true });
    expect(of(undefined, { ...metaspace, prepend_scheme: 'never' })).toEqual(plain);
    const both = parts({ type: 'WhitespaceSplit' }, metaspace);
    expect(of(undefined, both)).toEqual({ ...plain, add_space_prefix: true, remove_extra_whitespaces: true });
    expect(of(undefined, { type: 'WhitespaceSplit' })).toEqual({ ...plain, remove_extra_whitespaces: true });
    expect(() => of(undefined, { ...metaspace, prepend_scheme: 'last' })).toThrow(
      unsupported('pre_tokenizer: "Metaspace"'),
    );
  });

  test('has no other parts that split', () => {
    expect(() => of(undefined, { type: 'Punctuation' })).toThrow(unsupported('pre_tokenizer: "Punctuation"'));
  });

  test('has no bytes', () => {
    expect(() => of(undefined, undefined, { byte_fallback: true })).toThrow(unsupported('model: byte_fallback'));
    expect(of(undefined, undefined, { byte_fallback: false })).toEqual(plain);
  });
});

describe('WordPiece', () => {
  const normalizer = { type: 'BertNormalizer' };
  const of = (given: object | undefined, pre_tokenizer?: object, model: object = {}) =>
    translate({ model: { type: 'WordPiece', ...model }, normalizer: given, pre_tokenizer }, false);
  const plain = {
    kind: 'bert',
    'normalizer.lowercase': true,
    'normalizer.strip_accents': true,
    full_decomposition: true,
    longest_word: 100,
  };

  test('has the options of its normalizer: accents go with the case, unless the file says otherwise', () => {
    expect(of(normalizer)).toEqual(plain);
    expect(of({ ...normalizer, lowercase: false })).toEqual({
      ...plain,
      'normalizer.lowercase': false,
      'normalizer.strip_accents': false,
    });
    expect(of({ ...normalizer, lowercase: false, strip_accents: true })).toEqual({
      ...plain,
      'normalizer.lowercase': false,
    });
    expect(of({ ...normalizer, strip_accents: false })).toEqual({ ...plain, 'normalizer.strip_accents': false });
    expect(of({ ...normalizer, clean_text: true, handle_chinese_chars: true, strip_accents: null })).toEqual(plain);
    for (const option of ['clean_text', 'handle_chinese_chars']) {
      const message = `normalizer: ${option} = false`;
      expect(() => of({ ...normalizer, [option]: false })).toThrow(unsupported(message));
    }
  });

  test('has a limit of the length of words', () => {
    expect(of(normalizer, undefined, { max_input_chars_per_word: 7 })).toEqual({ ...plain, longest_word: 7 });
    const wrong = () => of(normalizer, undefined, { max_input_chars_per_word: 'x' });
    expect(wrong).toThrow(expect.objectContaining({ code: 'ERR_MODEL_FILE' }));
  });

  test('is refused with other parts than those of BERT', () => {
    const without = unsupported('model: WordPiece without a BertNormalizer');
    expect(() => of(undefined)).toThrow(without);
    expect(() => of({ type: 'Lowercase' })).toThrow(without);
    const two = { type: 'Sequence', normalizers: [normalizer, { type: 'NFC' }] };
    expect(() => of(two)).toThrow(unsupported('normalizer: normalizers[1]: "NFC"'));
    expect(of(normalizer, { type: 'BertPreTokenizer' })).toEqual(plain);
    expect(() => of(normalizer, { type: 'Whitespace' })).toThrow(unsupported('pre_tokenizer: "Whitespace"'));
    expect(of(normalizer, undefined, { continuing_subword_prefix: '##' })).toEqual(plain);
    expect(() => of(normalizer, undefined, { continuing_subword_prefix: '@' })).toThrow(
      unsupported('model: continuing_subword_prefix'),
    );
  });
});
