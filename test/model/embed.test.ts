// Embeddings: every pooling against the oracle, the same bits alone and in a batch, misuse and cancellation.
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Prompt } from '../../src/generation/prompt.js';
import type { EmbedBatchOptions } from '../../src/model/call-options.js';
import type { Truncation } from '../../src/model/embed-options.js';
import { bundledModelPath, card } from '../support/models/bundled-model.js';
import { modelFiles, small, someIds, tiny, untilRunning } from '../support/models/model-files.js';
import { firstBitDifference, normalisedError } from '../support/numbers.js';
import { ModelOracle } from '../support/oracles/model-oracle.js';
import { expectAbort, expectRejection } from '../support/rejections.js';
import { sharedEngines } from '../support/running/engines.js';
import { cutAnywhere, preemptOften } from '../support/running/serving.js';

const engines = sharedEngines();
const write = modelFiles();

afterEach(() => vi.restoreAllMocks());

const poolings = ['mean', 'last', 'first'] as const;

function pooled(hidden: readonly Float64Array[], pooling: (typeof poolings)[number]): Float64Array {
  if (pooling === 'first') return hidden[0] as Float64Array;
  if (pooling === 'last') return hidden.at(-1) as Float64Array;
  return (hidden[0] as Float64Array).map(
    (_, column) => hidden.reduce((sum, row) => sum + (row[column] as number), 0) / hidden.length,
  );
}

describe.each(poolings)('pooling %s', (pooling) => {
  test('is that of the oracle, in its own length and in length 1', async () => {
    const path = await write(tiny);
    const oracle = await ModelOracle.load(path);
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(path);
    // One token, some, and more than one piece.
    const texts = [1, 9, 300].map((length) => someIds(length, tiny.vocab));
    const plain = await model.embed(texts, { pooling, normalize: false });
    const unit = await model.embed(texts, { pooling });
    for (const [index, ids] of texts.entries()) {
      const expected = pooled(oracle.states(ids).hidden, pooling);
      expect(normalisedError(plain[index] as Float32Array, expected)).toBeLessThan(1e-11);
      const length = Math.hypot(...expected);
      const scaled = expected.map((value) => value / length);
      expect(normalisedError(unit[index] as Float32Array, scaled)).toBeLessThan(1e-11);
      expect(Math.hypot(...(unit[index] as Float32Array))).toBeCloseTo(1, 6);
    }
  });

  test('gives the same bits alone, in a batch, and on any number of threads', async () => {
    const path = await write(small);
    const texts: Prompt[] = ['a text', someIds(40, small.vocab), 'another', someIds(300, small.vocab), 'a text'];
    let expected: Float32Array[] | undefined;
    for (const threads of [1, 2, 3]) {
      const engine = await engines({ threads });
      using model = await engine.loadModel(path);
      expected ??= await model.embed(texts, { pooling });
      const batch = await model.embed(texts, { pooling });
      for (const [index, text] of texts.entries()) {
        const [alone] = await model.embed([text], { pooling });
        expect(firstBitDifference(alone as Float32Array, expected[index] as Float32Array)).toBeUndefined();
        expect(firstBitDifference(batch[index] as Float32Array, expected[index] as Float32Array)).toBeUndefined();
      }
    }
  });
});

test.each([1, 2])('a decoder gives the same bits however texts are cut and preempted, seed %d', async (seed) => {
  const path = await write(small);
  const engine = await engines({ threads: 2 });
  using model = await engine.loadModel(path);
  const texts = Array.from({ length: 30 }, (_, index) => someIds(1 + index * 13, small.vocab));
  const calls = poolings.map((pooling) => ({ pooling, normalize: pooling !== 'last', dimensions: 20 }));
  const expected: Float32Array[][] = [];
  for (const options of calls) {
    const vectors: Float32Array[] = [];
    for (const text of texts) vectors.push(await model.embed(text, options));
    expected.push(vectors);
  }
  cutAnywhere(seed, 8);
  const preempted = preemptOften(seed, 3);
  const actual = await Promise.all(calls.map((options) => model.embed(texts, options)));
  expect(preempted.count).toBeGreaterThan(3);
  expect(actual).toEqual(expected);
});

test('the mean in length 1 is the default, and progress is told', async () => {
  const engine = await engines({ threads: 2 });
  using model = await engine.loadModel(await write(tiny));
  const texts = ['a', 'few', 'texts'];
  const seen: object[] = [];
  const vectors = await model.embed(texts, { onProgress: (progress) => seen.push(progress) });
  expect(vectors).toEqual(await model.embed(texts, { pooling: 'mean', normalize: true }));
  expect(seen).toEqual([1, 2, 3].map((done) => ({ done, total: 3 })));
  expect(await model.embed([])).toEqual([]);
});

