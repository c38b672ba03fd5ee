// The runner of jobs on a real model: results, options, waiting for room, progress, draining, and what errors mean.
import { getEventListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { AbortError, type ErrorCode, TesseraeError } from '../../src/base/errors.js';
import { createJobRunner, type JobProgress, jobFailureOf } from '../../src/jobs/index.js';
import { ThrottledProgress } from '../../src/jobs/job-progress.js';
import { bundledModelPath } from '../support/models/bundled-model.js';
import { expectAbort, expectRejection } from '../support/rejections.js';
import { sharedEngines } from '../support/running/engines.js';

const engineOf = sharedEngines();
const loadModel = async (serving = {}) => (await engineOf({ threads: 1 })).loadModel(bundledModelPath, { serving });
const template = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}";

describe('results', () => {
  test('are those of the model, as plain JSON', async () => {
    const model = await loadModel();
    const texts = ['the sea', 'the tax'];
    const vectors = await model.embed(texts);
    const embed = createJobRunner(model, { kind: 'embed' });
    const expected = vectors.map((vector) => Array.from(vector));
    expect(await embed.run({ texts })).toEqual({ vectors: expected });
    expect(await embed.run({ text: 'the tax' })).toEqual({ vector: expected[1] });
    const packed = await createJobRunner(model, { kind: 'embed', vectors: 'base64' }).run({ text: 'the tax' });
    const bytes = Buffer.from(packed.vector as string, 'base64');
    expect(Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i))).toEqual(expected[1]);

    const options = { maxTokens: 12, temperature: 1, seed: 3 };
    const { timings, tokensPerSecond, ...generated } = await model.generate('The whale', options).result;
    const generate = createJobRunner(model, { kind: 'generate', options });
    const job = await generate.run({ prompt: 'The whale' });
    expect(job).toEqual(generated);
    expect(JSON.parse(JSON.stringify(job))).toEqual(generated);

    const messages = [{ role: 'user', content: 'The law' }];
    const answer = await model.chat(messages, { template, maxTokens: 5 }).result;
    const chat = createJobRunner(model, { kind: 'chat', options: { template, maxTokens: 5 } });
    expect(await chat.run({ messages })).toMatchObject({ text: answer.text, tokens: answer.tokens });
    model.dispose();
  });

  test('follow the options of a job before those of the runner', async () => {
    const model = await loadModel();
    const runner = createJobRunner(model, { kind: 'generate', options: { maxTokens: 3, logprobs: 1 } });
    const result = await runner.run({ prompt: 'The whale', options: { maxTokens: 5 } });
    expect(result.tokens).toHaveLength(5);
    expect(result.logprobs).toHaveLength(5);
    const embed = createJobRunner(model, { kind: 'embed', options: { truncate: 'end' } });
    const long = Array.from({ length: model.info.contextLength + 10 }, () => 5);
    const [tokens, kept] = [long.length, model.info.contextLength];
    expect(await embed.run({ texts: ['short', long] })).toMatchObject({ truncated: [{ index: 1, tokens, kept }] });
    model.dispose();
  });
});

test('wrong jobs and wrong options are refused', async () => {
  const model = await loadModel();
  const make = (options: object) => createJobRunner(model, options as { kind: 'embed' });
  for (const options of [
    {},
    { kind: 'other' },
    { kind: 'embed', speed: 1 },
    { kind: 'embed', vectors: 'f16' },
    { kind: 'generate', vectors: 'numbers' },
    { kind: 'embed', options: 3 },
    { kind: 'embed', progressMs: -1 },
  ]) {
    await expectRejection(() => make(options), 'ERR_ARGUMENT');
  }
  const embed = createJobRunner(model, { kind: 'embed' });
  for (const data of [
    undefined,
    {},
    { text: 'a', texts: ['b'] },
    { texts: 'a' },
    { text: 'a', options: { speed: 1 } },
    { text: 'a', options: { signal: null } },
    { text: 'a', options: { settle: true } },
    { text: 'a', options: 'fast' },
    { text: 7 },
    { texts: [7, 8] },
  ]) {
    await expectRejection(embed.run(data as never), 'ERR_ARGUMENT');
  }
  await expectRejection(embed.run({ text: 'a' }, { attempt: 0 }), 'ERR_ARGUMENT');
  await expectRejection(createJobRunner(model, { kind: 'generate' }).run({} as never), 'ERR_ARGUMENT');
  await expectRejection(createJobRunner(model, { kind: 'chat' }).run({} as never), 'ERR_ARGUMENT');
  expect(embed.running).toBe(0);
  model.dispose();
});

