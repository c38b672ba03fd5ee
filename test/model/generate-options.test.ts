// What the options of a generation do to its text: stop sequences, log probabilities, several continuations, penalties.
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { GenerateOptions } from '../../src/generation/generate-options.js';
import { bundledModelPath, card } from '../support/models/bundled-model.js';
import { modelFiles, tiny } from '../support/models/model-files.js';
import { expectRejection } from '../support/rejections.js';
import { sharedEngines } from '../support/running/engines.js';
import { generate, held } from '../support/running/generations.js';

const engines = sharedEngines();
const write = modelFiles();
const bundled = async () => (await engines({ threads: 2 })).loadModel(bundledModelPath);

describe('a stop sequence', () => {
  const options = { maxTokens: 40, ignoreEos: true };

  test('ends the text before it, wherever tokens cut it, and is in no piece', async () => {
    using model = await bundled();
    const whole = await generate(model, card.greedy.prompt, options);
    for (const [from, length] of [
      [0, 1],
      [3, 1],
      [10, 7],
      [21, 30],
      [40, 12],
      [whole.text.length - 5, 5],
    ] as const) {
      const stop = whole.text.slice(from, from + length);
      const result = await generate(model, card.greedy.prompt, { ...options, stop: ['never met', stop] });
      const at = whole.text.indexOf(stop);
      expect(result).toMatchObject({ text: whole.text.slice(0, at), stopReason: 'stop', stopSequence: stop });
      expect(result.pieces.map(({ text }) => text).join('')).toBe(result.text);
      // Its tokens are there up to the one that completed it.
      expect(result.tokens).toEqual(whole.tokens.slice(0, result.tokens.length));
      expect(model.tokenizer.decode(result.tokens).slice(at)).toContain(stop);
      expect(model.tokenizer.decode(result.tokens.slice(0, -1)).slice(at)).not.toContain(stop);
    }
  });

  test('that is not met holds nothing back at the end', async () => {
    using model = await bundled();
    const whole = await generate(model, card.greedy.prompt, options);
    const stop = `${whole.text.slice(-3)}and more`;
    const result = await generate(model, card.greedy.prompt, { ...options, stop: [stop] });
    expect(result).toMatchObject({ text: whole.text, stopReason: 'maxTokens' });
    expect(result).not.toHaveProperty('stopSequence');
    expect(result.pieces.map(({ text }) => text).join('')).toBe(whole.text);
  });

  test('is found in what an end token leaves behind', async () => {
    const engine = await engines({ threads: 2 });
    // A byte that begins a character is held back until the character is complete, and becomes U+FFFD at the end.
    using model = await engine.loadModel(await write(tiny));
    const { tokenizer } = model;
    const [begun] = tokenizer.encode('é');
    const end = [...tokenizer.endIds][0] as number;
    const always = (id: number) => ({ maxTokens: 2, logitBias: { [id]: 1000 } });
    // The first token begins a character, the second one ends the text.
    const prompt = tokenizer.encode('a text');
    const first = await generate(model, prompt, { ...always(begun as number), maxTokens: 1 });
    expect(first).toMatchObject({ tokens: [begun], text: '\ufffd', stopReason: 'maxTokens' });
    const second = await generate(model, [...prompt, begun as number], always(end));
    expect(second).toMatchObject({ text: '', stopReason: 'eos' });
    // Both in one generation: what was held back is looked at when the end token has come.
    const both = { maxTokens: 5, logitBias: { [begun as number]: 300, [end]: 250 }, presencePenalty: 100 };
    const plain = await generate(model, prompt, both);
    expect(plain).toMatchObject({ text: '\ufffd', stopReason: 'eos' });
    expect(plain.tokens[0]).toBe(begun);
    const stopped = await generate(model, prompt, { ...both, stop: ['\ufffd'] });
    expect(stopped).toMatchObject({ text: '', stopReason: 'stop', stopSequence: '\ufffd' });
    expect(stopped.pieces.map(({ text }) => text).join('')).toBe('');
  });
});

describe('log probabilities', () => {
  test('are those of softmax over the logits, whatever is sampled', async () => {
    using model = await bundled();
    const prompt = model.tokenizer.encode('The people of');
    const sampling: GenerateOptions = {
      temperature: 2,
      topK: 50,
      seed: 3,
      logitBias: { 20: 5 },
      repetitionPenalty: 1.3,
      maxTokens: 12,
      ignoreEos: true,
    };
    const result = await generate(model, prompt, { ...sampling, logprobs: 3 });
    expect((await generate(model, prompt, sampling)).tokens).toEqual(result.tokens);
    const logits = await model.logits([...prompt, ...result.tokens]);
    const { vocabulary } = model.info;
    for (const [index, { logprob, top }] of (result.logprobs ?? []).entries()) {
      const from = (prompt.length - 1 + index) * vocabulary;
      const row = Array.from(logits.subarray(from, from + vocabulary), (logit, id) => ({ id, logit }));
      const highest = Math.max(...row.map(({ logit }) => logit));
      const total = Math.log(row.reduce((sum, { logit }) => sum + Math.exp(logit - highest), 0)) + highest;
      const id = result.tokens[index] as number;
      expect(logprob).toBeCloseTo((row[id]?.logit as number) - total, 10);
      const best = row.sort((a, b) => b.logit - a.logit || a.id - b.id).slice(0, 3);
      expect(top.map((one) => one.id)).toEqual(best.map((one) => one.id));
      for (const [rank, one] of top.entries()) {
        expect(one.logprob).toBeCloseTo((best[rank]?.logit as number) - total, 10);
        expect(one.text).toBe(model.tokenizer.decode([one.id], { special: true }));
      }
    }
    expect(result.logprobs).toHaveLength(12);
    expect(result.pieces.map(({ logprobs }) => logprobs)).toEqual(result.logprobs);
    const without = await generate(model, prompt, { ...sampling, logprobs: 0 });
    expect(without.logprobs?.map(({ top }) => top)).toEqual(result.tokens.map(() => []));
    expect(await generate(model, prompt, sampling)).not.toHaveProperty('logprobs');
  });
});

