// The programs of examples/ for BullMQ, on a real Redis: a flow that embeds a file, and results that are fenced by the lock.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Engine } from '../../src/engine.js';
import { bundledModelPath } from '../support/models/bundled-model.js';
import { ProgramFolder } from '../support/running/document-programs.js';
import { RedisServer } from '../support/running/redis-server.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const examples = resolve(import.meta.dirname, '../../examples');
const programs = new ProgramFolder();
const files = temporaryFolder();
const children: ChildProcess[] = [];
let redis: RedisServer;

beforeAll(async () => {
  redis = await RedisServer.start();
});
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await redis.stop();
  programs.remove();
  files.remove();
});

/** Starts a program of an example. `ended` has its exit code and signal. */
function start(example: string, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}) {
  const text = readFileSync(resolve(examples, example), 'utf8');
  const file = programs.write({ text, packages: ['tesserae', 'bullmq', 'ioredis'] });
  const all = { ...process.env, REDIS_URL: `redis://127.0.0.1:${redis.port}`, ...env };
  const child = spawn(process.execPath, [file, ...args], { env: all, stdio: ['ignore', 'pipe', 'ignore'] });
  children.push(child);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    output += part;
  });
  const ended = new Promise((done) => child.once('close', (...ending) => done(ending)));
  return { child, ended, output: () => output };
}

const textOf = (index: number) => `${index} of the people “in” the sea`;

/** Begins to embed a file of so many lines as a flow. */
function startFlow(name: string, lines: number) {
  const [input, output] = [files.file(`${name}.jsonl`), files.file(`${name}.f32`)];
  writeFileSync(input, Array.from({ length: lines }, (_, i) => `${JSON.stringify({ text: textOf(i) })}\n`).join(''));
  return { output, add: start('bullmq-flow/add.mjs', [input, output], { LINES_PER_JOB: '100' }) };
}

/** The vectors of all lines, each once, in order; nothing else is left. */
async function expectJoined(output: string, lines: number): Promise<void> {
  await using engine = await Engine.create({ threads: 1, memoryBudget: 2 ** 30 });
  const model = await engine.loadModel(bundledModelPath);
  const vectors = await model.embed(Array.from({ length: lines }, (_, i) => textOf(i)));
  const expected = vectors.map((vector) => Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength));
  expect(readFileSync(output).equals(Buffer.concat(expected))).toBe(true);
  expect([`${output}.parts`, `${output}.joining`].map((path) => existsSync(path))).toEqual([false, false]);
}

test('a flow embeds all lines of a file, in order', { timeout: 240_000 }, async () => {
  const lines = 1003;
  const workers = [start('bullmq-flow/worker.mjs'), start('bullmq-flow/worker.mjs')];
  const { output, add } = startFlow('texts', lines);
  expect(await add.ended).toEqual([0, null]);
  expect(add.output()).toContain('parts: 11');
  for (const worker of workers) worker.child.kill('SIGTERM');
  for (const worker of workers) expect(await worker.ended).toEqual([0, null]);
  await expectJoined(output, lines);
});

// The locks of the killed worker expire after half a minute, and another one looks for such jobs twice a minute.
test.runIf(process.env.TESSERAE_NIGHTLY === '1')(
  'a flow is complete, and has each line once, when a worker is killed',
  { timeout: 600_000 },
  async () => {
    const lines = 4003;
    const workers = [start('bullmq-flow/worker.mjs'), start('bullmq-flow/worker.mjs')];
    const { output, add } = startFlow('killed', lines);
    const queue = new Queue('shards', { connection: redis.connection });
    const partsOf = () => (existsSync(`${output}.parts`) ? readdirSync(`${output}.parts`) : []);
    while (partsOf().length < 8 || (await queue.getActiveCount()) < 4) await sleep(5);
    workers[0]?.child.kill('SIGKILL');
    await workers[0]?.ended;
    // Two are those of the other worker.
    expect(await queue.getActiveCount()).toBeGreaterThan(2);
    expect(await add.ended).toEqual([0, null]);
    expect(add.output()).toContain('parts: 41');
    workers[1]?.child.kill('SIGTERM');
    expect(await workers[1]?.ended).toEqual([0, null]);
    await expectJoined(output, lines);
    expect(await queue.getJobCounts('active', 'waiting', 'failed')).toEqual({ active: 0, waiting: 0, failed: 0 });
    await queue.close();
  },
);

test('a result is stored only by the attempt that holds the lock', { timeout: 240_000 }, async () => {
  const client = new Redis(redis.connection);
  const queue = new Queue('texts', { connection: redis.connection });
  const add = (from: number, count: number) =>
    queue.addBulk(
      Array.from({ length: count }, (_, i) => ({
        name: 'text',
        data: { text: `${from + i} ${'of the sea '.repeat(60)}` },
      })),
    );
  const worker = start('fenced-results/worker.mjs');
  await add(0, 50);
  while ((await queue.getCompletedCount()) < 50) await sleep(20);
  expect(await client.hlen('vectors')).toBe(50);
  // Another holds the locks of jobs that run, as if they had expired: what is computed for those is not stored.
  const jobs = 300;
  await add(50, jobs);
  const stolen: string[] = [];
  // Those whose vectors were stored before, but which do not end any more.
  const late: string[] = [];
  while (stolen.length === 0) {
    for (const { id = '' } of await queue.getActive()) {
      const isStolen = (await client.set(`bull:texts:${id}:lock`, 'another', 'KEEPTTL', 'XX')) === 'OK';
      if (isStolen) ((await client.hexists('vectors', id)) === 0 ? stolen : late).push(id);
    }
  }
  while ((await queue.getCompletedCount()) < 50 + jobs - stolen.length - late.length) await sleep(20);
  expect(await client.hlen('vectors')).toBe(50 + jobs - stolen.length);
  for (const id of stolen) expect(await client.hexists('vectors', id)).toBe(0);
  worker.child.kill('SIGTERM');
  expect(await worker.ended).toEqual([0, null]);
  await queue.close();
  client.disconnect();
});
