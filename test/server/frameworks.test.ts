// The server with the clients of frameworks: the Vercel AI SDK's for OpenAI-compatible servers, and LangChain's.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { HumanMessage } from '@langchain/core/messages';
import { tool as langchainTool } from '@langchain/core/tools';
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai';
import { embedMany, generateText, jsonSchema, streamText, tool } from 'ai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { plainTemplate } from '../../src/server/served-models.js';
import { type RunningServer, startServer } from './running-server.js';

let running: RunningServer;
let expected: string;
const messages = [{ role: 'user', content: 'The sea' }];

beforeAll(async () => {
  running = await startServer({ apiKeys: ['secret'] });
  expected = (await running.model.chat(messages, { template: plainTemplate, maxTokens: 12 }).result).text;
});
afterAll(() => running.stop());

const city = {
  type: 'object' as const,
  properties: { city: { enum: ['Oslo', 'Rome'] } },
  required: ['city'],
  additionalProperties: false,
};

describe('the AI SDK', () => {
  const provider = () =>
    createOpenAICompatible({ name: 'tesserae', baseURL: `${running.url}/v1`, apiKey: 'secret', includeUsage: true });
  const settings = { prompt: 'The sea', temperature: 0, maxOutputTokens: 12, maxRetries: 0 };

  test('generates, streams and embeds', async () => {
    const model = provider()('tiny');
    const whole = await generateText({ model, ...settings });
    expect(whole.text).toBe(expected);
    expect(whole.usage.outputTokens).toBe(12);
    const stream = streamText({ model, ...settings });
    expect(await stream.text).toBe(expected);
    expect((await stream.usage).outputTokens).toBe(12);
    const { embeddings } = await embedMany({
      model: provider().embeddingModel('tiny'),
      values: ['the sea', 'the tax'],
    });
    expect(embeddings).toEqual((await running.model.embed(['the sea', 'the tax'])).map((vector) => Array.from(vector)));
  });

  test('calls tools', async () => {
    const weather = tool({ inputSchema: jsonSchema<{ city: string }>(city), execute: async () => 'rain' });
    const { toolCalls } = await generateText({
      model: provider()('tiny'),
      ...settings,
      maxOutputTokens: 100,
      tools: { weather },
      toolChoice: { type: 'tool', toolName: 'weather' },
    });
    expect(toolCalls).toMatchObject([{ toolName: 'weather', input: { city: expect.stringMatching(/^(Oslo|Rome)$/) } }]);
  });
});

describe('LangChain', () => {
  test('binds strict tools that the model may call', async () => {
    const weather = langchainTool(() => 'rain', { name: 'weather', description: 'of a city', schema: city });
    const chat = new ChatOpenAI({ ...fields, temperature: 0, maxTokens: 12, configuration: configuration() });
    const answer = await chat.bindTools([weather], { strict: true, parallel_tool_calls: false }).invoke('The sea');
    expect(answer.text).toBe(expected);
  });

  const configuration = () => ({ baseURL: `${running.url}/v1` });
  const fields = { model: 'tiny', apiKey: 'secret', maxRetries: 0 };

  test('chats, streams and embeds', async () => {
    const chat = new ChatOpenAI({ ...fields, temperature: 0, maxTokens: 12, configuration: configuration() });
    const answer = await chat.invoke([new HumanMessage('The sea')]);
    expect(answer.text).toBe(expected);
    let text = '';
    for await (const chunk of await chat.stream([new HumanMessage('The sea')])) text += chunk.text;
    expect(text).toBe(expected);
    const embeddings = new OpenAIEmbeddings({ ...fields, configuration: configuration() });
    expect(await embeddings.embedQuery('the sea')).toEqual(Array.from(await running.model.embed('the sea')));
  });

  test('calls tools', async () => {
    const weather = langchainTool(() => 'rain', { name: 'weather', description: 'of a city', schema: city });
    const chat = new ChatOpenAI({ ...fields, temperature: 0, maxTokens: 100, configuration: configuration() });
    const answer = await chat.bindTools([weather], { tool_choice: 'weather' }).invoke('Weather?');
    expect(answer.tool_calls).toMatchObject([
      { name: 'weather', args: { city: expect.stringMatching(/^(Oslo|Rome)$/) } },
    ]);
  });
});
