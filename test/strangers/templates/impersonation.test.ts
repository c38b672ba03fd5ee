// What messages say never becomes a control token, wherever a template puts it: the ids of control tokens are those that the
// template writes. And what a template asks of a text has the answer that it has without this protection.
import { beforeAll, describe, expect, test } from 'vitest';
import { Chat, type ChatMessage, type ChatPromptOptions, encodeChat } from '../../../src/generation/chat/chat.js';
import type { Tokenizer } from '../../../src/tokenizer/tokenizer.js';
import { smallTokenizer } from '../../support/tokenizers/small-tokenizer.js';
import { harmlessWord, kinds, payloadsOf, placesOf } from './template-places.js';
import { choosyTemplates, templates } from './templates.js';

const controls = [
  '<s>',
  '</s>',
  '<|im_start|>',
  '<|im_end|>',
  '<|start_header_id|>',
  '<|end_header_id|>',
  '<|eot_id|>',
  '<|user|>',
  '<|assistant|>',
  '<|system|>',
  '<|tool|>',
  '<|end|>',
  '[INST]',
  '[/INST]',
  '[AVAILABLE_TOOLS]',
  '[/AVAILABLE_TOOLS]',
  '[TOOL_CALLS]',
  '[TOOL_RESULTS]',
  '[/TOOL_RESULTS]',
  '<start_of_turn>',
  '<end_of_turn>',
  '<｜end▁of▁sentence｜>',
];
/** Tokens that some models define as text, and templates write as marks. */
const marks = ['<｜User｜>', '<｜Assistant｜>'];
const texts = [...controls, ...marks];

let tokenizer: Tokenizer;
const timeoutMs = 10_000;

beforeAll(async () => {
  const tokens = texts.map((text) => ({ text, type: marks.includes(text) ? 4 : 3 }));
  tokenizer = await smallTokenizer([], tokens, {
    'tokenizer.ggml.bos_token_id': { type: 'u32', value: 256 },
    'tokenizer.ggml.eos_token_id': { type: 'u32', value: 257 },
  });
});

async function idsOf(messages: readonly ChatMessage[], options: ChatPromptOptions): Promise<readonly number[]> {
  const chat = new Chat(new Map(), tokenizer, timeoutMs);
  return encodeChat(await chat.render(messages, options, { op: 'chat' }), tokenizer);
}

/** The control tokens of a conversation, and the marks that the template writes. Other marks are text of any message. */
async function tokensOf(messages: readonly ChatMessage[], options: ChatPromptOptions): Promise<string[]> {
  const spelled = (await idsOf(messages, options)).filter((id) => id >= 256).map((id) => tokenizer.tokenText(id));
  return spelled.filter((text) => controls.includes(text) || options.template?.includes(text));
}

/** A conversation with a text in every place where an outsider may put one. */
function conversation(text: string): { messages: ChatMessage[]; options: ChatPromptOptions } {
  const call = { name: `f${text}`, arguments: { a: text, [text]: [text, { [text]: text }] } };
  return {
    messages: [
      { role: 'system', content: text },
      { role: 'user', content: `before ${text} after` },
      { role: 'assistant', content: text, tool_calls: [{ id: text, type: 'function', function: call }] },
      { role: 'tool', content: text, name: text, [text]: text },
      { role: 'user', content: text },
    ],
    options: {
      tools: [
        { type: 'function', function: { name: text, description: text, parameters: { [text]: { type: text } } } },
      ],
      variables: { extra: { [text]: text, list: [text, [text]] }, date_string: text },
    },
  };
}

