// Steady state: thousands of requests of every kind, ended early, late, wrong, and with workers that die. Afterwards heap,
// resident memory and pool are as they were after the first tenth, nothing waits, and no program was recorded. In the suite
// for some seconds; `pnpm test:soak` serves 20,000 requests, TESSERAE_SOAK any other number.
import { setTimeout as wait } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Engine } from '../../src/engine.js';
import { modelFiles, modelPaths, tiny } from '../support/models/model-files.js';
import { Numbers } from '../support/numbers.js';
import { type SoakModels, soak, WorkerKiller } from '../support/running/soak.js';

const write = modelFiles();
const writeAny = modelPaths();
const requests = Number(process.env.TESSERAE_SOAK ?? 400);
const models = requests / 2;
/** What is held is measured after each part; the first one warms up. */
const parts = 4;

/** How busy the machine is must not matter. */
const slowMachine = { templateTimeoutMs: 60_000, formatTimeoutMs: 60_000 };

/** What the process holds when nothing is under way and garbage is collected. */
async function measure(engine: Engine) {
  engine.trim();
  // Generations that were dropped are cancelled when they are collected.
  for (let round = 0; round < 20; round++) {
    globalThis.gc?.();
    await wait(5);
  }
  await expect
    .poll(() => engine.pressure(), { timeout: 20_000 })
    .toMatchObject({ queued: 0, running: 0, pagesUsed: 0 });
  engine.trim();
  globalThis.gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  const { pool, programs, team } = engine.stats();
  expect(team).toMatchObject({ running: 0, queued: 0 });
  expect(pool.leaks).toBe(0);
  return { rss, heapUsed, rentedBytes: pool.rentedBytes, liveTensors: pool.liveTensors, programs };
}

/** Memory after the last part is that after the first; the process keeps some of what it has freed. */
function expectFlat(held: readonly Awaited<ReturnType<typeof measure>>[]): void {
  const [first, last] = [held[0], held.at(-1)] as [(typeof held)[number], (typeof held)[number]];
  expect(last.liveTensors).toBe(first.liveTensors);
  expect(last.heapUsed - first.heapUsed).toBeLessThan(4 << 20);
  expect(last.rss - first.rss).toBeLessThan(64 << 20);
}

test(`${requests} requests leave nothing behind`, { timeout: 120_000 + requests * 300 }, async () => {
  const killer = new WorkerKiller(2);
  let begun = 0;
  const beside = () => {
    if (++begun % 90 === 50) killer.kill();
  };
  await using engine = await Engine.create({ threads: 2, memoryBudget: 2 ** 28 });
  try {
    const template = { type: 'string', value: '{% for m in messages %}{{ m.content }}{% endfor %}' } as const;
    const path = await write(tiny, ({ metadata }) => void metadata.set('tokenizer.chat_template', template));
    const served: SoakModels = {
      decoder: await engine.loadModel(path, slowMachine),
      encoder: await engine.loadModel(await writeAny({ architecture: 'bert', vocab: 300 })),
    };
    await Promise.all([served.decoder.warmup(), served.encoder.warmup()]);
    const numbers = new Numbers(11);
    const warm = engine.stats().programs;
    const failed: Record<string, number> = {};
    const held: Awaited<ReturnType<typeof measure>>[] = [];
    for (let part = 0; part < parts; part++) {
      const work = { requests: requests / parts, atOnce: 24, beside };
      for (const [code, count] of Object.entries(await soak(served, numbers, work))) {
        failed[code] = (failed[code] ?? 0) + count;
      }
      held.push(await measure(engine));
    }
    console.info(JSON.stringify({ failed, killed: killer.killed, warm, held }));
    expect(Object.keys(failed)).toEqual(expect.arrayContaining(['ABORT_ERR', 'ERR_DEADLINE', 'ERR_ARGUMENT']));
    expect(killer.killed).toBeGreaterThanOrEqual(parts);
    expectFlat(held);
    expect(held.at(-1)?.programs).toBe(warm);
    served.decoder.dispose();
    served.encoder.dispose();
    expect(await measure(engine)).toMatchObject({ rentedBytes: 0, liveTensors: 0 });
  } finally {
    killer.end();
  }
});

test(`${models} models that are loaded, used and disposed leave nothing behind`, {
  timeout: 120_000 + models * 400,
}, async () => {
  await using engine = await Engine.create({ threads: 1, memoryBudget: 2 ** 28 });
  const paths = [await write(tiny), await writeAny({ architecture: 'bert' })];
  const use = async (count: number) => {
    for (let index = 0; index < count; index++) {
      using model = await engine.loadModel(paths[index % 2] as string);
      await model.embed([[1, 2, 3]]);
      if (index % 4 === 0) await model.generate([1, 2], { maxTokens: 2 }).result;
    }
  };
  const held: Awaited<ReturnType<typeof measure>>[] = [];
  for (let part = 0; part < parts; part++) {
    await use(models / parts);
    held.push(await measure(engine));
  }
  console.info(JSON.stringify({ held }));
  expect(held.at(-1)).toMatchObject({ rentedBytes: 0, liveTensors: 0 });
  expectFlat(held);
});
