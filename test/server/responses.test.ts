// The Responses API with the official client, and what its items and events are for answers of each kind.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { plainTemplate } from '../../src/server/served-models.js';
import { type RunningServer, startServer } from './running-server.js';
import { ask, scriptedHandlers } from './scripted-model.js';

const path = '/v1/responses';
const weather = {
  type: 'function' as const,
  name: 'weather',
  strict: false,
  parameters: {
    type: 'object',
    properties: { city: { enum: ['Oslo', 'Rome'] } },
    required: ['city'],
    additionalProperties: false,
  },
};

describe('the client', () => {
  let running: RunningServer;
  beforeAll(async () => {
    running = await startServer();
  });
  afterAll(() => running.stop());
  const greedy = { model: 'tiny', temperature: 0, max_output_tokens: 12 };

  test('gets what the model gives, whole and as a stream', async () => {
    const { client, model } = running;
    const messages = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'The sea' },
    ];
    const expected = await model.chat(messages, { template: plainTemplate, maxTokens: 12 }).result;
    const body = { ...greedy, instructions: 'Be brief.', input: 'The sea', store: true, metadata: { a: 'b' } };
    const response = await client.responses.create(body);
    expect(response.output_text).toBe(expected.text);
    expect(response).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      usage: { input_tokens: expected.promptTokens, output_tokens: 12, total_tokens: expected.promptTokens + 12 },
      metadata: { a: 'b' },
      max_output_tokens: 12,
      previous_response_id: null,
    });
    const stream = client.responses.stream(body);
    let text = '';
    stream.on('response.output_text.delta', ({ delta }) => {
      text += delta;
    });
    const final = await stream.finalResponse();
    expect(text).toBe(expected.text);
    expect(final.output_text).toBe(expected.text);
  });

  test('gets forced calls, goes on with their outputs, and gets formats', async () => {
    const { client } = running;
    const body = { ...greedy, max_output_tokens: 100, input: 'Weather?', tools: [weather] };
    const { output, status } = await client.responses.create({
      ...body,
      tool_choice: 'required',
      parallel_tool_calls: false,
    });
    const [call] = output;
    if (call?.type !== 'function_call') throw new Error(`no call, but ${call?.type}`);
    expect(status).toBe('completed');
    expect(['Oslo', 'Rome']).toContain(JSON.parse(call.arguments).city);
    const result = { type: 'function_call_output' as const, call_id: call.call_id, output: 'rain' };
    const next = await client.responses.create({
      ...greedy,
      input: [{ role: 'user', content: 'Weather?' }, call, result],
    });
    expect(next.output[0]).toMatchObject({ type: 'message', role: 'assistant' });
    const schema = {
      type: 'object',
      properties: { n: { enum: [1, 2] } },
      required: ['n'],
      additionalProperties: false,
    };
    const format = { type: 'json_schema' as const, name: 'n', schema };
    const formatted = await client.responses.create({
      ...greedy,
      max_output_tokens: 60,
      input: 'A number',
      text: { format },
    });
    expect(JSON.parse(formatted.output_text)).toEqual({ n: expect.any(Number) });
  });

  test.each([
    ['state', { previous_response_id: 'resp_1' }, 'previous_response_id'],
    ['tools of other types', { tools: [{ type: 'web_search' as const }] }, 'tools[0]'],
    ['reasoning', { reasoning: { effort: 'low' as const } }, 'effort'],
    ['background', { background: true }, 'background'],
  ])('is refused %s', async (_what, fields, name) => {
    const call = running.client.responses.create({ ...greedy, input: 'a', ...fields });
    await expect(call).rejects.toMatchObject({ status: 400, message: expect.stringContaining(name) });
  });
});

describe('items and events', () => {
  test('are those of reasoning, text and calls', async () => {
    const pieces = [
      '<think>Hm.</think>',
      'Wait.',
      '<tool_call>{"name": "weather", "arguments": {"city": "Oslo"}}</tool_call>',
    ];
    const { handlers } = scriptedHandlers({ pieces });
    const { body } = await ask(handlers, path, { input: 'a', tools: [weather] });
    expect(body.output).toMatchObject([
      { type: 'reasoning', content: [{ type: 'reasoning_text', text: 'Hm.' }] },
      { type: 'message', content: [{ type: 'output_text', text: 'Wait.', annotations: [] }] },
      { type: 'function_call', name: 'weather', arguments: '{"city":"Oslo"}' },
    ]);
    const { events } = await ask(handlers, path, { input: 'a', tools: [weather], stream: true });
    const data = events.map((event) => JSON.parse(event.split('\ndata: ')[1] as string));
    expect(data.map(({ sequence_number }) => sequence_number)).toEqual(data.map((_, i) => i));
    for (const [i, event] of events.entries()) expect(event).toContain(`event: ${data[i].type}\n`);
    expect(data.map(({ type }) => type.replace('response.', ''))).toEqual([
      'created',
      'in_progress',
      'output_item.added',
      'reasoning_text.delta',
      'reasoning_text.done',
      'output_item.done',
      'output_item.added',
      'content_part.added',
      'output_text.delta',
      'output_text.done',
      'content_part.done',
      'output_item.done',
      'output_item.added',
      'function_call_arguments.delta',
      'function_call_arguments.done',
      'output_item.done',
      'completed',
    ]);
    const types = data.at(-1).response.output.map(({ type }: { type: string }) => type);
    expect(types).toEqual(['reasoning', 'message', 'function_call']);
  });

  test('strict functions are held to their schemas where the model chooses to call them', async () => {
    const call = '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>';
    const { handlers, seen } = scriptedHandlers({ pieces: ['<think>Hm.</think>', 'Wait. ', call] });
    const { body } = await ask(handlers, path, { input: 'a', tools: [{ ...weather, strict: true }] });
    expect(seen.options).toMatchObject({ format: { opening: '{"name":' }, tools: [{ function: { strict: true } }] });
    expect(body.output).toMatchObject([{ type: 'reasoning' }, { type: 'message' }, { type: 'function_call' }]);
    const one = { input: 'a', tools: [weather], parallel_tool_calls: false };
    expect((await ask(handlers, path, one)).body).toMatchObject({ parallel_tool_calls: false });
    expect(seen.options).toMatchObject({ format: { opening: '{"name":' } });
  });

  test('an answer without text is an empty message', async () => {
    const { handlers } = scriptedHandlers({ pieces: [] });
    const { body } = await ask(handlers, path, { input: 'a' });
    expect(body).toMatchObject({ status: 'completed', output: [{ type: 'message', content: [{ text: '' }] }] });
  });
});
