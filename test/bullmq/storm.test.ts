// Jobs on worker processes that are killed, stopped and replaced while Redis is restarted: each job's result is stored exactly
// once, and none fails. The nightly run has more jobs, and BullMQ's default locks.
import { type ChildProcess, spawn } from 'node:child_process';
import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { Engine } from '../../src/engine.js';
import { bundledModelPath } from '../support/models/bundled-model.js';
import { RedisServer } from '../support/running/redis-server.js';

const isNightly = process.env.TESSERAE_NIGHTLY === '1';
const jobs = isNightly ? 2000 : 600;
const locks = isNightly ? {} : { lockDuration: 2000, stalledInterval: 1000 };
const script = fileURLToPath(new URL('storm-worker.mjs', import.meta.url));

class WorkerProcess {
  readonly #child: ChildProcess;
  readonly ended: Promise<{ code: number | null; signal: string | null }>;
  readonly ready: Promise<void>;
  isOver = false;
  output = '';

  constructor(settings: object) {
    this.#child = spawn(process.execPath, [script, JSON.stringify(settings)], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.ended = new Promise((resolve) => this.#child.once('close', (code, signal) => resolve({ code, signal })));
    void this.ended.then(() => {
      this.isOver = true;
    });
    this.ready = new Promise((resolve) => {
      this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
        if (this.output.startsWith('ready')) resolve();
      });
    });
  }

  end(signal: NodeJS.Signals) {
    this.#child.kill(signal);
    return this.ended;
  }
}

const textOf = (index: number) => `${index} of the people ${'in the sea and the ship '.repeat(isNightly ? 24 : 4)}`;

test(`${jobs} jobs`, { timeout: isNightly ? 900_000 : 300_000 }, async () => {
  const redis = await RedisServer.start();
  const queue = new Queue('storm', { connection: redis.connection });
  queue.on('error', () => {});
  // Also where the time of the test is over.
  onTestFinished(async () => {
    for (const worker of workers) await worker.end('SIGKILL');
    await queue.close();
    await redis.stop();
  });
  const settings = { queue: 'storm', connection: redis.connection, concurrency: 64, ...locks };
  const workers: WorkerProcess[] = [];
  const open = () => {
    const worker = new WorkerProcess(settings);
    workers.push(worker);
    return worker;
  };
  await queue.addBulk(Array.from({ length: jobs }, (_, i) => ({ name: 'job', data: { text: textOf(i) } })));
  const completed = async (share: number) => {
    for (; (await queue.getCompletedCount()) < share * jobs; await sleep(5)) {
      if (workers.every(({ isOver }) => isOver)) throw new Error('all workers have ended');
    }
  };
  const started = performance.now();
  const report = (what: string) => {
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    process.stdout.write(`storm: ${seconds} s: ${what}; load average ${loadavg()[0]?.toFixed(1)}\n`);
  };
  const [first, second] = [open(), open()] as const;
  await completed(0.15);
  expect(await first.end('SIGKILL')).toMatchObject({ signal: 'SIGKILL' });
  report('one worker is killed');
  await completed(0.3);
  const third = open();
  await third.ready;
  expect(await second.end('SIGTERM')).toEqual({ code: 0, signal: null });
  report('one worker is replaced');
  await redis.restart();
  report('Redis has been restarted');
  await completed(1);
  report(`${jobs} jobs are complete`);
  expect(await third.end('SIGTERM')).toEqual({ code: 0, signal: null });

  expect(await queue.getJobCounts()).toMatchObject({ completed: jobs, failed: 0, active: 0, waiting: 0, delayed: 0 });
  const stored = await queue.getCompleted(0, jobs);
  const client = new Redis(redis.connection);
  const events = await client.xrange('bull:storm:events', '-', '+');
  client.disconnect();
  const completions = events.filter(([, fields]) => fields.includes('completed'));
  const ids = completions.map(([, fields]) => fields[fields.indexOf('jobId') + 1]);
  expect(new Set(ids).size).toBe(ids.length);
  await using engine = await Engine.create({ threads: 1 });
  const model = await engine.loadModel(bundledModelPath);
  const vectors = await model.embed(stored.map(({ data }) => data.text as string));
  for (const [index, job] of stored.entries()) {
    expect(job.returnvalue).toEqual({
      vector: Buffer.from((vectors[index] as Float32Array).buffer).toString('base64'),
    });
  }
  // Interrupted where it was killed, a worker has printed nothing.
  const delays = [second, third].map(({ output }) => JSON.parse(output.split('\n')[1] as string).loopDelayMs as number);
  report(`loop delay p99 ${delays.map((delay) => delay.toFixed(1)).join(' and ')} ms`);
  if (isNightly) for (const delay of delays) expect(delay).toBeLessThan(10);
});
