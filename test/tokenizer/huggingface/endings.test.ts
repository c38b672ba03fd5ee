// The tokens before and after a text, the special tokens by name, and the chat templates of a Hugging Face folder.
import { describe, expect, test } from 'vitest';
import { JsonView } from '../../../src/base/json-view.js';
import type { MetadataMap } from '../../../src/metadata/value-types.js';
import { addEndings } from '../../../src/tokenizer/huggingface/huggingface-endings.js';
import { plainMetadata, tokensOf } from '../../support/tokenizers/plain-metadata.js';

const vocab = { '<s>': 0, '</s>': 1, '<unk>': 2, '<end>': 3, a: 4 };

/** What is added to the metadata of a tokenizer. */
async function endings(file: object, config: object = {}, kind = 'gpt2'): Promise<Record<string, unknown>> {
  const json = { model: { vocab }, ...file };
  const metadata: MetadataMap = new Map([['tokenizer.ggml.model', { type: 'string', value: kind }]]);
  const views = [new JsonView(json, 'tokenizer.json'), new JsonView(config, 'config.json')] as const;
  addEndings(...views, await tokensOf({ model: { vocab } }), metadata);
  const { model: _, ...added } = plainMetadata(metadata);
  return added;
}

const none = { add_bos_token: false, add_eos_token: false };
const begin = { SpecialToken: { id: '<s>' } };
const end = { SpecialToken: { id: '</s>' } };
const text = { Sequence: { id: 'A' } };
const template = (single: object[], special_tokens: object = {}) => ({
  post_processor: { type: 'TemplateProcessing', single, special_tokens },
});
const pair = (type: string, cls: unknown[] = ['<s>', 0], sep: unknown[] = ['</s>', 1]) => ({
  post_processor: { type, cls, sep },
});
const nested = (depth: number, inner: object): object =>
  depth === 0 ? inner : { type: 'Sequence', processors: [nested(depth - 1, inner)] };

describe('special tokens', () => {
  test('have the names of tokenizer_config.json: a text, or an object with a text', async () => {
    expect(await endings({})).toEqual(none);
    const config = { bos_token: '<s>', eos_token: { content: '</s>' }, unk_token: '<unk>', pad_token: 'a' };
    const ids = { bos_token_id: 0, eos_token_id: 1, unknown_token_id: 2 };
    expect(await endings({}, config)).toEqual({ ...none, ...ids });
    expect(await endings({}, { ...config, bos_token: 'b', eos_token: null })).toEqual({ ...none, unknown_token_id: 2 });
    await expect(endings({}, { bos_token: 7 })).rejects.toMatchObject({ code: 'ERR_MODEL_FILE' });
  });

  test('that are unknown may be named by the model', async () => {
    expect(await endings({ model: { unk_token: 'a' } })).toEqual({ ...none, unknown_token_id: 4 });
    expect(await endings({ model: { unk_token: 'a' } }, { unk_token: '<unk>' })).toEqual({
      ...none,
      unknown_token_id: 2,
    });
  });

  test('that end a turn are those of the config, if another one ends a text', async () => {
    const file = template([text, end]);
    const added = { add_bos_token: false, add_eos_token: true, eos_token_id: 1 };
    expect(await endings(file, { eos_token: '<end>' })).toEqual({ ...added, eot_token_id: 3 });
    expect(await endings(file, { eos_token: '</s>' })).toEqual(added);
    expect(await endings(file)).toEqual(added);
  });

  test('of an encoder are a separator, instead of an end', async () => {
    const sep = { add_bos_token: false, add_sep_token: false };
    expect(await endings({}, { sep_token: '</s>' }, 'bert')).toEqual({ ...sep, seperator_token_id: 1 });
    expect(await endings({}, { sep_token: '</s>', eos_token: 'a' }, 'bert')).toEqual({ ...sep, seperator_token_id: 4 });
    expect(await endings({}, { sep_token: '</s>' })).toEqual(none);
    const both = { bos_token_id: 0, seperator_token_id: 1, add_bos_token: true, add_sep_token: true };
    expect(await endings(pair('BertProcessing'), { eos_token: 'a' }, 'bert')).toEqual(both);
  });
});

