// What a caller of `generate` can do with its generation: read it, await its result, both, neither, or leave; and what then is
// still computed.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { Engine } from '../../src/engine.js';
import type { Generation } from '../../src/generation/generation.js';
import { modelFiles, someIds, tiny } from '../support/models/model-files.js';
import { expectAbort, expectRejection } from '../support/rejections.js';
import { until } from '../support/running/arranged-team.js';
import { sharedEngines } from '../support/running/engines.js';
import { held } from '../support/running/generations.js';
import { essence } from '../support/running/serving.js';

const engines = sharedEngines();
const write = modelFiles();
const noCache = { serving: { prefixCache: false } };
const options = { maxTokens: 300, ignoreEos: true, temperature: 1, seed: 4 };
const ids = someIds(20, tiny.vocab);

async function load() {
  const engine = await engines({ threads: 2 });
  const model = await engine.loadModel(await write(tiny), noCache);
  const expected = essence(await model.generate(ids, options).result);
  await expectIdle(engine);
  return { engine, model, expected };
}

/** Nothing is left to do, once the step under way is over. */
async function expectIdle(engine: Engine): Promise<void> {
  await expect.poll(() => engine.stats().serving, { timeout: 10_000 }).toMatchObject({ queued: 0, running: 0 });
  await expect.poll(() => engine.stats().team, { timeout: 10_000 }).toMatchObject({ running: 0, queued: 0 });
}

async function collect(): Promise<void> {
  for (let round = 0; round < 3; round++) {
    await nextTurn();
    globalThis.gc?.();
  }
}

test('a generation begins at the call, before anybody reads', async () => {
  const { engine, model } = await load();
  using _ = model;
  const generation = model.generate(ids, options);
  await until(() => engine.stats().serving.running === 1);
  await generation.return(undefined as never);
  await expectIdle(engine);
});

test('the result is there without reading, after reading, and beside it', async () => {
  const { engine, model, expected } = await load();
  using _ = model;
  expect(essence(await model.generate(ids, options).result)).toEqual(expected);
  const read = model.generate(ids, options);
  let text = '';
  for await (const piece of read) text += piece.text;
  expect(essence(await read.result)).toEqual(expected);
  expect(expected).toMatchObject({ text });
  const both = model.generate(ids, options);
  const { result } = both;
  let pieces = 0;
  for await (const _piece of both) pieces++;
  expect(pieces).toBe(300);
  expect(essence(await result)).toEqual(expected);
  // Several readers share the pieces; each gets its own.
  const shared = model.generate(ids, options);
  const steps = await Promise.all(Array.from({ length: 301 }, () => shared.next()));
  expect(steps.filter(({ done }) => done === true)).toHaveLength(1);
  expect(await shared.next()).toMatchObject({ done: true });
  await expectIdle(engine);
});

test('leaving the loop early, at any place, frees what it held', async () => {
  const { engine, model } = await load();
  using _ = model;
  const before = held(engine);
  for (const pieces of [0, 1, 2, 100]) {
    const generation = model.generate(ids, options);
    let read = 0;
    if (pieces > 0) for await (const _piece of generation) if (++read === pieces) break;
    await generation.return(undefined as never);
    await expectAbort(generation.result, 'the generation was left early');
    expect(await generation.next()).toMatchObject({ done: true });
  }
  const thrown = new Error('mine');
  const generation = model.generate(ids, options);
  await generation.next();
  await expect(generation.throw(thrown)).rejects.toBe(thrown);
  {
    await using disposed = model.generate(ids, options);
    await disposed.next();
  }
  await expectIdle(engine);
  expect(held(engine)).toEqual(before);
});

test('a generation that is not read is parked after its mark; others go on, and its result comes when it is awaited', async () => {
  const { engine, model } = await load();
  using _ = model;
  const long = { ...options, maxTokens: 450 };
  const expected = essence(await model.generate(ids, long).result);
  const generation = model.generate(ids, long);
  await expect.poll(() => engine.stats().serving.running).toBe(1);
  await expect.poll(() => engine.stats().team.running).toBe(0);
  const others = await model.generateBatch([ids, ids], { maxTokens: 5 });
  expect(others).toHaveLength(2);
  expect(engine.stats().serving.running).toBe(1);
  // It goes on as far as it is read.
  for (let piece = 0; piece < 140; piece++) expect(await generation.next()).toMatchObject({ done: false });
  expect(essence(await generation.result)).toEqual(expected);
  await expectIdle(engine);
});

describe('a generation that is dropped', () => {
  test('is cancelled, parked or not', async () => {
    const { engine, model } = await load();
    using _ = model;
    // They are kept until all run: the garbage collector may come at any time.
    const kept = Array.from({ length: 5 }, () => model.generate(ids, { ...options, maxTokens: 490 }));
    await until(() => engine.stats().serving.running === 5);
    kept.length = 0;
    await expect
      .poll(
        async () => {
          await collect();
          return engine.stats().serving.running;
        },
        { timeout: 20_000 },
      )
      .toBe(0);
  });

  test('is not, where its result is awaited', async () => {
    const { model, expected } = await load();
    using _ = model;
    const results = Array.from({ length: 4 }, () => model.generate(ids, options).result);
    await collect();
    for (const result of results) expect(essence(await result)).toEqual(expected);
  });

  test('is not, where its first piece is awaited', async () => {
    const { model } = await load();
    using _ = model;
    const firsts = Array.from({ length: 20 }, (_, index) => model.generate([...ids, index], options).next());
    const collecting = (async () => {
      for (let round = 0; round < 20; round++) await collect();
    })();
    for (const first of firsts) expect(await first).toMatchObject({ done: false });
    await collecting;
  });
});

