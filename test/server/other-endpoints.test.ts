// Completions and embeddings with the official client of OpenAI's API, and tokens.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { post, type RunningServer, startServer } from './running-server.js';

let running: RunningServer;
beforeAll(async () => {
  running = await startServer();
});
afterAll(() => running.stop());

const greedy = { model: 'tiny', temperature: 0, max_tokens: 10 };

describe('completions', () => {
  test('give what the model gives, for texts and ids, many at once', async () => {
    const { client, model } = running;
    const ids = model.tokenizer.encode('The whale', { addBos: model.tokenizer.addsBos });
    const prompts = ['The sea', 'The whale'];
    const expected = await Promise.all(prompts.map((prompt) => model.generate(prompt, { maxTokens: 10 }).result));
    const { choices, usage } = await client.completions.create({ ...greedy, prompt: prompts });
    expect(choices.map(({ text }) => text)).toEqual(expected.map(({ text }) => text));
    expect(usage?.prompt_tokens).toBe(expected.reduce((sum, { promptTokens }) => sum + promptTokens, 0));
    const byIds = await client.completions.create({ ...greedy, prompt: ids, echo: false });
    expect(byIds.choices[0]?.text).toBe(expected[1]?.text);
    const short = await client.completions.create({ model: 'tiny', prompt: 'The sea', n: 2, seed: 3 });
    expect(short.usage?.completion_tokens).toBe(32);
  });

  test('stream, echo, and give log probabilities in the old form', async () => {
    const { client } = running;
    const body = { ...greedy, prompt: 'The sea', logprobs: 2 };
    const { choices } = await client.completions.create(body);
    const { text, logprobs } = choices[0] as (typeof choices)[0];
    expect(logprobs?.tokens?.join('')).toBe(text);
    expect(logprobs?.text_offset?.slice(0, 2)).toEqual([0, logprobs?.tokens?.[0]?.length]);
    expect(Object.keys(logprobs?.top_logprobs?.[0] ?? {})).toHaveLength(2);
    let streamed = '';
    const stream = await client.completions.create({ ...greedy, prompt: 'The sea', echo: true, stream: true });
    for await (const chunk of stream) streamed += chunk.choices[0]?.text;
    expect(streamed).toBe(`The sea${text}`);
  });
});

describe('embeddings', () => {
  test('are those of the model, as numbers and as base64', async () => {
    const { client, model, url } = running;
    const input = ['the sea', 'the tax and the government'];
    const expected = (await model.embed(input)).map((vector) => Array.from(vector));
    // The client asks for base64 by itself.
    const { data, usage } = await client.embeddings.create({ model: 'tiny', input });
    expect(data.map(({ embedding }) => embedding)).toEqual(expected);
    const reply = await post(`${url}/v1/embeddings`, { input, dimensions: 8 });
    const body = (await reply.json()) as { data: { index: number; embedding: number[] }[] };
    expect(body.data.map(({ index, embedding }) => [index, embedding.length])).toEqual([
      [0, 8],
      [1, 8],
    ]);
    const counts = input.map((text) => model.tokenizer.encode(text, { addBos: true, addEos: false }).length);
    expect(usage.prompt_tokens).toBeLessThanOrEqual(counts.reduce((a, b) => a + b) + 2);
    const tooLong = await post(`${url}/v1/embeddings`, { input: ['a', 'sea '.repeat(3000)] });
    expect(tooLong.status).toBe(400);
  });
});

describe('tokens', () => {
  test('go to ids and back', async () => {
    const { model, url } = running;
    const text = 'The history of the sea, again';
    const reply = await post(`${url}/tokenize`, { prompt: text, add_special_tokens: false });
    const { tokens, count, max_model_len } = (await reply.json()) as {
      tokens: number[];
      count: number;
      max_model_len: number;
    };
    expect(tokens).toEqual(model.tokenizer.encode(text));
    expect([count, max_model_len]).toEqual([tokens.length, model.info.sessionCapacity]);
    const back = await post(`${url}/detokenize`, { tokens });
    expect(await back.json()).toEqual({ prompt: text });
    expect((await post(`${url}/detokenize`, { tokens: [1e9] })).status).toBe(400);
    expect((await post(`${url}/tokenize`, { prompt: 5 })).status).toBe(400);
  });
});