describe('the tokens that are added', () => {
  test('are named by the config, if there is no processor', async () => {
    const config = { add_bos_token: true, add_eos_token: true };
    const ids = { bos_token_id: 0, eos_token_id: 1 };
    expect(await endings({}, { ...config, bos_token: '<s>', eos_token: '</s>' })).toEqual({
      ...ids,
      add_bos_token: true,
      add_eos_token: true,
    });
    // Without a token there is nothing to add.
    expect(await endings({}, config)).toEqual(none);
    expect(await endings({}, { bos_token: '<s>', eos_token: '</s>' })).toEqual({ ...ids, ...none });
    const given = { ...config, bos_token: '<s>', eos_token: '</s>' };
    expect(await endings({ post_processor: { type: 'ByteLevel' } }, given)).toEqual({ ...ids, ...none });
    expect(await endings(template([begin, text]), given)).toEqual({ ...ids, ...none, add_bos_token: true });
  });

  test('are those of a template: before and after the text', async () => {
    const before = { bos_token_id: 0, add_bos_token: true, add_eos_token: false };
    expect(await endings(template([begin, text]))).toEqual(before);
    expect(await endings(template([text]))).toEqual(none);
    expect(await endings(template([begin, text, end]))).toEqual({ ...before, add_eos_token: true, eos_token_id: 1 });
    // By the ids that the template lists, or else by its text.
    const listed = (...ids: number[]) => template([begin, text], { '<s>': { ids } });
    expect(await endings(listed(3))).toEqual({ ...before, bos_token_id: 3 });
    expect(await endings(listed())).toEqual(before);
    await expect(endings(listed(0, 3))).rejects.toMatchObject({
      code: 'ERR_UNSUPPORTED',
      message: 'tokenizer.json: post_processor: a special token with several ids is not supported',
    });
  });

  test.each(['BertProcessing', 'RobertaProcessing'])('are those of %s', async (type) => {
    const both = { bos_token_id: 0, eos_token_id: 1, add_bos_token: true, add_eos_token: true };
    expect(await endings(pair(type))).toEqual(both);
    expect(await endings(pair(type, ['a', 0]))).toEqual({ ...both, bos_token_id: 4 });
    const message = (side: string) => `tokenizer.json: post_processor: ${side}: is not a token`;
    await expect(endings(pair(type, ['b', 0]))).rejects.toMatchObject({ message: message('cls') });
    await expect(endings(pair(type, undefined, []))).rejects.toMatchObject({ message: message('sep') });
  });

  test('are those of the parts of a sequence, at most nine within each other', async () => {
    const parts = [{ type: 'ByteLevel' }, template([begin, text]).post_processor, template([text, end]).post_processor];
    expect(await endings({ post_processor: { type: 'Sequence', processors: parts } })).toEqual({
      bos_token_id: 0,
      eos_token_id: 1,
      add_bos_token: true,
      add_eos_token: true,
    });
    expect(await endings({ post_processor: nested(9, { type: 'ByteLevel' }) })).toEqual(none);
    await expect(endings({ post_processor: nested(10, { type: 'ByteLevel' }) })).rejects.toMatchObject({
      code: 'ERR_UNSUPPORTED',
      message: expect.stringMatching(/: so deeply nested a Sequence is not supported$/),
    });
    expect(await endings({ post_processor: { type: 'Sequence', processors: [null] } })).toEqual(none);
  });

  test.each<[string, object, string]>([
    ['two before the text', template([begin, begin, text]), 'a template with two tokens before the text'],
    ['two after it', template([text, end, end]), 'a template with two tokens after the text'],
    ['those of another processor', { post_processor: { type: 'Other' } }, '"Other"'],
  ])('cannot be %s', async (_, file, what) => {
    await expect(endings(file)).rejects.toMatchObject({
      code: 'ERR_UNSUPPORTED',
      message: `tokenizer.json: post_processor: ${what} is not supported`,
    });
  });

  test('must be tokens', async () => {
    await expect(endings(template([{ SpecialToken: { id: '<x>' } }, text]))).rejects.toMatchObject({
      code: 'ERR_MODEL_FILE',
      message: 'tokenizer.json: post_processor: names "<x>", which is not a token',
    });
  });
});

test('tokens that remove white space are listed for each side', async () => {
  const added = [
    { id: 3, lstrip: true, rstrip: false },
    { id: 4, lstrip: true, rstrip: true },
    { id: 1, lstrip: false },
  ];
  expect(await endings({ added_tokens: added })).toEqual({ ...none, strips_left: [3, 4], strips_right: [4] });
  expect(await endings({ added_tokens: added.slice(2) })).toEqual(none);
  expect(await endings({ added_tokens: [{ id: 2, rstrip: true }] })).toEqual({ ...none, strips_right: [2] });
});

test('chat templates are one text, or several with names', async () => {
  const templates = async (chat_template: unknown) => {
    const { add_bos_token: _, add_eos_token: __, ...rest } = await endings({}, { chat_template });
    return rest;
  };
  expect(await templates('{{ x }}')).toEqual({ 'tokenizer.chat_template': '{{ x }}' });
  const list = [
    { name: 'tools', template: 'b' },
    { name: 'default', template: 'a' },
  ];
  expect(await templates(list)).toEqual({ 'tokenizer.chat_template': 'a', 'tokenizer.chat_template.tools': 'b' });
  expect([await templates(undefined), await templates(null)]).toEqual([{}, {}]);
  await expect(templates([{ name: 'tools' }])).rejects.toMatchObject({ code: 'ERR_MODEL_FILE' });
});
