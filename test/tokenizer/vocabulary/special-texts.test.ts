// Which tokens are special by their text or by a key of the metadata, and what types they then have.
import { describe, expect, test } from 'vitest';
import { StringList } from '../../../src/metadata/string-list.js';
import type { MetadataValue } from '../../../src/metadata/value-types.js';
import {
  CONTROL,
  type DefaultIds,
  NORMAL,
  readSpecialIds,
  UNUSED,
  USER_DEFINED,
} from '../../../src/tokenizer/vocabulary/special-ids.js';
import { TokenTable } from '../../../src/tokenizer/vocabulary/token-table.js';
import { count, tokenizerMetadata } from '../../support/tokenizers/tokenizer-metadata.js';

const key = (name: string) => `tokenizer.ggml.${name}_token_id`;

/** The special ids of a vocabulary, the tokens that end a generation, and the types that are not normal any more. */
function special(texts: readonly string[], more: Record<string, MetadataValue> = {}, defaults: DefaultIds = {}) {
  const list = StringList.from(texts);
  const ids = new TokenTable(list);
  for (const id of texts.keys()) ids.add(id);
  const types = new Uint8Array(texts.length).fill(NORMAL);
  const { endIds, ...named } = readSpecialIds(
    tokenizerMetadata(
      'gpt2',
      texts.map((text) => ({ text })),
      more,
    ),
    { texts: list, types, ids },
    defaults,
  );
  const ends = [...endIds].sort((a, b) => a - b).map((id) => texts[id]);
  const changed = Object.fromEntries(texts.flatMap((text, id) => (types[id] === NORMAL ? [] : [[text, types[id]]])));
  return { ends, changed, named };
}

const allControl = (texts: readonly string[]) => Object.fromEntries(texts.map((text) => [text, CONTROL]));

describe('by their text', () => {
  const ends = [
    '<|eot_id|>',
    '<|im_end|>',
    '<|end|>',
    '<|return|>',
    '<|flush|>',
    '<end_of_turn>',
    '<|endoftext|>',
    '</s>',
    '<|eom_id|>',
    '<EOT>',
    '_<EOT>',
    '[EOT]',
    '[EOS]',
    '<|end_of_text|>',
    '<end_of_utterance>',
    '<eos>',
    '<turn|>',
    '<｜end▁of▁sentence｜>',
    '[e~[',
  ];

  test('many end a generation, and become control tokens', () => {
    expect(special(['a', ...ends, 'b'])).toMatchObject({ ends, changed: allControl(ends) });
    for (const text of [...ends, '<|call|>', '<|calls|>', '<|tool_response>']) {
      expect(special(['a', text])).toMatchObject({ ends: [text], changed: { [text]: CONTROL } });
    }
    expect(special(['a', 'b'])).toMatchObject({ ends: [], changed: {} });
  });

  test('of those that fill in the middle, the first of each kind ends a generation', () => {
    for (const kind of [
      ['<|fim_pad|>', '<fim-pad>', '<fim_pad>', '<PAD>', '[PAD]'],
      ['<|fim_repo|>', '<|repo_name|>', '<fim-repo>', '<REPO>', '<reponame>'],
      ['<|file_sep|>'],
    ]) {
      for (const [at, first] of kind.entries()) {
        const texts = ['a', ...kind.slice(at).reverse()];
        expect(special(texts)).toMatchObject({ ends: [first], changed: { [first]: CONTROL } });
        expect(special([first])).toMatchObject({ ends: [first], changed: { [first]: CONTROL } });
      }
    }
  });

  test('those around a place to fill become control tokens, and end nothing', () => {
    for (const kind of [
      [
        '<|fim_prefix|>',
        '<fim-prefix>',
        '<fim_prefix>',
        '<｜fim▁begin｜>',
        '<PRE>',
        '▁<PRE>',
        '<|code_prefix|>',
        '<|prefix|>',
      ],
      [
        '<|fim_suffix|>',
        '<fim-suffix>',
        '<fim_suffix>',
        '<｜fim▁hole｜>',
        '<SUF>',
        '▁<SUF>',
        '<|code_suffix|>',
        '<|suffix|>',
      ],
      [
        '<|fim_middle|>',
        '<fim-middle>',
        '<fim_middle>',
        '<｜fim▁end｜>',
        '<MID>',
        '▁<MID>',
        '<|code_middle|>',
        '<|middle|>',
      ],
    ]) {
      for (const [at, first] of kind.entries()) {
        const texts = ['a', ...kind.slice(at).reverse()];
        expect(special(texts)).toMatchObject({ ends: [], changed: { [first]: CONTROL } });
      }
    }
  });

  test('the marks of Harmony stay visible', () => {
    const shown = ['<|channel|>', '<|message|>', '<|start|>', '<|constrain|>'];
    const changed = Object.fromEntries(shown.map((text) => [text, USER_DEFINED]));
    expect(special([...shown, 'a'])).toMatchObject({ ends: [], changed });
  });

  test('<|end|> ends a message and not the turn, where others end that', () => {
    const ending = (...others: string[]) => special(['a', '<|end|>', ...others]);
    for (const others of [
      ['<|return|>', '<|call|>'],
      ['<|flush|>', '<|call|>'],
      ['<|flush|>', '<|calls|>'],
    ]) {
      expect(ending(...others)).toMatchObject({
        ends: others,
        changed: { ...allControl(others), '<|end|>': USER_DEFINED },
      });
      expect(special(others)).toMatchObject({ ends: others, changed: allControl(others) });
    }
    for (const others of [
      ['<|return|>'],
      ['<|call|>'],
      ['<|flush|>'],
      ['<|return|>', '<|calls|>'],
      ['<|call|>', '<|calls|>'],
    ]) {
      const all = ['<|end|>', ...others];
      expect(ending(...others)).toMatchObject({ ends: all, changed: allControl(all) });
    }
  });

  test('</s> is text where a response of a tool ends', () => {
    expect(special(['</s>', '<|tool_response>'])).toMatchObject({
      ends: ['<|tool_response>'],
      changed: { '<|tool_response>': CONTROL },
    });
    expect(special(['</s>', 'a'])).toMatchObject({ ends: ['</s>'] });
  });
});