test('a text is cut where the context ends, and what is behind is not tokenized', async () => {
  const engine = await engines({ threads: 2 });
  using model = await engine.loadModel(await write(tiny), { contextLength: 12 });
  const text = 'a text of some words, '.repeat(40);
  const ids = model.tokenizer.encode(text, { addBos: true });
  const cut: Truncation[] = [];
  const embed = (texts: Prompt[]) => model.embed(texts, { truncate: 'end', onTruncated: (one) => cut.push(one) });
  const [expected] = await model.embed([ids.slice(0, 12)]);
  expect(await embed(['a', text, ids])).toEqual([...(await model.embed(['a'])), expected, expected]);
  const tokens = ids.length;
  expect(cut.sort((a, b) => a.index - b.index)).toEqual([1, 2].map((index) => ({ index, tokens, kept: 12 })));
  // Nothing would take a lone surrogate.
  const endless = `${text.repeat(4000)}\ud800`;
  expect(await model.embed(endless, { truncate: 'end' })).toEqual(expected);
  await embed([endless]);
  expect(cut.at(-1)).toEqual({ index: 0, tokens: 65_536, kept: 12 });
  for await (const { value, truncatedTokens } of model.embedEach([text, endless], { truncate: 'end', ordered: true })) {
    expect(value).toEqual(expected);
    expect([tokens - 12, 65_536 - 12]).toContain(truncatedTokens);
  }
});

test('a text that ends for the model is cut before its end', async () => {
  const engine = await engines({ threads: 2 });
  const ends = await write(tiny, ({ metadata }) => {
    metadata.set('tokenizer.ggml.add_eos_token', { type: 'bool', value: true });
  });
  using model = await engine.loadModel(ends, { contextLength: 12 });
  const text = 'a text of some words, '.repeat(40);
  const ids = model.tokenizer.encode(text, { addBos: true, addEos: true });
  const kept = [...ids.slice(0, 11), ids.at(-1) as number];
  const cut: object[] = [];
  const vector = await model.embed(text, { truncate: 'end', onTruncated: (one) => cut.push(one) });
  expect(vector).toEqual((await model.embed([kept]))[0]);
  expect(cut).toEqual([{ index: 0, tokens: ids.length, kept: 12 }]);
});

test('what cannot be is refused', async () => {
  const engine = await engines({ threads: 2 });
  using model = await engine.loadModel(await write(tiny), { contextLength: 12 });
  const wrong: [object | null, RegExp][] = [
    [{ pooling: 'max' }, /pooling must be one of mean, last, first, got "max"/],
    [{ normalize: 1 }, /normalize/],
    [{ pool: 'mean' }, /no option pool/],
    [{ signal: 1 }, /AbortSignal/],
    [null, /options/],
  ];
  for (const [options, message] of wrong) {
    await expectRejection(model.embed([], options as EmbedBatchOptions), 'ERR_ARGUMENT', message);
  }
  await expectRejection(model.embed(7 as never), 'ERR_ARGUMENT', /embed: .* array/);
  await expectRejection(model.embed(['ok', 7] as never), 'ERR_ARGUMENT', /string or an array of token ids/);
  await expectRejection(model.embed(['ok', someIds(13, 300)]), 'ERR_CONTEXT', /embed/);
  await expectRejection(model.embed([[]]), 'ERR_ARGUMENT', /no tokens/);
  await expectRejection(model.embed(['\ud800']), 'ERR_TOKENIZER');
});

test('a cancellation stops all of them and leaves the model ready', async () => {
  const engine = await engines({ threads: 2 });
  using model = await engine.loadModel(bundledModelPath);
  await model.warmup();
  const texts = Array.from({ length: 8 }, () => card.check.ids.slice(0, 500));
  const [expected] = await model.embed(texts.slice(0, 2));
  const before = engine.stats().pool.rentedBytes;
  const controller = new AbortController();
  const running = model.embed(texts, { signal: controller.signal });
  await untilRunning(engine, running);
  const reason = new Error('enough');
  controller.abort(reason);
  await expectAbort(running, reason);
  await expectAbort(model.embed([], { signal: controller.signal }), reason);
  expect(engine.stats().team.running).toBe(0);
  expect(engine.stats().pool.rentedBytes).toBe(before);
  expect((await model.embed(texts.slice(0, 1)))[0]).toEqual(expected);
});
