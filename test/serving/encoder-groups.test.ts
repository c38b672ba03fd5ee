// Texts that an encoder computes together: the bits of each alone at the borders of buckets and in any mix, for every
// encoder; nothing is recorded once the model is warm; little memory, lost workers, and neighbours that are cancelled.
import { setImmediate } from 'node:timers/promises';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { TesseraeError } from '../../src/base/errors.js';
import { Engine } from '../../src/engine.js';
import { encoderBucketFor, groupRows } from '../../src/forward/encoder/encoder-buckets.js';
import { EncoderPrograms } from '../../src/forward/encoder/encoder-programs.js';
import type { Model } from '../../src/model/model.js';
import { loadAddon } from '../../src/native/load.js';
import { Compute } from '../../src/ops/calls/compute.js';
import { Team } from '../../src/team/team.js';
import { modelPaths, someIds } from '../support/models/model-files.js';
import type { RandomModel } from '../support/models/random-model.js';
import { firstBitDifference, Numbers } from '../support/numbers.js';
import { expectAbort, expectRejection } from '../support/rejections.js';
import { sharedEngines } from '../support/running/engines.js';

const engines = sharedEngines();
const write = modelPaths();
const vocabulary = 300;
const all = () => true;
const sizes = { dim: 64, heads: 2, ffn: 96, context: 700, optional: all };

const models: RandomModel[] = (['bert', 'nomic-bert', 'jina-bert-v2'] as const).flatMap((architecture) =>
  (['F32', 'Q8_0', 'Q4_0'] as const).map((type) => ({ architecture, type, ...sizes })),
);

afterEach(() => vi.restoreAllMocks());

function textOf(tokens: number, index: number): number[] {
  return someIds(tokens, vocabulary).map((id, at) => 1 + ((id + 7 * index * (at + 1)) % (vocabulary - 1)));
}

async function alone(model: Model, texts: readonly number[][]): Promise<Float32Array[]> {
  const vectors: Float32Array[] = [];
  for (const text of texts) vectors.push(await model.embed(text));
  return vectors;
}

function expectSame(actual: readonly Float32Array[], expected: readonly Float32Array[], what: string): void {
  for (const [index, vector] of expected.entries()) {
    expect(firstBitDifference(actual[index] as Float32Array, vector), `${what}, text ${index}`).toBeUndefined();
  }
}

describe.each(models)('$architecture in $type', (shape) => {
  test('gives each text the bits that it has alone, at the borders of buckets and in any mix', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(shape));
    const numbers = new Numbers(11);
    // Groups of a number of tokens: what is left after some texts is one more.
    const groupOf = (tokens: number): number[] => {
      const lengths: number[] = [];
      for (let left = tokens; left > 0; left -= lengths.at(-1) as number) {
        lengths.push(Math.min(left, numbers.integer(1, left > 100 ? 90 : 20)));
      }
      return lengths;
    };
    const totals = [1, 7, 8, 9, 16, 17, 31, 33, 127, 128, 129, 145, 255, 257, groupRows - 1, groupRows, groupRows + 1];
    for (const tokens of totals) {
      const texts = groupOf(tokens).map(textOf);
      expectSame(await model.embed(texts), await alone(model, texts), `${tokens} tokens`);
    }
    const mixed = [groupRows + 77, 1, 300, 256, 2, 257, 40, 3].map(textOf);
    const expected = await alone(model, mixed);
    expectSame(await model.embed(mixed), expected, 'mixed');
    expectSame(await Promise.all(mixed.map((text) => model.embed(text))), expected, 'separate calls');
  });
});

test('a model that is warm records nothing, whatever comes', async () => {
  const engine = await engines({ threads: 2 });
  using model = await engine.loadModel(await write({ architecture: 'bert', ...sizes }));
  await model.warmup();
  const recorded = vi.spyOn(Compute.prototype, 'programInSlices');
  const numbers = new Numbers(2);
  for (let round = 0; round < 40; round++) {
    const texts = Array.from({ length: numbers.integer(1, 30) }, (_, index) => textOf(numbers.integer(1, 256), index));
    await Promise.all([model.embed(texts), ...texts.slice(0, 5).map((text) => model.embed([text]))]);
  }
  expect(recorded).not.toHaveBeenCalled();
  // Longer texts than a group has are rare, and recorded when they come.
  await model.embed(textOf(groupRows + 1, 0));
  expect(recorded).toHaveBeenCalledTimes(1);
});

test('a model that is not warm records a program for each bucket once', async () => {
  const engine = await engines({ threads: 2 });
  using model = await engine.loadModel(await write({ architecture: 'bert', ...sizes }));
  const recorded = vi.spyOn(Compute.prototype, 'programInSlices');
  for (const tokens of [40, 33, 39, 40, 64, 57, 61]) await model.embed(textOf(tokens, 0));
  expect(new Set([40, 33, 39, 40, 64, 57, 61].map(encoderBucketFor)).size).toBe(2);
  expect(recorded).toHaveBeenCalledTimes(2);
});