describe('by a key', () => {
  const texts = ['a', 'b', 'c', 'd', 'e'];

  test('they have names, and some end a generation', () => {
    const more = Object.fromEntries(['bos', 'eos', 'unknown', 'seperator'].map((name, id) => [key(name), count(id)]));
    expect(special(texts, more)).toEqual({
      ends: ['b'],
      changed: {},
      named: { bosId: 0, eosId: 1, unknownId: 2, separatorId: 3 },
    });
    for (const name of ['eot', 'eom', 'fim_pad', 'fim_rep', 'fim_sep']) {
      expect(special(texts, { [key(name)]: count(3) })).toMatchObject({ ends: ['d'], changed: {} });
    }
    // The key is instead of the text.
    const repo = ['a', '<|fim_pad|>', '<|fim_repo|>', '<|file_sep|>'];
    expect(special(repo, { [key('fim_pad')]: count(0) })).toMatchObject({
      ends: ['a', '<|fim_repo|>', '<|file_sep|>'],
    });
  });

  test('they are those that are usual, if the file has none and the vocabulary is large enough', () => {
    const usual = { bos: 1, eos: 4, unknown: 5, separator: 0 };
    expect(special(texts, {}, usual)).toMatchObject({
      ends: ['e'],
      named: { bosId: 1, eosId: 4, unknownId: undefined, separatorId: 0 },
    });
    expect(special(texts, { [key('bos')]: count(0) }, usual).named).toMatchObject({ bosId: 0 });
    expect(special(texts).named).toEqual({
      bosId: undefined,
      eosId: undefined,
      unknownId: undefined,
      separatorId: undefined,
    });
  });

  test('they are in the vocabulary', () => {
    const message = `small.gguf: metadata key "${key('eos')}" is 5, but the vocabulary has 5 tokens`;
    const wrong = () => special(texts, { [key('eos')]: count(5) });
    expect(wrong).toThrow(expect.objectContaining({ code: 'ERR_MODEL_FILE', message }));
    expect(special(texts, { [key('eos')]: count(4) }).ends).toEqual(['e']);
  });
});

test('a token that is unused in the file becomes a control token, too', () => {
  const list = StringList.from(['</s>', 'a']);
  const ids = new TokenTable(list);
  ids.add(0);
  const types = Uint8Array.of(UNUSED, UNUSED);
  readSpecialIds(tokenizerMetadata('gpt2', [{ text: '</s>' }, { text: 'a' }]), { texts: list, types, ids }, {});
  expect([...types]).toEqual([CONTROL, UNUSED]);
});
