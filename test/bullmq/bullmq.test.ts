// Processor and worker with BullMQ on a real Redis: results, failures and what BullMQ makes of them, lost locks, removed
// jobs, and closing. Runs with the oldest version that is supported, too (vitest.config.ts). The whole life of several processes is in storm.test.ts.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Job, Queue, QueueEvents, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { AbortError, TesseraeError } from '../../src/base/errors.js';
import { createProcessor, createWorker, type TesseraeProcessor } from '../../src/bullmq/index.js';
import { Engine } from '../../src/engine.js';
import type { JobKind } from '../../src/jobs/index.js';
import type { Model } from '../../src/model/model.js';
import { bundledModelPath } from '../support/models/bundled-model.js';
import { RedisServer } from '../support/running/redis-server.js';

let redis: RedisServer;
let engine: Engine;
let model: Model;
let client: Redis;
let count = 0;
const closing: (() => Promise<unknown>)[] = [];
/** Locks that are renewed and found to be lost within the time of a test. */
const shortLocks = { lockDuration: 1000, stalledInterval: 500, drainDelay: 1, runRetryDelay: 100 };

beforeAll(async () => {
  [redis, engine] = await Promise.all([RedisServer.start(), Engine.create({ threads: 1 })]);
  model = await engine.loadModel(bundledModelPath);
  client = new Redis(redis.connection);
});
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});
afterAll(async () => {
  client.disconnect();
  await engine.close();
  await redis.stop();
});

/** A queue of its own, with the end of its events. */
function openQueue() {
  const name = `queue-${count++}`;
  const queue = new Queue(name, { connection: redis.connection });
  // From the first event on: a job may end before the events are listened to.
  const events = new QueueEvents(name, { connection: redis.connection, lastEventId: '0' });
  closing.push(async () => Promise.all([queue.close(), events.close()]));
  return { name, queue, events };
}

/** A worker of `createWorker` that is closed after the test. Its errors are those that BullMQ emits. */
function openWorker<K extends JobKind>(name: string, processor: TesseraeProcessor<K>, options: object = {}) {
  const all = { connection: redis.connection, signals: [], graceMs: 0, ...shortLocks, ...options };
  const worker = createWorker(name, processor, all);
  const errors: Error[] = [];
  worker.on('error', (error) => errors.push(error));
  closing.unshift(() => worker.close());
  return Object.assign(worker, { errors });
}

const long = { maxTokens: 400, ignoreEos: true };
const endless = { maxTokens: 500, ignoreEos: true };

/** A generation that ends only when it is cancelled. */
function endlessly(signal: AbortSignal) {
  const next = () =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(new AbortError(signal.reason)));
    });
  return { next };
}

/** Waits until the condition holds, for half of a test's time. */
async function until(holds: () => unknown): Promise<void> {
  for (const limit = performance.now() + 15_000; !(await holds()); await sleep(5)) {
    if (performance.now() > limit) throw new Error(`waited too long until ${holds}`);
  }
}

test('the version is the one that is asked for', async () => {
  const { queue } = openQueue();
  let version: string | null = null;
  await until(async () => {
    version = await client.hget(queue.toKey('meta'), 'version');
    return version !== null;
  });
  expect(version).toMatch(new RegExp(`^bullmq:${process.env.TESSERAE_BULLMQ ?? '6'}\\.`));
});

describe('results', () => {
  test('are those of the model, from the worker of createWorker and from a plain one', async () => {
    const { name, queue, events } = openQueue();
    const processor = createProcessor(model, { kind: 'embed' });
    expect(processor).toHaveLength(3);
    const worker = openWorker(name, processor, { concurrency: undefined, maxStalledCount: undefined });
    expect(worker.concurrency).toBe(64);
    const texts = ['the sea', 'the tax', 'the whale'];
    const expected = (await model.embed(texts)).map((vector) => Array.from(vector));
    const many = await queue.add('texts', { texts });
    const single = await Promise.all(texts.map((text) => queue.add('text', { text, documentId: 7 })));
    expect(await many.waitUntilFinished(events)).toEqual({ vectors: expected });
    for (const [i, job] of single.entries())
      expect(await job.waitUntilFinished(events)).toEqual({ vector: expected[i] });
    await worker.close();

    const plain = new Worker(name, createProcessor(model, { kind: 'generate', options: { maxTokens: 8 } }), {
      connection: redis.connection,
    });
    closing.unshift(() => plain.close());
    const { text } = await model.generate('The whale', { maxTokens: 8 }).result;
    const job = await queue.add('prompt', { prompt: 'The whale' });
    expect(await job.waitUntilFinished(events)).toMatchObject({ text, stopReason: 'maxTokens' });
  });
});

