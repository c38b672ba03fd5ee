// Jobs in a worker thread, which this test writes: their answers, their limits, and what becomes of those that wait.
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BackgroundWorker, type JobOptions } from '../../src/base/background-worker.js';
import { findWorkerFile, useWorkerFile } from '../../src/base/package-files.js';
import { expectAbort } from '../support/rejections.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const source = `
const { parentPort, threadId, workerData } = require('node:worker_threads');
const jobs = {
  thread: () => ({ value: threadId }),
  given: () => ({ value: { ...workerData, env: { ...process.env }, args: process.execArgv } }),
  nothing: () => ({ value: undefined }),
  refuse: () => ({ problem: 'is refused', code: 'ERR_FORMAT' }),
  hang: () => { for (;;); },
  exit: () => process.exit(0),
  fail: () => { throw new Error('it is broken'); },
  memory: () => { const all = []; for (;;) all.push({ length: all.length }); },
};
parentPort.on('message', (job) => parentPort.postMessage(jobs[job]()));
parentPort.postMessage('ready');
`;

const folder = temporaryFolder();
const built = findWorkerFile();
beforeAll(() => {
  writeFileSync(folder.file('worker.cjs'), source);
  useWorkerFile(folder.file('worker.cjs'));
});
afterAll(() => {
  useWorkerFile(built);
  folder.remove();
});

const failure: JobOptions['failure'] = (problem, code) => Object.assign(new Error(problem), { code });

function newWorker() {
  const worker = new BackgroundWorker({ heapMb: 16 });
  const run = (job: string, options: Partial<JobOptions> = {}) =>
    worker.run(job, { timeoutMs: 20_000, failure, ...options });
  return { worker, run };
}

test('answers are those of one thread, which starts with the first job, without variables of the process', async () => {
  const { run } = newWorker();
  const [first, second] = await Promise.all([run('thread'), run('thread')]);
  expect(first).toBeTypeOf('number');
  expect(second).toBe(first);
  expect(await run('thread')).toBe(first);
  expect(await run('given')).toEqual({ tesserae: 'text', env: {}, args: [] });
  expect(await run('nothing')).toBeUndefined();
  await expect(run('refuse')).rejects.toMatchObject({ message: 'is refused', code: 'ERR_FORMAT' });
  expect(await run('thread')).toBe(first);
});

describe('a job that ends its thread', () => {
  test.each([
    ['exit', 'has lost its worker thread'],
    ['fail', 'fails: it is broken'],
    ['memory', 'takes more than 16 MiB of memory'],
  ])('fails alone: %s; the next one has a new thread', async (job, message) => {
    const { run } = newWorker();
    const first = await run('thread');
    const failing = run(job);
    const next = run('thread');
    await expect(failing).rejects.toMatchObject({ message, code: undefined });
    expect(await next).toBeTypeOf('number');
    expect(await next).not.toBe(first);
  });

  test('is one that takes longer than it may, counted from its own beginning', async () => {
    const { run } = newWorker();
    const first = await run('thread');
    const late = run('hang', { timeoutMs: 300 });
    const next = run('thread', { timeoutMs: 1 });
    await expect(late).rejects.toThrow('takes more than 300 ms');
    // However short its own time is, it was not used up while it waited: the answer or the limit is its own.
    await next.then(
      (thread) => expect(thread).not.toBe(first),
      (error) => expect(error).toMatchObject({ message: 'takes more than 1 ms' }),
    );
    expect(await run('thread')).not.toBe(first);
  });
});

describe('a signal', () => {
  test('that has fired keeps a job from running', async () => {
    const { run } = newWorker();
    await expectAbort(run('thread', { signal: AbortSignal.abort('early') }), 'early');
  });

  test('ends a job that runs, and its thread', async () => {
    const { run } = newWorker();
    const first = await run('thread');
    const controller = new AbortController();
    const running = run('hang', { signal: controller.signal });
    const next = run('thread');
    controller.abort('enough');
    await expectAbort(running, 'enough');
    expect(await next).not.toBe(first);
  });

  test('takes a job that waits out, and no other one; after the end of a job it does nothing', async () => {
    const { run } = newWorker();
    const controllers = ['a', 'b', 'c'].map(() => new AbortController());
    const first = await run('thread', { signal: (controllers[0] as AbortController).signal });
    const running = run('thread');
    const [gone, stays] = [1, 2].map((i) => run('thread', { signal: (controllers[i] as AbortController).signal }));
    controllers[1]?.abort('enough');
    await expectAbort(gone as Promise<unknown>, 'enough');
    expect([await running, await stays]).toEqual([first, first]);
    for (const controller of controllers) controller.abort();
    expect(await run('thread')).toBe(first);
  });
});

test('where the thread cannot start, all jobs that wait fail, and a later one is tried again', async () => {
  const { run } = newWorker();
  writeFileSync(folder.file('broken.cjs'), 'throw new Error("it does not start");');
  useWorkerFile(folder.file('broken.cjs'));
  try {
    for (const job of [run('thread'), run('thread')]) {
      await expect(job).rejects.toMatchObject({
        code: 'ERR_WORKER_START',
        cause: expect.objectContaining({ message: 'it does not start' }),
      });
    }
  } finally {
    useWorkerFile(folder.file('worker.cjs'));
  }
  expect(await run('thread')).toBeTypeOf('number');
});
