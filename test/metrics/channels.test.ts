// What is published on the channels of node:diagnostics_channel of requests that complete, are aborted, fail and are preempted.
// Lost workers: test/team/worker-loss.test.ts.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, expect, test, vi } from 'vitest';
import { Engine } from '../../src/engine.js';
import type { EndMessage, FirstTokenMessage, RequestMessage } from '../../src/metrics/channels.js';
import { modelFiles, modelPaths, someIds, tiny } from '../support/models/model-files.js';
import { expectAbort, expectRejection } from '../support/rejections.js';
import { preemptOften } from '../support/running/serving.js';

const write = modelFiles();
const writeAny = modelPaths();
const listeners: [name: string, listener: (message: unknown) => void][] = [];
afterEach(() => {
  vi.restoreAllMocks();
  for (const [name, listener] of listeners.splice(0)) unsubscribe(name, listener);
});

/** Messages by the last part of their channel's name, as they come. */
function listen(): [event: string, message: RequestMessage][] {
  const heard: [string, RequestMessage][] = [];
  for (const event of ['begin', 'first-token', 'end', 'abort', 'preempt']) {
    const listener = (message: unknown) => heard.push([event, message as RequestMessage]);
    subscribe(`tesserae:request:${event}`, listener);
    listeners.push([`tesserae:request:${event}`, listener]);
  }
  return heard;
}

test('a request is told of from its beginning to its end', async () => {
  await using engine = await Engine.create({ threads: 2, memoryBudget: 2 ** 28 });
  const model = await engine.loadModel(await write(tiny));
  const heard = listen();
  const prompt = someIds(70, tiny.vocab);
  const options = { maxTokens: 5, ignoreEos: true, priority: 3, tenant: 'blue' };
  await model.generate(prompt, options).result;
  await model.generate(prompt, options).result;
  expect(heard.map(([event]) => event)).toEqual(['begin', 'first-token', 'end', 'begin', 'first-token', 'end']);
  const [, { request }] = heard[0] as (typeof heard)[0];
  expect(request).toMatchObject({ kind: 'generate', promptTokens: 70, priority: 3, tenant: 'blue' });
  expect(new Set(heard.slice(0, 3).map(([, message]) => message.request))).toEqual(new Set([request]));
  expect(heard[3]?.[1].request.id).toBeGreaterThan(request.id);
  const first = heard[1]?.[1] as FirstTokenMessage;
  const end = heard[2]?.[1] as EndMessage;
  expect(first.timeToFirstTokenMs).toBeGreaterThanOrEqual(first.queueWaitMs);
  expect(end).toMatchObject({ generatedTokens: 5, cachedTokens: 0, stopReason: 'maxTokens', error: undefined });
  expect(end.durationMs).toBeGreaterThanOrEqual(first.timeToFirstTokenMs);
  expect((heard.at(-1)?.[1] as EndMessage | undefined)?.cachedTokens).toBeGreaterThanOrEqual(64);
});

test('each beginning has one end or one abort; what was refused has none', async () => {
  await using engine = await Engine.create({ threads: 2, memoryBudget: 2 ** 28 });
  const model = await engine.loadModel(await write(tiny), { serving: { maxQueued: 2 } });
  const embedder = await engine.loadModel(await writeAny({ architecture: 'bert', context: 512, vocab: 300 }));
  const heard = listen();
  const ids = someIds(20, tiny.vocab);
  const stop = new AbortController();
  const aborted = model.generate(ids, { maxTokens: 100, ignoreEos: true, signal: stop.signal });
  await aborted.next();
  stop.abort('enough');
  await expectAbort(aborted.result, 'enough');
  await embedder.embed(ids);
  await Promise.allSettled(Array.from({ length: 9 }, () => model.generate(ids, { maxTokens: 1 }).result));
  const failed = model.generate(ids, { maxTokens: 300, ignoreEos: true });
  await failed.next();
  model.dispose();
  await expectRejection(failed.result, 'ERR_DISPOSED');
  const begun = heard.filter(([event]) => event === 'begin').map(([, { request }]) => request.id);
  const over = heard.filter(([event]) => event === 'end' || event === 'abort').map(([, { request }]) => request.id);
  expect(over.sort()).toEqual(begun.sort());
  expect(begun.length).toBe(1 + 1 + 2 + 1);
  const errors = heard.map(([event, message]) => [event, (message as EndMessage).error]);
  expect(errors).toContainEqual(['abort', expect.objectContaining({ code: 'ABORT_ERR' })]);
  expect(errors).toContainEqual(['end', expect.objectContaining({ code: 'ERR_DISPOSED' })]);
  expect(heard.find(([, { request }]) => request.kind === 'embed')?.[1].request.promptTokens).toBe(20);
});

test('conversations have a kind of their own, in sessions, too', async () => {
  await using engine = await Engine.create({ threads: 1, memoryBudget: 2 ** 28 });
  const template = '{% for message in messages %}{{ message.content }}{% endfor %}';
  const model = await engine.loadModel(await write(tiny));
  const heard = listen();
  const messages = [{ role: 'user', content: 'Hello' }];
  await model.chat(messages, { template, maxTokens: 1 }).result;
  using session = model.session();
  await session.chat(messages, { template, maxTokens: 1 }).result;
  await session.generate('and', { maxTokens: 1 }).result;
  const kinds = heard.filter(([event]) => event === 'begin').map(([, { request }]) => request.kind);
  expect(kinds).toEqual(['chat', 'chat', 'generate']);
  expect(await engine.metrics()).toContain(
    'tesserae_requests_total{kind="chat",outcome="completed",model="random"} 2\n',
  );
});

test('preemptions are told of', async () => {
  await using engine = await Engine.create({ threads: 2, memoryBudget: 2 ** 28 });
  const model = await engine.loadModel(await write(tiny));
  const heard = listen();
  const made = preemptOften(5, 6);
  await model.generateBatch([someIds(20, tiny.vocab), someIds(40, tiny.vocab)], { maxTokens: 30, ignoreEos: true });
  expect(made.count).toBeGreaterThan(0);
  expect(heard.filter(([event]) => event === 'preempt').length).toBe(made.count);
});
