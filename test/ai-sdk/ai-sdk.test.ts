// tesserae/ai-sdk with the real SDK: texts, streams, tools, objects, reasoning, cancelling, usage, embeddings.
import { embed, embedMany, generateText, jsonSchema, Output, stepCountIs, streamText, tool } from 'ai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTesserae, type TesseraeProvider } from '../../src/ai-sdk/index.js';
import { Engine, type Model } from '../../src/index.js';
import { scriptedModel } from '../server/scripted-model.js';
import { bundledModelPath } from '../support/models/bundled-model.js';

let engine: Engine;
let model: Model;
let tesserae: TesseraeProvider;

beforeAll(async () => {
  engine = await Engine.create({ threads: 2, memoryBudget: 2 ** 30 });
  model = await engine.loadModel(bundledModelPath);
  tesserae = createTesserae({ models: { tiny: model } });
});
afterAll(() => engine.close());

const settings = { maxOutputTokens: 16, seed: 7, temperature: 0.9, topK: 40, maxRetries: 0 };

test('a text, and the same text as a stream, with usage', async () => {
  const whole = await generateText({ model: tesserae('tiny'), prompt: 'Tell me of the sea.', ...settings });
  const direct = await model.chat([{ role: 'user', content: 'Tell me of the sea.' }], {
    maxTokens: 16,
    seed: 7,
    temperature: 0.9,
    topK: 40,
    template:
      '{% for message in messages %}{{ message.role | capitalize }}: {{ message.content }}\n{% endfor %}Assistant:',
  }).result;
  expect(whole.text).toBe(direct.text);
  expect(whole.usage).toMatchObject({ inputTokens: direct.promptTokens, outputTokens: direct.tokens.length });
  expect(whole.finishReason).toBe('length');
  expect(whole.warnings).toEqual([]);
  const stream = streamText({ model: tesserae('tiny'), prompt: 'Tell me of the sea.', ...settings });
  const parts: string[] = [];
  for await (const part of stream.textStream) parts.push(part);
  expect(parts.join('')).toBe(whole.text);
  expect(parts.length).toBeGreaterThan(4);
  expect(await stream.usage).toEqual(whole.usage);
  expect(await stream.finishReason).toBe('length');
});

test('an object by its schema', async () => {
  const schema = jsonSchema<{ colour: string }>({
    type: 'object',
    properties: { colour: { enum: ['red', 'blue'] } },
    required: ['colour'],
    additionalProperties: false,
  });
  const { output } = await generateText({
    model: tesserae('tiny'),
    prompt: 'A colour',
    output: Output.object({ schema }),
    ...settings,
    maxOutputTokens: 60,
  });
  expect(['red', 'blue']).toContain(output.colour);
});

test('a signal ends a stream, and frees what it held', async () => {
  const stop = new AbortController();
  const errors: unknown[] = [];
  const stream = streamText({
    model: tesserae('tiny'),
    prompt: 'Go on',
    ...settings,
    maxOutputTokens: 100,
    abortSignal: stop.signal,
    onError: ({ error }) => void errors.push(error),
  });
  for await (const _ of stream.textStream) {
    stop.abort();
    break;
  }
  await expect(
    generateText({ model: tesserae('tiny'), prompt: 'x', ...settings, abortSignal: AbortSignal.abort() }),
  ).rejects.toMatchObject({ name: 'AbortError' });
  while (engine.pressure().running > 0) await new Promise(setImmediate);
  expect(engine.pressure()).toMatchObject({ queued: 0, running: 0 });
});

test('errors of the model and options of ours reach their caller', async () => {
  await expect(generateText({ model: tesserae('tiny'), prompt: 'x '.repeat(5000), ...settings })).rejects.toMatchObject(
    { code: 'ERR_CONTEXT' },
  );
  await expect(
    generateText({
      model: tesserae('tiny'),
      prompt: 'x',
      ...settings,
      providerOptions: { tesserae: { priority: 1000 } },
    }),
  ).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
  expect(() => tesserae('other')).toThrow(/no model "other"/);
  const image = { type: 'image' as const, image: new Uint8Array([1, 2, 3]), mediaType: 'image/png' };
  await expect(
    generateText({ model: tesserae('tiny'), messages: [{ role: 'user', content: [image] }], ...settings }),
  ).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED' });
});

