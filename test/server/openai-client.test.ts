// The server with the official client of OpenAI's API.
import { APIError } from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { plainTemplate } from '../../src/server/served-models.js';
import { type RunningServer, startServer } from './running-server.js';

let running: RunningServer;
beforeAll(async () => {
  running = await startServer({ apiKeys: ['secret'] });
});
afterAll(() => running.stop());

const messages = [{ role: 'user' as const, content: 'The history of the sea' }];
const greedy = { model: 'tiny', temperature: 0, max_tokens: 12 };

/** The status and code of the failure of a call. */
async function failureOf(call: Promise<unknown>): Promise<{ status: unknown; code: unknown; message: string }> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof APIError)) throw new Error(`no API error: ${error}`);
  return { status: error.status, code: error.code, message: error.message };
}

describe('models', () => {
  test('are listed and shown', async () => {
    const { data } = await running.client.models.list();
    expect(data).toMatchObject([{ id: 'tiny', object: 'model', owned_by: 'tesserae' }]);
    expect(await running.client.models.retrieve('tiny')).toMatchObject({ id: 'tiny' });
    expect(await failureOf(running.client.models.retrieve('other'))).toMatchObject({ status: 404 });
  });
});

describe('chat completions', () => {
  test('give what the model gives', async () => {
    const expected = await running.model.chat(messages, { template: plainTemplate, maxTokens: 12 }).result;
    const { choices, usage, model } = await running.client.chat.completions.create({ ...greedy, messages });
    expect(choices).toEqual([
      {
        index: 0,
        message: { role: 'assistant', content: expected.text, refusal: null },
        logprobs: null,
        finish_reason: 'length',
      },
    ]);
    expect(usage).toEqual({
      prompt_tokens: expected.promptTokens,
      completion_tokens: 12,
      total_tokens: expected.promptTokens + 12,
    });
    expect(model).toBe('tiny');
  });

  test('stream the same text, with usage at the end', async () => {
    const whole = await running.client.chat.completions.create({ ...greedy, messages });
    const stream = await running.client.chat.completions.create({
      ...greedy,
      messages,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    const chunks = [];
    for await (const chunk of stream) {
      chunks.push(chunk);
      text += chunk.choices[0]?.delta.content ?? '';
    }
    expect(text).toBe(whole.choices[0]?.message.content);
    expect(chunks[0]?.choices[0]?.delta).toMatchObject({ role: 'assistant' });
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe('length');
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: whole.usage });
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  });

  test('stop, give log probabilities, and several choices from consecutive seeds', async () => {
    const create = running.client.chat.completions.create.bind(running.client.chat.completions);
    const { choices } = await create({ ...greedy, temperature: 1, seed: 7, n: 3, messages });
    const single = await create({ ...greedy, temperature: 1, seed: 8, messages });
    expect(choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(choices[1]?.message).toEqual(single.choices[0]?.message);
    const texts = ['', '', ''];
    const stream = await create({ ...greedy, temperature: 1, seed: 7, n: 3, messages, stream: true });
    for await (const chunk of stream) for (const one of chunk.choices) texts[one.index] += one.delta.content ?? '';
    expect(texts).toEqual(choices.map(({ message }) => message.content));
    const rated = await create({ ...greedy, messages, logprobs: true, top_logprobs: 2 });
    const content = rated.choices[0]?.logprobs?.content ?? [];
    expect(content).toHaveLength(12);
    expect(content[0]?.top_logprobs).toHaveLength(2);
    expect(content.map(({ token }) => token).join('')).toBe(rated.choices[0]?.message.content);
    const whole = single.choices[0]?.message.content ?? '';
    const stop = whole.slice(5, 8);
    const stopped = await create({ ...greedy, temperature: 1, seed: 8, messages, stop });
    expect(stopped.choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: whole.split(stop)[0] } });
  });

  test('follow a JSON schema, in streams, too', async () => {
    const schema = {
      type: 'object',
      properties: { n: { enum: [1, 2] } },
      required: ['n'],
      additionalProperties: false,
    };
    const response_format = { type: 'json_schema' as const, json_schema: { name: 'a', schema } };
    const body = { ...greedy, max_tokens: 40, messages, response_format };
    const { choices } = await running.client.chat.completions.create(body);
    expect(JSON.parse(choices[0]?.message.content ?? '')).toEqual({ n: expect.any(Number) });
    expect(choices[0]?.finish_reason).toBe('stop');
    const streamed = await running.client.chat.completions.stream(body).finalContent();
    expect(streamed).toBe(choices[0]?.message.content);
  });
});

describe('errors', () => {
  test.each([
    ['an unknown model', { ...greedy, model: 'other', messages }, 404, 'model_not_found'],
    [
      'a conversation that is too long',
      { ...greedy, messages: [{ role: 'user' as const, content: 'sea '.repeat(3000) }] },
      400,
      'ERR_CONTEXT',
    ],
    ['a field that is not computed', { ...greedy, messages, reasoning_effort: 'low' as const }, 400, 'ERR_ARGUMENT'],
    ['an option out of range', { ...greedy, messages, temperature: 9 }, 400, 'ERR_ARGUMENT'],
  ])('%s', async (_what, body, status, code) => {
    for (const stream of [false, true]) {
      expect(await failureOf(running.client.chat.completions.create({ ...body, stream }))).toMatchObject({
        status,
        code,
      });
    }
  });

  test('a deadline', async () => {
    const body = { ...greedy, messages, max_tokens: 400, deadline_ms: 1 };
    const late = { status: 504, code: 'ERR_DEADLINE' };
    expect(await failureOf(running.client.chat.completions.create(body))).toMatchObject(late);
    // The first token may come within the millisecond: then the head of the stream is sent, and the error is an event.
    const streamed = async () => {
      for await (const _chunk of await running.client.chat.completions.create({ ...body, stream: true }));
    };
    const { status, code } = await failureOf(streamed());
    expect(code).toBe('ERR_DEADLINE');
    expect([504, undefined]).toContain(status);
  });

  test('name the field, and ignore those without effect', async () => {
    const bad = { ...greedy, messages, reasoning_effort: 'low' as const };
    expect((await failureOf(running.client.chat.completions.create(bad))).message).toContain('reasoning_effort');
    const fine = { ...greedy, messages, user: 'u', metadata: { a: 'b' }, store: true, service_tier: 'auto' as const };
    expect((await running.client.chat.completions.create(fine)).choices).toHaveLength(1);
  });
});
