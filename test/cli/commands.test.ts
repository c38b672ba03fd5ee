// The output of each command: as text and as JSON, both with the same result.

import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { Engine } from '../../src/engine.js';
import type { GenerationResult } from '../../src/generation/generation-result.js';
import { bundledModelF32Path, bundledModelPath, card } from '../support/models/bundled-model.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { runCli, runJson } from './run-cli.js';

const checkText = fileURLToPath(new URL('../fixtures/models/check.txt', import.meta.url));

test('--help and --version', async () => {
  const help = await runCli(['generate', '--help']);
  expect(help).toMatchObject({ code: 0, stderr: '' });
  expect(help.stdout).toContain('--max-tokens');
  const version = await runCli(['--version']);
  expect(version).toMatchObject({ code: 0, stderr: '' });
  expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

describe('generate', () => {
  const prompt = 'The people of the United States';

  test('streams the text that --json gives, whatever the number of threads', async () => {
    const document = await runJson(['generate', prompt, '--max-tokens', '12', '--threads', '3']);
    expect(document).toMatchObject({ prompt, promptTokens: expect.any(Number), stopReason: 'maxTokens' });
    expect(document.tokens).toHaveLength(12);
    const text = await runCli(['generate', prompt, '--max-tokens', '12', '--threads', '1']);
    expect(text).toMatchObject({ code: 0, stdout: `${document.text}\n` });
    expect(text.stderr).toMatch(/^prompt: \d+ tokens at \d+ tokens\/s; generated: 12 at \d+ tokens\/s; ended by .*\n$/);
  });

  test('reads the prompt from standard input, without its last line break', async () => {
    const options = ['--max-tokens', '4', '--temperature', '1', '--seed', '5'];
    const [given, read] = await Promise.all([
      runJson(['generate', prompt, ...options]),
      runJson(['generate', '-', ...options], { stdin: `${prompt}\n` }),
    ]);
    expect(read.prompt).toBe(prompt);
    expect(read.tokens).toEqual(given.tokens);
    expect(read.seed).toBe(5);
  });

  test('hands every option on to the library', async () => {
    const choosing = ['--temperature', '1.5', '--seed', '3', '--top-k', '30', '--typical-p', '0.9', '--top-p', '0.9'];
    const penalties = ['--min-p', '0.01', '--repetition-penalty', '1.2', '--repetition-window', '32'];
    const more = [
      '--presence-penalty',
      '0.5',
      '--frequency-penalty',
      '0.25',
      '--logit-bias',
      '20=2',
      '--logit-bias=5=-inf',
    ];
    const ending = ['--stop', 'zzzz', '--stop', ' the', '--logprobs', '2', '--max-tokens', '40', '--ignore-eos'];
    const document = await runJson(['generate', prompt, ...choosing, ...penalties, ...more, ...ending]);
    const engine = await Engine.create({ threads: 1 });
    const model = await engine.loadModel(bundledModelPath);
    const [expected] = await model.generateBatch([prompt], {
      temperature: 1.5,
      seed: 3,
      topK: 30,
      typicalP: 0.9,
      topP: 0.9,
      minP: 0.01,
      repetitionPenalty: 1.2,
      repetitionWindow: 32,
      presencePenalty: 0.5,
      frequencyPenalty: 0.25,
      logitBias: { 20: 2, 5: Number.NEGATIVE_INFINITY },
      stop: ['zzzz', ' the'],
      logprobs: 2,
      maxTokens: 40,
      ignoreEos: true,
    });
    await engine.close();
    const { timings, tokensPerSecond, ...result } = expected as GenerationResult;
    expect(document).toMatchObject(result);
    expect(Object.keys(document.timings)).toEqual(Object.keys(timings));
    expect(Object.keys(document.tokensPerSecond)).toEqual(Object.keys(tokensPerSecond));
  });

  test('ends before a stop sequence, and says so', async () => {
    const { stdout, stderr } = await runCli(['generate', prompt, '--max-tokens', '40', '--stop', ' the']);
    expect(stdout).not.toContain(' the');
    expect(stderr).toMatch(/ended by stop " the"\n$/);
  });

  test('continues several times', async () => {
    const options = ['generate', prompt, '--max-tokens', '5', '--temperature', '1', '--seed', '7', '--n', '3'];
    const { results } = await runJson(options);
    expect(results.map(({ seed }: { seed: number }) => seed)).toEqual([7, 8, 9]);
    const { stdout } = await runCli(options);
    expect(stdout).toBe(results.map(({ text }: { text: string }, i: number) => `[${i + 1}] ${text}\n`).join(''));
  });

  test('begins by itself without a prompt', async () => {
    expect(await runJson(['generate', '--max-tokens', '2'])).toMatchObject({ prompt: '', promptTokens: 1 });
  });
});

describe('embed', () => {
  test('gives a vector of length 1 for each text', async () => {
    const { dim, embeddings } = await runJson(['embed', 'one text', 'another']);
    expect(embeddings.map(({ text }: { text: string }) => text)).toEqual(['one text', 'another']);
    for (const { vector } of embeddings) {
      expect(vector).toHaveLength(dim);
      expect(Math.hypot(...vector)).toBeCloseTo(1, 6);
    }
  });

  test('takes the lines of standard input, and writes a line for each', async () => {
    const { code, stdout } = await runCli(['embed', '--no-normalize', '--pooling', 'last'], {
      stdin: 'one\n\ntwo\r\n',
    });
    expect(code).toBe(0);
    const vectors = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(' ').map(Number));
    expect(vectors).toHaveLength(2);
    expect(Math.hypot(...(vectors[0] as number[]))).toBeGreaterThan(1.5);
  });
});

test('perplexity gives the figure of the card', async () => {
  const { perplexity, tokens } = await runJson(['perplexity', checkText]);
  expect(tokens).toBe(card.check.tokens);
  expect(Math.abs(perplexity / card.check.f16.perplexity - 1)).toBeLessThan(0.005);
  const text = await runCli(['perplexity', checkText, '--window', '256']);
  expect(text.stdout).toContain(`perplexity ${perplexity.toFixed(4)} over ${tokens} tokens`);
});

describe('info', () => {
  test('of the machine', async () => {
    const document = await runJson(['info', '--threads', '2']);
    expect(document).toMatchObject({
      machine: { node: process.version, kernelSets: expect.arrayContaining(['ref']) },
      threads: 2,
      roofline: null,
      model: null,
    });
  });

  test('of the machine, with a forced kernel set', async () => {
    const { stdout } = await runCli(['info'], { env: { TESSERAE_ISA: 'ref' } });
    expect(stdout).toMatch(/^kernels +ref /m);
  });

  test('of a model', async () => {
    const { model } = await runJson(['info', bundledModelPath]);
    expect(model).toMatchObject({
      path: bundledModelPath,
      architecture: 'llama',
      parameters: card.parameters,
      vocabulary: card.vocabulary,
      tensorTypes: { F16: 29, F32: 9 },
      tokenizer: { kind: 'gpt2', bosId: 0, eosId: 0 },
      loadBytes: expect.any(Number),
      kvBytesPerToken: { f32: expect.any(Number), f16: expect.any(Number), q8_0: expect.any(Number) },
    });
    const { stdout } = await runCli(['info', bundledModelPath]);
    expect(stdout).toMatch(/^loading +takes [\d.]+ MiB of memory$/m);
    expect(stdout).toMatch(/^each token +keys and values of .* in f32, .* in f16, .* in q8_0$/m);
  });
});

describe('quantize', () => {
  const folder = temporaryFolder();
  afterAll(() => folder.remove());

  test('writes a smaller model, and says what it is made of', async () => {
    const output = folder.file('q8_0.gguf');
    const document = await runJson(['quantize', bundledModelPath, output, '--type', 'q8_0']);
    expect(document).toMatchObject({ input: bundledModelPath, path: output, tensorTypes: { Q8_0: 29, F32: 9 } });
    expect(document.outputBytes).toBeLessThan(document.inputBytes * 0.6);
    const again = await runCli(['quantize', bundledModelPath, output, '--type', 'q8_0', '--force']);
    expect(again).toMatchObject({ code: 0 });
    expect(again.stdout).toMatch(/q8_0.gguf: .* to .*; tensors: 29 Q8_0, 9 F32\n$/);
  });

  test('wants a type, and force for an output that exists', async () => {
    const missing = await runCli(['quantize', bundledModelPath, folder.file('x.gguf')]);
    expect(missing).toMatchObject({ code: 2, stdout: '' });
    expect(missing.stderr).toContain("required option '--type <type>' not specified");
    const exists = await runCli(['quantize', bundledModelPath, bundledModelF32Path, '--type', 'q4_0']);
    expect(exists).toMatchObject({ code: 1, stdout: '' });
    expect(exists.stderr).toMatch(/^tesserae: .*exists already.*\n$/);
  });
});
