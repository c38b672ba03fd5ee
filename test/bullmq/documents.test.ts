// The programs of README.md and docs/JOBS.md about jobs, as they are: run in a folder of their own with the built package.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue } from 'bullmq';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RedisServer } from '../support/running/redis-server.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const root = resolve(import.meta.dirname, '../..');
const folder = temporaryFolder();
let redis: RedisServer;

beforeAll(async () => {
  redis = await RedisServer.start();
  mkdirSync(folder.file('node_modules'));
  symlinkSync(root, folder.file('node_modules/tesserae'));
});
afterAll(async () => {
  await redis.stop();
  folder.remove();
});

/** Writes the first program after a heading of a document to a file, and gives its path. */
function programOf(document: string, heading: string): string {
  const text = readFileSync(resolve(root, document), 'utf8').split(`${heading}\n`)[1] ?? '';
  const file = folder.file('program.mjs');
  writeFileSync(file, text.split('```js\n')[1]?.split('```')[0] ?? '');
  return file;
}

test('the example for BullMQ loses no job, and its process exits with 0', { timeout: 240_000 }, async () => {
  const jobs = 300;
  const file = programOf('README.md', '### In a job processor');
  const queue = new Queue('embeddings', { connection: redis.connection });
  const data = (i: number) => ({ text: `the sea ${i} ${'and the ship '.repeat(10)}` });
  await queue.addBulk(Array.from({ length: jobs }, (_, i) => ({ name: 'job', data: data(i) })));
  for (const share of [0.2, 1]) {
    const env = { ...process.env, REDIS_URL: `redis://127.0.0.1:${redis.port}` };
    const child = spawn(process.execPath, [file], { env, stdio: 'inherit' });
    const ended = new Promise((resolve) => child.once('exit', (...ending) => resolve(ending)));
    while ((await queue.getCompletedCount()) < share * jobs && child.exitCode === null) await sleep(5);
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  }
  expect(await queue.getJobCounts()).toMatchObject({ completed: jobs, failed: 0, active: 0, waiting: 0 });
  await queue.close();
});

test('at a second signal the example exits at once with 1', { timeout: 240_000 }, async () => {
  const file = programOf('README.md', '### In a job processor');
  // Long jobs, and a grace time that is long enough for them.
  writeFileSync(
    file,
    readFileSync(file, 'utf8').replace("kind: 'embed'", "kind: 'generate'").replace('20_000', '60_000'),
  );
  const queue = new Queue('embeddings', { connection: redis.connection });
  const data = { prompt: 'The sea', options: { maxTokens: 500, ignoreEos: true } };
  await queue.addBulk(Array.from({ length: 64 }, () => ({ name: 'job', data })));
  const env = { ...process.env, REDIS_URL: `redis://127.0.0.1:${redis.port}` };
  const child = spawn(process.execPath, [file], { env, stdio: 'inherit' });
  const ended = new Promise((resolve) => child.once('exit', (...ending) => resolve(ending)));
  while ((await queue.getActiveCount()) < 64 && child.exitCode === null) await sleep(5);
  child.kill('SIGTERM');
  await sleep(50);
  expect(child.exitCode).toBeNull();
  child.kill('SIGTERM');
  expect(await ended).toEqual([1, null]);
  await queue.close();
});

test('the example for other queues runs', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [programOf('docs/JOBS.md', '## Other queues')], {
    encoding: 'utf8',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout.trim().split('\n').length).toBeGreaterThanOrEqual(3);
});
