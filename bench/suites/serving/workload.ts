// How much the suite serving computes, and the requests that its parts share: prompts of random tokens, whose tokens must be
// the same in whatever company they are computed.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Generation, GenerationResult, Model, Prompt } from '../../../src/index.js';
import type { BenchContext } from '../../measuring/context.js';
import { integersBelow } from '../../measuring/seeded-numbers.js';
import { WrongResultError } from '../../measuring/wrong-result.js';

export interface ServingSizes {
  /** Requests at once. */
  readonly concurrency: readonly number[];
  /** The same for a file with F32 weights; none where it is empty. */
  readonly concurrencyF32: readonly number[];
  readonly promptTokens: number;
  readonly newTokens: number;
  /** Requests one after the other, in each turn. */
  readonly oneByOne: number;
  /** Decoding alone: so many at once, each over a session of so many tokens, so many tokens more. */
  readonly decoding: { readonly atOnce: number; readonly sessionTokens: number; readonly newTokens: number };
  /** So many decode while a long prompt arrives, and then a short one. */
  readonly mixed: { readonly decoding: number; readonly longPrompt: number; readonly shortPrompt: number };
  readonly prefix: { readonly tokens: number; readonly suffix: number; readonly pairs: number };
  /** Calls of `generate` over one call of `generateBatch`. */
  readonly separateCalls: number;
  /** Calls of `embed` over one, for texts of so many tokens. */
  readonly embedCalls: { readonly calls: number; readonly fewest: number; readonly most: number };
  /** Calls of mixed kind at once, and the vocabulary that they sample from. */
  readonly mixedCalls: { readonly calls: number; readonly vocabulary: number; readonly newTokens: number };
  /** Sequences whose steps are counted on the main thread. */
  readonly mainThread: readonly number[];
}

/** What is asked of the rows is asked of these sizes. */
export const fullSizes: ServingSizes = {
  concurrency: [1, 2, 4, 8, 16, 32, 64, 128, 256],
  concurrencyF32: [32],
  promptTokens: 32,
  newTokens: 32,
  oneByOne: 4,
  decoding: { atOnce: 32, sessionTokens: 256, newTokens: 64 },
  mixed: { decoding: 32, longPrompt: 2000, shortPrompt: 8 },
  prefix: { tokens: 200, suffix: 8, pairs: 7 },
  separateCalls: 64,
  embedCalls: { calls: 256, fewest: 8, most: 128 },
  mixedCalls: { calls: 500, vocabulary: 131_072, newTokens: 8 },
  mainThread: [8, 32, 128],
};

/** For a first look: the parts that take long are left out, or are smaller and have no target. */
export const quickSizes: ServingSizes = {
  ...fullSizes,
  concurrency: [1, 8, 32],
  concurrencyF32: [],
  oneByOne: 2,
  // As many keys on average.
  decoding: { ...fullSizes.decoding, sessionTokens: 280, newTokens: 16 },
  prefix: { ...fullSizes.prefix, pairs: 3 },
  mixedCalls: { ...fullSizes.mixedCalls, calls: 64 },
  mainThread: [8, 32],
};

/** Before each turn: longer than our workers stay awake after their last program. */
const parkMs = 15;

/** Waits until the team rests. @throws AbortError */
export async function rest({ signal }: BenchContext): Promise<void> {
  await sleep(parkMs, undefined, { signal });
}

/** Token by token, the most likely one, also after an end token. */
export const greedy = { temperature: 0, ignoreEos: true } as const;

/** When each token of a request came, by performance.now(), and what they were. */
export interface Streamed {
  readonly startedAt: number;
  readonly times: readonly number[];
  readonly tokens: readonly number[];
}

/** Reads a generation as a client of a service does, piece by piece. */
export async function readStream(start: () => Generation): Promise<Streamed> {
  const startedAt = performance.now();
  const generation = start();
  const times: number[] = [];
  for await (const _ of generation) times.push(performance.now());
  const { tokens } = await generation.result;
  return { startedAt, times, tokens };
}

/** Prompts of one length. Remembers the tokens that each gives, and checks that they are the same every time. */
export class Requests {
  readonly prompts: readonly (readonly number[])[];
  readonly #what: string;
  readonly #known = new Map<number, readonly number[]>();

  /** @param what for the error where tokens differ */
  constructor(what: string, vocabulary: number, count: number, tokens: number) {
    this.#what = what;
    this.prompts = Array.from({ length: count }, (_, index) => integersBelow(vocabulary, tokens, 1000 + index));
  }

  prompt(index: number): readonly number[] {
    return this.prompts[index % this.prompts.length] as readonly number[];
  }

  /** @throws WrongResultError unless the tokens are those of the same prompt before, as far as both go */
  check(index: number, tokens: readonly number[]): void {
    const at = index % this.prompts.length;
    const known = this.#known.get(at);
    if (known === undefined || known.length < tokens.length) this.#known.set(at, tokens);
    const both = Math.min(known?.length ?? 0, tokens.length);
    if (known?.slice(0, both).join() !== tokens.slice(0, both).join() && known !== undefined) {
      throw new WrongResultError(`${this.#what}, prompt ${at}`);
    }
  }

  /** The tokens that a prompt gave. */
  tokensOf(index: number): readonly number[] {
    return this.#known.get(index % this.prompts.length) ?? [];
  }

  /** The first so many prompts at once. */
  async stream(model: Model, count: number, maxTokens: number, signal?: AbortSignal): Promise<Streamed[]> {
    const options = { ...greedy, maxTokens, signal };
    const streams = await Promise.all(
      this.prompts.slice(0, count).map((prompt) => readStream(() => model.generate(prompt, options))),
    );
    for (const [index, { tokens }] of streams.entries()) this.check(index, tokens);
    return streams;
  }

  /** One after the other, beginning with a prompt. @returns how long each took, on average */
  async oneByOne(model: Model, from: number, count: number, maxTokens: number, signal?: AbortSignal): Promise<number> {
    const started = performance.now();
    const results: Streamed[] = [];
    for (let i = 0; i < count; i++) {
      const start = () => model.generate(this.prompt(from + i), { ...greedy, maxTokens, signal });
      results.push(await readStream(start));
    }
    const ms = (performance.now() - started) / count;
    for (const [index, { tokens }] of results.entries()) this.check(from + index, tokens);
    return ms;
  }
}

/** The whole of one generation. */
export function resultOf(
  model: Model,
  prompt: Prompt,
  maxTokens: number,
  signal?: AbortSignal,
): Promise<GenerationResult> {
  return model.generate(prompt, { ...greedy, maxTokens, signal }).result;
}

/** How long some work takes. */
export async function msOf(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}
