// SentencePiece's map of characters, from tries that are built here: the longest sequence and its replacement, and damaged
// maps, which are refused or match less.
import { describe, expect, test } from 'vitest';
import { ModelMetadata } from '../../../src/metadata/model-metadata.js';
import { CharactersMap } from '../../../src/tokenizer/sentencepiece/characters-map.js';

const key = 'tokenizer.ggml.precompiled_charsmap';
const read = (bytes: Uint8Array) =>
  CharactersMap.read(new ModelMetadata([[key, { type: 'array', element: 'u8', value: bytes }]], 'a.gguf'));

interface Node {
  readonly children: Map<number, Node>;
  value: number | undefined;
}

/** The units of the trie of some texts: the children of each node have a block of 256 places of their own. */
function unitsOf(entries: readonly (readonly [text: string, value: number])[]): number[] {
  const root: Node = { children: new Map(), value: undefined };
  for (const [text, value] of entries) {
    let at = root;
    for (const byte of Buffer.from(text)) {
      const child = at.children.get(byte) ?? { children: new Map(), value: undefined };
      at.children.set(byte, child);
      at = child;
    }
    at.value = value;
  }
  const units: number[] = [];
  let blocks = 1;
  const place = (node: Node, index: number, label: number) => {
    const block = blocks++;
    // The offset of the root is written with the bit for large ones.
    const offset = index === 0 ? (block << 10) | 0x200 : (index ^ (256 * block)) << 10;
    units[index] = (offset | label | (node.value === undefined ? 0 : 0x100)) >>> 0;
    if (node.value !== undefined) units[256 * block] = (0x80000000 | node.value) >>> 0;
    for (const [byte, child] of node.children) place(child, (256 * block) ^ byte, byte);
  };
  place(root, 0, 0);
  return Array.from({ length: 256 * blocks }, (_, index) => units[index] ?? 0);
}

function fileOf(units: readonly number[], replacements: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(4 + 4 * units.length + replacements.length);
  bytes.writeUInt32LE(4 * units.length, 0);
  for (const [index, unit] of units.entries()) bytes.writeUInt32LE(unit, 4 + 4 * index);
  bytes.set(replacements, 4 + 4 * units.length);
  return bytes;
}

const replacements = Buffer.from('A\0\0xyz\0last\0');
const entries = [
  ['a', 0],
  ['b', 2],
  ['abc', 3],
  ['é', 7],
  ['z', 1000],
] as const;

test('the longest sequence at a place is found, with what replaces it', () => {
  const map = read(fileOf(unitsOf(entries), replacements)) as CharactersMap;
  const match = (text: string, from = 0) => {
    const isFound = map.match(Buffer.from(text), from);
    const { start, end, length, reachedEnd } = map;
    return [isFound ? Buffer.from(map.replacements.subarray(start, end)).toString() : undefined, length, reachedEnd];
  };
  expect(match('ax')).toEqual(['A', 1, false]);
  expect(match('abx')).toEqual(['A', 1, false]);
  expect(match('abcx')).toEqual(['xyz', 3, false]);
  expect(match('xabcé', 1)).toEqual(['xyz', 3, false]);
  expect(match('xabcé', 4)).toEqual(['last', 2, true]);
  expect(match('bx')).toEqual(['', 1, false]);
  // More bytes could make a longer sequence.
  expect(match('a')).toEqual(['A', 1, true]);
  expect(match('ab')).toEqual(['A', 1, true]);
  for (const text of ['x', 'xa', '\0', 'ê', '\0a']) expect(match(text)).toEqual([undefined, 0, false]);
  expect([match(''), match('a\0')]).toEqual([
    [undefined, 0, true],
    ['A', 1, false],
  ]);
  // A value beyond the replacements replaces by nothing.
  expect(match('zx')).toEqual(['', 1, false]);
  expect([map.start, map.end]).toEqual([replacements.length, replacements.length]);
});

test('a model without a map, or with an empty one, has none', () => {
  expect(CharactersMap.read(new ModelMetadata([], 'a.gguf'))).toBeUndefined();
  expect(read(new Uint8Array(0))).toBeUndefined();
});

describe('a damaged map', () => {
  const refusal = (problem: string) =>
    expect.objectContaining({ code: 'ERR_MODEL_FILE', message: `a.gguf: metadata key "${key}" ${problem}` });

  test('that is cut off is refused', () => {
    const whole = fileOf([0, 0], new Uint8Array(0));
    expect(read(whole)).toBeDefined();
    for (const bytes of [whole.subarray(0, 1), whole.subarray(0, 3), whole.subarray(0, 4), whole.subarray(0, 11)]) {
      expect(() => read(bytes)).toThrow(refusal('is cut off'));
    }
    for (const sizeBytes of [1, 6, 0xffffffff]) {
      const bytes = Buffer.from(whole);
      bytes.writeUInt32LE(sizeBytes, 0);
      expect(() => read(bytes)).toThrow(refusal('is cut off'));
    }
    expect(read(fileOf([], new Uint8Array(0)))).toBeDefined();
    expect(read(fileOf([], Buffer.from('a\0')))?.match(Buffer.from('a'), 0)).toBe(false);
  });

  test('of a replacement that has no end, or more than 256 bytes, is refused', () => {
    const of = (...texts: string[]) => read(fileOf([0], Buffer.from(texts.join('\0'))));
    expect(of('x'.repeat(256), 'y'.repeat(256), '')).toBeDefined();
    expect(() => of('y', 'x'.repeat(257), '')).toThrow(refusal('has a replacement of more than 256 bytes'));
    expect(() => of('a', 'b')).toThrow(refusal('has a replacement without an end'));
  });
});