describe('in little memory', () => {
  const shape = { architecture: 'bert', ...sizes, layers: 1 };
  const texts = Array.from({ length: 60 }, (_, index) => textOf(1 + ((index * 37) % 256), index));

  /** @param kibibytes beside what the model takes */
  async function withLittle(kibibytes: number, use: (engine: Engine, model: Model, bytes: number) => Promise<void>) {
    const threads = 2;
    const path = await write(shape);
    await using large = await Engine.create({ threads });
    using _ = await large.loadModel(path);
    const bytes = large.stats().pool.rentedBytes + (kibibytes << 10);
    await using engine = await Engine.create({ threads, memoryBudget: Team.sizeBytes(loadAddon(), threads) + bytes });
    using model = await engine.loadModel(path);
    await use(engine, model, bytes);
  }

  test.each([3000, 1500, 900])('the vectors are the same, %i KiB', async (kibibytes) => {
    const engine = await engines({ threads: 2 });
    using plain = await engine.loadModel(await write(shape));
    const expected = await plain.embed(texts);
    await withLittle(kibibytes, async (small, model, bytes) => {
      const [vectors, ...separate] = await Promise.all([
        model.embed(texts),
        ...texts.slice(0, 20).map((text) => model.embed(text)),
      ]);
      expectSame(vectors, expected, 'one call');
      expectSame(separate, expected.slice(0, 20), 'separate calls');
      expect(small.stats().pool.peakHeldBytes).toBeLessThanOrEqual(bytes);
    });
  });

  test('a text that never fits is refused, and others go on', async () => {
    await withLittle(900, async (_, model) => {
      const [large, small] = await Promise.allSettled([model.embed(textOf(680, 0)), model.embed(textOf(10, 0))]);
      expect(small.status).toBe('fulfilled');
      const failed = large.status === 'rejected' ? Promise.reject(large.reason) : Promise.resolve();
      await expectRejection(failed, 'ERR_BUDGET');
    });
  });

  test('the memory of groups goes to whoever needs it, and comes back', async () => {
    await withLittle(4000, async (engine, model, bytes) => {
      const expected = await model.embed(texts);
      engine.trim();
      const { pool: free } = engine.stats();
      const held = engine.tensor([bytes - free.heldBytes - (400 << 10)], 'i8');
      expectSame(await model.embed(texts.slice(0, 3)), expected.slice(0, 3), 'beside a tensor');
      held.dispose();
      expectSame(await model.embed(texts), expected, 'after it');
    });
  });
});

test('a lost worker changes no bit: the group is computed once more', async () => {
  const engine = await engines({ threads: 2 });
  using model = await engine.loadModel(await write({ architecture: 'bert', ...sizes }));
  const texts = Array.from({ length: 60 }, (_, index) => textOf(20 + index, index));
  const expected = await model.embed(texts);
  const { compute } = EncoderPrograms.prototype;
  let runs = 0;
  vi.spyOn(EncoderPrograms.prototype, 'compute').mockImplementation(async function (this: EncoderPrograms, ...given) {
    const vectors = await compute.apply(this, given);
    if (++runs % 3 > 0) throw new TesseraeError('ERR_WORKER_LOST', 'a worker thread died: as the test wants it');
    return vectors;
  });
  const outcomes = await Promise.allSettled(texts.map((text) => model.embed(text)));
  const lost = outcomes.filter((outcome) => outcome.status === 'rejected');
  expect(lost.length).toBeLessThan(texts.length);
  for (const { reason } of lost) expect(reason).toMatchObject({ code: 'ERR_WORKER_LOST' });
  const kept = outcomes.flatMap((outcome, index) => (outcome.status === 'fulfilled' ? [index] : []));
  const vectors = kept.map((index) => (outcomes[index] as PromiseFulfilledResult<Float32Array>).value);
  expectSame(
    vectors,
    kept.map((index) => expected[index] as Float32Array),
    'lost',
  );
});

test('a text that is cancelled leaves those of its group alone, and the engine as it was', async () => {
  const engine = await engines({ threads: 2 });
  using model = await engine.loadModel(await write({ architecture: 'bert', ...sizes, layers: 6 }));
  const texts = Array.from({ length: 40 }, (_, index) => textOf(100, index));
  const expected = await model.embed(texts);
  const rented = engine.stats().pool.rentedBytes;
  const reason = new Error('enough');
  let cancelled = 0;
  for (let round = 0; round < 12; round++) {
    const controllers = texts.map(() => new AbortController());
    const signalOf = (index: number) => (controllers[index] as AbortController).signal;
    const calls = texts.map((text, index) => model.embed(text, { signal: signalOf(index) }));
    const chosen = (index: number) => (round === 0 ? true : index % (round + 1) === 0);
    const settled = Promise.allSettled(calls);
    for (let turn = 0; turn < round; turn++) await setImmediate();
    for (const [index, controller] of controllers.entries()) if (chosen(index)) controller.abort(reason);
    for (const [index, outcome] of (await settled).entries()) {
      if (outcome.status === 'fulfilled')
        expectSame([outcome.value], [expected[index] as Float32Array], `text ${index}`);
      else {
        expect(chosen(index)).toBe(true);
        await expectAbort(calls[index], reason);
        cancelled++;
      }
    }
  }
  expect(cancelled).toBeGreaterThan(texts.length);
  expect(engine.stats().team.running).toBe(0);
  expect(engine.stats().pool.rentedBytes).toBe(rented);
});
