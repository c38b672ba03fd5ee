// Calls of strict functions where the model chooses whether to call: what its text may be, and what of it is a call.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TimeSlice } from '../../src/base/time-slice.js';
import { compileFormat } from '../../src/constraint/compile/job.js';
import { readTerms } from '../../src/constraint/compiled-terms.js';
import { controlBytes } from '../../src/constraint/control-bytes.js';
import { Terms } from '../../src/constraint/term.js';
import { readChatRequest } from '../../src/openai/index.js';
import { type RunningServer, startServer } from './running-server.js';
import { ask, scriptedHandlers } from './scripted-model.js';

const messages = [{ role: 'user' as const, content: 'Hello' }];
const parameters = {
  type: 'object',
  properties: { city: { $ref: '#/$defs/city' } },
  required: ['city'],
  additionalProperties: false,
  $defs: { city: { enum: ['Oslo', 'Rome'] } },
};
const weather = { type: 'function' as const, function: { name: 'weather', strict: true, parameters } };
const time = { type: 'function' as const, function: { name: 'time', strict: false, parameters } };
const tools = [weather, time];

/** Whether the format of a request lets the model write a text; control tokens are numbers in it. */
async function reader(body: object) {
  const { format } = readChatRequest({ messages, ...body }).options;
  const terms = new Terms();
  const start = await readTerms(
    compileFormat({ kind: 'format', json: JSON.stringify(format) }).value,
    terms,
    new TimeSlice(undefined),
  );
  return (...parts: (string | { control: string })[]) => {
    let term = start;
    for (const part of parts) {
      const bytes = typeof part === 'string' ? Buffer.from(part) : controlBytes(part.control);
      for (const byte of bytes) term = terms.derive(term, byte);
    }
    if (term.kind === 'empty') return 'never';
    return term.kind === 'end' ? 'the end' : term.nullable ? 'may end' : 'goes on';
  };
}

const oslo = '{"name":"weather","arguments":{"city":"Oslo"}}';
const paris = oslo.replace('Oslo', 'Paris');
const anything = '{"name":"time","arguments":{"a":[1]}}';
const bare = '{"name":"weather","parameters":{"city":"Rome"}}';

describe('a model writes', () => {
  test('free text, and calls that match the schemas of strict functions', async () => {
    const stateAfter = await reader({ tools });
    expect(stateAfter('')).toBe('may end');
    expect(stateAfter('Some <b>text</b> {"name":"weather"} [] ')).toBe('may end');
    expect(stateAfter({ control: '<|other|>' }, 'text')).toBe('may end');
    for (const open of ['<tool_call>', { control: '<tool_call>' }]) {
      expect(stateAfter('Wait. ', open)).toBe('goes on');
      expect(stateAfter('Wait. ', open, `\n${oslo}`)).toBe('goes on');
      expect(stateAfter('Wait. ', open, `\n${oslo}\n</tool_call>`)).toBe('may end');
      expect(
        stateAfter(open, `\n${oslo}\n`, { control: '</tool_call>' }, 'a', open, `\n${anything}\n</tool_call>`),
      ).toBe('may end');
      expect(stateAfter(open, `\n${paris}`)).toBe('never');
      expect(stateAfter(open, '\n{"name":"other"')).toBe('never');
      expect(stateAfter(open, ' ')).toBe('never');
    }
    for (const open of ['[TOOL_CALLS]', { control: '[TOOL_CALLS]' }]) {
      expect(stateAfter(open, `[${oslo},${anything}]`)).toBe('the end');
      expect(stateAfter(open, ` [${oslo}]`)).toBe('the end');
      expect(stateAfter(open, ` [${oslo},${paris}`)).toBe('never');
      expect(stateAfter(open, 'weather[ARGS]{"city":"Oslo"}', open, 'time{}')).toBe('may end');
      expect(stateAfter(open, 'weather', { control: '[ARGS]' }, '{"city":"Oslo"}')).toBe('may end');
      expect(stateAfter(open, 'weather{"city":"P')).toBe('never');
    }
    expect(stateAfter('<|python_tag|>', bare)).toBe('the end');
    expect(stateAfter(bare)).toBe('the end');
    expect(stateAfter('{"name":"o')).toBe('never');
    expect(stateAfter('{"names')).toBe('may end');
  });

  test('one call where calls are not parallel', async () => {
    const stateAfter = await reader({ tools, parallel_tool_calls: false });
    expect(stateAfter(`a <tool_call>\n${oslo}`)).toBe('the end');
    expect(stateAfter(`[TOOL_CALLS][${oslo},`)).toBe('never');
    expect(stateAfter('[TOOL_CALLS]weather[ARGS]{"city":"Oslo"}')).toBe('the end');
  });

  test('forced calls whose schemas refer to their own definitions', async () => {
    const one = await reader({ tools: [weather], tool_choice: 'required' });
    expect([one(`[${oslo}]`), one(`[${paris}`)]).toEqual(['the end', 'never']);
    const many = await reader({ tools, tool_choice: 'required' });
    expect([many(`[${oslo}]`), many(`[${paris}`)]).toEqual(['the end', 'never']);
  });
});

describe('in an answer', () => {
  const call = ['weather', '{"city":"Oslo"}'];
  test.each([
    ['a marked call is one', [`A <tool_call>\n${oslo}\n</tool_call>`], 'A', [call]],
    ['a bare call is one where the text begins', [bare], '', [['weather', '{"city":"Rome"}']]],
    ['JSON that begins otherwise is text: no schema held it', [oslo.replace('{', '{ ')], oslo.replace('{', '{ '), []],
    ['a list that begins the text is text', [`[${oslo}]`], `[${oslo}]`, []],
    ['white space before a bare call makes it text', ['\n', bare], `\n${bare}`, []],
    ['a bare call after reasoning is text', ['<think>a</think>', bare], bare, []],
    ['a call that is cut off is text', [bare.slice(0, 20)], bare.slice(0, 20), []],
  ])('%s', async (_name, pieces, content, calls) => {
    for (const script of [pieces, pieces.flatMap((piece) => [...piece])]) {
      const { handlers, seen } = scriptedHandlers({ pieces: script });
      const { body } = await ask(handlers, '/v1/chat/completions', { messages, tools });
      expect(seen.options).toMatchObject({ format: { opening: '{"name":' } });
      const [{ message }] = body.choices;
      expect(message.content ?? '').toBe(content);
      const found = (message.tool_calls ?? []) as { function: { name: string; arguments: string } }[];
      expect(found.map(({ function: { name, arguments: passed } }) => [name, passed])).toEqual(calls);
    }
  });
});

describe('a real model', () => {
  let running: RunningServer;
  beforeAll(async () => {
    running = await startServer();
  });
  afterAll(() => running.stop());

  test('answers with strict tools as it does with others, while it begins no call', async () => {
    const body = { model: 'tiny', messages, temperature: 0, max_tokens: 12 };
    const answer = async (strict: boolean) => {
      const one = { ...weather, function: { ...weather.function, strict } };
      return (await running.client.chat.completions.create({ ...body, tools: [one] })).choices[0]?.message.content;
    };
    expect(await answer(true)).toBe(await answer(false));
    const unknown = { type: 'object', properties: { a: { unevaluatedItems: false } } };
    const tool = { type: 'function' as const, function: { name: 'a', strict: true, parameters: unknown } };
    await expect(running.client.chat.completions.create({ ...body, tools: [tool] })).rejects.toMatchObject({
      status: 400,
      message: expect.stringContaining('unevaluatedItems'),
    });
  });
});
