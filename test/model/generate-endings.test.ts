// Generations that are cancelled, or lose what they run on, or come in numbers: nothing is lost and nothing is left.
import { describe, expect, test } from 'vitest';
import { Engine } from '../../src/engine.js';
import { bundledModelPath, card } from '../support/models/bundled-model.js';
import { someIds, untilRunning } from '../support/models/model-files.js';
import { expectAbort, expectRejection } from '../support/rejections.js';
import { sharedEngines } from '../support/running/engines.js';
import { generate, held } from '../support/running/generations.js';

const engines = sharedEngines();

describe('a cancellation', () => {
  const prompt = card.check.ids.slice(0, 400);

  test('before, during prefill and during decode gives an AbortError and leaves the model ready', async () => {
    const engine = await engines({ threads: 2 });
    // Else the pages of steps that were over before the abort would be kept for other prompts.
    using model = await engine.loadModel(bundledModelPath, { serving: { prefixCache: false } });
    const options = { maxTokens: 4, ignoreEos: true };
    const expected = await generate(model, prompt, options);
    await model.warmup();
    const before = held(engine);
    const reason = new Error('enough');
    await expectAbort(generate(model, prompt, { ...options, signal: AbortSignal.abort(reason) }), reason);
    await expectAbort(generate(model, 'text', { ...options, signal: AbortSignal.abort(reason) }), reason);

    // So much to compute that it is not over before it is seen.
    const prefill = new AbortController();
    const long = { maxTokens: 200, ignoreEos: true, signal: prefill.signal };
    const generating = generate(model, someIds(300, model.info.vocabulary), long);
    await untilRunning(engine, generating);
    prefill.abort(reason);
    await expectAbort(generating, reason);

    const decode = new AbortController();
    const stream = model.generate(prompt, { maxTokens: 100, ignoreEos: true, signal: decode.signal });
    let next = stream.next();
    // A single token may be done before it is seen.
    for (; !(await untilRunning(engine, next)); next = stream.next()) await next;
    // A token may be given while the program of the one after it runs: it is there before the abort.
    let given = false;
    next.then(
      () => (given = true),
      () => {},
    );
    await Promise.resolve();
    decode.abort(reason);
    await expectAbort(given ? stream.next() : next, reason);
    expect(await stream.next()).toEqual({ done: true, value: undefined });

    const between = new AbortController();
    const seen: number[] = [];
    await expectAbort(async () => {
      for await (const piece of model.generate(prompt, { signal: between.signal, ignoreEos: true })) {
        seen.push(piece.id);
        if (seen.length === 2) between.abort(reason);
      }
    }, reason);
    expect(seen).toEqual(expected.tokens.slice(0, 2));

    expect(held(engine)).toEqual(before);
    expect((await generate(model, prompt, options)).tokens).toEqual(expected.tokens);
  });

  test('of a batch stops all of it', async () => {
    const engine = await engines({ threads: 2 });
    const before = held(engine);
    const model = await engine.loadModel(bundledModelPath);
    const prompts = Array.from({ length: 6 }, (_, index) => prompt.slice(index));
    const controller = new AbortController();
    const running = model.generateBatch(prompts, { maxTokens: 50, ignoreEos: true, signal: controller.signal });
    await untilRunning(engine, running);
    const reason = new Error('enough');
    controller.abort(reason);
    await expectAbort(running, reason);
    expect(held(engine)).toMatchObject({ running: 0, queued: 0 });
    expect((await model.generateBatch(prompts.slice(0, 2), { maxTokens: 2 })).length).toBe(2);
    model.dispose();
    expect(held(engine)).toEqual(before);
  });
});

describe('when what it needs goes away', () => {
  const prompt = card.check.ids.slice(0, 300);

  test('a model that is disposed fails what runs on it, and frees all', async () => {
    const engine = await engines({ threads: 2 });
    const before = held(engine);
    const waiting = await engine.loadModel(bundledModelPath);
    const stream = waiting.generate('Once', { maxTokens: 20, ignoreEos: true });
    await stream.next();
    waiting.dispose();
    await expectRejection(stream.result, 'ERR_DISPOSED');
    expect(held(engine)).toEqual(before);

    const computing = await engine.loadModel(bundledModelPath);
    const batch = computing.generateBatch([prompt, prompt, prompt], { maxTokens: 20, ignoreEos: true });
    await untilRunning(engine, batch);
    computing.dispose();
    await expectRejection(batch, 'ERR_DISPOSED');
    expect(held(engine)).toEqual(before);
    await expectRejection(computing.generate('Once').next(), 'ERR_DISPOSED', /generate: the model was disposed/);
    await expectRejection(computing.generateBatch(['Once']), 'ERR_DISPOSED');
    await expectRejection(computing.generateBatch([]), 'ERR_DISPOSED');
    await expectRejection(computing.logits([1]), 'ERR_DISPOSED');
    await expectRejection(computing.embed([[1]]), 'ERR_DISPOSED');
    await expectRejection(computing.perplexity([1, 2]), 'ERR_DISPOSED');
    await expectRejection(() => computing.session(), 'ERR_DISPOSED');
    expect(held(engine)).toEqual(before);
  });

  test('a closed engine fails what runs on it, and frees all', async () => {
    const engine = await Engine.create({ threads: 2, memoryBudget: 2 ** 30 });
    const model = await engine.loadModel(bundledModelPath);
    const stream = model.generate('Once', { maxTokens: 400, ignoreEos: true });
    await stream.next();
    const batch = model.generateBatch([prompt, prompt], { maxTokens: 20, ignoreEos: true });
    const failure = expectRejection(batch, 'ERR_ENGINE_CLOSED');
    await untilRunning(engine, batch);
    const closed = engine.close();
    await failure;
    await closed;
    await expectRejection(stream.result, 'ERR_ENGINE_CLOSED');
    expect(held(engine)).toMatchObject({ rentedBytes: 0, liveTensors: 0 });
    await expectRejection(model.generate('Once').next(), 'ERR_DISPOSED');
  });
});

test('fifty generations use the sessions and programs of the first', async () => {
  const engine = await engines({ threads: 2 });
  using model = await engine.loadModel(bundledModelPath);
  const options = { maxTokens: 5, ignoreEos: true };
  await generate(model, 'The people', options);
  const { rents, rentedBytes, heldBytes, liveTensors } = engine.stats().pool;
  // Each generation takes one page for its tokens, and gives it back.
  for (let round = 0; round < 50; round++) await generate(model, 'The people', options);
  expect(engine.stats().pool).toMatchObject({ rents: rents + 50, rentedBytes, heldBytes, liveTensors });
  // Requests at once share the programs of a step, which are the model's.
  await model.warmup();
  const kept = engine.stats().pool.liveTensors;
  for (let round = 0; round < 5; round++) {
    await Promise.all(Array.from({ length: 12 }, () => generate(model, 'The people', options)));
    expect(engine.stats().pool.liveTensors).toBe(kept);
  }
});