describe('a failure', () => {
  const failing: [string, (model: Awaited<ReturnType<typeof load>>['model']) => Generation, RegExp][] = [
    ['of an option', (model) => model.generate(ids, { temperature: -1 }), /temperature/],
    ['of a prompt', (model) => model.generate([99_999]), /not a token/],
    ['of a prompt that is none', (model) => model.generate(7 as never), /string or an array/],
    ['of the context', (model) => model.generate(someIds(600, tiny.vocab)), /does not fit/],
    ['of a signal', (model) => model.generate(ids, { signal: AbortSignal.abort() }), /aborted/],
    ['of a deadline', (model) => model.generate(ids, { ...options, deadlineMs: 1 }), /deadlineMs/],
    ['of a format', (model) => model.generate(ids, { format: { regex: '(' } }), /./],
    ['of a template', (model) => model.chat([{ role: 'user', content: 'a' }]), /template/],
  ];

  test.each(failing)('%s is found in the iteration and in the result', async (_what, begin, message) => {
    const { engine, model } = await load();
    using _ = model;
    await expect(begin(model).result).rejects.toThrow(message);
    const read = begin(model);
    const readAll = async () => {
      while ((await read.next()).done !== true);
    };
    await expect(readAll()).rejects.toThrow(message);
    expect(await read.next()).toEqual({ done: true, value: undefined });
    await expect(read.result).rejects.toThrow(message);
    await expectIdle(engine);
  });
});

test('an array of 2^32 - 1 holes is refused before it is copied', async () => {
  const { model } = await load();
  using _ = model;
  const holes = new Array(2 ** 32 - 1) as number[];
  await expectRejection(model.generate(holes).result, 'ERR_CONTEXT', /4294967295 tokens/);
  await expectRejection(model.embed([holes]), 'ERR_CONTEXT', /4294967295 tokens/);
  await expectRejection(model.embed([holes], { truncate: 'end' }), 'ERR_TOKENIZER', /undefined is not a token/);
  await expectRejection(model.logits(holes), 'ERR_CONTEXT');
  await expectRejection(model.perplexity(holes), 'ERR_ARGUMENT', /longer than/);
  await expectRejection(model.complete(holes, { n: 2 }), 'ERR_CONTEXT');
  await expectRejection(model.generateBatch(holes as never), 'ERR_ARGUMENT', /4294967295 items/);
  await expectRejection(model.embed(holes as never), 'ERR_ARGUMENT', /4294967295 items/);
  const each = model.generateEach(holes as never, { maxTokens: 1 });
  expect(await each.next()).toMatchObject({ value: { index: 0, reason: { code: 'ERR_ARGUMENT' } } });
  await each.return();
  using session = model.session();
  await expectRejection(session.append(holes), 'ERR_ARGUMENT');
  await expectRejection(session.generate(holes).result, 'ERR_CONTEXT');
  const huge = new Int32Array(2 ** 28);
  await expectRejection(model.generate(huge).result, 'ERR_CONTEXT');
});

test('signals are heeded before, between and after', async () => {
  const { engine, model, expected } = await load();
  using _ = model;
  const reason = new Error('enough');
  const aborted = AbortSignal.abort(reason);
  await expectAbort(model.generate(ids, { ...options, signal: aborted }).result, reason);
  await expectAbort(model.generateBatch([ids], { ...options, signal: aborted }), reason);
  await expectAbort(model.complete(ids, { ...options, signal: aborted }), reason);
  await expectAbort(model.embed(ids, { signal: aborted }), reason);
  await expectAbort(model.generateEach([ids], { ...options, signal: aborted }).next(), reason);
  await expectAbort(model.embedEach([ids], { signal: aborted }).next(), reason);
  for (const after of [0, 1, 5, 50]) {
    const controller = new AbortController();
    const generation = model.generate(ids, { ...options, signal: controller.signal });
    for (let piece = 0; piece < after; piece++) await generation.next();
    controller.abort(reason);
    await expectAbort(generation.result, reason);
    await expectAbort(generation.next(), reason);
  }
  const late = new AbortController();
  const generation = model.generate(ids, { ...options, signal: late.signal });
  const result = await generation.result;
  late.abort(reason);
  expect(essence(result)).toEqual(expected);
  let pieces = 0;
  for await (const _piece of generation) pieces++;
  expect(pieces).toBe(300);
  await expectIdle(engine);
});

test('one signal serves any number of calls without a warning', async () => {
  const { model } = await load();
  using _ = model;
  const warnings: Error[] = [];
  const note = (warning: Error) => warnings.push(warning);
  process.on('warning', note);
  const { signal } = new AbortController();
  const calls: Promise<unknown>[] = [];
  for (let index = 0; index < 15; index++) {
    calls.push(model.generate(ids, { maxTokens: 2, signal }).result);
    calls.push(model.generateBatch([ids], { maxTokens: 2, signal }));
    calls.push(model.embed([ids, ids], { signal }));
    calls.push(model.complete(ids, { maxTokens: 2, n: 2, signal }));
    calls.push(model.generateEach([ids], { maxTokens: 2, signal }).next());
  }
  await Promise.all(calls);
  await nextTurn();
  process.off('warning', note);
  expect(warnings).toEqual([]);
});
