// The trie of a vocabulary: depth first, each token at the node of its last byte, and without what no text may become.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { CONTROL_MARK } from '../../src/constraint/control-bytes.js';
import { bytesOfToken, createTokenTrie, type TokenTrie } from '../../src/constraint/token-trie.js';
import { bareTokenizer } from '../support/tokenizers/bare-tokenizer.js';
import { smallTokenizer } from '../support/tokenizers/small-tokenizer.js';

/** The tokens by the bytes that lead to them. */
function paths(trie: TokenTrie): Record<string, number[]> {
  const found: Record<string, number[]> = {};
  const path: number[] = [];
  for (let node = 0; node < trie.bytes.length; node++) {
    path.length = trie.depths[node] as number;
    path.push(trie.bytes[node] as number);
    const tokens = trie.tokens.subarray(trie.tokenStarts[node], trie.tokenStarts[node + 1]);
    if (tokens.length > 0) found[Buffer.from(path).toString('latin1')] = [...tokens].sort((a, b) => a - b);
  }
  return found;
}

test('has each token at the node of its last byte, and several where they have the same bytes', async () => {
  const trie = await createTokenTrie(bareTokenizer(['ab', 'a', 'abc', 'b', '', 'ab', 'end', 'ab'], [6]), undefined);
  expect(paths(trie)).toEqual({ a: [1], ab: [0, 5, 7], abc: [2], b: [3] });
  expect([trie.bytes.length, trie.deepest, trie.tokens.length]).toEqual([4, 3, 6]);
});

test('has behind each node its descendants, up to its end', async () => {
  const trie = await createTokenTrie(bareTokenizer(['abc', 'abd', 'ae', 'f']), undefined);
  for (let node = 0; node < trie.bytes.length; node++) {
    const end = trie.ends[node] as number;
    for (let other = node + 1; other < trie.bytes.length; other++) {
      const isDeeper = (trie.depths[other] as number) > (trie.depths[node] as number);
      if (other < end) expect(isDeeper).toBe(true);
      else {
        expect(isDeeper).toBe(false);
        break;
      }
    }
  }
  expect(trie.ends[trie.bytes.indexOf(0x66)]).toBe(trie.bytes.indexOf(0x66) + 1);
});

test('grows with the vocabulary', async () => {
  const texts = Array.from({ length: 3000 }, (_, i) => `${i} ${(i * 7919) % 10_007}`);
  const trie = await createTokenTrie(bareTokenizer(texts), undefined);
  expect(trie.bytes.length).toBeGreaterThan(4096);
  const found = paths(trie);
  expect(texts.filter((text, id) => String(found[text]) !== `${id}`)).toEqual([]);
  expect(Object.keys(found)).toHaveLength(3000);
});

test('leaves out tokens that are longer than 65,534 bytes, and is empty without any', async () => {
  const long = (length: number) => new Uint8Array(length).fill(0x61);
  const trie = await createTokenTrie(bareTokenizer([long(0xffff), long(0xfffe)]), undefined);
  expect([trie.deepest, [...trie.tokens]]).toEqual([0xfffe, [1]]);
  const none = await createTokenTrie(bareTokenizer(['', 'end'], [1]), undefined);
  expect([none.bytes.length, none.deepest, none.tokens.length]).toEqual([0, 0, 0]);
});

test('has control tokens as bytes that no text has', async () => {
  const tokenizer = await smallTokenizer([], [{ text: '<tool>', type: 3 }]);
  const bytes = bytesOfToken(tokenizer, 256);
  expect([bytes[0], bytes.at(-1)]).toEqual([CONTROL_MARK, CONTROL_MARK]);
  expect(Buffer.from(bytes.subarray(1, -1)).toString()).toBe(Buffer.from('<tool>').toString('hex'));
  expect([...bytesOfToken(tokenizer, 0x61)]).toEqual([0x61]);
  const trie = await createTokenTrie(tokenizer, undefined);
  expect(paths(trie)[Buffer.from(bytes).toString('latin1')]).toEqual([256]);
});

test('is built in slices, of 512 tokens or nodes at the most', async () => {
  let now = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => {
    now += 1000;
    return now;
  });
  try {
    const tokens = Array.from({ length: 2000 }, (_, i) => Uint8Array.of(i >> 8, i & 255));
    let isDone = false;
    const building = createTokenTrie(bareTokenizer(tokens), undefined).finally(() => {
      isDone = true;
    });
    let turns = 0;
    while (!isDone) {
      await nextTurn();
      turns += 1;
    }
    // Four for the tokens, and four for the 2,008 nodes.
    expect(turns).toBeGreaterThanOrEqual(8);
    expect(turns).toBeLessThan(12);
    expect((await building).tokens).toHaveLength(2000);
  } finally {
    clock.mockRestore();
  }
});

test('is not built further once the signal has fired', async () => {
  const reason = new Error('enough');
  const built = createTokenTrie(bareTokenizer(['a']), AbortSignal.abort(reason));
  await expect(built).rejects.toMatchObject({ code: 'ABORT_ERR', cause: reason });
});
