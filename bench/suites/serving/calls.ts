// What many separate calls at once cost over one call with as many items: `generate` over `generateBatch`, and `embed` of a
// text over `embed` of all.
import type { Model } from '../../../src/index.js';
import type { BenchContext } from '../../measuring/context.js';
import { integersBelow } from '../../measuring/seeded-numbers.js';
import { median } from '../../measuring/statistics.js';
import { WrongResultError } from '../../measuring/wrong-result.js';
import { atLeast, type ServingFigure } from './serving-report.js';
import { greedy, msOf, type Requests, rest, resultOf, type ServingSizes } from './workload.js';

interface Asked {
  readonly isAsked: boolean;
}

/** Both ways in turns. @returns the times of each round, the first one left out */
async function inTurns(
  context: BenchContext,
  what: string,
  ways: Readonly<Record<'one' | 'many', () => Promise<void>>>,
) {
  const times: { readonly one: number; readonly many: number }[] = [];
  for (let round = 0; round <= context.rounds; round++) {
    context.signal?.throwIfAborted();
    context.progress(`serving, ${what}, round ${round} of ${context.rounds}`);
    const own = { one: 0, many: 0 };
    // Which of them comes first changes with each round.
    for (const way of round % 2 === 0 ? (['one', 'many'] as const) : (['many', 'one'] as const)) {
      await rest(context);
      own[way] = await msOf(ways[way]);
    }
    if (round > 0) times.push(own);
  }
  return {
    ratio: median(times.map(({ one, many }) => one / many)),
    one: median(times.map(({ one }) => one)),
    many: median(times.map(({ many }) => many)),
    samples: times.length,
  };
}

/** So many calls of `generate` at once over one of `generateBatch`. */
export async function separateGenerations(
  context: BenchContext,
  model: Model,
  requests: Requests,
  { separateCalls: count, newTokens }: ServingSizes,
  { isAsked }: Asked,
): Promise<ServingFigure> {
  const { signal } = context;
  const prompts = Array.from({ length: count }, (_, index) => requests.prompt(index));
  const check = (results: readonly { readonly tokens: readonly number[] }[]) => {
    for (const [index, { tokens }] of results.entries()) requests.check(index, tokens);
  };
  const { ratio, one, many, samples } = await inTurns(context, `${count} calls of generate`, {
    one: async () => check(await model.generateBatch(prompts, { ...greedy, maxTokens: newTokens, signal })),
    many: async () => check(await Promise.all(prompts.map((prompt) => resultOf(model, prompt, newTokens, signal)))),
  });
  return {
    name: `generate_${count}_calls`,
    what: `${count} calls of generate at once: rate over that of one generateBatch of ${count}`,
    unit: '×',
    value: ratio,
    samples,
    detail: `${many.toFixed(0)} ms; in one call ${one.toFixed(0)} ms`,
    target: isAsked ? atLeast(0.95) : null,
  };
}

/** So many calls of `embed`, each with one text, at once over one call with all of them. */
export async function separateEmbeddings(
  context: BenchContext,
  encoder: Model,
  { calls, fewest, most }: ServingSizes['embedCalls'],
  { isAsked }: Asked,
): Promise<ServingFigure> {
  const { signal } = context;
  const { vocabulary } = encoder.info;
  const texts = integersBelow(most - fewest + 1, calls, 7000).map((more, index) =>
    integersBelow(vocabulary, fewest + more, 8000 + index),
  );
  let expected: readonly Float32Array[] | undefined;
  const check = (vectors: readonly Float32Array[]) => {
    expected ??= vectors;
    const isSame = (vector: Float32Array, index: number) => vector.join() === expected?.[index]?.join();
    if (!vectors.every(isSame)) throw new WrongResultError('embed');
  };
  const { ratio, one, many, samples } = await inTurns(context, `${calls} calls of embed`, {
    one: async () => check(await encoder.embed(texts, { signal })),
    many: async () => check((await Promise.all(texts.map((text) => encoder.embed([text], { signal })))).flat()),
  });
  return {
    name: `embed_${calls}_calls`,
    what: `${calls} calls of embed([text]) at once, texts of ${fewest} to ${most} tokens, BERT: rate over that of one embed`,
    unit: '×',
    value: ratio,
    samples,
    detail: `${many.toFixed(0)} ms; in one call ${one.toFixed(0)} ms`,
    target: isAsked ? atLeast(0.9) : null,
  };
}
