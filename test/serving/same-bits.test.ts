// The same results along every axis: whatever else is computed, however prompts are cut, padded, cached, preempted or computed
// again, with every way to choose tokens. What is compared with is each request alone, without a prefix cache.
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { Engine } from '../../src/engine.js';
import { mostRows } from '../../src/forward/row-buckets.js';
import type { Model } from '../../src/model/model.js';
import { loadAddon } from '../../src/native/load.js';
import { StepRate } from '../../src/serving/scheduling/step-rate.js';
import { bundledModelPath } from '../support/models/bundled-model.js';
import { modelFiles, small, someIds, tiny } from '../support/models/model-files.js';
import { sharedEngines } from '../support/running/engines.js';
import {
  atOnce,
  cutAnywhere,
  essence,
  everyWay,
  loseWorkers,
  observeSteps,
  oneByOne,
  preemptOften,
  type Way,
} from '../support/running/serving.js';

const engines = sharedEngines();
const write = modelFiles();
const noCache = { serving: { prefixCache: false } };

afterEach(() => vi.restoreAllMocks());

describe('each way to choose tokens', () => {
  const ways = everyWay(small.vocab);
  let path: string;
  let expected: object[];

  beforeAll(async () => {
    path = await write(small);
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(path, noCache);
    expected = await oneByOne(model, ways);
  });

  async function expectSame(model: Model, run: typeof atOnce = atOnce): Promise<void> {
    const results = await run(model, ways);
    for (const [index, { name }] of ways.entries()) expect(results[index], name).toEqual(expected[index]);
  }

  test('differs from the others, so that a mix-up is seen', () => {
    expect(new Set(expected.map((result) => JSON.stringify(result))).size).toBe(ways.length);
  });

  test('counts the tokens that are left to slower code', async () => {
    const engine = await Engine.create({ threads: 1 });
    try {
      using model = await engine.loadModel(path, noCache);
      const generate = (topP: number) =>
        model.generate([1, 2, 3], { maxTokens: 5, ignoreEos: true, temperature: 1, seed: 1, topP }).result;
      await generate(0.9);
      expect(engine.stats().serving.declinedTokens).toBe(0);
      // So close to 1 that only the exact sums tell whether the last token is needed.
      await generate(1 - 2 ** -53);
      expect(engine.stats().serving.declinedTokens).toBe(loadAddon().isas.length > 1 ? 5 : 0);
    } finally {
      await engine.close();
    }
  });

  test.each([1, 2, 3])('all at once, %d threads', async (threads) => {
    const engine = await engines({ threads });
    using model = await engine.loadModel(path, noCache);
    await expectSame(model);
    await expectSame(model);
  });

  test('with a cold and with a warm prefix cache, one by one and at once', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(path);
    await expectSame(model, oneByOne);
    const before = engine.stats().serving.prefixTokens;
    await expectSame(model, oneByOne);
    expect(engine.stats().serving.prefixTokens).toBeGreaterThan(before + 32 * 8);
    await expectSame(model);
    using other = await engine.loadModel(path);
    await expectSame(other);
  });

  test.each([1, 2, 3, 4])('cut anywhere, seed %d', async (seed) => {
    cutAnywhere(seed, 8 * seed);
    const steps = observeSteps();
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(path, seed % 2 === 0 ? noCache : {});
    await expectSame(model);
    const cuts = steps.flatMap(({ slices }) => slices).filter(({ from, count }) => count > 1 && from % 32 !== 0);
    expect(cuts.length).toBeGreaterThan(3);
  });

  test('in steps that are padded', async () => {
    const steps = observeSteps();
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(path);
    await expectSame(model);
    const taken = ({ slices }: (typeof steps)[number]) => slices.reduce((sum, { count }) => sum + count, 0);
    expect(steps.filter((step) => taken(step) < step.rows).length).toBeGreaterThan(3);
  });

  test.each([1, 2, 3])('preempted and computed again, seed %d', async (seed) => {
    const preempted = preemptOften(seed, 2);
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(path, seed === 1 ? noCache : {});
    if (seed === 3) cutAnywhere(seed);
    await expectSame(model);
    expect(preempted.count).toBeGreaterThan(8);
  });

  test('after aborts of neighbours in the same step', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(path);
    const stop = new AbortController();
    let others = 0;
    const neighbour = async (index: number) => {
      const ids = someIds(20 + 5 * index, small.vocab);
      const own = new AbortController();
      const signal = index % 3 === 0 ? stop.signal : own.signal;
      const generation = model.generate(ids, { maxTokens: 400, ignoreEos: true, temperature: 1, signal });
      for await (const _piece of generation) {
        if (++others === 30) stop.abort();
        if (index % 3 === 1 && others > 40 + index) own.abort();
        if (index % 3 === 2 && others > 40 + index) break;
      }
    };
    const neighbours = Promise.allSettled(Array.from({ length: 12 }, (_, index) => neighbour(index)));
    await expectSame(model);
    const outcomes = await neighbours;
    expect(outcomes.filter(({ status }) => status === 'rejected').length).toBe(8);
    expect(engine.stats().serving).toMatchObject({ queued: 0, running: 0, pagesUsed: 0 });
  });

  test.each([1, 2])('after lost workers, seed %d', async (seed) => {
    const lost = loseWorkers(seed, 3);
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(path);
    await expectSame(model);
    expect(lost.count).toBeGreaterThan(10);
  });

  test('among embeddings, other sessions, and another model', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(path);
    using other = await engine.loadModel(await write(tiny));
    using session = model.session({ kvType: 'f16' });
    const disturbances = [
      model.embed(Array.from({ length: 20 }, (_, index) => someIds(1 + 7 * index, small.vocab))),
      other.generateBatch(Array.from({ length: 20 }, (_, index) => someIds(1 + index, tiny.vocab))),
      session.generate(someIds(40, small.vocab), { maxTokens: 40, temperature: 1 }).result,
      model.perplexity(someIds(300, small.vocab)),
    ];
    await expectSame(model);
    await Promise.all(disturbances);
  });
});