describe('capacity', () => {
  test('jobs wait where single calls would be refused', async () => {
    const model = await loadModel({ maxQueued: 8 });
    const prompts = Array.from({ length: 150 }, (_, i) => `The ${i}`);
    const single = await Promise.allSettled(prompts.map((prompt) => model.generate(prompt, { maxTokens: 2 }).result));
    const refused = single.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
    expect(refused.map(({ reason }) => (reason as TesseraeError).code)).toContain('ERR_QUEUE_FULL');
    const runner = createJobRunner(model, { kind: 'generate', options: { maxTokens: 2 } });
    const results = await Promise.all(prompts.map((prompt) => runner.run({ prompt })));
    expect(results.every(({ tokens }) => tokens.length === 2)).toBe(true);
    model.dispose();
  });

  test('the time that a job waits for room counts towards its deadline, and its signal ends the waiting', async () => {
    const full = () => ({
      next: async () => Promise.reject(new TesseraeError('ERR_QUEUE_FULL', 'full')),
      result: null,
    });
    const deadlines: number[] = [];
    const generate = (_: unknown, { deadlineMs }: { deadlineMs: number }) => {
      deadlines.push(deadlineMs);
      return full();
    };
    const runner = createJobRunner({ generate } as never, { kind: 'generate', options: { deadlineMs: 10_000 } });
    const cancel = new AbortController();
    const job = runner.run({ prompt: 'a' }, { signal: cancel.signal, onProgress: () => {} });
    while (deadlines.length < 3) await sleep(5);
    cancel.abort('enough');
    await expectAbort(job, 'enough');
    expect(deadlines[0]).toBe(10_000);
    // Each of the two waits may end a millisecond early: timers count from when the event loop began its turn.
    expect(deadlines[2]).toBeLessThanOrEqual(10_000 - (25 - 1) - (50 - 1));
  });
});

describe('progress', () => {
  test('counts texts and tokens of an attempt', async () => {
    const model = await loadModel();
    const reports: JobProgress[] = [];
    const onProgress = (progress: JobProgress) => reports.push(progress);
    const embed = createJobRunner(model, { kind: 'embed', progressMs: 0 });
    await embed.run({ texts: Array.from({ length: 200 }, (_, i) => `text ${i}`) }, { onProgress, attempt: 2 });
    expect(reports.length).toBeGreaterThan(0);
    for (const report of reports) expect(report).toEqual({ attempt: 2, done: report.done, total: 200 });
    reports.length = 0;
    const generate = createJobRunner(model, { kind: 'generate', progressMs: 0, options: { maxTokens: 200 } });
    await generate.run({ prompt: 'The whale', options: { ignoreEos: true } }, { onProgress });
    expect(reports.length).toBeGreaterThan(0);
    for (const report of reports) expect(report).toEqual({ attempt: 1, done: report.done, total: 200 });
    model.dispose();
  });

  test('is reported one at a time, the latest value, and never after the end', async () => {
    const reports: number[] = [];
    let finish: (() => void) | undefined;
    const progress = new ThrottledProgress(async ({ done }) => {
      reports.push(done);
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
    }, 1);
    const update = (done: number) => progress.update({ attempt: 1, done, total: null });
    update(1);
    update(2);
    while (finish === undefined) await sleep(1);
    update(3);
    update(4);
    await sleep(10);
    expect(reports).toEqual([2]);
    finish();
    while (reports.length < 2) await sleep(1);
    expect(reports).toEqual([2, 4]);
    update(5);
    finish();
    progress.end();
    update(6);
    await sleep(10);
    expect(reports).toEqual([2, 4]);
  });

  test.each([
    ['throws', () => JSON.parse('{')],
    ['rejects', () => Promise.reject(new Error('Missing key for job 7'))],
  ])('that %s harms nothing', async (_how, onProgress) => {
    const model = await loadModel();
    const runner = createJobRunner(model, { kind: 'generate', progressMs: 0, options: { maxTokens: 100 } });
    const result = await runner.run({ prompt: 'The whale', options: { ignoreEos: true } }, { onProgress });
    expect(result.tokens).toHaveLength(100);
    model.dispose();
  });
});

