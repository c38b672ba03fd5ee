// Worker threads that something else ends, again and again, in native code too, and engines that are made and closed in numbers:
// the engine is usable as soon as threads can be started, and what it took is given back.
import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { Engine } from '../../src/index.js';
import { findAddon } from '../../src/native/load.js';

test('an engine heals when all of its workers are terminated every 25 ms, eight times', async () => {
  const workers = new Set<Worker>();
  const note = (worker: Worker) => {
    workers.add(worker);
    worker.once('exit', () => workers.delete(worker));
  };
  process.on('worker', note);
  try {
    await using engine = await Engine.create({ threads: 2 });
    using x = engine.tensor([512, 512]);
    for (let round = 0; round < 8; round++) {
      for (const worker of [...workers]) void worker.terminate();
      await sleep(25);
    }
    // A product may meet a worker that is still being ended.
    for (let attempt = 0; ; attempt++) {
      try {
        (await engine.matmul(x, x)).dispose();
        break;
      } catch (error) {
        expect(error).toMatchObject({ code: 'ERR_WORKER_LOST' });
        expect(attempt).toBeLessThan(100);
        await sleep(50);
      }
    }
    while (engine.stats().team.workers < 2) await sleep(10);
    const { workersLost, workersReplaced } = engine.stats().team;
    expect(workersLost).toBeGreaterThanOrEqual(2);
    expect(workersReplaced).toBeGreaterThanOrEqual(2);
    (await engine.matmul(x, x)).dispose();
  } finally {
    process.off('worker', note);
  }
});

test('engines that are closed keep no memory', { timeout: 120_000 }, async () => {
  const library = new URL('../../dist/src/index.js', import.meta.url).href;
  const source = `
    import { Engine } from ${JSON.stringify(library)};
    const rss = () => { gc(); return process.memoryUsage.rss() / 2 ** 20; };
    const use = async () => {
      const engine = await Engine.create({ threads: 1 });
      const x = engine.tensor([600, 600]);
      (await engine.matmul(x, x)).dispose();
      await engine.close();
    };
    for (let i = 0; i < 10; i++) await use();
    const before = rss();
    for (let i = 0; i < 30; i++) await use();
    console.log(JSON.stringify({ before, after: rss() }));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', '--input-type=module', '-e', source]);
  const { before, after } = JSON.parse(stdout) as { before: number; after: number };
  // 30 engines had 4 MiB of scratch each.
  expect(after - before).toBeLessThan(30);
});

// What the addon throws then cannot be thrown in JavaScript any more. In a process of its own, which must not abort.
test.each([
  ['loads the addon', 'for (let i = 0; i < 50; i++) process.dlopen({ exports: {} }, workerData);'],
  [
    'calls its functions with wrong arguments',
    `const addon = { exports: {} };
     process.dlopen(addon, workerData);
     for (;;) for (const call of Object.values(addon.exports)) try { call(); } catch {}`,
  ],
])('a worker that is terminated while it %s ends, and nothing else', { timeout: 120_000 }, async (_what, work) => {
  const own = `const { parentPort, workerData } = require('node:worker_threads'); parentPort.postMessage(0); ${work}`;
  const source = `
    import { Worker } from 'node:worker_threads';
    for (let i = 0; i < 100; i++) {
      const worker = new Worker(${JSON.stringify(own)}, { eval: true, execArgv: [], workerData: ${JSON.stringify(findAddon())} });
      await new Promise((resolve) => worker.once('message', resolve));
      await new Promise((resolve) => setTimeout(resolve, i % 4));
      await worker.terminate();
    }
    console.log('all ended');`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', source]);
  expect(stdout).toBe('all ended\n');
});
