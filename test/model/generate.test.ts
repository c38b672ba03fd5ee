// Generation: the same tokens in any company, streaming, what ends it, prompts of every kind, cancellation and failure.
import { describe, expect, test } from 'vitest';
import { Engine } from '../../src/engine.js';
import type { GenerationResult } from '../../src/generation/generation-result.js';
import type { Prompt } from '../../src/generation/prompt.js';
import type { BatchOptions } from '../../src/model/call-options.js';
import { bundledModelPath, card } from '../support/models/bundled-model.js';
import { modelFiles, small, someIds, tiny } from '../support/models/model-files.js';
import { expectRejection } from '../support/rejections.js';
import { sharedEngines } from '../support/running/engines.js';
import { generate, held } from '../support/running/generations.js';

const engines = sharedEngines();
const write = modelFiles();

const tokensOf = (results: readonly GenerationResult[]) => results.map(({ tokens }) => tokens);

describe('the same tokens', () => {
  const prompts: Prompt[] = [
    'The people',
    'once upon a time there was',
    someIds(30, small.vocab),
    'a',
    someIds(7, 300),
  ];

  test.each([
    ['greedy', {}],
    ['sampled from a seed', { temperature: 1.3, topK: 50, topP: 0.9, seed: 7 }],
  ] as const)(
    'alone, in a batch, among others, on any number of threads, in any engine: %s',
    async (_how, sampling) => {
      const path = await write(small);
      const options = { maxTokens: 20, ignoreEos: true, ...sampling };
      let expected: (readonly number[])[] | undefined;
      for (const threads of [2, 1, 3]) {
        await using engine = await Engine.create({ threads, memoryBudget: 2 ** 30 });
        const model = await engine.loadModel(path);
        const alone = [];
        for (const prompt of prompts) alone.push(await generate(model, prompt, options));
        expected ??= tokensOf(alone);
        expect(tokensOf(alone)).toEqual(expected);
        expect(tokensOf(await model.generateBatch(prompts, options))).toEqual(expected);
        const together = prompts.map((prompt) => generate(model, prompt, options));
        const disturbance = model.perplexity(someIds(300, small.vocab));
        expect(tokensOf(await Promise.all(together))).toEqual(expected);
        await disturbance;
      }
    },
  );

  test('from a seed, which the result tells', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(tiny));
    const options = { maxTokens: 16, temperature: 1, ignoreEos: true };
    const first = await generate(model, 'some', options);
    const again = await generate(model, 'some', { ...options, seed: first.seed });
    expect(again.tokens).toEqual(first.tokens);
    const others = await Promise.all([1, 2, 3].map((seed) => generate(model, 'some', { ...options, seed })));
    expect(new Set(others.map(({ tokens }) => tokens.join())).size).toBe(3);
    // Every prompt of a batch begins from the seed.
    const [a, b] = await model.generateBatch(['some', 'some'], { ...options, seed: 1 });
    expect(a?.tokens).toEqual(others[0]?.tokens);
    expect(b?.tokens).toEqual(others[0]?.tokens);
  });
});

