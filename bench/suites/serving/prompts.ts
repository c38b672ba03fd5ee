// What prompts cost: a long one that arrives while others decode, and one that begins like an earlier one.
import { setTimeout as sleep, setImmediate as turnOfLoop } from 'node:timers/promises';
import { AbortError, type Model } from '../../../src/index.js';
import type { BenchContext } from '../../measuring/context.js';
import { integersBelow } from '../../measuring/seeded-numbers.js';
import { largest, median } from '../../measuring/statistics.js';
import { gapsOf } from './curve.js';
import { atLeast, atMost, type ServingFigure } from './serving-report.js';
import { greedy, Requests, rest, resultOf, type ServingSizes } from './workload.js';

/** How many steps pass while a request waits for its first token: those under way at its beginning and end included. */
async function stepsToFirst(context: BenchContext, model: Model, prompt: readonly number[]) {
  const { widest: engine, signal } = context;
  const before = engine.stats().serving.steps;
  const generation = model.generate(prompt, { ...greedy, maxTokens: 1, signal });
  await generation.next();
  // The step is counted when all of its tokens are delivered.
  await turnOfLoop();
  const steps = engine.stats().serving.steps - before;
  return { steps, tokens: (await generation.result).tokens };
}

/** More tokens than are generated until the long prompt is computed. */
const enoughTokens = 1500;
/** Steps of the long prompt before the short request arrives. */
const stepsBefore = 2;

interface MixedRound {
  readonly alone: number;
  readonly beside: number;
  /** The longest time between two tokens of those that decode, while the long prompt is computed. */
  readonly longestGap: number;
  readonly gaps: readonly number[];
}

/**
 * A long prompt arrives while others decode, and then a short request: how many steps more than alone its first token takes,
 * and the longest gap between two tokens of those that decode.
 */
export async function mixedPrompts(
  context: BenchContext,
  model: Model,
  sizes: ServingSizes,
  { stepMs, isAsked }: { readonly stepMs: number; readonly isAsked: boolean },
): Promise<ServingFigure[]> {
  const { decoding, longPrompt, shortPrompt } = sizes.mixed;
  const { vocabulary } = model.info;
  const others = new Requests('those that decode beside a long prompt', vocabulary, decoding, sizes.promptTokens);
  const long = new Requests('a long prompt', vocabulary, 1, longPrompt);
  const short = new Requests('a short request', vocabulary, 1, shortPrompt);
  long.check(0, (await resultOf(model, long.prompt(0), 1, context.signal)).tokens);
  const rounds: MixedRound[] = [];
  // The first round records programs, and measures how long steps take.
  for (let round = 0; round <= context.rounds; round++) {
    context.progress(`serving, a long prompt among others, round ${round} of ${context.rounds}`);
    await rest(context);
    const { steps: alone, tokens } = await stepsToFirst(context, model, short.prompt(0));
    short.check(0, tokens);
    const own = await mixedRound(context, model, { others, long, short });
    if (round > 0) rounds.push({ ...own, alone });
  }
  const later = rounds.map(({ alone, beside }) => beside - alone);
  const gaps = rounds.map(({ longestGap }) => longestGap);
  const what = `while ${decoding} decode and a prompt of ${longPrompt} tokens is computed`;
  return [
    {
      name: 'short_request_beside',
      what: `a short request ${what}: steps to its first token, more than alone`,
      unit: 'steps',
      value: median(later),
      samples: later.length,
      detail: `at most ${largest(later)} more; alone ${median(rounds.map(({ alone }) => alone))}`,
      target: isAsked ? atMost(3) : null,
    },
    {
      name: 'longest_gap',
      what: `the longest time between two tokens of a request, ${what}`,
      unit: 'ms',
      value: median(gaps),
      samples: gaps.length,
      detail: `at most ${largest(gaps).toFixed(0)} ms; usually ${median(rounds.flatMap((own) => own.gaps)).toFixed(0)}; stepMs is ${stepMs}`,
      target: isAsked ? atMost(2 * stepMs) : null,
    },
  ];
}

