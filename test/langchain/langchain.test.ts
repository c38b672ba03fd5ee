// tesserae/langchain with the real package: texts, streams, tools, structured output, cancelling, usage, embeddings.
import { type AIMessage, HumanMessage, SystemMessage, ToolMessage } from '@langchain/core/messages';
import { ChatPromptTemplate } from '@langchain/core/prompts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Engine, type Model } from '../../src/index.js';
import { ChatTesserae, TesseraeEmbeddings } from '../../src/langchain/index.js';
import { scriptedModel } from '../server/scripted-model.js';
import { bundledModelPath } from '../support/models/bundled-model.js';

let engine: Engine;
let model: Model;

beforeAll(async () => {
  engine = await Engine.create({ threads: 2, memoryBudget: 2 ** 30 });
  model = await engine.loadModel(bundledModelPath);
});
afterAll(() => engine.close());

const options = { maxTokens: 16, seed: 7, temperature: 0.9 };

test('a text, and the same text as a stream, with usage', async () => {
  const chat = new ChatTesserae({ model, options });
  const tokens: string[] = [];
  const whole = await chat.invoke('Tell me of the sea.', {
    callbacks: [{ handleLLMNewToken: (token: string) => void tokens.push(token) }],
  });
  expect(whole.text.length).toBeGreaterThan(0);
  expect(whole.usage_metadata).toMatchObject({ output_tokens: 16 });
  expect(whole.response_metadata).toMatchObject({ finish_reason: 'length' });
  expect(tokens.join('')).toBe(whole.text);
  let streamed = '';
  let usage: unknown;
  for await (const chunk of await chat.stream('Tell me of the sea.')) {
    streamed += chunk.text;
    usage = chunk.usage_metadata ?? usage;
  }
  expect(streamed).toBe(whole.text);
  expect(whole.usage_metadata).toMatchObject(usage as object);
  const chain = ChatPromptTemplate.fromMessages([['user', 'Tell me of {what}.']]).pipe(chat);
  expect((await chain.invoke({ what: 'the sea' })).text).toBe(whole.text);
  expect(await chat.batch(['Tell me of the sea.', 'x'])).toMatchObject([{ content: whole.content }, {}]);
});

test('a call has options, stops and a signal of its own', async () => {
  const chat = new ChatTesserae({ model, options });
  const short = await chat.invoke('Tell me of the sea.', { options: { maxTokens: 2 } });
  expect(short.usage_metadata).toMatchObject({ output_tokens: 2 });
  const stop = new AbortController();
  const call = chat.invoke('Go on', { options: { maxTokens: 200 }, signal: stop.signal });
  setTimeout(() => stop.abort(), 20);
  await expect(call).rejects.toThrow(/abort/i);
  while (engine.pressure().running > 0) await new Promise(setImmediate);
  await expect(chat.invoke('x '.repeat(5000))).rejects.toMatchObject({ code: 'ERR_CONTEXT' });
  const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } };
  await expect(chat.invoke([new HumanMessage({ content: [image] })])).rejects.toMatchObject({
    code: 'ERR_UNSUPPORTED',
  });
});

const weather = {
  name: 'weather',
  description: 'the weather in a city',
  schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};

test('tools are called, and told of their results', async () => {
  const call = '<tool_call>{"name": "weather", "arguments": {"city": "Oslo"}}</tool_call>';
  const { model: scripted, seen } = scriptedModel({ pieces: ['<think>', 'Hm', '</think>', 'Look: ', call] });
  const chat = new ChatTesserae({ model: scripted }).bindTools([weather]);
  const answer = await chat.invoke('How is it in Oslo?');
  expect(answer.tool_calls).toMatchObject([{ name: 'weather', args: { city: 'Oslo' } }]);
  expect(answer.additional_kwargs).toMatchObject({ reasoning_content: 'Hm' });
  const id = answer.tool_calls?.[0]?.id as string;
  const result = new ToolMessage({ content: 'clear', tool_call_id: id, name: 'weather' });
  await chat.invoke([new SystemMessage('Be short.'), new HumanMessage('How is it?'), answer as AIMessage, result]);
  expect(seen.messages).toMatchObject([
    { role: 'system', content: 'Be short.' },
    { role: 'user', content: 'How is it?' },
    { role: 'assistant', tool_calls: [{ id, function: { name: 'weather', arguments: { city: 'Oslo' } } }] },
    { role: 'tool', content: 'clear', tool_call_id: id },
  ]);
  let calls = 0;
  for await (const chunk of await chat.stream('How is it in Oslo?')) calls += chunk.tool_call_chunks?.length ?? 0;
  expect(calls).toBe(1);
  await new ChatTesserae({ model: scripted }).bindTools([weather], { tool_choice: 'any' }).invoke('x');
  expect(seen.options?.format).toMatchObject({ jsonSchema: { type: 'array' } });
  await new ChatTesserae({ model: scripted }).bindTools([weather], { strict: true }).invoke('x');
  expect(seen.options?.format).toMatchObject({ triggers: expect.any(Array) });
  expect(seen.options?.tools).toMatchObject([{ function: { strict: true } }]);
  await new ChatTesserae({ model: scripted }).bindTools([weather], { parallel_tool_calls: false }).invoke('x');
  expect(seen.options?.format).toMatchObject({ triggers: expect.any(Array) });
  const formatted = new ChatTesserae({ model: scripted, options: { format: { json: true } } });
  await expect(formatted.bindTools([weather], { strict: true }).invoke('x')).rejects.toMatchObject({
    code: 'ERR_ARGUMENT',
  });
});

test('structured output follows its schema', async () => {
  const chat = new ChatTesserae({ model, options: { ...options, maxTokens: 80 } });
  const colour = { type: 'object', properties: { colour: { enum: ['red', 'blue'] } }, required: ['colour'] };
  const { colour: chosen } = await chat.withStructuredOutput({ title: 'paint', ...colour }).invoke('A colour');
  expect(['red', 'blue']).toContain(chosen);
});

test('embeddings are those of the model', async () => {
  const embeddings = new TesseraeEmbeddings({ model, options: { dimensions: 16 } });
  const texts = ['the sea', 'the law'];
  const direct = (await model.embed(texts, { dimensions: 16 })).map((vector) => Array.from(vector));
  expect(await embeddings.embedDocuments(texts)).toEqual(direct);
  expect(await embeddings.embedQuery('the sea')).toEqual(direct[0]);
});