describe('failures', () => {
  /** Adds a job with five attempts, waits for its end, and gives the job as it is stored. */
  async function outcomeOf<K extends JobKind>(processor: TesseraeProcessor<K>, data: object): Promise<Job> {
    const { name, queue, events } = openQueue();
    openWorker(name, processor);
    const job = await queue.add('job', data, { attempts: 5, backoff: 10 });
    await job.waitUntilFinished(events).catch(() => {});
    return (await queue.getJob(job.id as string)) as Job;
  }

  test.each([
    ['a prompt that is too long', { prompt: Array.from({ length: 600 }, () => 5) }, /^ERR_CONTEXT: /],
    ['an option that does not exist', { prompt: 'a', options: { speed: 1 } }, /^ERR_ARGUMENT: /],
    ['other data', { text: 'a' }, /^ERR_ARGUMENT: the job's data must be \{ prompt \}/],
    ['a deadline', { prompt: 'a', options: { ...endless, deadlineMs: 1 } }, /^ERR_DEADLINE: /],
    ['a format', { prompt: 'a', options: { format: { regex: '(' } } }, /^ERR_FORMAT: /],
  ])('%s fails at once, whatever attempts are left', async (_what, data, reason) => {
    const job = await outcomeOf(createProcessor(model, { kind: 'generate' }), data);
    expect(job.failedReason).toMatch(reason);
    expect({ attempts: job.attemptsMade, state: await job.getState() }).toEqual({ attempts: 1, state: 'failed' });
  });

  test('a lost worker thread, and a budget that is spent for now, are tried again', async () => {
    const failures = [new TesseraeError('ERR_WORKER_LOST', 'x'), new TesseraeError('ERR_BUDGET', 'y')];
    const generate = (prompt: string, options: object) => {
      const error = failures.shift();
      return error === undefined ? model.generate(prompt, options) : { next: () => Promise.reject(error) };
    };
    const job = await outcomeOf(createProcessor({ generate } as never, { kind: 'generate' }), { prompt: 'The whale' });
    expect({ attempts: job.attemptsMade, state: await job.getState() }).toEqual({ attempts: 3, state: 'completed' });
  });
});

test('a cancelled job stops, and is not tried again', async () => {
  const { name, queue, events } = openQueue();
  const worker = openWorker(name, createProcessor(model, { kind: 'generate' }));
  const job = await queue.add('job', { prompt: 'a', options: endless }, { attempts: 5 });
  await until(() => engine.pressure().running > 0);
  worker.cancelJob(job.id as string, 'not wanted');
  await expect(job.waitUntilFinished(events)).rejects.toThrow('cancelled: not wanted');
  expect(engine.pressure()).toMatchObject({ running: 0, queued: 0 });
  expect((await queue.getJob(job.id as string))?.attemptsMade).toBe(1);
});

test('a job whose lock is lost stops at once, and another worker computes it', async () => {
  const { name, queue, events } = openQueue();
  const { generate } = model;
  let stopped = 0;
  // The first attempt never ends by itself.
  const patient = {
    generate: (prompt: string, options: { signal: AbortSignal }) => {
      options.signal.addEventListener('abort', () => stopped++);
      return stopped > 0 ? generate.call(model, prompt, options) : endlessly(options.signal);
    },
  };
  const worker = openWorker(name, createProcessor(patient as never, { kind: 'generate' }));
  const job = await queue.add('job', { prompt: 'The whale', options: { maxTokens: 4 } });
  await until(() => job.isActive());
  await client.del(`bull:${name}:${job.id}:lock`);
  const result = await job.waitUntilFinished(events);
  expect(stopped).toBe(1);
  expect(result.tokens).toHaveLength(4);
  const stored = (await queue.getJob(job.id as string)) as Job;
  expect({ made: stored.attemptsMade, reason: stored.failedReason }).toEqual({ made: 1, reason: undefined });
  expect(worker.errors.map(({ message }) => message)).toContain(`could not renew lock for job ${job.id}`);
});

test('a job that is removed while it runs harms nothing, and progress says which attempt it is of', async () => {
  const { name, queue, events } = openQueue();
  const worker = openWorker(name, createProcessor(model, { kind: 'generate', progressMs: 0 }), { concurrency: 1 });
  const reports: unknown[] = [];
  worker.on('progress', (_job, progress) => reports.push(progress));
  const rejections: unknown[] = [];
  const onRejection = (error: unknown) => rejections.push(error);
  process.on('unhandledRejection', onRejection);
  await queue.add('job', { prompt: 'a', options: long }, { jobId: 'removed' });
  await until(() => reports.length > 0);
  await queue.obliterate({ force: true });
  const next = await queue.add('job', { prompt: 'b', options: long }, { jobId: 'next' });
  await next.waitUntilFinished(events);
  await sleep(20);
  process.off('unhandledRejection', onRejection);
  expect(rejections).toEqual([]);
  for (const report of reports) expect(report).toEqual({ attempt: 1, done: expect.any(Number), total: 400 });
  const stored = (await queue.getJob(next.id as string)) as Job;
  expect(stored.progress).toMatchObject({ attempt: 1, total: 400 });
  expect(worker.errors.map(({ message }) => message).join()).toMatch(/Missing (key|lock) for job removed/);
});

describe('closing', () => {
  test('finishes what runs, gives back what takes too long, takes nothing new, and closes the engine', async () => {
    const { name, queue } = openQueue();
    const own = await Engine.create({ threads: 1 });
    const slow = await own.loadModel(bundledModelPath);
    let begun = 0;
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const generate = (prompt: string, options: { signal: AbortSignal }) => {
      begun++;
      if (prompt === 'blocked') return endlessly(options.signal);
      const result = released.then(() => slow.generate(prompt, options).result);
      return { next: async () => ({ done: true, value: await result }), result };
    };
    const processor = createProcessor({ generate } as never, { kind: 'generate', options: { maxTokens: 8 } });
    // BullMQ may renew the lock of a job while it is given back, which fails: not within the time of this test.
    const lockDuration = 30_000;
    const worker = openWorker(name, processor, { engine: own, graceMs: 3000, concurrency: 4, lockDuration });
    await queue.addBulk(['blocked', 'short', 'blocked', 'short'].map((prompt) => ({ name: 'job', data: { prompt } })));
    await until(() => begun === 4);
    await queue.addBulk(Array.from({ length: 20 }, () => ({ name: 'job', data: { prompt: 'blocked' } })));
    const closed = Promise.all([worker.close(), worker.close()]);
    release();
    await closed;
    expect(begun).toBe(4);
    expect(await queue.getJobCounts('completed', 'failed', 'active', 'wait')).toMatchObject({
      completed: 2,
      failed: 0,
      active: 0,
      wait: 22,
    });
    await expect(own.loadModel(bundledModelPath)).rejects.toMatchObject({ code: 'ERR_ENGINE_CLOSED' });
    expect(worker.errors).toEqual([]);
  });

  test('a worker that goes on with a closed engine gives its jobs back after a while', async () => {
    const { name, queue } = openQueue();
    const own = await Engine.create({ threads: 1 });
    const processor = createProcessor(await own.loadModel(bundledModelPath), { kind: 'embed' });
    await own.close();
    openWorker(name, processor);
    const job = await queue.add('job', { text: 'a' });
    await until(async () => (await job.getState()) === 'delayed');
    expect((await queue.getJob(job.id as string))?.attemptsMade).toBe(0);
  });

  test('wrong options are refused', () => {
    const processor = createProcessor(model, { kind: 'embed' });
    const { connection } = redis;
    expect(() => createWorker('queue', processor, { connection, graceMs: -1 })).toThrow('graceMs must be');
    expect(() => createWorker('queue', (async () => {}) as never, { connection })).toThrow('createProcessor');
  });
});