async function mixedRound(
  context: BenchContext,
  model: Model,
  { others, long, short }: Readonly<Record<'others' | 'long' | 'short', Requests>>,
): Promise<Omit<MixedRound, 'alone'>> {
  const { widest: engine } = context;
  const stop = new AbortController();
  const signal = context.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, context.signal]);
  const streams = others.prompts.map(() => ({ times: [] as number[], tokens: [] as number[] }));
  const reading = others.prompts.map(async (prompt, index) => {
    const { times, tokens } = streams[index] as (typeof streams)[number];
    for await (const { id } of model.generate(prompt, { ...greedy, maxTokens: enoughTokens, signal })) {
      times.push(performance.now());
      tokens.push(id);
    }
  });
  const settled = Promise.allSettled(reading);
  let round: Omit<MixedRound, 'alone'>;
  try {
    while (streams.some(({ times }) => times.length < 4)) await sleep(1, undefined, { signal });
    const from = performance.now();
    const steps = engine.stats().serving.steps;
    const computing = model.generate(long.prompt(0), { ...greedy, maxTokens: 1, signal }).result;
    computing.catch(() => {});
    while (engine.stats().serving.steps < steps + stepsBefore) await sleep(1, undefined, { signal });
    const beside = await stepsToFirst(context, model, short.prompt(0));
    short.check(0, beside.tokens);
    long.check(0, (await computing).tokens);
    const since = ({ times }: { readonly times: readonly number[] }) => times.filter((time) => time >= from);
    while (streams.some((stream) => since(stream).length < 2)) await sleep(1, undefined, { signal });
    const gaps = streams.flatMap((stream) => gapsOf(since(stream)));
    round = { beside: beside.steps, longestGap: largest(gaps), gaps };
  } finally {
    stop.abort();
  }
  for (const outcome of await settled) {
    if (outcome.status === 'rejected' && !(outcome.reason instanceof AbortError)) throw outcome.reason;
  }
  for (const [index, { tokens }] of streams.entries()) others.check(index, tokens);
  return round;
}

/**
 * The time to the first token where the beginning of the prompt is cached, and where it is not.
 * @param plain the same model without a prefix cache
 */
export async function sharedPrefix(
  context: BenchContext,
  models: { readonly cached: Model; readonly plain: Model },
  { tokens, suffix, pairs }: ServingSizes['prefix'],
  { isAsked }: { readonly isAsked: boolean },
): Promise<ServingFigure> {
  const { signal } = context;
  const { vocabulary } = models.plain.info;
  const times: { readonly cold: number; readonly warm: number }[] = [];
  // The first pair is not counted.
  for (let pair = 0; pair <= pairs; pair++) {
    context.progress(`serving, a shared prefix, ${pair} of ${pairs}`);
    const prefix = integersBelow(vocabulary, tokens, 4000 + pair);
    const [cold, warm] = [5000, 6000].map((seed) => [...prefix, ...integersBelow(vocabulary, suffix, seed + pair)]) as [
      number[],
      number[],
    ];
    const expected = new Requests('a shared prefix', vocabulary, 2, 1);
    const own = { cold: 0, warm: 0 };
    for (const [index, prompt] of [cold, warm].entries()) {
      await rest(context);
      const result = await resultOf(models.cached, prompt, 1, signal);
      own[index === 0 ? 'cold' : 'warm'] = result.timings.timeToFirstTokenMs;
      expected.check(index, result.tokens);
    }
    for (const [index, prompt] of [cold, warm].entries()) {
      expected.check(index, (await resultOf(models.plain, prompt, 1, signal)).tokens);
    }
    if (pair > 0) times.push(own);
  }
  const [cold, warm] = [median(times.map((own) => own.cold)), median(times.map((own) => own.warm))];
  return {
    name: 'shared_prefix',
    what: `time to the first token after ${tokens} + ${suffix} tokens: nothing cached over ${tokens} tokens cached`,
    unit: '×',
    value: median(times.map((own) => own.cold / own.warm)),
    samples: times.length,
    detail: `${cold.toFixed(1)} ms over ${warm.toFixed(1)} ms`,
    target: isAsked ? atLeast(5) : null,
  };
}