describe.each(['f32', 'f16', 'q8_0'] as const)('keys and values in %s', (kvType) => {
  const model = { ...small, headDim: 32 };
  const ways = everyWay(model.vocab, 16);

  test('give the same alone, at once, cut, preempted, cached, and in a session', async () => {
    const path = await write(model);
    const engine = await engines({ threads: 2 });
    using plain = await engine.loadModel(path, { ...noCache, kvType });
    const expected = await oneByOne(plain, ways);
    expect(await atOnce(plain, ways)).toEqual(expected);
    using cached = await engine.loadModel(path, { kvType });
    cutAnywhere(5);
    preemptOften(5, 5);
    expect(await atOnce(cached, ways)).toEqual(expected);
    expect(await atOnce(cached, ways)).toEqual(expected);
    // Sessions of this type on a model of another one, beside its own requests.
    const others = (['f32', 'f16', 'q8_0'] as const).filter((type) => type !== kvType);
    using unlike = await engine.loadModel(path, { kvType: others[0] as 'f32' });
    const own = unlike.generateBatch([someIds(50, model.vocab), 'once'], { maxTokens: 30 });
    const inSessions = ways.map(async ({ prompt, options }) => {
      using session = unlike.session({ kvType });
      return essence(await session.generate(prompt, options).result);
    });
    expect(await Promise.all(inSessions)).toEqual(expected);
    await own;
  });
});

