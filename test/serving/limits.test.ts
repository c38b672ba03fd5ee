// Whose turn it is, how long a request may take, and how many may wait: priority, tenants, deadlines, full queues.
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { GenerateOptions } from '../../src/generation/generate-options.js';
import type { Model } from '../../src/model/model.js';
import { modelFiles, modelPaths, someIds, tiny } from '../support/models/model-files.js';
import { expectRejection } from '../support/rejections.js';
import { until } from '../support/running/arranged-team.js';
import { sharedEngines } from '../support/running/engines.js';

const engines = sharedEngines();
const write = modelFiles();
const writeAny = modelPaths();
const noCache = { prefixCache: false };
const ids = someIds(30, tiny.vocab);
const encoder = { architecture: 'bert', context: 512, vocab: 300 } as const;

async function load(serving = {}) {
  const engine = await engines({ threads: 2 });
  const model = await engine.loadModel(await write(tiny), { serving: { ...noCache, ...serving } });
  return { engine, model };
}

/** The order in which calls end. */
async function orderOf(calls: readonly Promise<unknown>[]): Promise<number[]> {
  const order: number[] = [];
  await Promise.all(calls.map((call, index) => call.then(() => order.push(index))));
  return order;
}

/** Requests that keep the model busy: as many as run at once, for as many steps as they have tokens. */
function busy(model: Model, maxTokens: number): Promise<unknown> {
  return model.generateBatch(new Array(256).fill([1, 2]), { maxTokens, ignoreEos: true });
}

describe('bad values', () => {
  const wrong: [keyof GenerateOptions, unknown[]][] = [
    ['priority', [101, -101, 0.5, '1', Number.NaN, null]],
    ['deadlineMs', [0, -5, 1.5, Number.POSITIVE_INFINITY, '10', null, Number.NaN]],
    ['tenant', ['', 'x'.repeat(257), 7, null, ['a'], Symbol.iterator]],
  ];

  test.each(wrong)('of %s are refused by every call', async (option, values) => {
    const { engine, model } = await load();
    using _ = model;
    using embedder = await engine.loadModel(await writeAny(encoder));
    using session = model.session();
    for (const value of values) {
      const bad = { [option]: value } as never;
      const message = new RegExp(option);
      await expectRejection(model.generate(ids, bad).result, 'ERR_ARGUMENT', message);
      await expectRejection(model.generateBatch([ids], bad), 'ERR_ARGUMENT', message);
      await expectRejection(model.generateEach([ids], bad).next(), 'ERR_ARGUMENT', message);
      await expectRejection(model.complete(ids, bad), 'ERR_ARGUMENT', message);
      await expectRejection(session.generate(ids, bad).result, 'ERR_ARGUMENT', message);
      await expectRejection(model.embed(ids, bad), 'ERR_ARGUMENT', message);
      await expectRejection(model.embed([ids], bad), 'ERR_ARGUMENT', message);
      await expectRejection(model.embedEach([ids], bad).next(), 'ERR_ARGUMENT', message);
      await expectRejection(embedder.embed(ids, bad), 'ERR_ARGUMENT', message);
    }
    const good = { priority: -100, deadlineMs: 60_000, tenant: 'x'.repeat(256), maxTokens: 1 };
    await model.generate(ids, good).result;
    await session.generate(ids, good).result;
  });

  test('of serving are refused at loading', async () => {
    const engine = await engines({ threads: 2 });
    const path = await write(tiny);
    for (const serving of [
      { maxQueued: 0 },
      { maxQueued: 1.5 },
      { stepMs: 0 },
      { prefixCache: 1 },
      { lanes: 2 },
      7,
      null,
    ]) {
      await expectRejection(engine.loadModel(path, { serving: serving as never }), 'ERR_ARGUMENT');
    }
  });
});

