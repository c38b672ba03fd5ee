// Serving in little memory: every request completes that fits at all, with its tokens alone; what never fits is refused; memory
// that callers hold ends the waiting; several models, and callers who do not read, leave each other memory.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Engine } from '../../src/engine.js';
import type { GenerationResult } from '../../src/generation/generation-result.js';
import { inspectModel } from '../../src/model/inspect.js';
import type { Model } from '../../src/model/model.js';
import { loadAddon } from '../../src/native/load.js';
import { Team } from '../../src/team/team.js';
import { modelFiles, modelPaths, small, someIds, tiny } from '../support/models/model-files.js';
import { expectRejection } from '../support/rejections.js';
import { atOnce, essence, everyWay, observeSteps, oneByOne } from '../support/running/serving.js';

const write = modelFiles();
const writeAny = modelPaths();
const threads = 2;
const noCache = { serving: { prefixCache: false } };

afterEach(() => vi.restoreAllMocks());

/** An engine whose tensors may take so many bytes beside the weights of these models. */
async function engineOf(bytes: number, ...paths: readonly string[]): Promise<Engine> {
  const memoryBudget = Team.sizeBytes(loadAddon(), threads) + bytes + (await weightBytes(...paths));
  return Engine.create({ threads, memoryBudget });
}

async function weightBytes(...paths: readonly string[]): Promise<number> {
  const models = await Promise.all(paths.map((path) => inspectModel(path, {})));
  return models.reduce((sum, { loadBytes }) => sum + loadBytes, 0);
}

/** What a model gives that has enough memory, and caches nothing. */
async function withMuch<T>(path: string, use: (model: Model) => Promise<T>): Promise<T> {
  await using engine = await Engine.create({ threads, memoryBudget: 2 ** 30 });
  using model = await engine.loadModel(path, noCache);
  return await use(model);
}

/** Its pages are so large that each has a buffer of its own: small ones share buffers, which must be empty to be freed. */
const deep = { ...tiny, layers: 10 };
const { layers, kvHeads, dim, heads, vocab } = deep;
const pageBytes = layers * kvHeads * (dim / heads) * 2 * 4 * 32;

/** What a model takes to compute with: constants, the rows of its programs, and an arena for some of them. */
const forComputing = 600 << 10;

describe('after a warmup, nothing takes memory but pages', () => {
  const steps = { maxTokens: 2, ignoreEos: true };
  const lengths = [1, 5, 30, 100, 250, 400];

  test('of a decoder, whatever its rows', async () => {
    await using engine = await Engine.create({ threads });
    using model = await engine.loadModel(await write(small), noCache);
    await model.warmup();
    const { rentedBytes, liveTensors } = engine.stats().pool;
    const prompts = lengths.map((length) => someIds(length, small.vocab));
    for (const prompt of prompts) await model.generateBatch([prompt], steps);
    await model.generateBatch([...prompts, ...prompts], steps);
    await model.embed(prompts);
    expect(engine.stats().pool).toMatchObject({ rentedBytes, liveTensors });
  });

  test('of an encoder, whatever its texts', async () => {
    await using engine = await Engine.create({ threads });
    using model = await engine.loadModel(await writeAny({ architecture: 'bert' }));
    await model.warmup();
    const { rentedBytes, liveTensors } = engine.stats().pool;
    for (const length of lengths) await model.embed([someIds(length, model.info.vocabulary)]);
    expect(engine.stats().pool).toMatchObject({ rentedBytes, liveTensors });
  });
});

describe('a budget that holds four requests', () => {
  // Three pages each.
  const prompts = Array.from({ length: 1000 }, (_, index) => [...someIds(60, vocab), index % 300, 1 + (index >> 8)]);
  const options = { maxTokens: 6, ignoreEos: true, temperature: 1, seed: 3 };
  const budget = forComputing + 4 * 3 * pageBytes;
  let wanted: GenerationResult[] | undefined;

  test.each([true, false])('serves a thousand, prefixCache %s', { timeout: 120_000 }, async (prefixCache) => {
    const path = await write(deep);
    await using engine = await engineOf(budget, path);
    using model = await engine.loadModel(path, { serving: { prefixCache } });
    const steps = observeSteps();
    const order: number[] = [];
    const begin = (prompt: number[], index: number) =>
      model.generate(prompt, { ...options, tenant: `tenant ${index % 2}` }).result.finally(() => order.push(index));
    const results = await Promise.all(prompts.map(begin));
    expectFair(order);
    const most = Math.max(...steps.map(({ slices }) => slices.length));
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(24);
    wanted ??= await withMuch(path, (plain) => plain.generateBatch(prompts, options));
    expect(results.map(({ tokens }) => tokens)).toEqual(wanted.map(({ tokens }) => tokens));
    const { pool, serving } = engine.stats();
    expect(pool.peakHeldBytes).toBeLessThanOrEqual(budget + (await weightBytes(path)));
    expect(serving).toMatchObject({ queued: 0, running: 0, pagesUsed: 0 });
    engine.trim();
    expect(engine.stats().serving.pagesCached).toBe(0);
  });
});

