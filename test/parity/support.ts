// Shared by the parity tests: llama.cpp, in one process for each test file, and the comparison of a model with it.
import { afterAll, expect } from 'vitest';
import { prepareLlama } from '../../bench/llama/install.js';
import { type LlamaContextOptions, LlamaProcess } from '../../bench/llama/llama-process.js';
import type { Model } from '../../src/model/model.js';
import { normalisedError } from '../support/numbers.js';

/** To be called at the top of a test file. Returns a function that starts the file's llama.cpp process, once. */
export function sharedLlama(): () => Promise<LlamaProcess> {
  let llama: Promise<LlamaProcess> | undefined;
  afterAll(async () => {
    await (await llama)?.close();
  });
  return () => {
    llama ??= prepareLlama(() => {}).then((command) => LlamaProcess.open(command));
    return llama;
  };
}

/** The largest normalised mean squared error of logits, by the type of the matrices. */
export const logitBounds = {
  F32: 1e-6,
  // llama.cpp rounds activations to the type of the weights here.
  F16: 1e-6,
  BF16: 1e-4,
  quantized: 1e-3,
} as const;

export interface Compared {
  readonly error: number;
  readonly tokens: readonly number[];
}

const continuation = 24;

/** Expects the logits of llama.cpp for the same file, within `bound`, and the same greedy tokens. */
export async function expectParity(
  model: Model,
  llama: LlamaProcess,
  ids: readonly number[],
  bound: number,
  context: Partial<LlamaContextOptions> = {},
): Promise<Compared> {
  await llama.load(model.info.path);
  // One thread: these models are small, and threads that wait for each other spin.
  await llama.context('parity', { positions: 512, threads: 1, ...context });
  const error = normalisedError(await model.logits(ids), await llama.logits('parity', ids));
  expect(error).toBeLessThanOrEqual(bound);
  const tokens = await llama.greedy('parity', ids, continuation);
  const [result] = await model.generateBatch([ids], { maxTokens: continuation, ignoreEos: true });
  expect(result?.tokens).toEqual(tokens);
  return { error, tokens };
}

/** A tie: the two best logits differ by less than this many times the error of a logit. */
const tieErrors = 4;

/**
 * As {@link expectParity}, for types for which llama.cpp rounds activations differently: after each of llama.cpp's
 * tokens, expects its next token, unless its two best logits are a tie.
 */
export async function expectParityButForTies(
  model: Model,
  llama: LlamaProcess,
  ids: readonly number[],
  bound: number,
): Promise<Compared & { readonly ties: number }> {
  await llama.load(model.info.path);
  await llama.context('parity', { positions: 512, threads: 1 });
  const tokens = await llama.greedy('parity', ids, continuation);
  const all = [...ids, ...tokens.slice(0, -1)];
  const [ours, theirs] = [await model.logits(all), await llama.logits('parity', all)];
  const error = normalisedError(ours, theirs);
  expect(error).toBeLessThanOrEqual(bound);
  const width = model.info.vocabulary;
  let ties = 0;
  tokens.forEach((token, step) => {
    const first = (ids.length - 1 + step) * width;
    const [own, other] = [ours.subarray(first, first + width), theirs.subarray(first, first + width)];
    const best = own.indexOf(Math.max(...own));
    if (best === token) return;
    ties += 1;
    const squares = own.reduce((sum, value, id) => sum + (value - (other[id] as number)) ** 2, 0);
    const gap = (other[token] as number) - (other[best] as number);
    expect(gap, `token ${step}`).toBeLessThanOrEqual(tieErrors * Math.sqrt(squares / width));
  });
  expect(ties).toBeLessThanOrEqual(continuation / 4);
  return { error, tokens, ties };
}
