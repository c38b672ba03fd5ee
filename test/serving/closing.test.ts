// Closing an engine while hundreds of requests wait: each ends as documented, nothing is left running, and no memory is held.
import { describe, expect, test } from 'vitest';
import { Engine } from '../../src/engine.js';
import { modelFiles, someIds, tiny } from '../support/models/model-files.js';
import { expectRejection } from '../support/rejections.js';
import { until } from '../support/running/arranged-team.js';

const write = modelFiles();
const options = { maxTokens: 20, ignoreEos: true };
const waiting = 500;

interface Outcomes {
  readonly complete: number;
  /** By code. */
  readonly failed: Readonly<Record<string, number>>;
}

/** Starts single calls, calls of many, and such that are iterated, more than run at once. */
async function load() {
  const engine = await Engine.create({ threads: 2, memoryBudget: 2 ** 30 });
  const model = await engine.loadModel(await write(tiny));
  await model.warmup();
  const prompts = Array.from({ length: waiting }, (_, index) => [...someIds(5, tiny.vocab), index % 300]);
  const work = [
    ...prompts.map((prompt) => model.generate(prompt, options).result),
    ...prompts.slice(0, 50).map((prompt) => model.embed(prompt)),
    model.generateBatch(prompts, options),
    model.complete(prompts[0] as number[], { ...options, n: 100 }),
    (async () => {
      for await (const { reason } of model.generateEach(prompts, options)) if (reason !== undefined) throw reason;
    })(),
  ];
  const outcomes = Promise.allSettled(work).then((settled): Outcomes => {
    const failed: Record<string, number> = {};
    for (const outcome of settled) {
      if (outcome.status === 'fulfilled') continue;
      const { code } = outcome.reason as { code: string };
      failed[code] = (failed[code] ?? 0) + 1;
    }
    return { complete: settled.filter(({ status }) => status === 'fulfilled').length, failed };
  });
  await until(() => engine.pressure().running > 0);
  expect(engine.pressure().queued).toBeGreaterThan(waiting / 2);
  return { engine, model, outcomes, calls: work.length };
}

function expectNothingLeft(engine: Engine): void {
  const { pool, team } = engine.stats();
  expect(engine.pressure()).toMatchObject({ queued: 0, running: 0, pagesUsed: 0 });
  expect(team).toMatchObject({ running: 0, queued: 0 });
  expect(pool).toMatchObject({ rentedBytes: 0, liveTensors: 0, leaks: 0 });
}

describe('while 500 wait', () => {
  test('at once: all that are not complete end by the same error', async () => {
    const { engine, model, outcomes, calls } = await load();
    await engine.close();
    const { complete, failed } = await outcomes;
    // Some may have been complete before more than half were seen to wait.
    expect(complete).toBeLessThan(calls / 2);
    expect(failed).toEqual({ ERR_ENGINE_CLOSED: calls - complete });
    expectNothingLeft(engine);
    await expectRejection(model.generate([1]).result, 'ERR_DISPOSED');
  });

  test('what runs is finished, what waits is not', async () => {
    const { engine, outcomes, calls } = await load();
    await engine.close({ drain: 'running' });
    const { complete, failed } = await outcomes;
    expect(complete).toBeGreaterThan(0);
    expect(complete).toBeLessThan(calls);
    expect(failed).toEqual({ ERR_ENGINE_CLOSED: calls - complete });
    expectNothingLeft(engine);
  });

  test('all of them are finished', async () => {
    const { engine, outcomes, calls } = await load();
    await engine.close({ drain: 'all' });
    expect(await outcomes).toEqual({ complete: calls, failed: {} });
    expectNothingLeft(engine);
  });

  test('not for longer than the time that is given', async () => {
    const { engine, outcomes, calls } = await load();
    await engine.close({ drain: 'all', timeoutMs: 1 });
    const { complete, failed } = await outcomes;
    expect(complete).toBeLessThan(calls);
    expect(failed).toEqual({ ERR_ENGINE_CLOSED: calls - complete });
    expectNothingLeft(engine);
  });
});
