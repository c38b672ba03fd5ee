// What the parity tests share: llama.cpp in a process per test file, and the comparison of a whole model with it.
import { afterAll, expect } from 'vitest';
import { prepareLlama } from '../../bench/llama/install.js';
import { type LlamaContextOptions, LlamaProcess } from '../../bench/llama/llama-process.js';
import type { Model } from '../../src/model/model.js';
import { normalisedError } from '../support/numbers.js';

/** Call at the top of a test file. The result gives the one llama.cpp of the file. */
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

/** Normalised mean squared error that logits may have, by the type of the matrices. */
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

/** That llama.cpp computes the same logits from the same file, within `bound`, and continues with the same tokens. */
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
