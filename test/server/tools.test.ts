// Calls of tools and reasoning in answers, whole and in streams cut anywhere, and what is asked of the model for them.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { plainTemplate } from '../../src/server/served-models.js';
import { type RunningServer, startServer } from './running-server.js';
import { ask, type Script, scriptedHandlers } from './scripted-model.js';

const chat = '/v1/chat/completions';
const parameters = {
  type: 'object',
  properties: { city: { enum: ['Oslo', 'Rome'] } },
  required: ['city'],
  additionalProperties: false,
};
const tools = [
  { type: 'function' as const, function: { name: 'weather', description: 'of a city', parameters } },
  { type: 'function' as const, function: { name: 'time' } },
];
const messages = [{ role: 'user' as const, content: 'Hello' }];

interface Message {
  content: string | null;
  reasoning_content?: string;
  tool_calls?: { id: string; function: { name: string; arguments: string } }[];
}

async function messageOf(script: Script, body: object = { tools }) {
  const { handlers } = scriptedHandlers(script);
  const reply = await ask(handlers, chat, { messages, ...body });
  expect(reply.status).toBe(200);
  const [choice] = reply.body.choices as { message: Message; finish_reason: string }[];
  return choice as { message: Message; finish_reason: string };
}

/** The message that a client puts together from a stream. */
async function streamedMessageOf(script: Script, body: object = { tools }) {
  const { handlers } = scriptedHandlers(script);
  const { events } = await ask(handlers, chat, { messages, stream: true, ...body });
  const message = { content: '', reasoning: '', calls: [] as [string, string][], finish: '' };
  for (const event of events.slice(0, -1)) {
    const [choice] = JSON.parse(event.slice('data: '.length)).choices;
    message.content += choice.delta.content ?? '';
    message.reasoning += choice.delta.reasoning_content ?? '';
    for (const call of choice.delta.tool_calls ?? []) {
      message.calls[call.index] = [call.function.name, call.function.arguments];
    }
    message.finish += choice.finish_reason ?? '';
  }
  expect(events.at(-1)).toBe('data: [DONE]');
  return message;
}

const oslo = '{"name": "weather", "arguments": {"city": "Oslo"}}';
const noon = '{"name": "time", "arguments": {}}';
const osloCall = ['weather', '{"city":"Oslo"}'];
const noonCall = ['time', '{}'];

const families: [name: string, pieces: (string | number)[], content: string, calls: string[][]][] = [
  ['Hermes, one', [`<tool_call>\n${oslo}\n</tool_call>`], '', [osloCall]],
  [
    'Hermes, two after text',
    [`Wait. \n<tool_call>\n${oslo}\n</tool_call>\n<tool_call>${noon}</tool_call>`],
    'Wait.',
    [osloCall, noonCall],
  ],
  ['Hermes, not closed', [`<tool_call>\n${oslo}`], '', [osloCall]],
  ['Llama 3.1, with its control token', [2, oslo.replace('arguments', 'parameters'), 3], '', [osloCall]],
  ['Llama 3.1, bare', [oslo.replace('arguments', 'parameters')], '', [osloCall]],
  ['Llama 3.1, two', [`${oslo}; ${noon}`], '', [osloCall, noonCall]],
  ['Mistral, with its control token', [1, ` [${oslo}, ${noon}]`], '', [osloCall, noonCall]],
  ['Mistral, bare', [`[${oslo}]`], '', [osloCall]],
  ['Mistral, newer', [1, 'weather', '[ARGS]', '{"city": "Oslo"}', 1, 'time{}'], '', [osloCall, noonCall]],
  ['none: text', ['a <tool and [TOOL text'], 'a <tool and [TOOL text', []],
  ['none: JSON that is no call', ['{"name": "other", "arguments": {}}'], '{"name": "other", "arguments": {}}', []],
  ['none: a call that is cut off', ['<tool_call>{"name": "wea'], '<tool_call>{"name": "wea', []],
  ['none: no JSON in the marks', ['a  <tool_call>x</tool_call> y '], 'a  <tool_call>x</tool_call> y ', []],
];

describe('calls are found as written by', () => {
  test.each(families)('%s', async (_name, pieces, content, calls) => {
    const { message, finish_reason } = await messageOf({ pieces });
    expect(message.content ?? '').toBe(content);
    expect((message.tool_calls ?? []).map((call) => [call.function.name, call.function.arguments])).toEqual(calls);
    expect(new Set(message.tool_calls?.map(({ id }) => id)).size).toBe(calls.length);
    expect(finish_reason).toBe(calls.length > 0 ? 'tool_calls' : 'stop');
    // One character a piece, as a stream may be cut.
    const cut = pieces.flatMap((piece): (string | number)[] => (typeof piece === 'string' ? [...piece] : [piece]));
    for (const script of [{ pieces }, { pieces: cut }]) {
      const streamed = await streamedMessageOf(script);
      expect(streamed).toEqual({ content, reasoning: '', calls, finish: finish_reason });
    }
  });

  test('nobody where none may be called', async () => {
    const text = `<tool_call>\n${oslo}\n</tool_call>`;
    for (const body of [{}, { tools, tool_choice: 'none' }]) {
      expect((await messageOf({ pieces: [text] }, body)).message).toMatchObject({ content: text });
    }
  });
});

