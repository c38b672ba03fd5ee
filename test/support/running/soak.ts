// The mix of requests of the soak test: every call that shares steps, with every way to end early and to be wrong. Each
// request ends as documented, or the test fails.
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import type { GenerateOptions } from '../../../src/generation/generate-options.js';
import type { Model } from '../../../src/model/model.js';
import { someIds } from '../models/model-files.js';
import type { Numbers } from '../numbers.js';

export interface SoakModels {
  readonly decoder: Model;
  readonly encoder: Model;
}

/** What a request may reject with: it was aborted, too late, wrong, or lost its worker twice. */
const documented = new Set([
  'ABORT_ERR',
  'ERR_DEADLINE',
  'ERR_ARGUMENT',
  'ERR_TOKENIZER',
  'ERR_CONTEXT',
  'ERR_WORKER_LOST',
]);

type Work = (models: SoakModels, numbers: Numbers) => Promise<unknown>;

const vocabulary = 300;
const words = ['the', ' sea', ' is', ' wide', ' and', ' cold', '.', ' A', ' ship', ' é', ' 漢'];

function promptOf(numbers: Numbers): string | number[] {
  const length = numbers.integer(1, 90);
  if (numbers.integer(0, 1) === 0) return Array.from({ length }, () => words[numbers.integer(0, 10)]).join('');
  // A few beginnings, so that pages are found again.
  const common = someIds(100, vocabulary - numbers.integer(0, 3)).slice(0, length);
  return [...common, ...numbers.integers(numbers.integer(1, 9), 0, vocabulary - 1)];
}

/** Short enough for the programs that an encoder has when it is warm. */
function shortPromptOf(numbers: Numbers): string | number[] {
  return promptOf(numbers).slice(0, 60);
}

function optionsOf(numbers: Numbers): GenerateOptions {
  const maxTokens = numbers.integer(1, 12);
  const ways: GenerateOptions[] = [
    {},
    { temperature: 1, topP: 0.9, seed: 1 },
    { temperature: 1.2, topK: 20, repetitionPenalty: 1.2 },
    { logprobs: 2 },
    { stop: ['e', 'th'], temperature: 1 },
    { format: { regex: '[a-f]{2,9}' } },
    { priority: numbers.integer(-5, 5), tenant: `tenant ${numbers.integer(0, 3)}` },
  ];
  return { maxTokens, ...ways[numbers.integer(0, ways.length - 1)] };
}

