// Tokenizers with the vocabularies of real models: from a GGUF file against llama.cpp, and from a tokenizer.json
// against Hugging Face's own library, on random text at which tokenizers differ, with control tokens.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../../src/base/package-files.js';
import { TimeSlice } from '../../src/base/time-slice.js';
import { openGguf } from '../../src/checkpoint/gguf/gguf-file.js';
import { writeGguf } from '../../src/checkpoint/gguf/write-gguf.js';
import { ModelMetadata } from '../../src/metadata/model-metadata.js';
import { createTokenizer } from '../../src/tokenizer/create-tokenizer.js';
import { tokenizerMetadata } from '../../src/tokenizer/huggingface/huggingface.js';
import type { Tokenizer } from '../../src/tokenizer/tokenizer.js';
import { f32, text, u32 } from '../support/models/random-model.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { difficultText } from '../support/tokenizers/difficult-text.js';
import { sharedLlama } from './support.js';
import { openHuggingFace, type RealFiles, realVocabularies } from './vocabularies.js';

const llama = sharedLlama();
const folder = temporaryFolder();
afterAll(() => folder.remove());

/** Keys that llama.cpp requires in every file, even if it reads only the vocabulary. */
const model = {
  'general.architecture': text('llama'),
  'llama.context_length': u32(128),
  'llama.embedding_length': u32(32),
  'llama.block_count': u32(1),
  'llama.feed_forward_length': u32(32),
  'llama.attention.head_count': u32(1),
  'llama.attention.layer_norm_rms_epsilon': f32(1e-5),
};

const texts = 600;
const documents = ['README.md', 'src/tokenizer/words/word-rules.ts', 'test/support/tokenizers/difficult-text.ts'];

function* someTexts(controls: readonly string[]): Generator<string> {
  yield* ['', ' ', 'a', '\n'];
  for (const name of documents) yield readFileSync(join(packageRoot(), name), 'utf8');
  for (let seed = 0; seed < texts; seed++) yield difficultText(seed, controls);
}

/**
 * A text without characters for which Hugging Face's JavaScript library differs from its Rust library, with which
 * models were trained: its \s lacks U+0085, and it splits Chinese characters above U+FFFF, which BERT makes words.
 */
function forLibrary(given: string, kind: string): string {
  return kind === 'bert' ? given.replace(/[\u{20000}-\u{2ffff}]/gu, '漢') : given.replaceAll('\u0085', ' ');
}

/** The place where two lists of tokens begin to differ, for the message of a failure. */
function difference(tokenizer: Tokenizer, given: string, ours: readonly number[], theirs: readonly number[]): unknown {
  const at = ours.findIndex((id, i) => id !== theirs[i]);
  const spell = (ids: readonly number[]) => ids.slice(Math.max(0, at - 2), at + 6).map((id) => tokenizer.tokenText(id));
  return { given, ours: spell(ours), theirs: spell(theirs) };
}

describe.each(realVocabularies)('$name', ({ name, read }) => {
  let files: RealFiles;
  let inFile: Tokenizer;
  let inFolder: Tokenizer;
  const path = folder.file(`${name}.gguf`);

  beforeAll(async () => {
    files = read();
    const { tokenizer, config } = files;
    const translated = await tokenizerMetadata(Buffer.from(JSON.stringify(tokenizer)), config, new TimeSlice());
    const values = new Map(Object.entries(model));
    for (const [key, value] of translated) if (key.startsWith('tokenizer.')) values.set(key, value);
    await writeGguf(path, { metadata: values, tensors: [] });
    await using file = await openGguf(path);
    inFile = await createTokenizer(file.metadata);
    inFolder = await createTokenizer(new ModelMetadata(translated, 'tokenizer.json'));
  });

  /** Some control tokens that tokenizer.json marks: llama.cpp finds others by their text. */
  const someControls = () => {
    const { added_tokens: added } = files.tokenizer as { added_tokens: { content: string; special: boolean }[] };
    return added
      .filter((token) => token.special)
      .slice(0, 20)
      .map((token) => token.content);
  };

  test('in a GGUF file: the special tokens of llama.cpp', async () => {
    const info = await (await llama()).load(path, { vocabularyOnly: true });
    expect(inFile.vocabularySize).toBe(info.vocabulary);
    expect(inFile.addsBos).toBe(info.addsBos);
    if (inFile.bosId !== undefined) expect(inFile.bosId).toBe(info.bos);
    if (inFile.eosId !== undefined) expect(inFile.eosId).toBe(info.eos);
    expect([...inFile.endIds].sort((a, b) => a - b)).toEqual([...info.ends].sort((a, b) => a - b));
    const controls = Array.from({ length: info.vocabulary }, (_, id) => id).filter((id) => inFile.isControl(id));
    const unknown = controls.filter((id) => !info.controls.includes(id)).map((id) => inFile.tokenText(id));
    expect(unknown.filter((token) => !/^(<unk>|\[UNK\])$/.test(token))).toEqual([]);
  });

  test('in a GGUF file: the tokens of llama.cpp, and the same text back', async () => {
    const peer = await llama();
    await peer.load(path, { vocabularyOnly: true });
    let special = false;
    for (const given of someTexts(someControls())) {
      special = !special;
      const theirs = await peer.tokenize(given, { parseSpecial: special, addSpecial: special });
      const { addsBos, addsEos } = inFile;
      const ours = inFile.encode(given, { special, addBos: special && addsBos, addEos: special && addsEos });
      expect(ours, JSON.stringify(difference(inFile, given, ours, theirs))).toEqual(theirs);
      // For these, llama.cpp removes spaces before punctuation, except token by token.
      if (!['gpt2', 'llama3', 'bert'].includes(name)) {
        expect(inFile.decode(ours, { special, continues: special })).toBe(`${await peer.detokenize(ours, special)}`);
      }
      const decoder = inFile.decoder();
      const parts = ours.map((id) => decoder.push(id));
      for (const part of parts) expect(part).not.toContain('\ufffd');
      expect(parts.join('') + decoder.end()).toBe(inFile.decode(ours));
    }
  });

  test("in a folder: the tokens of Hugging Face's library", async () => {
    const { Tokenizer: Peer } = await openHuggingFace();
    const peer = new Peer(files.tokenizer, files.config);
    for (const text of someTexts(someControls())) {
      const given = forLibrary(text, inFolder.kind);
      const theirs = peer.encode(given, { add_special_tokens: true }).ids;
      const { addsBos, addsEos } = inFolder;
      const ours = inFolder.encode(given, { special: true, addBos: addsBos, addEos: addsEos });
      expect(ours, JSON.stringify(difference(inFolder, given, ours, theirs))).toEqual(theirs);
    }
  });
});