describe('reasoning', () => {
  test.each([
    ['marked', ['<think>\nHm.\n</think>\n\nYes.'], ''],
    ['begun by the prompt', ['\nHm.\n</think>\n\nYes.'], '<think>\n'],
    ['before a call', ['<think>Hm.\n</think>', `<tool_call>${noon}</tool_call>`], ''],
  ])('%s is kept apart', async (_name, pieces, promptEnd) => {
    const cut = pieces.flatMap((piece) => [...piece]);
    for (const script of [
      { pieces, promptEnd },
      { pieces: cut, promptEnd },
    ]) {
      const { content, reasoning, calls } = await streamedMessageOf(script);
      expect(reasoning.trim()).toBe('Hm.');
      expect({ content, calls }).toEqual(
        _name === 'before a call' ? { content: '', calls: [noonCall] } : { content: 'Yes.', calls: [] },
      );
      expect((await messageOf(script)).message.reasoning_content?.trim()).toBe('Hm.');
    }
  });

  test('is nothing in answers without it, and all of one that is cut off within', async () => {
    expect((await messageOf({ pieces: ['<thin'] })).message).not.toHaveProperty('reasoning_content');
    const { message, finish_reason } = await messageOf({ pieces: ['<think>a</th'], stopReason: 'maxTokens' });
    expect(message).toMatchObject({ content: '', reasoning_content: 'a</th' });
    expect(finish_reason).toBe('length');
    const format = { response_format: { type: 'json_object' } };
    expect((await messageOf({ pieces: ['{}'], promptEnd: '<think>' }, format)).message.content).toBe('{}');
  });
});

describe('the model is given', () => {
  test('tools, and earlier calls with arguments as objects', async () => {
    const { handlers, seen } = scriptedHandlers({ pieces: ['a'] });
    const call = { id: 'c', type: 'function', function: { name: 'time', arguments: '{"zone":"UTC"}' } };
    const earlier = [
      { role: 'developer', content: 'Be brief.' },
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', tool_call_id: 'c', content: [{ type: 'text', text: 'noon' }] },
    ];
    await ask(handlers, chat, { messages: earlier, tools, chat_template_kwargs: { enable_thinking: false } });
    expect(seen.messages).toMatchObject([
      { role: 'system', content: 'Be brief.' },
      { tool_calls: [{ function: { name: 'time', arguments: { zone: 'UTC' } } }] },
      { role: 'tool', content: 'noon' },
    ]);
    expect(seen.options).toMatchObject({ tools, variables: { enable_thinking: false }, temperature: 1, maxTokens: 64 });
    expect(seen.options).not.toHaveProperty('format');
  });

  test.each([
    [true, undefined],
    [false, plainTemplate],
  ])('its own template if it has one (%j), and the plain one otherwise', async (hasChatTemplate, template) => {
    const { handlers, seen } = scriptedHandlers({ pieces: ['a'], hasChatTemplate });
    await ask(handlers, chat, { messages });
    expect(seen.options).toHaveProperty('template', template);
  });

  test.each([
    ['a choice without tools', { tool_choice: 'required' }, 'tool_choice'],
    ['an unknown function', { tools, tool_choice: { type: 'function', function: { name: 'x' } } }, 'tool_choice'],
    ['a tool of another type', { tools: [{ type: 'web_search' }] }, 'tools[0]'],
    ['a schema that is none', { tools: [{ type: 'function', function: { name: 'a', parameters: 5 } }] }, 'tools[0]'],
    ['a strictness that is none', { tools: [{ type: 'function', function: { name: 'a', strict: 1 } }] }, 'strict'],
    ['a format beside tools', { tools, response_format: { type: 'json_object' } }, 'response_format'],
  ])('nothing for %s', async (_what, body, name) => {
    const { handlers } = scriptedHandlers({ pieces: ['a'] });
    const reply = await ask(handlers, chat, { messages, ...body });
    expect(reply).toMatchObject({ status: 400, body: { error: { message: expect.stringContaining(name) } } });
  });
});

describe('forced calls of a real model', () => {
  let running: RunningServer;
  beforeAll(async () => {
    running = await startServer();
  });
  afterAll(() => running.stop());

  test('follow the schema of the function', async () => {
    const tool_choice = { type: 'function' as const, function: { name: 'weather' } };
    const body = { model: 'tiny', messages, tools, tool_choice, temperature: 0, max_tokens: 100 };
    const { choices } = await running.client.chat.completions.create(body);
    const [call] = choices[0]?.message.tool_calls ?? [];
    if (call?.type !== 'function') throw new Error('no call');
    expect(call.function.name).toBe('weather');
    expect(['Oslo', 'Rome']).toContain(JSON.parse(call.function.arguments).city);
    expect(choices[0]).toMatchObject({ finish_reason: 'tool_calls', message: { content: null } });
    const streamed = await running.client.chat.completions.stream(body).finalMessage();
    expect(streamed.tool_calls).toMatchObject([{ function: call.function }]);
  });

  test('of strict functions are parsed by the client, whether the model chooses to call or must', async () => {
    const strict = { type: 'function' as const, function: { name: 'weather', strict: true, parameters } };
    const body = {
      model: 'tiny',
      messages,
      tools: [strict],
      parallel_tool_calls: false,
      temperature: 0,
      max_tokens: 100,
    };
    // The client refuses an answer that is cut off by its length.
    const free = await running.client.chat.completions.parse({ ...body, stop: 'e' });
    expect(free.choices[0]?.message).toMatchObject({ content: expect.any(String) });
    const forced = await running.client.chat.completions.parse({ ...body, tool_choice: 'required' });
    const [call] = forced.choices[0]?.message.tool_calls ?? [];
    expect(call?.function.parsed_arguments).toEqual({ city: expect.stringMatching(/^(Oslo|Rome)$/) });
  });

  test('are one or several of the required ones', async () => {
    const body = { model: 'tiny', messages, tools: tools.slice(0, 1), temperature: 0, max_tokens: 200 };
    const one = { ...body, tool_choice: 'required' as const, parallel_tool_calls: false };
    const { choices } = await running.client.chat.completions.create(one);
    expect(choices[0]?.message.tool_calls).toHaveLength(1);
  });
});
