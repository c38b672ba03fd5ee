// Perplexity against the figures of the model card, which a float64 reference gave: on the workers, and from the logits
// with a cache, without one, and in one prefill.
import { describe, expect, test } from 'vitest';
import type { Model } from '../../src/model/model.js';
import { bundledModelF32Path, bundledModelPath, card, readFixtureText } from '../support/models/bundled-model.js';
import { modelFiles, someIds, tiny, untilRunning } from '../support/models/model-files.js';
import { ModelOracle } from '../support/oracles/model-oracle.js';
import { expectAbort, expectRejection } from '../support/rejections.js';
import { sharedEngines } from '../support/running/engines.js';

const engines = sharedEngines();
const write = modelFiles();

/** How far the mean negative log likelihood may be off, in nats: 0.5 % of a perplexity are 5e-3 nats. */
const bound = 1e-5;

/** -log softmax(logits)[target] in float64. */
function lossOf(logits: ArrayLike<number>, target: number): number {
  const row = Float64Array.from(logits);
  const most = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return most + Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - most), 0)) - (row[target] as number);
}

describe('the bundled model has the figures of its card', () => {
  test('on the held-out text', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(bundledModelPath);
    const { perplexity, nll, tokens } = await model.perplexity(readFixtureText('heldout.txt'), { window: 256 });
    expect(tokens).toBe(card.heldout.tokens);
    expect(Math.abs(nll - card.heldout.f16.nll)).toBeLessThan(bound);
    expect(perplexity).toBe(Math.exp(nll));
  });

  test.each([
    ['F32', bundledModelF32Path, card.check],
    ['F16', bundledModelPath, card.check.f16],
  ] as const)('on the check text, in %s', async (_type, path, figures) => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(path);
    const text = readFixtureText('check.txt');
    const result = await model.perplexity(text);
    expect(result.tokens).toBe(card.check.tokens);
    expect(Math.abs(result.nll - figures.nll)).toBeLessThan(bound);
    // Ids are taken as they stand, and on one thread all is the same to the bit.
    const alone = await engines({ threads: 1 });
    using other = await alone.loadModel(path);
    expect(await other.perplexity(card.check.ids, { window: 256 })).toEqual(result);
  });

  test('token by token, in one prefill, and without a cache', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(bundledModelPath);
    const bos = model.tokenizer.bosId as number;
    const { ids, tokens, f16 } = card.check;
    using session = model.session();
    let [byToken, byPrefill] = [0, 0];
    for (let from = 0; from < ids.length; from += 255) {
      const text = ids.slice(from, from + 255);
      const inputs = [bos, ...text.slice(0, -1)];
      const prefill = await model.logits(inputs);
      const { vocabulary } = model.info;
      session.rewind(0);
      for (const [index, target] of text.entries()) {
        byPrefill += lossOf(prefill.subarray(index * vocabulary, (index + 1) * vocabulary), target);
        byToken += lossOf(await session.append([inputs[index] as number]), target);
      }
    }
    expect(byToken).toBe(byPrefill);
    expect(Math.abs(byToken / tokens - f16.nll)).toBeLessThan(bound);

    const part = [bos, ...ids.slice(0, 40)];
    let withoutCache = 0;
    for (let length = 1; length < part.length; length++) {
      session.rewind(0);
      withoutCache += lossOf(await session.append(part.slice(0, length)), part[length] as number);
    }
    const { nll } = await model.perplexity(part.slice(1));
    expect(Math.abs(withoutCache / 40 - nll)).toBeLessThan(bound);
  });
});