describe('a batch of any size', () => {
  const sizes = [1, 7, 8, 9, 12, 13, 31, 32, 33, 64, 65, 128, 129, 255, 256, 257, 300];
  const ways = everyWay(small.vocab, 5);
  const wayOf = (index: number): Way => {
    const { name, prompt, options } = ways[(index * 5) % ways.length] as Way;
    const short = typeof prompt === 'string' ? prompt : Array.from(prompt).slice(0, 1 + (index % 9));
    return { name, prompt: short, options: { ...options, seed: index } };
  };

  test('gives what each request gives alone', { timeout: 120_000 }, async () => {
    const path = await write(small);
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(path, noCache);
    const all = Array.from({ length: 300 }, (_, index) => wayOf(index));
    const expected = await oneByOne(model, all);
    const steps = observeSteps();
    // Prompts as many at once as a step has rows, so that so many decode together.
    vi.spyOn(StepRate.prototype, 'rowsWithin').mockReturnValue(mostRows);
    for (const size of sizes) {
      expect(await atOnce(model, all.slice(0, size)), `${size} at once`).toEqual(expected.slice(0, size));
    }
    // Formats are compiled in another thread, so that some requests above come a step later: plain ones come together.
    const plain = Array.from({ length: mostRows }, (_, seed) => {
      return { name: 'plain', prompt: [seed % 300], options: { temperature: 1, maxTokens: 3, ignoreEos: true, seed } };
    });
    const alone = await oneByOne(model, plain);
    for (const size of [7, 8, 12, 32, 64, 128, 256]) {
      expect(await atOnce(model, plain.slice(0, size)), `${size} plain`).toEqual(alone.slice(0, size));
    }
    // Programs of all sizes were met, the largest among them.
    const rows = new Set(steps.map((step) => step.rows));
    for (const size of [7, 8, 12, 32, 64, 128, 256]) expect([...rows]).toContain(size);
    const decoding = steps.map(({ slices }) => slices.filter(({ count, from }) => count === 1 && from > 0).length);
    expect(Math.max(...decoding)).toBeGreaterThan(128);
  });
});

describe('complete', () => {
  test.each([1, 2, 33, 300])('with n = %d gives what generate gives with each seed', async (n) => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(tiny));
    const prompt = someIds(70, tiny.vocab);
    const options = { temperature: 1, maxTokens: 6, ignoreEos: true, logprobs: 2 };
    const seed = Number.MAX_SAFE_INTEGER - 1;
    const results = await model.complete(prompt, { ...options, n, seed });
    expect(results).toHaveLength(n);
    for (const result of results.slice(0, 40)) {
      const alone = await model.generate(prompt, { ...options, seed: result.seed }).result;
      expect(essence(result)).toEqual(essence(alone));
    }
    expect(new Set(results.map((result) => result.seed)).size).toBe(n);
    expect(results[0]?.seed).toBe(seed);
    if (n > 2) expect(results[2]?.seed).toBe(0);
  });
});

test('the bundled model gives the same with all kinds of use at once', async () => {
  await using engine = await Engine.create({ threads: 2, memoryBudget: 2 ** 29 });
  using model = await engine.loadModel(bundledModelPath);
  const ways = everyWay(model.info.vocabulary, 12);
  const messages = [{ role: 'user', content: 'Tell me of the whale' }] as const;
  const chats = [1, 2, 3].map((seed) => ({ temperature: 0.8, seed, maxTokens: 10 }));
  const expected = await oneByOne(model, ways);
  const template = "{% for m in messages %}{{ m.role + ': ' + m.content }}{% endfor %}";
  const chat = async (options: (typeof chats)[number]) =>
    essence(await model.chat(messages, { ...options, template }).result);
  const expectedChats = [];
  for (const options of chats) expectedChats.push(await chat(options));
  const texts = ['a', 'The whale', 'once upon a time there was'];
  const vectors = [];
  for (const text of texts) vectors.push(await model.embed(text));
  cutAnywhere(9);
  const [results, chatted, embedded, completed] = await Promise.all([
    atOnce(model, ways),
    Promise.all(chats.map(chat)),
    model.embed(texts),
    model.complete('The whale', { n: 5, temperature: 1, seed: 3, maxTokens: 8 }),
  ]);
  expect(results).toEqual(expected);
  expect(chatted).toEqual(expectedChats);
  expect(embedded).toEqual(vectors);
  for (const result of completed) {
    const { seed } = result;
    const alone = await model.generate('The whale', { temperature: 1, seed, maxTokens: 8 }).result;
    expect(essence(result)).toEqual(essence(alone));
  }
});
