// `pnpm bench:jobs`: jobs a second of one BullMQ worker, 64 at once beside one at a time, on a real Redis with BullMQ's default
// locks, and the delay of the event loop meanwhile. Prints one JSON document. Needs redis-server on the PATH.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isDeepStrictEqual } from 'node:util';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { createProcessor, createWorker } from '../dist/src/bullmq/index.js';
import { Engine } from '../dist/src/index.js';
import { bundledModel } from '../dist/src/models.js';

const rounds = 3;
const together = 64;
const mustRatio = 4;
const textOf = (index) => `${index} of the people in the sea and the ship`;
const kinds = {
  embed: {
    jobs: { one: 300, many: 1500 },
    dataOf: (index) => ({ text: textOf(index) }),
    options: { vectors: 'base64' },
  },
  generate: {
    jobs: { one: 40, many: 320 },
    dataOf: (index) => ({ prompt: textOf(index) }),
    options: { options: { maxTokens: 32, ignoreEos: true, seed: 0 } },
  },
};
/** The timer of the monitor itself. */
const resolutionMs = 1;

const folder = mkdtempSync(join(tmpdir(), 'tesserae-bench-jobs-'));
const { redis, connection } = await startRedis();
const engine = await Engine.create();
const model = await engine.loadModel(bundledModel);
await model.warmup();
const isa = engine.isa;
const { threads } = engine.stats().team;
const results = {};
try {
  for (const kind of Object.keys(kinds)) results[kind] = await measure(kind);
} finally {
  await engine.close();
  redis.kill('SIGTERM');
  await new Promise((resolve) => redis.once('exit', resolve));
  rmSync(folder, { recursive: true, force: true });
}
const machine = { cpu: cpus()[0]?.model, cpus: cpus().length, threads, isa, loadAverage: loadavg()[0] };
console.log(
  JSON.stringify({ ...machine, node: process.version, model: 'bundled', rounds, mustRatio, results }, null, 2),
);

/** In turns, so that both meet the same machine. */
async function measure(kind) {
  const { jobs } = kinds[kind];
  await runJobs(kind, together, jobs.one);
  const all = { one: [], many: [] };
  for (let round = 0; round < rounds; round++) {
    all.one.push(await runJobs(kind, 1, jobs.one));
    all.many.push(await runJobs(kind, together, jobs.many));
    checkSame(kind, all.one[round].values, all.many[round].values);
  }
  const ratio = median(all.many.map(({ jobsPerSecond }, round) => jobsPerSecond / all.one[round].jobsPerSecond));
  const row = (name, concurrency) => ({ concurrency, jobs: jobs[name], ...mediansOf(all[name]) });
  return { rows: [row('one', 1), row('many', together)], ratio, reached: ratio >= mustRatio };
}

async function runJobs(kind, concurrency, count) {
  const { dataOf, options } = kinds[kind];
  const name = `bench-${kind}-${concurrency}-${Math.random().toString(36).slice(2)}`;
  const queue = new Queue(name, { connection });
  await queue.addBulk(
    Array.from({ length: count }, (_, index) => ({ name: 'job', data: { ...dataOf(index), index } })),
  );
  const processor = createProcessor(model, { kind, ...options });
  const values = [];
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  const worker = createWorker(name, processor, { connection, concurrency, signals: [], autorun: false });
  await worker.waitUntilReady();
  const done = new Promise((resolve, reject) => {
    worker.on('completed', ({ data }, value) => {
      values[data.index] = value;
      if (Object.keys(values).length === count) resolve();
    });
    worker.on('failed', (_job, error) => reject(error));
    worker.on('error', reject);
  });
  delay.enable();
  const started = performance.now();
  worker.run().catch(() => {});
  await done;
  const seconds = (performance.now() - started) / 1000;
  delay.disable();
  await worker.close();
  await queue.obliterate({ force: true });
  await queue.close();
  const loopMs = (percentile) => Math.max(0, delay.percentile(percentile) / 1e6 - resolutionMs);
  return { values, jobsPerSecond: count / seconds, loopDelayP50Ms: loopMs(50), loopDelayP99Ms: loopMs(99) };
}

/** A wrong result gives an error instead of a figure. */
function checkSame(kind, one, many) {
  for (const [index, value] of one.entries()) {
    if (!isDeepStrictEqual(value, many[index]))
      throw new Error(`${kind}: job ${index} has another result beside others`);
  }
}

function mediansOf(runs) {
  const of = (key) => Number(median(runs.map((run) => run[key])).toPrecision(4));
  return {
    jobsPerSecond: of('jobsPerSecond'),
    loopDelayP50Ms: of('loopDelayP50Ms'),
    loopDelayP99Ms: of('loopDelayP99Ms'),
  };
}

function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

async function startRedis() {
  const port = await freePort();
  const settings = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--dir',
    folder,
    '--appendonly',
    'yes',
    '--save',
    '',
  ];
  const child = spawn('redis-server', settings, { stdio: 'ignore' });
  await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject)).catch((error) => {
    console.error(`redis-server cannot be started: ${error.message}`);
    process.exit(1);
  });
  const options = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
  const client = new Redis({ ...options, retryStrategy: () => 20 });
  client.on('error', () => {});
  await client.ping();
  client.disconnect();
  return { redis: child, connection: options };
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