describe('priority', () => {
  test('decides who is admitted first', async () => {
    const { model } = await load();
    using _ = model;
    const running = busy(model, 60);
    await until(() => model.serving.running === 256);
    const calls = [-3, 0, 50, 100].map(
      (priority) => model.generate(ids, { maxTokens: 1, ignoreEos: true, priority }).result,
    );
    expect(await orderOf([...calls, running])).toEqual([3, 2, 1, 0, 4]);
  });

  test('of texts decides for an encoder, too', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await writeAny({ ...encoder, dim: 128, layers: 4 }));
    const filler = Array.from({ length: 64 }, () => model.embed(someIds(400, 300)));
    await until(() => model.serving.running > 0);
    // None of them fits into a group with another one.
    const calls = [model.embed(someIds(401, 300), { priority: -3 }), model.embed(someIds(401, 300), { priority: 100 })];
    const order = await orderOf([...calls, ...filler]);
    // Two are computed at a time: those that run when it comes, and the last two.
    expect(order.indexOf(1)).toBeLessThan(order.length / 2);
    expect(order.indexOf(0)).toBeGreaterThanOrEqual(order.length - 2);
  });
});

describe('tenants', () => {
  test('share a decoder by tokens: one with a thousand requests leaves room to another', async () => {
    const { model } = await load();
    using _ = model;
    let greedyDone = 0;
    const greedy = Array.from({ length: 1000 }, (_one, index) =>
      model
        .generate(someIds(20, tiny.vocab), { maxTokens: 10, ignoreEos: true, tenant: 'greedy', seed: index })
        .result.then(() => greedyDone++),
    );
    await until(() => model.serving.running > 100);
    const modest = await Promise.all(
      Array.from(
        { length: 10 },
        () => model.generate(ids, { maxTokens: 10, ignoreEos: true, tenant: 'modest' }).result,
      ),
    );
    expect(modest).toHaveLength(10);
    expect(greedyDone).toBeLessThan(700);
    await Promise.all(greedy);
  });

  test('share an encoder, too', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await writeAny({ ...encoder, dim: 64 }));
    let greedyDone = 0;
    const greedy = Array.from({ length: 600 }, () =>
      model.embed(someIds(100, 300), { tenant: 'greedy' }).then(() => greedyDone++),
    );
    await until(() => greedyDone > 0);
    await model.embed(someIds(300, 300), { tenant: 'modest' });
    // Two groups of texts may be under way; without shares, all 600 would have been before it.
    expect(greedyDone).toBeLessThan(300);
    await Promise.all(greedy);
  });
});

describe('a deadline', () => {
  test('that passes in the queue, while it runs, or while it is parked ends the request alone', async () => {
    const { engine, model } = await load();
    using _ = model;
    const endless = { maxTokens: 480, ignoreEos: true, temperature: 1 };
    const running = busy(model, 60);
    await until(() => model.serving.running === 256);
    const queued = model.generate(ids, { ...endless, deadlineMs: 5 }).result;
    await expectRejection(queued, 'ERR_DEADLINE', /deadlineMs/);
    expect(await running).toHaveLength(256);
    const other = model.generate(ids, { ...endless, maxTokens: 100 }).result;
    const unread = model.generate(ids, { ...endless, deadlineMs: 400 });
    await expectRejection(
      model.generate(someIds(400, tiny.vocab), { ...endless, deadlineMs: 1 }).result,
      'ERR_DEADLINE',
    );
    expect((await other).tokens).toHaveLength(100);
    await expect.poll(() => model.serving.running, { timeout: 5000 }).toBe(0);
    let pieces = 0;
    const read = async () => {
      for await (const _piece of unread) pieces++;
    };
    await expectRejection(read(), 'ERR_DEADLINE');
    expect(pieces).toBeGreaterThan(0);
    await expect.poll(() => engine.stats().serving).toMatchObject({ queued: 0, running: 0, pagesUsed: 0 });
  });

  test('counts from the call of many items', async () => {
    const { model } = await load();
    using _ = model;
    const many = new Array(3000).fill([1, 2, 3]);
    const options = { maxTokens: 60, ignoreEos: true, deadlineMs: 150 };
    const started = performance.now();
    await expectRejection(model.generateBatch(many, options), 'ERR_DEADLINE');
    const settled = await model.generateBatch(many, { ...options, settle: true });
    expect(settled.at(-1)).toMatchObject({ status: 'rejected', reason: { code: 'ERR_DEADLINE', index: 2999 } });
    await expectRejection(model.complete([1], { ...options, n: 1000 }), 'ERR_DEADLINE');
    const texts = new Array(5000).fill(ids);
    const vectors = await model.embed(texts, { deadlineMs: 100, settle: true });
    expect(vectors.at(-1)).toMatchObject({ status: 'rejected', reason: { code: 'ERR_DEADLINE' } });
    expect(performance.now() - started).toBeLessThan(5000);
    // But from when an item of a source is taken.
    const source = async function* () {
      for (let index = 0; index < 4; index++) {
        await sleep(60);
        yield [index + 1];
      }
    };
    for await (const { reason } of model.generateEach(source(), { maxTokens: 2, deadlineMs: 150 })) {
      expect(reason).toBeUndefined();
    }
  });

  test('ends texts that wait for an encoder', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await writeAny({ ...encoder, dim: 128, layers: 4 }));
    const filler = model.embed(Array.from({ length: 100 }, () => someIds(400, 300)));
    await expectRejection(model.embed(someIds(10, 300), { deadlineMs: 1 }), 'ERR_DEADLINE');
    expect(await filler).toHaveLength(100);
  });
});

