// Free text with tags as terms: they match what a regular expression of the same meaning matches. Control tokens are bytes
// that no text has.
import { describe, expect, test } from 'vitest';
import { compileTags } from '../../src/constraint/compile/tags.js';
import { controlBytes } from '../../src/constraint/control-bytes.js';
import type { TagsFormat } from '../../src/constraint/format.js';
import { Terms } from '../../src/constraint/term.js';
import { type Compiled, takenOf, takes } from '../support/constraint-texts.js';

function tagsOf(format: TagsFormat): Compiled {
  const terms = new Terms();
  return { terms, term: compileTags(format, terms) };
}

/** All texts of up to five of these letters. */
function textsOf(letters: string): string[] {
  const all = [''];
  for (let from = 0; from < all.length && (all[from] as string).length < 5; from++) {
    for (const letter of letters) all.push(`${all[from]}${letter}`);
  }
  return all;
}

const jsonSchema = { enum: [1, 2] };
const tag = (begin: string, end?: string) => ({ begin, jsonSchema, end });

describe('match the texts', () => {
  test.each<[string, TagsFormat, string]>([
    ['whose tag goes on', { tags: [tag('<a', '>')], triggers: ['<'] }, '([^<]|<a[12]>)*'],
    ['whose tag ends the text', { tags: [tag('<a')], triggers: ['<'] }, '[^<]*(<a[12])?'],
    ['of several tags', { tags: [tag('<', ''), tag('<a', 'b')], triggers: ['<'] }, '([^<]|<[12]|<a[12]b)*'],
    ['of a longer trigger', { tags: [tag('<<a', '')], triggers: ['<<'] }, '(<?[^<]|<<a[12])*<?'],
    ['of a trigger that overlaps itself', { tags: [tag('a<a', '')], triggers: ['a<a'] }, '((?!a<a).|a<a[12])*'],
    ['of two triggers', { tags: [tag('<', ''), tag('ab', '')], triggers: ['<', 'ab'] }, '((?!ab)[^<]|(<|ab)[12])*'],
    ['of triggers that overlap', { tags: [tag('<b', '')], triggers: ['a<', '<b'] }, '((?!a<|<b).|<b[12])*'],
    ['of a trigger that begins like itself', { tags: [tag('aab', '')], triggers: ['aab'] }, '((?!aab).|aab[12])*'],
    ['without tags', { tags: [], triggers: ['a<'] }, '((?!a<).)*'],
    ['without triggers', { tags: [tag('a', '')], triggers: [] }, '.*'],
    ['of a tag whose end has a trigger', { tags: [tag('<', '<')], triggers: ['<'] }, '([^<]|<[12]<)*'],
    ['with an opening', { tags: [tag('a', 'b')], triggers: [], opening: 'a' }, '(a[12]b.*|([^a].*)?)'],
    ['with a long opening', { tags: [tag('<a')], triggers: [], opening: '<a' }, '(<a[12]|<?|(?!<a).*)'],
    [
      'with an opening and a trigger',
      { tags: [tag('a<', ''), tag('<', '')], triggers: ['<'], opening: 'ab' },
      '(?!ab)([^<]|<[12])*',
    ],
    ['with an opening that ends like a trigger', { tags: [], triggers: ['a1'], opening: 'aab' }, '(?!aab)((?!a1).)*'],
    ['with an opening that begins no tag', { tags: [], triggers: [], opening: 'ab' }, '(?!ab).*'],
  ])('%s', (_, format, source) => {
    const letters = /<.*b|b.*</.test(source) ? '<ab1' : source.includes('b') ? 'ab1<' : '<a1>';
    const texts = textsOf(letters);
    const regex = new RegExp(`^(?:${source})$`, 'u');
    expect(takenOf(tagsOf(format), texts)).toEqual(texts.filter((text) => regex.test(text)));
  });
});

describe('control tokens', () => {
  const bytesOf = (...parts: readonly string[]) =>
    Buffer.concat(parts.map((part) => (part.startsWith('#') ? controlBytes(part.slice(1)) : Buffer.from(part))));
  const format = { tags: [tag('<a>', '</a>')], triggers: ['<a>', '</a>'] };
  const compiled = tagsOf(format);

  test.each<[readonly string[], boolean]>([
    [['x#', 'y'], true],
    [['#other', 'x'], true],
    [['#<a>', '1', '#</a>', 'x'], true],
    [['<a>', '1', '#</a>'], true],
    [['#<a>', '2', '</a>', '#<a>', '1', '</a>'], true],
    [['#<a>', '1'], false],
    [['#<a>', '3', '#</a>'], false],
    [['#<a>'], false],
    [['#</a>'], false],
    [['</a>'], false],
    [['#<a>', '1', '#other'], false],
  ])('%j: %j', (parts, isTaken) => {
    expect(takes(compiled, bytesOf(...parts))).toBe(isTaken);
  });
});

describe('is refused', () => {
  const refusal = (problem: string) =>
    expect.objectContaining({ code: 'ERR_FORMAT', message: expect.stringContaining(problem) });

  test.each<[TagsFormat, string]>([
    [{ tags: [], triggers: ['a', 'ba'] }, 'a trigger of the format may not be part of another one'],
    [{ tags: [], triggers: ['xay', 'a'] }, 'a trigger of the format may not be part of another one'],
    [{ tags: [], triggers: ['a', 'b', 'a'] }, 'a trigger of the format may not be part of another one'],
    [{ tags: [], triggers: ['a'], opening: 'ba' }, 'the opening of the format may have no trigger in it'],
    [{ tags: [], triggers: ['ab'], opening: 'xabx' }, 'the opening of the format may have no trigger in it'],
    [{ tags: [{ begin: '<', jsonSchema: { not: {} } }], triggers: ['<'] }, 'uses not'],
  ])('%j', (format, problem) => {
    expect(() => tagsOf(format)).toThrow(refusal(problem));
  });

  test('a format whose triggers have more than 4,096 bytes, as text and as control tokens', () => {
    // A trigger of n bytes has 2n + 2 as a control token.
    const triggers = (length: number) => [`a${'x'.repeat(999)}`, `b${'x'.repeat(length - 1001)}`];
    tagsOf({ tags: [], triggers: triggers(1364) });
    expect(() => tagsOf({ tags: [], triggers: triggers(1365) })).toThrow(
      refusal('the triggers of the format are too long'),
    );
  });
});

test('tags of equal schemas share the terms of their values', () => {
  const size = (schemas: readonly object[]) => {
    const tags = schemas.map((jsonSchema, i) => ({ begin: `<${i}`, jsonSchema: { ...jsonSchema }, end: '' }));
    return tagsOf({ tags, triggers: ['<'] }).terms.size;
  };
  expect(size([{}, {}, {}])).toBeLessThan(size([{}, { title: 'a' }, { title: 'b' }]));
});