describe('windows', () => {
  async function expected(oracle: ModelOracle, sequences: number[][]) {
    const losses = sequences.flatMap((ids) => {
      const { logits } = oracle.states(ids);
      return ids.slice(1).map((target, index) => lossOf(logits[index] as Float64Array, target));
    });
    return { nll: losses.reduce((a, b) => a + b, 0) / losses.length, tokens: losses.length };
  }

  async function expectNll(model: Model, ids: readonly number[], window: number, sequences: number[][], path: string) {
    const { nll, tokens } = await expected(await ModelOracle.load(path), sequences);
    const result = await model.perplexity(ids, { window });
    expect(result.tokens).toBe(tokens);
    expect(Math.abs(result.nll - nll)).toBeLessThan(1e-6);
  }

  test('begin with BOS, and the last may be short', async () => {
    const path = await write(tiny);
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(path);
    const ids = someIds(20, tiny.vocab);
    const pairs = ids.map((id) => [0, id]);
    await expectNll(model, ids, 2, pairs, path);
    const sequences = [
      [0, ...ids.slice(0, 8)],
      [0, ...ids.slice(8, 16)],
      [0, ...ids.slice(16)],
    ];
    await expectNll(model, ids, 9, sequences, path);
    await expectNll(model, ids, 300, [[0, ...ids]], path);
  });

  test('begin with their own first token where a model has no BOS, which is then not predicted', async () => {
    const path = await write(tiny, ({ metadata }) => {
      metadata.delete('tokenizer.ggml.bos_token_id');
      metadata.set('tokenizer.ggml.add_bos_token', { type: 'bool', value: false });
    });
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(path);
    expect(model.tokenizer.bosId).toBeUndefined();
    const ids = someIds(17, tiny.vocab);
    await expectNll(model, ids, 8, [ids.slice(0, 8), ids.slice(8, 16)], path);
    await expectRejection(model.perplexity([3]), 'ERR_ARGUMENT', /no token to predict/);
  });

  test('are longer than one piece, and as long as the context by default', async () => {
    const path = await write(tiny);
    const engine = await engines({ threads: 2 });
    const ids = someIds(400, tiny.vocab);
    using long = await engine.loadModel(path);
    await expectNll(
      long,
      ids,
      390,
      [
        [0, ...ids.slice(0, 389)],
        [0, ...ids.slice(389)],
      ],
      path,
    );
    using short = await engine.loadModel(path, { contextLength: 100 });
    expect(await short.perplexity(ids)).toEqual(await long.perplexity(ids, { window: 100 }));
    await expectRejection(short.perplexity(ids, { window: 101 }), 'ERR_CONTEXT', /window of 101 .* context of 100/);
  });
});

test('progress is told window by window', async () => {
  const engine = await engines({ threads: 2 });
  using model = await engine.loadModel(await write(tiny));
  const seen: object[] = [];
  await model.perplexity(someIds(20, tiny.vocab), { window: 9, onProgress: (progress) => seen.push(progress) });
  expect(seen).toEqual([8, 16, 20].map((tokens) => ({ tokens, totalTokens: 20 })));
});

test('what cannot be is refused', async () => {
  const engine = await engines({ threads: 2 });
  using model = await engine.loadModel(await write(tiny));
  for (const window of [1, 0, -1, 2.5, '256', null, Number.NaN]) {
    await expectRejection(model.perplexity('text', { window: window as number }), 'ERR_ARGUMENT', /window/);
  }
  await expectRejection(model.perplexity(''), 'ERR_ARGUMENT', /no token to predict/);
  await expectRejection(model.perplexity([300]), 'ERR_TOKENIZER', /300/);
  await expectRejection(model.perplexity('\ud800'), 'ERR_TOKENIZER');
  await expectRejection(model.perplexity(undefined as unknown as string), 'ERR_ARGUMENT');
  await expectRejection(model.perplexity('text', { stride: 3 } as object), 'ERR_ARGUMENT', /no option stride/);
  await expectRejection(model.perplexity('text', { onProgress: 1 as never }), 'ERR_ARGUMENT', /onProgress/);
  await expectRejection(model.perplexity('text', null as unknown as object), 'ERR_ARGUMENT', /options/);
});

test('a cancellation, or a callback that throws, ends it and leaves the model ready', async () => {
  const engine = await engines({ threads: 2 });
  using model = await engine.loadModel(bundledModelPath);
  await model.warmup();
  const expected = await model.perplexity(card.check.ids);
  const before = engine.stats().pool.rentedBytes;
  const reason = new Error('enough');
  const controller = new AbortController();
  const running = model.perplexity(card.check.ids, { signal: controller.signal });
  await untilRunning(engine, running);
  controller.abort(reason);
  await expectAbort(running, reason);
  const onProgress = () => {
    throw reason;
  };
  await expect(model.perplexity(card.check.ids, { onProgress })).rejects.toBe(reason);
  expect(await model.perplexity(card.check.ids)).toEqual(expected);
  expect(engine.stats().pool.rentedBytes).toBe(before);
});