describe('a stream', () => {
  test('has pieces that join to the text, which is that of the tokens', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(tiny));
    // Random bytes: characters that are complete, that are not, and that never are.
    for (let seed = 0; seed < 8; seed++) {
      const result = await generate(model, 'text', { maxTokens: 24, temperature: 5, seed, ignoreEos: true });
      expect(result.pieces.map(({ id }) => id)).toEqual(result.tokens);
      expect(result.pieces.map(({ text }) => text).join('')).toBe(result.text);
      expect(result.text).toBe(model.tokenizer.decode(result.tokens));
      expect(result).toMatchObject({ promptTokens: 5, stopReason: 'maxTokens', seed });
      expect(result.timings.prefillMs).toBeGreaterThan(0);
      expect(result.timings.decodeMs).toBeGreaterThan(0);
    }
  });

  test('is of the bundled model what the card says', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(bundledModelPath);
    let text = card.greedy.prompt;
    for await (const piece of model.generate(card.greedy.prompt, { maxTokens: 40 })) text += piece.text;
    expect(text).toBe(card.greedy.text);
  });

  test('lets the event loop turn, even where every token is computed on its thread', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(tiny));
    let turns = 0;
    let running = true;
    const turn = () => {
      turns++;
      if (running) setImmediate(turn);
    };
    setImmediate(turn);
    // Enough for several stretches of own time, on a fast machine too.
    await model.generateBatch(new Array(16).fill('text'), { maxTokens: 400, ignoreEos: true });
    running = false;
    expect(turns).toBeGreaterThan(4);
  });

  test('frees its session when it is left early, or before it began', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(bundledModelPath, { serving: { prefixCache: false } });
    await generate(model, 'Once', { maxTokens: 3 });
    const before = held(engine);
    for (let round = 0; round < 5; round++) {
      for await (const piece of model.generate('Once', { maxTokens: 50 })) if (piece.id >= 0) break;
      const unused = model.generate('Once');
      await unused.return(undefined as never);
    }
    await expect(
      (async () => {
        for await (const piece of model.generate('Once')) throw new Error(`stop at ${piece.id}`);
      })(),
    ).rejects.toThrow('stop at');
    // The step that was under way is stopped, not awaited.
    await expect.poll(() => held(engine)).toEqual(before);
  });
});

describe('a generation ends', () => {
  const options = { temperature: 0, ignoreEos: true };

  test('after maxTokens, which may be 0 or 1', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(tiny));
    const many = await generate(model, 'text', { ...options, maxTokens: 5 });
    expect(many.tokens.length).toBe(5);
    expect(await generate(model, 'text', { ...options, maxTokens: 0 })).toMatchObject({
      tokens: [],
      text: '',
      pieces: [],
      stopReason: 'maxTokens',
    });
    expect(await generate(model, 'text', { ...options, maxTokens: 1 })).toMatchObject({
      tokens: many.tokens.slice(0, 1),
      stopReason: 'maxTokens',
    });
    expect((await generate(model, 'text', { ignoreEos: true })).tokens.length).toBe(128);
  });

  test('at the end-of-sequence token, unless that is to be ignored', async () => {
    const engine = await engines({ threads: 2 });
    const plain = await engine.loadModel(await write(tiny));
    const { tokens } = await generate(plain, 'text', { ...options, maxTokens: 30 });
    plain.dispose();
    const at = tokens.findIndex((id, index) => index > 2 && tokens.indexOf(id) === index);
    const eos = tokens[at] as number;
    const path = await write(tiny, ({ metadata }) =>
      metadata.set('tokenizer.ggml.eos_token_id', { type: 'u32', value: eos }),
    );
    using model = await engine.loadModel(path);
    const ended = await generate(model, 'text', { maxTokens: 30 });
    expect(ended).toMatchObject({ tokens: tokens.slice(0, at), stopReason: 'eos' });
    expect(ended.text).toBe(model.tokenizer.decode(tokens.slice(0, at)));
    expect(ended.pieces.map(({ text }) => text).join('')).toBe(ended.text);
    expect(await generate(model, 'text', { ...options, maxTokens: 30 })).toMatchObject({
      tokens,
      stopReason: 'maxTokens',
    });
  });

  test('at the end-of-sequence token within a character: its rest comes as one more piece', async () => {
    // A model of which nothing but this is known: after 0xe2, the first byte of three, it stops.
    const path = await write(tiny, ({ metadata, tensors }) => {
      const { vocab, dim } = tiny;
      const first = 1 + 0xe2;
      metadata.set('tokenizer.ggml.eos_token_id', { type: 'u32', value: 0 });
      const embedding = new Float32Array(vocab * dim);
      const output = new Float32Array(vocab * dim);
      for (let id = 0; id < vocab; id++) embedding[id * dim + (id === first ? 1 : 0)] = 1;
      output[first * dim] = 1;
      output[1] = 1;
      for (const [index, tensor] of tensors.entries()) {
        const elements = tensor.shape.reduce((a, b) => a * b);
        const isNorm = tensor.shape.length === 1;
        tensors[index] = { ...tensor, data: new Float32Array(elements).fill(isNorm ? 1 : 0) };
      }
      tensors[0] = { name: 'token_embd.weight', type: 'F32', shape: [vocab, dim], data: embedding };
      tensors.push({ name: 'output.weight', type: 'F32', shape: [vocab, dim], data: output });
    });
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(path);
    const result = await generate(model, 'text');
    expect(result).toMatchObject({ tokens: [1 + 0xe2], text: '\ufffd', stopReason: 'eos' });
    expect(result.pieces).toEqual([
      { id: 1 + 0xe2, text: '' },
      { id: 0, text: '\ufffd' },
    ]);
  });

  test('when the context is full', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(tiny), { contextLength: 12 });
    for (const [length, generated] of [
      [3, 10],
      [11, 2],
      [12, 1],
    ] as const) {
      const result = await generate(model, someIds(length, tiny.vocab), { ...options, maxTokens: 50 });
      expect(result).toMatchObject({ promptTokens: length, stopReason: 'context' });
      expect(result.tokens.length).toBe(generated);
    }
    // What is asked for and fits ends as asked for.
    const exact = await generate(model, someIds(3, tiny.vocab), { ...options, maxTokens: 10 });
    expect(exact.stopReason).toBe('maxTokens');
  });
});

