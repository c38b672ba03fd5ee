// Worker threads that something else ends, again and again, and engines that are made and closed in numbers: the engine is
// usable as soon as threads can be started, and what it took is given back.
import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { Engine } from '../../src/index.js';

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