const mix: readonly Work[] = [
  ({ decoder }, numbers) => decoder.generate(promptOf(numbers), optionsOf(numbers)).result,
  async ({ decoder }, numbers) => {
    for await (const _ of decoder.generate(promptOf(numbers), optionsOf(numbers))) await nextTurn();
  },
  ({ decoder }, numbers) => decoder.chat([{ role: 'user', content: 'the sea' }], optionsOf(numbers)).result,
  ({ decoder }, numbers) => decoder.complete(promptOf(numbers), { ...optionsOf(numbers), n: 3 }),
  ({ decoder }, numbers) =>
    decoder.generateBatch([promptOf(numbers), promptOf(numbers), []], { ...optionsOf(numbers), settle: true }),
  ({ decoder }, numbers) => decoder.embed([promptOf(numbers), promptOf(numbers)]),
  ({ encoder }, numbers) => encoder.embed([shortPromptOf(numbers), shortPromptOf(numbers)], { truncate: 'end' }),
  ({ encoder }, numbers) => encoder.embed(shortPromptOf(numbers)),
  async ({ decoder }, numbers) => {
    using session = decoder.session();
    await session.generate(promptOf(numbers), optionsOf(numbers)).result;
    await session.generate(' and', { maxTokens: 3, ignoreEos: true }).result;
  },
  // Left early, in each way.
  async ({ decoder }, numbers) => {
    for await (const _ of decoder.generate(promptOf(numbers), { maxTokens: 50, ignoreEos: true })) break;
  },
  async ({ decoder }, numbers) => {
    const source = function* () {
      for (;;) yield promptOf(numbers);
    };
    let taken = 0;
    for await (const _ of decoder.generateEach(source(), { maxTokens: 2 })) if (++taken === 3) break;
  },
  async ({ decoder }, numbers) => {
    const first = decoder.generate(promptOf(numbers), { maxTokens: 400, ignoreEos: true }).next();
    first.catch(() => {});
  },
  aborted(
    ({ decoder }, numbers, signal) =>
      decoder.generate(promptOf(numbers), { maxTokens: 200, ignoreEos: true, signal }).result,
  ),
  aborted(({ decoder }, numbers, signal) => decoder.complete(promptOf(numbers), { n: 4, maxTokens: 100, signal })),
  aborted(({ encoder }, numbers, signal) =>
    encoder.embed([shortPromptOf(numbers), shortPromptOf(numbers)], { signal }),
  ),
  ({ decoder }, numbers) =>
    decoder.generate(promptOf(numbers), { maxTokens: 200, ignoreEos: true, deadlineMs: numbers.integer(1, 30) }).result,
  ({ encoder }, numbers) => encoder.embed(shortPromptOf(numbers), { deadlineMs: 1 }),
  // Wrong input.
  ({ decoder }) => decoder.generate([1, vocabulary + 7]).result,
  ({ decoder }) => decoder.generate('a\ud800').result,
  ({ decoder }) => decoder.generate(new Array(600).fill(1)).result,
  ({ decoder }) => decoder.generate('a', { temperature: -1 }).result,
  ({ encoder }) => encoder.embed(['fine', 7 as never]),
  async ({ decoder }, numbers) => {
    const source = async function* () {
      yield promptOf(numbers);
      throw Object.assign(new Error('the source throws'), { code: 'ERR_ARGUMENT' });
    };
    for await (const _ of decoder.generateEach(source(), { maxTokens: 2 }));
  },
];

function aborted(work: (models: SoakModels, numbers: Numbers, signal: AbortSignal) => Promise<unknown>): Work {
  return async (models, numbers) => {
    const controller = new AbortController();
    const running = work(models, numbers, controller.signal);
    running.catch(() => {});
    const delay = numbers.integer(0, 8);
    if (delay > 0) await wait(delay);
    controller.abort();
    await running;
  };
}

/** Serves so many requests of the mix, some at once. @returns how many of them ended by which error */
export async function soak(
  models: SoakModels,
  numbers: Numbers,
  { requests, atOnce, beside = () => {} }: { requests: number; atOnce: number; beside?: (request: number) => void },
): Promise<Record<string, number>> {
  const failed: Record<string, number> = {};
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < requests) {
      const request = next++;
      beside(request);
      try {
        await (mix[request % mix.length] as Work)(models, numbers);
      } catch (error) {
        const { code } = error as { code?: string };
        if (code === undefined || !documented.has(code)) throw error;
        failed[code] = (failed[code] ?? 0) + 1;
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return failed;
}

/** Kills workers of an engine, one at a time; those that replace them, too. Made before the engine. */
export class WorkerKiller {
  readonly #workers = new Set<Worker>();
  /** Workers that will be started and are the engine's. Others render templates and compile formats. */
  #expected: number;
  readonly #note = (worker: Worker) => {
    if (this.#expected === 0) return;
    this.#expected--;
    this.#workers.add(worker);
    worker.once('exit', () => {
      this.#workers.delete(worker);
      this.#expected++;
    });
  };
  killed = 0;

  /** @param threads of the engine */
  constructor(threads: number) {
    this.#expected = threads;
    process.on('worker', this.#note);
  }

  kill(): void {
    const [worker] = this.#workers;
    if (worker === undefined) return;
    this.killed++;
    void worker.terminate();
  }

  end(): void {
    process.off('worker', this.#note);
  }
}
