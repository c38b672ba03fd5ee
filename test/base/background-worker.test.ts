// Jobs in a worker thread, which this test writes: their answers, their limits, and what becomes of those that wait.
import { writeFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { BackgroundWorker, type JobOptions } from '../../src/base/background-worker.js';
import { findWorkerFile, useWorkerFile } from '../../src/base/package-files.js';
import { expectAbort, expectRejection } from '../support/rejections.js';
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
  answerTwiceAndTell: ({ flag, second }) => {
    parentPort.postMessage({ value: 'first' });
    parentPort.postMessage(second);
    tell(flag);
  },
  answerAndTell: ({ flag }) => { parentPort.postMessage({ value: threadId }); tell(flag); },
  failAndTell: ({ flag }) => { process.once('exit', () => tell(flag)); throw new Error('it is broken'); },
};
function tell(flag) {
  Atomics.store(flag, 0, 1);
  Atomics.notify(flag, 0);
}
parentPort.on('message', (job) => {
  const answer = jobs[job.name ?? job](job);
  if (answer !== undefined) parentPort.postMessage(answer);
});
parentPort.postMessage('ready');
`;

const folder = temporaryFolder();
const built = findWorkerFile();
beforeAll(() => {
  writeFileSync(folder.file('worker.cjs'), source);
  useWorkerFile(folder.file('worker.cjs'));
});
/** The threads that a test has started, each with the promise of its first message. */
const threads: { thread: Worker; ready: Promise<unknown> }[] = [];
const onThread = (thread: Worker) => {
  threads.push({ thread, ready: new Promise((resolve) => thread.once('message', resolve)) });
};
process.on('worker', onThread);
afterEach(async () => {
  for (const { thread } of threads.splice(0)) await thread.terminate();
});
afterAll(() => {
  process.off('worker', onThread);
  useWorkerFile(built);
  folder.remove();
});

const failure: JobOptions['failure'] = (problem, code) => Object.assign(new Error(problem), { code });

function newWorker() {
  const worker = new BackgroundWorker({ heapMb: 16 });
  const run = (job: string | object, options: Partial<JobOptions> = {}) =>
    worker.run(job, { timeoutMs: 20_000, failure, ...options });
  return { run };
}

const newFlag = () => new Int32Array(new SharedArrayBuffer(4));

/** Blocks this thread until a job sets the flag, and 50 ms longer. */
function blockUntilTold(flag: Int32Array) {
  expect(Atomics.wait(flag, 0, 0, 10_000)).not.toBe('timed-out');
  Atomics.wait(newFlag(), 0, 0, 50);
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

test.each([{ value: 'second' }, { problem: 'second' }])(
  'an answer that no job waits for is ignored: %j',
  async (second) => {
    const { run } = newWorker();
    const [first, flag] = [await run('thread'), newFlag()];
    const answered = run({ name: 'answerTwiceAndTell', flag, second });
    blockUntilTold(flag);
    expect(await answered).toBe('first');
    await turn();
    expect(await run('thread')).toBe(first);
  },
);

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

  test('is none that has answered, although its deadline has passed when this thread gets to it', async () => {
    const { run } = newWorker();
    const [first, flag] = [await run('thread'), newFlag()];
    // From here on, the event loop comes to its timers first, and to messages then.
    await turn();
    const answered = run({ name: 'answerAndTell', flag }, { timeoutMs: 1 });
    blockUntilTold(flag);
    expect(await answered).toBe(first);
    expect(await run('thread')).toBe(first);
    await turn();
    expect(await run('thread')).toBe(first);
  });
});

describe('a thread that is idle', () => {
  /** What keeps this process alive: a thread does by its ports. */
  const ports = () => process.getActiveResourcesInfo().filter((name) => name === 'MessagePort').length;

  test('does not keep the process alive', async () => {
    const { run } = newWorker();
    const before = ports();
    for (let jobs = 0; jobs < 2; jobs++) {
      const running = [run('thread'), run('thread')];
      expect(ports()).toBeGreaterThan(before);
      await running[0];
      expect(ports()).toBeGreaterThan(before);
      await running[1];
      expect(ports()).toBe(before);
    }
  });

  test('does not keep the process alive if its first job was aborted while it started', async () => {
    const { run } = newWorker();
    const [before, controller] = [ports(), new AbortController()];
    const gone = run('thread', { signal: controller.signal });
    controller.abort('early');
    await expectAbort(gone, 'early');
    await turn();
    const [started] = threads;
    await started?.ready;
    expect(ports()).toBe(before);
    expect(await run('thread')).toBe(started?.thread.threadId);
  });

  test('is replaced when it is lost', async () => {
    const { run } = newWorker();
    const first = await run('thread');
    await threads[0]?.thread.terminate();
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

  test('ends a job that runs alone; a later one has a new thread', async () => {
    const { run } = newWorker();
    const first = await run('thread');
    const controller = new AbortController();
    const running = run('hang', { signal: controller.signal });
    controller.abort('enough');
    await expectAbort(running, 'enough');
    expect(await run('thread')).not.toBe(first);
  });

  test.each(['answerAndTell', 'failAndTell'])('ends a job of which news are on their way: %s', async (name) => {
    const { run } = newWorker();
    const [first, flag, controller] = [await run('thread'), newFlag(), new AbortController()];
    const running = run({ name, flag }, { signal: controller.signal });
    const next = run('thread');
    blockUntilTold(flag);
    controller.abort('enough');
    await expectAbort(running, 'enough');
    expect(await next).toBeTypeOf('number');
    expect(await next).not.toBe(first);
  });

  test('takes a job that waits out, and no other one; after the end of a job it does nothing', async () => {
    const { run } = newWorker();
    const controllers = ['a', 'b', 'c'].map(() => new AbortController());
    const first = await run('thread', { signal: (controllers[0] as AbortController).signal });
    const running = run('thread');
    const gone = run('exit', { signal: (controllers[1] as AbortController).signal });
    const stays = run('thread', { signal: (controllers[2] as AbortController).signal });
    controllers[1]?.abort('enough');
    await expectAbort(gone, 'enough');
    expect([await running, await stays]).toEqual([first, first]);
    for (const controller of controllers) controller.abort();
    expect(await run('thread')).toBe(first);
  });
});

describe('where the thread cannot start', () => {
  afterEach(() => useWorkerFile(folder.file('worker.cjs')));

  test('all jobs that wait fail, and a later one is tried again', async () => {
    const { run } = newWorker();
    writeFileSync(folder.file('broken.cjs'), 'throw new Error("it does not start");');
    useWorkerFile(folder.file('broken.cjs'));
    for (const job of [run('thread'), run('thread')]) {
      await expect(job).rejects.toMatchObject({
        code: 'ERR_WORKER_START',
        cause: expect.objectContaining({ message: 'it does not start' }),
      });
    }
    useWorkerFile(folder.file('worker.cjs'));
    expect(await run('thread')).toBeTypeOf('number');
  });

  test('because Node.js refuses its file, that is the cause', async () => {
    const { run } = newWorker();
    useWorkerFile('package.json');
    const cause = expect.objectContaining({ code: 'ERR_WORKER_PATH' });
    await expect(run('thread')).rejects.toMatchObject({ code: 'ERR_WORKER_START', cause });
  });

  test('a job that has failed does not run later', async () => {
    const { run } = newWorker();
    useWorkerFile(folder.file('missing.cjs'));
    await expectRejection(run('exit'), 'ERR_WORKER_START', /missing\.cjs, does not exist/);
    useWorkerFile(folder.file('worker.cjs'));
    expect(await run('thread')).toBe(await run('thread'));
    expect(threads.length).toBe(1);
  });

  test('after the end of another one, those that wait fail', async () => {
    const { run } = newWorker();
    await run('thread');
    const [failing, ...others] = ['exit', 'thread', 'thread'].map((job) => run(job));
    useWorkerFile(folder.file('missing.cjs'));
    await expect(failing).rejects.toThrow('has lost its worker thread');
    for (const other of others) await expectRejection(other, 'ERR_WORKER_START');
    useWorkerFile(folder.file('worker.cjs'));
    expect(await run('thread')).toBeTypeOf('number');
  });
});
