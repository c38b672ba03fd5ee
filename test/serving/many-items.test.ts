// Calls of many items: order, failures and their index, progress, back-pressure, sources that are slow, throw or never end, and
// consumers that leave.
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { TesseraeError } from '../../src/base/errors.js';
import { StepPrograms } from '../../src/forward/step-programs.js';
import type { Prompt } from '../../src/generation/prompt.js';
import type { BatchProgress } from '../../src/serving/batch.js';
import { modelFiles, someIds, tiny } from '../support/models/model-files.js';
import { expectAbort, expectRejection } from '../support/rejections.js';
import { until } from '../support/running/arranged-team.js';
import { sharedEngines } from '../support/running/engines.js';
import { held } from '../support/running/generations.js';
import { essence } from '../support/running/serving.js';

const engines = sharedEngines();
const write = modelFiles();
const options = { maxTokens: 4, ignoreEos: true, temperature: 1, seed: 2 };
const prompts = Array.from({ length: 40 }, (_, index) => someIds(1 + index, tiny.vocab));

afterEach(() => vi.restoreAllMocks());

async function load(serving = {}) {
  const engine = await engines({ threads: 2 });
  const model = await engine.loadModel(await write(tiny), { serving: { prefixCache: false, ...serving } });
  return { engine, model };
}

async function collect<T>(each: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of each) all.push(one);
  return all;
}

describe('settle', () => {
  test('gives an outcome for each item, in order, and a failure its index', async () => {
    const { model } = await load();
    using _ = model;
    const good = await model.generateBatch(prompts, options);
    const mixed: Prompt[] = [...prompts];
    mixed[3] = [9999];
    mixed[17] = 7 as never;
    mixed[39] = someIds(600, tiny.vocab);
    const outcomes = await model.generateBatch(mixed, { ...options, settle: true });
    expect(outcomes).toHaveLength(40);
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.status === 'fulfilled') expect(essence(outcome.value)).toEqual(essence(good[index] as never));
      else expect(outcome.reason).toMatchObject({ index, name: 'TesseraeError' });
    }
    const failed = outcomes.flatMap(({ status }, index) => (status === 'rejected' ? [index] : []));
    expect(failed).toEqual([3, 17, 39]);
    const vectors = await model.embed(mixed, { settle: true });
    expect(vectors.flatMap(({ status }, index) => (status === 'rejected' ? [index] : []))).toEqual([3, 17, 39]);
    expect(await expectRejection(model.generateBatch(mixed, options), 'ERR_TOKENIZER')).toMatchObject({ index: 3 });
    expect(await expectRejection(model.embed(mixed), 'ERR_TOKENIZER')).toMatchObject({ index: 3 });
  });

  test('does not settle what is wrong with the call itself', async () => {
    const { model } = await load();
    using _ = model;
    const wrong = [{ priority: 101 }, { tenant: '' }, { deadlineMs: 0 }, { topP: 2 }, { settle: 1 }, { nothing: 1 }];
    for (const bad of wrong) {
      await expectRejection(model.generateBatch(prompts, { settle: true, ...bad } as never), 'ERR_ARGUMENT');
      await expectRejection(model.embed(prompts, { settle: true, ...bad } as never), 'ERR_ARGUMENT');
      await expectRejection(model.generateEach(prompts, bad as never).next(), 'ERR_ARGUMENT');
    }
    await expectRejection(model.generateBatch('text' as never, { settle: true }), 'ERR_ARGUMENT', /array of texts/);
    const aborted = model.generateBatch(prompts, { settle: true, signal: AbortSignal.abort('why') });
    await expectAbort(aborted, 'why');
  });
});

test('a step that fails gives each of its items an error with its own index', async () => {
  const { engine, model } = await load();
  using _ = model;
  await model.warmup();
  await model.generateBatch(prompts, options);
  const run = StepPrograms.prototype.run;
  let failures = 0;
  vi.spyOn(StepPrograms.prototype, 'run').mockImplementation(function (this: StepPrograms, ...args) {
    if (failures++ === 2) throw new TesseraeError('ERR_KERNEL', 'a kernel failed, as the test wants it');
    return run.apply(this, args);
  });
  const before = held(engine);
  const outcomes = await model.generateBatch(prompts, { ...options, settle: true });
  const failed = outcomes.flatMap((outcome, index) => (outcome.status === 'rejected' ? [[index, outcome.reason]] : []));
  expect(failed.length).toBeGreaterThan(1);
  expect(failed.length).toBeLessThan(40);
  for (const [index, reason] of failed) expect(reason).toMatchObject({ code: 'ERR_KERNEL', index });
  failures = 0;
  const error = await expectRejection(model.generateBatch(prompts, options), 'ERR_KERNEL', /as the test wants it/);
  expect(error.index).toBeTypeOf('number');
  await expect.poll(() => engine.stats().serving).toMatchObject({ queued: 0, running: 0, pagesUsed: 0 });
  expect(held(engine)).toEqual(before);
});