describe('several continuations', () => {
  const options = { temperature: 1.2, topK: 40, maxTokens: 10, ignoreEos: true };

  test('are each what its seed gives alone, of a prompt that is computed once', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(bundledModelPath);
    const seen: object[] = [];
    const onProgress = (progress: object) => seen.push(progress);
    const results = await model.complete('The people', { ...options, n: 4, seed: 11, logprobs: 1, onProgress });
    expect(results.map(({ seed }) => seed)).toEqual([11, 12, 13, 14]);
    expect(seen).toEqual([1, 2, 3, 4].map((done) => ({ done, total: 4 })));
    for (const { timings, tokensPerSecond, ...result } of results) {
      const alone = await generate(model, 'The people', { ...options, seed: result.seed, logprobs: 1 });
      expect(alone).toMatchObject(result);
      expect(timings.prefillMs).toBeGreaterThan(0);
      expect(tokensPerSecond.decode).toBeGreaterThan(0);
    }
    expect(new Set(results.map(({ text }) => text)).size).toBe(4);
    // The seed after the largest one is 0.
    const wrapped = await model.complete('The', { ...options, n: 2, seed: Number.MAX_SAFE_INTEGER });
    expect(wrapped.map(({ seed }) => seed)).toEqual([Number.MAX_SAFE_INTEGER, 0]);
    const [only] = await model.complete('The people', { ...options, seed: 11 });
    expect(only?.tokens).toEqual(results[0]?.tokens);
    for (const n of [0, 1.5, 1025, '2']) {
      await expectRejection(
        model.complete('The', { n } as never),
        'ERR_ARGUMENT',
        /n must be an integer from 1 to 1024/,
      );
    }
    await expectRejection(model.complete('The', { m: 1 } as never), 'ERR_ARGUMENT', /no option m/);
  });
});

test('penalties look at the prompt too, and keep a text from repeating itself', async () => {
  using model = await bundled();
  const repeats = (tokens: readonly number[]) => tokens.length - new Set(tokens).size;
  const options = { maxTokens: 60, ignoreEos: true };
  const plain = await generate(model, 'The', options);
  const penalized = await generate(model, 'The', { ...options, presencePenalty: 100, repetitionWindow: 1000 });
  expect(repeats(plain.tokens)).toBeGreaterThan(5);
  expect(repeats(penalized.tokens)).toBe(0);
  const first = plain.tokens[0] as number;
  const prompt = [...model.tokenizer.encode('The'), first];
  expect((await generate(model, prompt, { ...options, presencePenalty: 100 })).tokens).not.toContain(first);
});

test('results tell what it took', async () => {
  using model = await bundled();
  const { timings, tokensPerSecond, promptTokens } = await generate(model, 'The people', { maxTokens: 5 });
  expect(timings.loadMs).toBe(model.info.loadMs);
  expect(timings.loadMs).toBeGreaterThan(0);
  expect(timings.timeToFirstTokenMs).toBeGreaterThanOrEqual(timings.prefillMs);
  expect(tokensPerSecond.prefill).toBeCloseTo((promptTokens / timings.prefillMs) * 1000, 6);
  expect(tokensPerSecond.decode).toBeCloseTo((4 / timings.decodeMs) * 1000, 6);
  expect((await generate(model, 'The', { maxTokens: 1 })).tokensPerSecond.decode).toBeNull();
});

test('a generator that is dropped between two pieces gives its session back', async () => {
  const engine = await engines({ threads: 1 });
  // A page that is full would stay in the cache.
  using model = await engine.loadModel(await write(tiny), { serving: { prefixCache: false } });
  await model.warmup();
  await generate(model, 'text', { maxTokens: 2 });
  const before = held(engine);
  const start = async () => {
    for (let i = 0; i < 3; i++) await model.generate('text', { maxTokens: 50, ignoreEos: true }).next();
  };
  await start();
  expect(held(engine).liveTensors).toBeGreaterThan(before.liveTensors);
  for (let round = 0; round < 100 && held(engine).liveTensors > before.liveTensors; round++) {
    globalThis.gc?.();
    await wait(5);
  }
  // What stays is one idle session, as before.
  expect(held(engine).liveTensors).toBeLessThanOrEqual(before.liveTensors);
  expect(held(engine).running).toBe(0);
});