/** Requests that came together have waited within twice of their turn, and so has either tenant. */
function expectFair(order: readonly number[]): void {
  const servedAtOnce = 24;
  const waited: [number, number] = [0, 0];
  for (const [place, index] of order.entries()) {
    expect(place).toBeLessThanOrEqual(2 * index + servedAtOnce);
    expect(index).toBeLessThanOrEqual(2 * place + servedAtOnce);
    waited[index % 2 === 0 ? 0 : 1] += place;
  }
  expect(Math.max(...waited) / Math.min(...waited)).toBeLessThan(2);
}

test.each([16, 5, 3, 2, 1.5])('every way to choose tokens in %d MiB', { timeout: 60_000 }, async (mebibytes) => {
  const path = await write(small);
  const ways = everyWay(small.vocab);
  await using large = await Engine.create({ threads, memoryBudget: 2 ** 30 });
  using plain = await large.loadModel(path, noCache);
  const expected = await oneByOne(plain, ways);
  await using engine = await engineOf(mebibytes * 2 ** 20, path);
  using model = await engine.loadModel(path);
  const embedded = model.embed(Array.from({ length: 40 }, (_, index) => someIds(10 + index, small.vocab)));
  expect(await atOnce(model, ways)).toEqual(expected);
  expect(await embedded).toEqual(
    await plain.embed(Array.from({ length: 40 }, (_, index) => someIds(10 + index, small.vocab))),
  );
  expect(engine.stats().pool.peakHeldBytes).toBeLessThanOrEqual(mebibytes * 2 ** 20 + (await weightBytes(path)));
});

describe('what never fits', () => {
  test('is refused at once, with the numbers', async () => {
    await using engine = await engineOf(8 << 20);
    using model = await engine.loadModel(await write({ ...deep, layers: 100, context: 512 }));
    const bytes = (16 * 10 * pageBytes).toString();
    const message = new RegExp(`500 tokens take ${bytes} bytes, 16 pages; beside its weights .* has room for \\d+$`);
    const steps = observeSteps();
    const refused = await expectRejection(
      model.generate(someIds(500, vocab), { maxTokens: 1 }).result,
      'ERR_BUDGET',
      message,
    );
    expect(refused.neverFits).toBe(true);
    await expectRejection(model.embed(someIds(500, vocab)), 'ERR_BUDGET', message);
    expect(steps).toEqual([]);
    const batch = model.generateBatch([[1], someIds(500, vocab)], { maxTokens: 1 });
    expect(await expectRejection(batch, 'ERR_BUDGET', message)).toMatchObject({ index: 1, neverFits: true });
  });

  test('ends alone where it grows too large, and others go on', async () => {
    const path = await write(deep);
    await using engine = await engineOf(forComputing + 6 * pageBytes, path);
    using model = await engine.loadModel(path, noCache);
    const large = model.generate(someIds(60, vocab), { maxTokens: 450, ignoreEos: true }).result;
    const others = Array.from({ length: 8 }, (_, index) =>
      model.generate(someIds(20 + index, vocab), { maxTokens: 20, ignoreEos: true }),
    );
    const results = await Promise.all(others.map(({ result }) => result));
    expect(results.every(({ tokens }) => tokens.length === 20)).toBe(true);
    await expectRejection(large, 'ERR_BUDGET', /tokens take \d+ bytes, \d+ pages/);
    expect(engine.stats().serving).toMatchObject({ queued: 0, running: 0, pagesUsed: 0 });
  });
});

describe('memory that callers hold', () => {
  const bytes = forComputing + 20 * pageBytes;

  async function withLittle(use: (engine: Engine, model: Model, fill: () => Disposable) => Promise<void>) {
    const path = await write(deep);
    await using engine = await engineOf(bytes, path);
    using model = await engine.loadModel(path, noCache);
    await model.generate(someIds(40, vocab), { maxTokens: 2 }).result;
    // The step is over then.
    await nextTurn();
    const fill = () => {
      engine.trim();
      const made: { dispose(): void }[] = [];
      for (let size = bytes; size >= 4096; size = Math.floor(size / 2)) {
        for (;;) {
          try {
            made.push(engine.tensor([size], 'i8'));
          } catch {
            break;
          }
        }
      }
      return {
        [Symbol.dispose]: () => {
          for (const tensor of made.splice(0)) tensor.dispose();
        },
      };
    };
    await use(engine, model, fill);
  }

  test('fails all that wait for it, with the numbers, rather than having them wait for ever', async () => {
    await withLittle(async (engine, model, fill) => {
      const filling = fill();
      const started = performance.now();
      const calls = Array.from({ length: 20 }, () => model.generate(someIds(40, vocab), { maxTokens: 2 }).result);
      calls.push(model.embed(someIds(40, vocab)) as never);
      const settled = Promise.allSettled(calls);
      for (const call of calls) {
        await expectRejection(call, 'ERR_BUDGET', /nothing that the engine computes will free more|needs \d+ bytes/);
      }
      await settled;
      expect(performance.now() - started).toBeLessThan(4000);
      filling[Symbol.dispose]();
      const { tokens } = await model.generate(someIds(40, vocab), { maxTokens: 2, ignoreEos: true }).result;
      expect(tokens).toHaveLength(2);
      expect(engine.stats().serving).toMatchObject({ queued: 0, running: 0, pagesUsed: 0 });
    });
  });

  test('and give back in time delays what waits for it', async () => {
    await withLittle(async (_engine, model, fill) => {
      const expected = await model.generate(someIds(40, vocab), { maxTokens: 9, seed: 1 }).result;
      const filling = fill();
      const call = model.generate(someIds(40, vocab), { maxTokens: 9, seed: 1 }).result;
      setTimeout(() => filling[Symbol.dispose](), vocab);
      expect(essence(await call)).toEqual(essence(expected));
    });
  });

  test('fails a request that runs and cannot grow', async () => {
    await withLittle(async (engine, model, fill) => {
      const generation = model.generate(someIds(20, vocab), { maxTokens: 400, ignoreEos: true });
      await generation.next();
      using _filling = fill();
      await expectRejection(generation.result, 'ERR_BUDGET');
      expect(engine.stats().serving).toMatchObject({ queued: 0, running: 0, pagesUsed: 0 });
    });
  });
});