describe('a full queue', () => {
  test('refuses single calls, never items of large ones, and is not filled by these', async () => {
    const { engine, model } = await load({ maxQueued: 5 });
    using _ = model;
    const settle = (calls: Promise<unknown>[]) => Promise.allSettled(calls);
    const calls = Array.from({ length: 300 }, () => model.generate(ids, { maxTokens: 3, ignoreEos: true }).result);
    const outcomes = await settle(calls);
    const refused = outcomes.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused) expect(reason).toMatchObject({ code: 'ERR_QUEUE_FULL' });
    const many = Array.from({ length: 1500 }, (_one, index) => [1 + (index % 200), 2]);
    const options = { maxTokens: 6, ignoreEos: true };
    const batch = model.generateBatch(many, options);
    const each = (async () => {
      let count = 0;
      for await (const { reason } of model.generateEach(many, options)) {
        expect(reason).toBeUndefined();
        count++;
      }
      return count;
    })();
    const texts = model.embed(many);
    const completed = model.complete([1], { ...options, n: 400 });
    let most = 0;
    const single: Promise<unknown>[] = [];
    for (let round = 0; round < 30; round++) {
      await sleep(3);
      const { queued } = engine.stats().serving;
      most = Math.max(most, queued);
      // Batches that wait keep no single call out.
      single.push(model.generate(ids, { maxTokens: 1, ignoreEos: true, priority: 100 }).result);
      if (round % 3 === 2)
        await settle(single.splice(0)).then((all) => expect(all[0]).toMatchObject({ status: 'fulfilled' }));
    }
    expect(await batch).toHaveLength(1500);
    expect(await each).toBe(1500);
    expect(await texts).toHaveLength(1500);
    expect(await completed).toHaveLength(400);
    // As many items of large calls wait as may, and as many others beside them.
    expect(most).toBeLessThanOrEqual(10);
    expect(engine.stats().serving).toMatchObject({ queued: 0, running: 0, pagesUsed: 0 });
  });

  test('of an encoder does the same', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await writeAny(encoder), { serving: { maxQueued: 4 } });
    const calls = await Promise.allSettled(Array.from({ length: 50 }, () => model.embed(ids)));
    const refused = calls.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused) expect(reason).toMatchObject({ code: 'ERR_QUEUE_FULL' });
    const many = model.embed(new Array(700).fill(ids));
    await until(() => model.serving.queued === 4);
    await model.embed(ids);
    expect(await many).toHaveLength(700);
  });
});