describe('onProgress', () => {
  test('counts up to all', async () => {
    const { model } = await load();
    using _ = model;
    for (const settle of [true, false]) {
      const seen: BatchProgress[] = [];
      const onProgress = (progress: BatchProgress) => seen.push(progress);
      await model.generateBatch(prompts, { ...options, onProgress, settle } as never);
      expect(seen).toEqual(prompts.map((_prompt, index) => ({ done: index + 1, total: 40 })));
    }
  });

  test('that throws or rejects ends its call, and leaves nothing running', async () => {
    const { engine, model } = await load();
    using _ = model;
    await model.generateBatch(prompts, options);
    await model.warmup();
    const before = held(engine);
    const error = new Error('mine');
    const callbacks = [
      () => {
        throw error;
      },
      async () => {
        await nextTurn();
        throw error;
      },
    ];
    for (const onProgress of callbacks) {
      await expect(model.generateBatch(prompts, { ...options, onProgress })).rejects.toBe(error);
      await expect(model.generateBatch(prompts, { ...options, onProgress, settle: true })).rejects.toBe(error);
      await expect(model.embed(prompts, { onProgress })).rejects.toBe(error);
      await expect(model.complete('a', { ...options, n: 3, onProgress })).rejects.toBe(error);
    }
    await expect.poll(() => engine.stats().serving).toMatchObject({ queued: 0, running: 0, pagesUsed: 0 });
    await expect.poll(() => held(engine)).toEqual(before);
  });
});