describe('draining', () => {
  test('finishes what runs, refuses what comes, and then resolves', async () => {
    const model = await loadModel();
    const runner = createJobRunner(model, { kind: 'generate', options: { maxTokens: 50 } });
    const job = runner.run({ prompt: 'The whale', options: { ignoreEos: true } });
    const drained = Promise.all([runner.drain(), runner.drain()]);
    expect(jobFailureOf(await expectRejection(runner.run({ prompt: 'The sea' }), 'ERR_ENGINE_CLOSED'))).toBe('release');
    expect(await drained).toEqual([0, 0]);
    expect((await job).tokens).toHaveLength(50);
    expect(await runner.drain()).toBe(0);
    model.dispose();
  });

  test('gives back what takes longer than the time of grace', async () => {
    const model = await loadModel();
    const runner = createJobRunner(model, { kind: 'generate', options: { maxTokens: 500, ignoreEos: true } });
    const jobs = [1, 2, 3].map((i) => runner.run({ prompt: `The ${i}` }));
    const refusals = Promise.all(
      jobs.map((job) => expectRejection(job, 'ERR_ENGINE_CLOSED', /goes back to its queue/)),
    );
    expect(await runner.drain({ graceMs: 0 })).toBe(3);
    await refusals;
    const engine = await engineOf({ threads: 1 });
    expect(engine.pressure()).toMatchObject({ queued: 0, running: 0, pagesUsed: 0 });
    await expectRejection(runner.drain({ graceMs: -1 }), 'ERR_ARGUMENT');
    model.dispose();
  });
});

test('a signal of another class cancels a job', async () => {
  const model = await loadModel();
  const runner = createJobRunner(model, { kind: 'generate', options: { maxTokens: 500, ignoreEos: true } });
  const target = new EventTarget();
  const signal = Object.assign(target, { aborted: false, reason: undefined as unknown });
  const job = runner.run({ prompt: 'The whale' }, { signal });
  setTimeout(() => {
    Object.assign(signal, { aborted: true, reason: 'enough' });
    target.dispatchEvent(new Event('abort'));
  }, 5);
  await expectAbort(job, 'enough');
  await expectAbort(runner.run({ prompt: 'The whale' }, { signal }), 'enough');
  model.dispose();
});

test('one signal for many jobs is listened to once', async () => {
  const model = await loadModel();
  const runner = createJobRunner(model, { kind: 'embed' });
  const { signal } = new AbortController();
  const jobs = Array.from({ length: 20 }, (_, i) => runner.run({ text: `text ${i}` }, { signal }));
  expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  await Promise.all(jobs);
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  model.dispose();
});

describe('what an error means for its job', () => {
  test.each([
    ['ERR_CONTEXT', 'final'],
    ['ERR_ARGUMENT', 'final'],
    ['ERR_DEADLINE', 'final'],
    ['ERR_UNSUPPORTED', 'final'],
    ['ERR_WORKER_LOST', 'retry'],
    ['ERR_BUDGET', 'retry'],
    ['ERR_QUEUE_FULL', 'retry'],
    ['ERR_ENGINE_CLOSED', 'release'],
  ] as [ErrorCode, string][])('%s: %s', (code, failure) => {
    expect(jobFailureOf(new TesseraeError(code, 'x'))).toBe(failure);
  });

  test('what can never fit, a cancellation, and errors of others', () => {
    expect(jobFailureOf(new TesseraeError('ERR_BUDGET', 'x', { neverFits: true }))).toBe('final');
    expect(jobFailureOf(new AbortError('x'))).toBe('cancelled');
    expect(jobFailureOf(Object.assign(new Error('x'), { code: 'ECONNRESET' }))).toBe('retry');
    expect(jobFailureOf(Object.assign(new Error('x'), { code: 'toString' }))).toBe('retry');
    expect(jobFailureOf(undefined)).toBe('retry');
  });
});