describe('a prompt', () => {
  test('is begun with BOS where the model wants it, but ids are taken as they stand', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(tiny));
    expect(model.tokenizer.addsBos).toBe(true);
    const options = { maxTokens: 8, ignoreEos: true };
    const byText = await generate(model, 'some text', options);
    const ids = model.tokenizer.encode('some text');
    expect(byText.promptTokens).toBe(ids.length + 1);
    const withBos = [model.tokenizer.bosId as number, ...ids];
    expect((await generate(model, withBos, options)).tokens).toEqual(byText.tokens);
    expect((await generate(model, Int32Array.from(withBos), options)).tokens).toEqual(byText.tokens);
    expect((await generate(model, ids, options)).promptTokens).toBe(ids.length);
    // An empty text is BOS alone.
    expect((await generate(model, '', options)).promptTokens).toBe(1);
  });

  test('must fit, must have tokens, and must be one', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(tiny), { contextLength: 12 });
    const next = (prompt: unknown) => model.generate(prompt as Prompt).next();
    await expectRejection(next(someIds(13, tiny.vocab)), 'ERR_CONTEXT', /generate: .* 13 tokens .* context of 12/);
    await expectRejection(next('x'.repeat(1000)), 'ERR_CONTEXT');
    await expectRejection(next([]), 'ERR_ARGUMENT', /no tokens/);
    for (const id of [300, -1, 0.5, '1', null]) await expectRejection(next([1, id]), 'ERR_TOKENIZER', /vocabulary/);
    for (const prompt of [undefined, null, 3, {}, { length: 1e9 }, new Map()]) {
      await expectRejection(next(prompt), 'ERR_ARGUMENT', /string or an array of token ids/);
    }
    for (const text of ['\ud800', 'a\udc00b', '\udc00\ud800']) await expectRejection(next(text), 'ERR_TOKENIZER');
    const withoutBos = await write(tiny, ({ metadata }) => metadata.delete('tokenizer.ggml.add_bos_token'));
    using other = await engine.loadModel(withoutBos);
    await expectRejection(other.generate('').next(), 'ERR_ARGUMENT', /no tokens/);
  });

  test('may change after the call', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(tiny));
    const prompts: Prompt[] = ['a', 'b', 'c', 'd', 'e', 'f'];
    const expected = await model.generateBatch([...prompts], { maxTokens: 3 });
    const running = model.generateBatch(prompts, { maxTokens: 3 });
    prompts.fill('other');
    expect(tokensOf(await running)).toEqual(tokensOf(expected));
  });
});

