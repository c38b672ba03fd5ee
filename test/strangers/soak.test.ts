// A storm from outside for as long as it is given: requests of every kind, aborts, workers that are killed, damaged files,
// hostile templates and schemas, all at once. Everything ends as documented, and resident memory stays flat. In the suite for
// some seconds; `pnpm test:soak` lasts 30 minutes, TESSERAE_SOAK_MINUTES sets another time.
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { TesseraeError } from '../../src/base/errors.js';
import { Engine } from '../../src/engine.js';
import type { Model } from '../../src/model/model.js';
import { damageBytes, picker } from '../support/damage/mutations.js';
import { modelFiles, modelPaths, tiny } from '../support/models/model-files.js';
import { Numbers } from '../support/numbers.js';
import { type SoakModels, soak, WorkerKiller } from '../support/running/soak.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const write = modelFiles();
const writeAny = modelPaths();
const folder = temporaryFolder();
afterAll(() => folder.remove());
const minutes = Number(process.env.TESSERAE_SOAK_MINUTES ?? 0.1);

/** Each is refused, or ends at the limit of its time. */
const hostile: readonly ((model: Model) => Promise<unknown>)[] = [
  (model) =>
    model.chatPrompt([{ role: 'user', content: 'a' }], {
      template: '{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}',
    }),
  (model) => model.chatPrompt([{ role: 'user', content: 'a' }], { template: `{{ 1${' '.repeat(200_000)} ` }),
  (model) => model.generate([1], { format: { regex: '(a{1,1000}){1,1000}' } }).result,
  (model) => model.generate([1], { format: { jsonSchema: { not: {} } } }).result,
  (model) => model.generate(new Array(2 ** 32 - 1)).result,
  (model) => model.loadSession(new Uint8Array(1000)),
];

async function expectTyped(work: () => Promise<unknown>): Promise<void> {
  try {
    const value = await work();
    if (value !== null && typeof value === 'object' && Symbol.dispose in value) (value as Disposable)[Symbol.dispose]();
  } catch (error) {
    expect(error).toBeInstanceOf(TesseraeError);
  }
}

/** The memory of the process when nothing is under way. */
async function restingBytes(engine: Engine): Promise<number> {
  for (let round = 0; round < 10; round++) {
    globalThis.gc?.();
    await wait(5);
  }
  await expect
    .poll(() => engine.pressure(), { timeout: 60_000 })
    .toMatchObject({ queued: 0, running: 0, pagesUsed: 0 });
  engine.trim();
  globalThis.gc?.();
  return process.memoryUsage().rss;
}

test(`a storm of ${minutes} minutes leaves nothing behind`, { timeout: 300_000 + minutes * 120_000 }, async () => {
  const killer = new WorkerKiller(2);
  let begun = 0;
  await using engine = await Engine.create({ threads: 2, memoryBudget: 2 ** 28 });
  try {
    const template = { type: 'string', value: '{% for m in messages %}{{ m.content }}{% endfor %}' } as const;
    const path = await write(tiny, ({ metadata }) => void metadata.set('tokenizer.chat_template', template));
    const served: SoakModels = {
      decoder: await engine.loadModel(path, { templateTimeoutMs: 1000, formatTimeoutMs: 1000 }),
      encoder: await engine.loadModel(await writeAny({ architecture: 'bert', vocab: 300 })),
    };
    const whole = readFileSync(path);
    const mutant = folder.file('mutant.gguf');
    const pick = picker(5);
    const numbers = new Numbers(17);
    const counts = { rounds: 0, mutants: 0, refused: 0 };
    const damaged = async () => {
      for (let index = 0; index < 20; index++) {
        writeFileSync(mutant, damageBytes(whole, whole.length >> 2, pick));
        counts.mutants += 1;
        await expectTyped(async () => {
          using model = await engine.loadModel(mutant);
          await model.embed([[1, 2, 3]]);
          counts.refused -= 1;
        });
        counts.refused += 1;
      }
    };
    const end = performance.now() + minutes * 60_000;
    const held: number[] = [];
    while (performance.now() < end || held.length < 4) {
      const beside = () => {
        if (++begun % 90 === 50) killer.kill();
      };
      await Promise.all([
        soak(served, numbers, { requests: 60, atOnce: 24, beside }),
        damaged(),
        expectTyped(() =>
          (hostile[counts.rounds % hostile.length] as (model: Model) => Promise<unknown>)(served.decoder),
        ),
      ]);
      counts.rounds += 1;
      held.push(await restingBytes(engine));
    }
    const { pool } = engine.stats();
    expect(pool.leaks).toBe(0);
    // The first half warms up.
    const half = held.slice(held.length >> 1);
    const growth = Math.min(...half.slice(half.length >> 1)) - Math.min(...half.slice(0, half.length >> 1));
    console.info(
      JSON.stringify({
        ...counts,
        killed: killer.killed,
        growthMiB: growth / 2 ** 20,
        rssMiB: (held.at(-1) ?? 0) / 2 ** 20,
      }),
    );
    expect(counts.refused).toBeGreaterThan(0);
    expect(growth).toBeLessThan(64 << 20);
    served.decoder.dispose();
    served.encoder.dispose();
    await restingBytes(engine);
    expect(engine.stats().pool).toMatchObject({ rentedBytes: 0, liveTensors: 0 });
  } finally {
    killer.end();
  }
});