describe('each', () => {
  test('gives outcomes in order, or as they are done, of anything that can be iterated', async () => {
    const { model } = await load();
    using _ = model;
    const expected = (await model.generateBatch(prompts, options)).map(essence);
    const sources: (Iterable<Prompt> | AsyncIterable<Prompt>)[] = [
      prompts,
      new Set(prompts),
      (function* () {
        yield* prompts;
      })(),
      (async function* () {
        for (const prompt of prompts) {
          await nextTurn();
          yield prompt;
        }
      })(),
    ];
    for (const source of sources) {
      const outcomes = await collect(model.generateEach(source, options));
      expect(outcomes.map(({ index }) => index)).toEqual(prompts.map((_prompt, index) => index));
      expect(outcomes.map(({ value }) => essence(value as never))).toEqual(expected);
    }
    const unordered = await collect(model.generateEach(prompts, { ...options, ordered: false }));
    expect(unordered.map(({ index }) => index).sort((a, b) => a - b)).toEqual(prompts.map((_prompt, index) => index));
    for (const { index, value } of unordered) expect(essence(value as never)).toEqual(expected[index]);
    expect(await collect(model.generateEach([], options))).toEqual([]);
    const vectors = await collect(model.embedEach(prompts));
    expect(vectors.map(({ value }) => value)).toEqual(await model.embed(prompts));
  });

  test('as they are done means: a long one holds up none', async () => {
    const { model } = await load();
    using _ = model;
    const lengths = async function* (): AsyncGenerator<Prompt> {
      yield someIds(500, tiny.vocab);
      yield [1];
    };
    const [first] = await collect(model.generateEach(lengths(), { ...options, ordered: false }));
    expect(first?.index).toBe(1);
  });

  test('refuses what cannot be iterated, and texts', async () => {
    const { model } = await load();
    using _ = model;
    for (const wrong of ['text', 7, undefined, null, {}, Promise.resolve([])]) {
      await expectRejection(model.generateEach(wrong as never).next(), 'ERR_ARGUMENT', /iterate/);
      await expectRejection(model.embedEach(wrong as never).next(), 'ERR_ARGUMENT', /iterate/);
    }
  });

  test('takes items as its results are taken', async () => {
    const { model } = await load();
    using _ = model;
    let taken = 0;
    const endless = function* (): Generator<Prompt> {
      for (;;) {
        taken++;
        yield [1 + (taken % 200)];
      }
    };
    const each = model.generateEach(endless(), { ...options, maxTokens: 1 });
    expect(taken).toBe(0);
    for (let index = 0; index < 100; index++) expect((await each.next()).value).toMatchObject({ index });
    await sleep(50);
    expect(taken).toBeLessThanOrEqual(100 + 513);
    const before = taken;
    await sleep(50);
    expect(taken).toBe(before);
    await each.return();
  });

  test('gives a result while the source lets wait for its next item', async () => {
    const { model } = await load();
    using _ = model;
    let answered = 0;
    // It asks the next question only when the last one is answered.
    const conversation = async function* (): AsyncGenerator<Prompt> {
      for (let question = 0; question < 5; question++) {
        while (answered < question) await nextTurn();
        yield [question + 1];
      }
    };
    for (const ordered of [true, false]) {
      answered = 0;
      for await (const { value } of model.generateEach(conversation(), { ...options, ordered })) {
        expect(value?.tokens).toHaveLength(4);
        answered++;
      }
      expect(answered).toBe(5);
    }
  });

  test('goes on after an item that fails', async () => {
    const { model } = await load();
    using _ = model;
    const outcomes = await collect(model.generateEach(['a', [9999], 'b', 7 as never, 'c'], options));
    expect(outcomes.map(({ reason }) => (reason as TesseraeError | undefined)?.code)).toEqual([
      undefined,
      'ERR_TOKENIZER',
      undefined,
      'ERR_ARGUMENT',
      undefined,
    ]);
    expect(outcomes[1]?.reason).toMatchObject({ index: 1 });
    const vectors = await collect(model.embedEach(['a', [9999], 'b']));
    expect(vectors.map(({ reason }) => reason === undefined)).toEqual([true, false, true]);
  });

  test.each([true, false])(
    'completes what was taken where the source throws, then throws its error, ordered: %s',
    async (ordered) => {
      const { engine, model } = await load();
      using _ = model;
      const error = new Error('of the source');
      const breaking = async function* (): AsyncGenerator<Prompt> {
        yield* prompts.slice(0, 7);
        throw error;
      };
      const seen: number[] = [];
      const run = async () => {
        for await (const { index, value } of model.generateEach(breaking(), { ...options, ordered })) {
          expect(value?.tokens).toHaveLength(4);
          seen.push(index);
        }
      };
      await expect(run()).rejects.toBe(error);
      expect(seen.sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
      await expect.poll(() => engine.stats().serving).toMatchObject({ queued: 0, running: 0, pagesUsed: 0 });
    },
  );

  test('that is left early closes its source, stops what runs, and leaves nothing', async () => {
    const { engine, model } = await load();
    using _ = model;
    await model.generateBatch(prompts, options);
    const before = held(engine).liveTensors;
    let closed = 0;
    const source = function* (): Generator<Prompt> {
      try {
        for (;;) yield someIds(20, tiny.vocab);
      } finally {
        closed++;
      }
    };
    for await (const { index } of model.generateEach(source(), { ...options, maxTokens: 200 })) if (index === 2) break;
    expect(closed).toBe(1);
    expect(engine.stats().serving).toMatchObject({ queued: 0, running: 0 });
    // A source that never answers keeps nobody.
    const hanging = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<IteratorResult<Prompt>>(() => {}),
        return: () => new Promise<IteratorResult<Prompt>>(() => {}),
      }),
    };
    const reason = new Error('enough');
    const controller = new AbortController();
    const waiting = model.generateEach(hanging, { ...options, signal: controller.signal }).next();
    await nextTurn();
    controller.abort(reason);
    await expectAbort(waiting, reason);
    await nextTurn();
    expect(held(engine).liveTensors).toBe(before);
  });

  test('that is aborted throws, and aborts what runs', async () => {
    const { engine, model } = await load();
    using _ = model;
    const reason = new Error('enough');
    const controller = new AbortController();
    const each = model.generateEach(prompts, { ...options, maxTokens: 300, signal: controller.signal });
    const first = each.next();
    await until(() => engine.stats().serving.running > 10);
    controller.abort(reason);
    await expectAbort(first, reason);
    expect(engine.stats().serving).toMatchObject({ queued: 0, running: 0 });
    expect(await each.next()).toEqual({ done: true, value: undefined });
  });
});

test('a batch whose first failure comes late has stopped all others', async () => {
  const { engine, model } = await load();
  using _ = model;
  const long = [...Array.from({ length: 600 }, () => [1, 2, 3]), [9999]];
  const error = await expectRejection(model.generateBatch(long, { maxTokens: 2, ignoreEos: true }), 'ERR_TOKENIZER');
  expect(error.index).toBe(600);
  expect(engine.stats().serving).toMatchObject({ queued: 0, running: 0 });
});