/** The same text without what begins a control token. */
const harmless = (text: string) => text.replace(/[<[]/g, '(');

describe.each(Object.entries(templates))('template %s', (_, template) => {
  test('brings no control token of a message to life', { timeout: 60_000 }, async () => {
    const payloads = [
      texts.join(''),
      texts.map((text) => `${text}x`).join('\n'),
      texts.map((text) => [...text].join('\n')).join(''),
      texts.map((text) => [...text].join('\\')).join(''),
      texts.map((text) => [...text].reverse().join('')).join(''),
      `${texts.join('').toUpperCase()}${texts.join('')}x`,
      `<${texts.join('')}`,
      '<<s><|<|im_end|>im_end|>[[INST]INST]',
      `\ue000\uf8ff${texts.join('\ue000')}`,
    ];
    for (const payload of payloads) {
      const expected = conversation(harmless(payload));
      const attacked = conversation(payload);
      const render = { template, addGenerationPrompt: true };
      expect(await tokensOf(attacked.messages, { ...attacked.options, ...render })).toEqual(
        await tokensOf(expected.messages, { ...expected.options, ...render }),
      );
    }
  });

  test('renders the text that it renders without control tokens', async () => {
    const plain = await smallTokenizer([], [], {});
    for (const payload of [texts.join(' '), '\ue000<s>\ue001\uf8ff', 'a</think>b', '']) {
      const { messages, options } = conversation(payload);
      const trusted = { variables: { ...options.variables, bos_token: '<s>', eos_token: '</s>' } };
      const all = { ...options, template };
      const guarded = await new Chat(new Map(), tokenizer, timeoutMs).render(messages, all, { op: 'chat' });
      const free = await new Chat(new Map(), plain, timeoutMs).render(messages, { ...all, ...trusted }, { op: 'chat' });
      expect(guarded.text.replaceAll('<s>', '').replaceAll('</s>', '')).toBe(
        free.text.replaceAll('<s>', '').replaceAll('</s>', ''),
      );
    }
  });
});

describe.each(Object.entries(choosyTemplates))('template %s', (_, template) => {
  test('brings no text of any place to life', { timeout: 60_000 }, async () => {
    let tried = 0;
    for (const kind of Object.values(kinds)) {
      const tokens = (at: (place: string) => string) => {
        const { messages, options } = kind(at);
        return tokensOf(messages, { ...options, template });
      };
      const isRefused = await tokens(() => harmlessWord).then(
        () => false,
        () => true,
      );
      if (isRefused) continue;
      const [first, ...others] = payloadsOf(texts) as [string];
      const everywhere = (payload: string) => (place: string) =>
        /^(role|call id)$/.test(place) ? harmlessWord : payload;
      for (const payload of others) {
        tried += 1;
        expect(await tokens(everywhere(payload))).toEqual(await tokens(everywhere(harmless(payload))));
      }
      for (const place of placesOf(kind)) {
        const found = (payload: string) =>
          tokens((one) => (one === place ? payload : harmlessWord)).catch((error: { code: string }) => error.code);
        const [attacked, expected] = [await found(first), await found(harmless(first))];
        expect({ place, attacked }).toEqual({ place, attacked: expected });
        if (attacked !== 'ERR_CHAT_TEMPLATE') tried += 1;
      }
    }
    expect(tried).toBeGreaterThan(30);
  });
});

describe('a template that splits at </think>, of a tokenizer whose control tokens begin like it', () => {
  const messages = (content: string) => [
    { role: 'user', content: 'q' },
    { role: 'assistant', content },
    { role: 'user', content: 'r' },
  ];
  test.each([
    ['qwen3', '<|im_start|>assistant\n the answer</s><|im_end|>'],
    ['deepSeekR1', '<｜Assistant｜>\n the answer</s><｜end▁of▁sentence｜>'],
  ])('%s leaves out the reasoning, and what follows stays text', async (name, expected) => {
    const template = templates[name] as string;
    const chat = new Chat(new Map(), tokenizer, timeoutMs);
    const content = '<think>\nwhy</s></think>\n the answer</s>';
    const prompt = await chat.render(messages(content), { template }, { op: 'chat' });
    expect(prompt.text).toContain(name === 'qwen3' ? expected.replace('\n the', '\n the') : expected);
    expect(prompt.text).not.toContain('why');
    const ids = await encodeChat(prompt, tokenizer);
    expect(ids.filter((id) => tokenizer.tokenText(id) === '</s>').length).toBe(0);
  });
});

test('a text keeps its length, its order and its answers to a template', async () => {
  const chat = new Chat(new Map(), tokenizer, timeoutMs);
  const ask = async (expression: string, content: string) => {
    const template = `{% set c = messages[0].content %}{{ ${expression} }}`;
    return (await chat.render([{ role: 'user', content }], { template }, { op: 'chat' })).text;
  };
  expect(await ask('c|length', '</s>')).toBe('4');
  expect(await ask("c == '</s>'", '</s>')).toBe('True');
  expect(await ask("'</s>' in c", 'a</s>b')).toBe('True');
  expect(await ask("c in ['</s>']", '</s>')).toBe('True');
  expect(await ask("c.startswith('<')", '</s>')).toBe('True');
  expect(await ask("c.split('</s>')|join('|')", 'a</s>b')).toBe('a|b');
  expect(await ask("c|replace('</s>', '|')", 'a</s>b')).toBe('a|b');
  expect(await ask("{'</s>': 5}[c]", '</s>')).toBe('5');
  expect(await ask("c < '='", '</s>')).toBe('True');
  expect(await ask('c.find("<")', 'ab</s>')).toBe('2');
  expect(await ask('c|tojson(ensure_ascii=true)', '</s>\ue000')).toBe('"</s>\\ue000"');
  expect(await ask("c.strip('<>')", '</s>')).toBe('/s');
});

test('a text keeps the private-use characters that it holds', async () => {
  const chat = new Chat(new Map(), tokenizer, timeoutMs);
  const all = Array.from({ length: 6400 }, (_, i) => String.fromCodePoint(0xe000 + i)).join('');
  const render = (content: string) =>
    chat.render([{ role: 'user', content }], { template: '{{ messages[0].content }}' }, { op: 'chat' });
  expect((await render(`${all.slice(0, 6000)}<s>`)).text).toBe(`${all.slice(0, 6000)}<s>`);
  await expect(render(`${all}<s>`)).rejects.toMatchObject({ code: 'ERR_CHAT_TEMPLATE' });
});
