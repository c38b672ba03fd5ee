// The delay of the event loop while hundreds of calls of every kind are served at once, with topP and log probabilities over
// a large vocabulary.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GenerationResult, Model } from '../../../src/index.js';
import type { BenchContext } from '../../measuring/context.js';
import { integersBelow } from '../../measuring/seeded-numbers.js';
import { WrongResultError } from '../../measuring/wrong-result.js';
import { atMost, type ServingFigure } from './serving-report.js';
import type { ServingSizes } from './workload.js';

const letters = [...'abcdefghijklmnopqrstuvwxyz     '];
const textLength = 60;
const template = '{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:';

/** A made-up text of letters and blanks. */
const textOf = (seed: number) =>
  integersBelow(letters.length, textLength, seed)
    .map((index) => letters[index])
    .join('');

/** A call of each kind. Its result is what must be the same when it is alone. */
type Call = (model: Model, seed: number, maxTokens: number, signal: AbortSignal | undefined) => Promise<unknown>;

const sampling = { temperature: 1, topP: 0.9, logprobs: 5 };
const essence = ({ tokens, text, logprobs }: GenerationResult) => ({ tokens, text, logprobs });

const kinds: readonly Call[] = [
  async (model, seed, maxTokens, signal) =>
    essence(await model.generate(textOf(seed), { ...sampling, seed, maxTokens, signal }).result),
  async (model, seed, maxTokens, signal) => {
    const texts = [textOf(seed), textOf(seed + 1)];
    return (await model.generateBatch(texts, { ...sampling, seed, maxTokens, signal })).map(essence);
  },
  async (model, seed, maxTokens, signal) =>
    (await model.complete(textOf(seed), { ...sampling, n: 2, seed, maxTokens, signal })).map(essence),
  async (model, seed, maxTokens, signal) => {
    const messages = [{ role: 'user', content: textOf(seed) }];
    return essence(await model.chat(messages, { ...sampling, template, seed, maxTokens, signal }).result);
  },
  async (model, seed, maxTokens, signal) => {
    using session = model.session();
    return essence(await session.generate(textOf(seed), { ...sampling, seed, maxTokens, signal }).result);
  },
  async (model, seed, maxTokens, signal) => {
    const format = { regex: '[a-z]{4,40}' };
    return essence(await model.generate(textOf(seed), { ...sampling, format, seed, maxTokens, signal }).result);
  },
  async (model, seed, _, signal) => [...(await model.embed(textOf(seed), { signal }))],
  async (model, seed, maxTokens, signal) => {
    const results: unknown[] = [];
    const texts = [textOf(seed), textOf(seed + 1)];
    for await (const { value, reason } of model.generateEach(texts, { ...sampling, seed, maxTokens, signal })) {
      if (value === undefined) throw reason;
      results.push(essence(value));
    }
    return results;
  },
];

/** Measured with a timer of this period, which the delays leave out. */
const resolutionMs = 1;

/** Mixed calls at once: the 99th percentile of the loop's delay, and the longest. */
export async function mixedCalls(
  context: BenchContext,
  model: Model,
  { calls, vocabulary, newTokens }: ServingSizes['mixedCalls'],
  { isAsked }: { readonly isAsked: boolean },
): Promise<ServingFigure[]> {
  const { signal } = context;
  const call = async (index: number) =>
    JSON.stringify(await (kinds[index % kinds.length] as Call)(model, 9000 + 2 * index, newTokens, signal));
  context.progress(`serving, ${calls} calls of mixed kind, one of each kind`);
  // Alone: what the same calls must give among the others. They also compile the code, and record programs.
  const alone: string[] = [];
  for (let index = 0; index < kinds.length; index++) alone.push(await call(index));
  context.progress(`serving, ${calls} calls of mixed kind at once`);
  const monitor = monitorEventLoopDelay({ resolution: resolutionMs });
  await sleep(50, undefined, { signal });
  monitor.enable();
  const started = performance.now();
  const results = await Promise.all(Array.from({ length: calls }, (_, index) => call(index)));
  const seconds = (performance.now() - started) / 1000;
  // The monitor records a stall when its timer fires after it.
  await sleep(2 * resolutionMs);
  monitor.disable();
  for (const [index, expected] of alone.entries()) {
    if (index < calls && results[index] !== expected) throw new WrongResultError(`mixed calls, kind ${index}`);
  }
  const delayMs = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - resolutionMs);
  const what = `delay of the event loop, ${calls} calls of ${kinds.length} kinds at once, vocabulary ${vocabulary.toLocaleString('en-US')}`;
  const common = { unit: 'ms', samples: monitor.count, detail: `over ${seconds.toFixed(1)} s` } as const;
  const [p99, max] = [delayMs(monitor.percentile(99)), delayMs(monitor.max)];
  return [
    {
      ...common,
      name: 'loop_delay_p99',
      what: `${what}: 99th percentile`,
      value: p99,
      target: isAsked ? atMost(10) : null,
    },
    {
      ...common,
      name: 'loop_delay_max',
      what: `${what}: the longest`,
      value: max,
      target: isAsked ? atMost(50) : null,
    },
  ];
}