describe('several models', () => {
  test('wait for each other’s memory, whichever takes it first', { timeout: 60_000 }, async () => {
    const paths = [await write(deep), await write({ ...deep, seed: 2 }), await write({ ...deep, seed: 3 })];
    const prompts = Array.from({ length: 12 }, (_, index) => someIds(30 + 9 * index, vocab));
    const options = { maxTokens: 60, ignoreEos: true, temperature: 1, seed: 1 };
    await using large = await Engine.create({ threads, memoryBudget: 2 ** 30 });
    const wanted = [];
    for (const path of paths) {
      using model = await large.loadModel(path, noCache);
      wanted.push((await model.generateBatch(prompts, options)).map(essence));
    }
    // Each model alone has room for a request or two.
    await using engine = await engineOf(3 * forComputing + 8 * pageBytes, ...paths);
    const models = await Promise.all(paths.map((path) => engine.loadModel(path)));
    const batches = models.map((model) => model.generateBatch(prompts, options));
    // And the same model with keys and values of another type.
    using session = (models[0] as Model).session({ kvType: 'f16' });
    const inSession = session.generate(someIds(50, vocab), options).result;
    for (const [index, batch] of batches.entries()) expect((await batch).map(essence)).toEqual(wanted[index]);
    expect((await inSession).tokens).toHaveLength(60);
    expect(engine.stats().serving).toMatchObject({ queued: 0, running: 0, pagesUsed: 0 });
  });
});

describe('callers who do not read', () => {
  test('leave their memory to others, and go on when they read', { timeout: 60_000 }, async () => {
    const path = await write(deep);
    await using engine = await engineOf(forComputing + 30 * pageBytes, path);
    using model = await engine.loadModel(path, noCache);
    const options = { maxTokens: 440, ignoreEos: true, temperature: 1, seed: 8 };
    const prompts = [1, 2, 3, 4, 5].map((index) => someIds(10 + index, vocab));
    const unread = prompts.map((prompt) => model.generate(prompt, options));
    // Each stops after 256 pieces, which take 9 pages: of three of them, all memory.
    await vi.waitFor(() => expect(engine.stats().team.running).toBe(0), { timeout: 20_000, interval: 20 });
    await expect.poll(() => engine.pressure().rowsPerStep).toBeGreaterThan(0);
    const others = await model.generateBatch(
      Array.from({ length: 20 }, (_, index) => someIds(70 + index, vocab)),
      { maxTokens: 10, ignoreEos: true },
    );
    expect(others).toHaveLength(20);
    const results = [];
    for (const generation of unread) results.push(essence(await generation.result));
    const alone = await model.generateBatch(prompts, options);
    expect(results).toEqual(alone.map(essence));
    // All pieces are still there to be read.
    for (const generation of unread) {
      let pieces = 0;
      for await (const _piece of generation) pieces++;
      expect(pieces).toBe(440);
    }
  });

  test('and are more than run at once keep nobody out', { timeout: 60_000 }, async () => {
    await using engine = await engineOf(64 << 20);
    using model = await engine.loadModel(await write(deep), noCache);
    const unread = Array.from({ length: 260 }, () =>
      model.generate(someIds(2, vocab), { maxTokens: 300, ignoreEos: true }),
    );
    await expect.poll(() => engine.stats().serving.pagesUsed, { timeout: 50_000 }).toBeGreaterThan(256 * 5);
    expect((await model.generate(someIds(20, vocab), { maxTokens: 5, ignoreEos: true }).result).tokens).toHaveLength(5);
    await Promise.all(unread.map((generation) => generation.return(undefined as never)));
    expect(engine.stats().serving).toMatchObject({ queued: 0, running: 0, pagesUsed: 0 });
  });
});
