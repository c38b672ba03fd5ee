// Every encoder against a float64 oracle on random models: states, the same bits alone, in a batch and on any number of
// threads, and what encoders refuse.
import { describe, expect, test } from 'vitest';
import { modelPaths, someIds, untilRunning } from '../support/models/model-files.js';
import { type RandomModel, u32 } from '../support/models/random-model.js';
import { firstBitDifference, normalisedError } from '../support/numbers.js';
import { EncoderOracle } from '../support/oracles/encoder-oracle.js';
import { expectAbort, expectRejection } from '../support/rejections.js';
import { isas, sharedEngines } from '../support/running/engines.js';

const engines = sharedEngines();
const write = modelPaths();

const bound = 1e-11;
/** Activations are rounded to 8 bits. */
const quantizedBound = 1e-3;
const vocabulary = 300;
const all = () => true;

const models: [what: string, model: RandomModel][] = [
  ['bert', { architecture: 'bert', optional: all }],
  ['bert without token types', { architecture: 'bert' }],
  ['bert in F16', { architecture: 'bert', type: 'F16', optional: all }],
  ['bert in Q8_0', { architecture: 'bert', type: 'Q8_0', optional: all }],
  ['nomic-bert in Q4_0', { architecture: 'nomic-bert', type: 'Q4_0', optional: all }],
  ['nomic-bert', { architecture: 'nomic-bert', optional: all }],
  ['jina-bert-v2', { architecture: 'jina-bert-v2', optional: (name) => /token_types|ffn_gate/.test(name) }],
  ['jina-bert-v2 with gate and up in one matrix', { architecture: 'jina-bert-v2', otherShapes: all }],
  ['jina-bert-v2 without a gate', { architecture: 'jina-bert-v2' }],
  ['jina-bert-v2 with six heads and all norms', { architecture: 'jina-bert-v2', dim: 48, heads: 6, optional: all }],
];

describe.each(models)('%s', (_what, shape) => {
  test.each(isas)('has the states of the oracle on %s', async (isa) => {
    const path = await write(shape);
    const oracle = await EncoderOracle.load(path);
    const engine = await engines({ threads: 2, isa });
    using model = await engine.loadModel(path);
    const texts = [1, 16, 41].map((length) => someIds(length, vocabulary));
    const vectors = await model.embed(texts, { normalize: false });
    for (const [index, ids] of texts.entries()) {
      const states = oracle.states(ids);
      const mean = (states[0] as Float64Array).map(
        (_, column) => states.reduce((sum, state) => sum + (state[column] as number), 0) / states.length,
      );
      const most = /^Q/.test(String(shape.type)) ? quantizedBound : bound;
      expect(normalisedError(vectors[index] as Float32Array, mean)).toBeLessThan(most);
    }
  });

  test('gives the same bits alone, in any batch, and on any number of threads', async () => {
    const path = await write(shape);
    const lengths = [3, 40, 17, 16, 1, 200, 90, 40, 33, 500];
    const texts = lengths.map((length) => someIds(length, vocabulary));
    let expected: Float32Array[] | undefined;
    for (const threads of [1, 2, 3]) {
      const engine = await engines({ threads });
      using model = await engine.loadModel(path);
      expected ??= await model.embed(texts);
      const reversed = (await model.embed([...texts].reverse())).reverse();
      for (const [index, text] of texts.entries()) {
        const [alone] = await model.embed([text]);
        expect(firstBitDifference(alone as Float32Array, expected[index] as Float32Array)).toBeUndefined();
        expect(firstBitDifference(reversed[index] as Float32Array, expected[index] as Float32Array)).toBeUndefined();
      }
    }
  });
});

describe('pooling', () => {
  const poolingTypes: [type: number, pooling: 'mean' | 'first' | 'last'][] = [
    [0, 'mean'],
    [1, 'mean'],
    [2, 'first'],
    [3, 'last'],
  ];
  test.each(poolingTypes)('of type %i is %s', async (type, pooling) => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(
      await write({ architecture: 'bert', metadata: { '.pooling_type': u32(type) } }),
    );
    expect(model.info.pooling).toBe(pooling);
    const texts = [someIds(20, vocabulary), someIds(5, vocabulary)];
    expect(await model.embed(texts)).toEqual(await model.embed(texts, { pooling }));
    const other = pooling === 'mean' ? 'first' : 'mean';
    expect(await model.embed(texts)).not.toEqual(await model.embed(texts, { pooling: other }));
  });

  test('by rank is refused', async () => {
    const engine = await engines({ threads: 2 });
    const path = await write({ architecture: 'bert', metadata: { '.pooling_type': u32(4) } });
    await expectRejection(engine.loadModel(path), 'ERR_UNSUPPORTED', /bert\.pooling_type.*4/);
  });
});

describe('an encoder', () => {
  test('reports its progress, and gives no vectors for no texts', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write({ architecture: 'bert' }));
    const seen: object[] = [];
    const texts = [5, 6, 70].map((length) => someIds(length, vocabulary));
    await model.embed(texts, { onProgress: (progress) => seen.push(progress) });
    expect(seen).toEqual([1, 2, 3].map((done) => ({ done, total: 3 })));
    expect(await model.embed([])).toEqual([]);
  });

  test('refuses to generate, to rate, and to cut a text off', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write({ architecture: 'bert', context: 64 }));
    const ids = someIds(9, vocabulary);
    const unsupported = /bert gives embeddings only/;
    await expectRejection(model.generate(ids).next(), 'ERR_UNSUPPORTED', unsupported);
    await expectRejection(model.generateBatch([ids]), 'ERR_UNSUPPORTED', unsupported);
    await expectRejection(model.logits(ids), 'ERR_UNSUPPORTED', unsupported);
    await expectRejection(model.perplexity(ids), 'ERR_UNSUPPORTED', unsupported);
    await expectRejection(async () => model.session(), 'ERR_UNSUPPORTED', unsupported);
    await expectRejection(model.embed([ids, someIds(65, vocabulary)]), 'ERR_CONTEXT', /65 tokens.*64/);
    await expectRejection(model.embed([[]]), 'ERR_ARGUMENT', /no tokens/);
  });

  test('stops at once when it is cancelled, and is ready again', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write({ architecture: 'bert', dim: 128, ffn: 512, layers: 6 }));
    const texts = Array.from({ length: 40 }, () => someIds(500, vocabulary));
    const [expected] = await model.embed(texts.slice(0, 1));
    const controller = new AbortController();
    const running = model.embed(texts, { signal: controller.signal });
    await untilRunning(engine, running);
    const reason = new Error('enough');
    controller.abort(reason);
    await expectAbort(running, reason);
    expect(engine.stats().team.running).toBe(0);
    expect((await model.embed(texts.slice(0, 1)))[0]).toEqual(expected);
  });

  test('gives all memory back when it is disposed, also while it computes', async () => {
    const engine = await engines({ threads: 2 });
    const before = engine.stats().pool.rentedBytes;
    const model = await engine.loadModel(await write({ architecture: 'bert', dim: 128, ffn: 512, layers: 6 }));
    const texts = Array.from({ length: 40 }, () => someIds(500, vocabulary));
    const running = model.embed(texts);
    await untilRunning(engine, running);
    model.dispose();
    await expectRejection(running, 'ERR_DISPOSED', /disposed/);
    expect(engine.stats().pool.rentedBytes).toBe(before);
  });
});
