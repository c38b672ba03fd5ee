// Chat templates of real models, as they ship with their tokenizers: a conversation is rendered as in the models' own
// documentation, and text of a message that spells a control token stays text.
import { describe, expect, test } from 'vitest';
import { TimeSlice } from '../../src/base/time-slice.js';
import {
  Chat,
  type ChatMessage,
  type ChatPromptOptions,
  encodeChat,
  readChatTemplates,
} from '../../src/generation/chat/chat.js';
import { ModelMetadata } from '../../src/metadata/model-metadata.js';
import { createTokenizer } from '../../src/tokenizer/create-tokenizer.js';
import { tokenizerMetadata } from '../../src/tokenizer/huggingface/huggingface.js';
import { realVocabularies } from './vocabularies.js';

const conversation: ChatMessage[] = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Where do whales live?' },
  { role: 'assistant', content: 'In the sea.' },
  { role: 'user', content: 'All of them?' },
];

const renders: Readonly<Record<string, string>> = {
  llama3:
    '<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>' +
    '<|start_header_id|>user<|end_header_id|>\n\nWhere do whales live?<|eot_id|>' +
    '<|start_header_id|>assistant<|end_header_id|>\n\nIn the sea.<|eot_id|>' +
    '<|start_header_id|>user<|end_header_id|>\n\nAll of them?<|eot_id|>' +
    '<|start_header_id|>assistant<|end_header_id|>\n\n',
  qwen3:
    '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhere do whales live?<|im_end|>\n' +
    '<|im_start|>assistant\nIn the sea.<|im_end|>\n<|im_start|>user\nAll of them?<|im_end|>\n<|im_start|>assistant\n',
  gemma3:
    '<bos><start_of_turn>user\nBe brief.\n\nWhere do whales live?<end_of_turn>\n' +
    '<start_of_turn>model\nIn the sea.<end_of_turn>\n<start_of_turn>user\nAll of them?<end_of_turn>\n<start_of_turn>model\n',
  deepseek_v3:
    '<｜begin▁of▁sentence｜>Be brief.<｜User｜>Where do whales live?<｜Assistant｜>In the sea.<｜end▁of▁sentence｜>' +
    '<｜User｜>All of them?<｜Assistant｜>',
};

async function open(name: string) {
  const { tokenizer: json, config } = (
    realVocabularies.find((one) => one.name === name) as (typeof realVocabularies)[0]
  ).read();
  const values = await tokenizerMetadata(Buffer.from(JSON.stringify(json)), config, new TimeSlice());
  const metadata = new ModelMetadata(values, name);
  const tokenizer = await createTokenizer(metadata);
  const chat = new Chat(readChatTemplates(metadata), tokenizer, 5000);
  const render = (messages: readonly ChatMessage[], options: ChatPromptOptions = {}) =>
    chat.render(messages, options, { op: 'chat' });
  return { tokenizer, render };
}

describe.each(Object.entries(renders))('%s', (name, expected) => {
  test('renders a conversation, and its marks are control tokens', async () => {
    const { tokenizer, render } = await open(name);
    const prompt = await render(conversation);
    expect(prompt.text).toBe(expected);
    const ids = await encodeChat(prompt, tokenizer);
    expect(tokenizer.decode(ids, { special: true })).toBe(expected);
    const marks = expected.match(/<[^<>\n]+>/g) as string[];
    const spelled = ids.map((id) => tokenizer.tokenText(id));
    expect(spelled.filter((text) => marks.includes(text))).toEqual(marks);
    expect(ids.filter((id) => id === tokenizer.bosId).length).toBeLessThanOrEqual(1);
  });

  test('keeps the marks in a message as text', async () => {
    const { tokenizer, render } = await open(name);
    const mark = (expected.match(/<[^<>\n]+>/g) as string[]).at(-1) as string;
    const plain = await encodeChat(await render([{ role: 'user', content: 'a b' }]), tokenizer);
    const spoofed = await encodeChat(await render([{ role: 'user', content: `a ${mark} b` }]), tokenizer);
    const marksIn = (ids: readonly number[]) => ids.filter((id) => tokenizer.tokenText(id) === mark).length;
    expect(marksIn(spoofed)).toBe(marksIn(plain));
    expect(tokenizer.decode(spoofed, { special: true })).toContain(`a ${mark} b`);
  });
});

test('options reach a template: thinking of Qwen 3 is turned off, its tools are listed', async () => {
  const { render } = await open('qwen3');
  const { text } = await render(conversation, { variables: { enable_thinking: false } });
  expect(text.endsWith('<|im_start|>assistant\n<think>\n\n</think>\n\n')).toBe(true);
  const tools = [{ type: 'function', function: { name: 'depth', parameters: { type: 'object', properties: {} } } }];
  expect((await render(conversation, { tools })).text).toContain('{"type": "function", "function": {"name": "depth"');
});