test('tools are called and told of their results, whole and streamed', async () => {
  const call = '<tool_call>{"name": "weather", "arguments": {"city": "Oslo"}}</tool_call>';
  const { model: scripted, seen } = scriptedModel({ pieces: ['Let me look. ', call] });
  const provider = createTesserae({ models: { scripted } });
  const weather = tool({
    description: 'the weather in a city',
    inputSchema: jsonSchema<{ city: string }>({ type: 'object', properties: { city: { type: 'string' } } }),
    execute: async ({ city }) => ({ city, sky: 'clear' }),
  });
  const shared = { model: provider('scripted'), prompt: 'How is it in Oslo?', tools: { weather }, maxRetries: 0 };
  const { steps } = await generateText({ ...shared, stopWhen: stepCountIs(2) });
  expect(steps[0]).toMatchObject({ text: 'Let me look.', finishReason: 'tool-calls' });
  expect(steps[0]?.toolCalls).toMatchObject([{ toolName: 'weather', input: { city: 'Oslo' } }]);
  expect(steps[0]?.toolResults).toMatchObject([{ output: { city: 'Oslo', sky: 'clear' } }]);
  // The second step has the call and its result, as templates expect them.
  expect(seen.messages).toMatchObject([
    { role: 'user', content: 'How is it in Oslo?' },
    { role: 'assistant', tool_calls: [{ function: { name: 'weather', arguments: { city: 'Oslo' } } }] },
    { role: 'tool', name: 'weather', content: '{"city":"Oslo","sky":"clear"}' },
  ]);
  expect(seen.options?.tools).toMatchObject([{ function: { name: 'weather', description: 'the weather in a city' } }]);
  const stream = streamText(shared);
  const kinds: string[] = [];
  for await (const { type } of stream.fullStream) kinds.push(type);
  expect(kinds).toEqual(
    expect.arrayContaining(['text-delta', 'tool-input-start', 'tool-call', 'tool-result', 'finish']),
  );
  expect(await stream.finishReason).toBe('tool-calls');
  const forced = scriptedModel({ pieces: ['[{"name": "weather", "arguments": {"city": "Oslo"}}]'] });
  const only = createTesserae({ models: { forced: forced.model } })('forced');
  const { toolCalls } = await generateText({ ...shared, model: only, toolChoice: 'required' });
  expect(toolCalls).toMatchObject([{ toolName: 'weather', input: { city: 'Oslo' } }]);
  expect(forced.seen.options?.format).toMatchObject({ jsonSchema: { type: 'array' } });
  await generateText({ ...shared, tools: { weather: { ...weather, strict: true } } });
  expect(seen.options?.format).toMatchObject({ triggers: expect.any(Array) });
});

test('reasoning is kept apart', async () => {
  const { model: scripted } = scriptedModel({ pieces: ['<think>', 'Hm', '</think>', 'Yes'] });
  const provider = createTesserae({ models: { scripted } });
  const { text, reasoningText } = await generateText({ model: provider('scripted'), prompt: 'x', maxRetries: 0 });
  expect({ text, reasoningText }).toEqual({ text: 'Yes', reasoningText: 'Hm' });
  const stream = streamText({ model: provider('scripted'), prompt: 'x', maxRetries: 0 });
  const kinds: string[] = [];
  for await (const { type } of stream.fullStream) kinds.push(type);
  expect(kinds.filter((kind) => /^(text|reasoning)-(start|end)$/.test(kind))).toEqual([
    'reasoning-start',
    'reasoning-end',
    'text-start',
    'text-end',
  ]);
});

test('embeddings are those of the model, with their tokens', async () => {
  const values = ['the sea', 'the law'];
  const { embeddings, usage } = await embedMany({ model: tesserae.embeddingModel('tiny'), values });
  const direct = await model.embed(values);
  expect(embeddings).toEqual(direct.map((vector) => Array.from(vector)));
  expect(usage.tokens).toBeGreaterThan(3);
  const one = await embed({
    model: tesserae.embeddingModel('tiny'),
    value: 'the sea',
    providerOptions: { tesserae: { dimensions: 8 } },
  });
  expect(one.embedding).toHaveLength(8);
});

test('models work behind a proxy, as newer versions of the SDK use them', async () => {
  const wrap = <T extends object>(target: T) => new Proxy(target, {});
  const language = wrap(tesserae.languageModel('tiny'));
  expect((await generateText({ model: language, prompt: 'x', ...settings })).text).not.toBe('');
  const { embedding } = await embed({ model: wrap(tesserae.embeddingModel('tiny')), value: 'the sea' });
  expect(embedding.length).toBe(model.info.dim);
});