test('options that are unknown or out of their range are refused before anything runs', async () => {
  const engine = await engines({ threads: 2 });
  using model = await engine.loadModel(await write(tiny));
  const before = held(engine);
  const wrong: [object | null, RegExp][] = [
    [{ maxToken: 3 }, /no option maxToken/],
    [{ maxTokens: -1 }, /maxTokens/],
    [{ maxTokens: 1.5 }, /maxTokens/],
    [{ maxTokens: '3' }, /maxTokens/],
    [{ maxTokens: null }, /maxTokens/],
    [{ ignoreEos: 'no' }, /ignoreEos/],
    [{ temperature: -1 }, /temperature/],
    [{ topK: 0.5 }, /topK/],
    [{ topP: 0 }, /topP/],
    [{ seed: -1 }, /seed/],
    [{ minP: 2 }, /minP/],
    [{ typicalP: 0 }, /typicalP/],
    [{ repetitionPenalty: -1 }, /repetitionPenalty/],
    [{ logitBias: { [tiny.vocab]: 1 } }, /logitBias .* got "300"/],
    [{ stop: 'end' }, /stop must be an array/],
    [{ stop: [''] }, /stop .* not empty/],
    [{ stop: [3] }, /stop/],
    [{ stop: ['\ud800'] }, /half a character/],
    [{ stop: Array.from({ length: 65 }, () => 'x') }, /65 sequences/],
    [{ logprobs: -1 }, /logprobs must be an integer from 0 to 100/],
    [{ logprobs: true }, /logprobs/],
    [{ n: 2 }, /no option n/],
    [{ signal: 'stop' }, /AbortSignal/],
    [null, /options must be an object/],
  ];
  for (const [options, message] of wrong) {
    await expectRejection(model.generate('text', options as object).next(), 'ERR_ARGUMENT', message);
    // Even where there is nothing to generate.
    await expectRejection(model.generateBatch([], options as object), 'ERR_ARGUMENT', message);
  }
  await expectRejection(model.generate('text', { onProgress: () => {} } as object).next(), 'ERR_ARGUMENT');
  await expectRejection(model.generateBatch([], { onProgress: 3 } as never), 'ERR_ARGUMENT', /onProgress/);
  for (const prompts of ['text', undefined, null, { length: 0 }]) {
    await expectRejection(model.generateBatch(prompts as never), 'ERR_ARGUMENT', /generateBatch: .* array/);
  }
  expect(held(engine)).toEqual(before);
  await expectRejection(model.generateBatch(['a', 3 as never, 'b']), 'ERR_ARGUMENT', /string or an array/);
  expect(await model.generateBatch([])).toEqual([]);
});

describe('a batch', () => {
  test('gives its results in order and tells how far it is', async () => {
    const engine = await engines({ threads: 3 });
    using model = await engine.loadModel(await write(small));
    const prompts = [200, 1, 100, 3, 2, 50, 1].map((length) => someIds(length, small.vocab));
    const seen: object[] = [];
    const options: BatchOptions = { maxTokens: 4, ignoreEos: true, onProgress: (progress) => seen.push(progress) };
    const results = await model.generateBatch(prompts, options);
    expect(results.map(({ promptTokens }) => promptTokens)).toEqual([200, 1, 100, 3, 2, 50, 1]);
    expect(seen).toEqual(prompts.map((_, index) => ({ done: index + 1, total: 7 })));
  });

  test('fails with the first of its prompts that fails, and leaves nothing running', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(bundledModelPath, { serving: { prefixCache: false } });
    const long = card.check.ids.slice(0, 300);
    await model.warmup();
    await model.generateBatch([long, long], { maxTokens: 2, ignoreEos: true });
    const before = held(engine);
    const started = engine.stats().team.runs.started;
    const failing = model.generateBatch([long, [5000], long, long], { maxTokens: 200, ignoreEos: true });
    await expectRejection(failing, 'ERR_TOKENIZER', /5000/);
    expect(held(engine)).toEqual(before);
    expect(engine.stats().team.runs.started - started).toBeLessThan(20);

    const error = new Error('from the callback');
    const onProgress = () => {
      throw error;
    };
    const throwing = model.generateBatch([[1], long, long], { maxTokens: 1, ignoreEos: true, onProgress });
    await expect(throwing).rejects.toBe(error);
    expect(held(engine)).toMatchObject({ running: 0, queued: 0 });
  });
});
