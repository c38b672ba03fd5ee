// Throughput and latency against the number of requests at once: beside the same requests one after the other, and beside
// llama.cpp with as many sequences. All take turns.
import type { Model } from '../../../src/index.js';
import type { LlamaLoad, LlamaServed } from '../../llama/llama-process.js';
import type { BenchContext } from '../../measuring/context.js';
import { median } from '../../measuring/statistics.js';
import type { Attention, LlamaPeer } from './llama-load.js';
import { atLeast, type PeerPoint, type ServingFigure, type ServingPoint, spreadOf } from './serving-report.js';
import { type Requests, rest, type ServingSizes, type Streamed } from './workload.js';

export interface CurveParts {
  readonly context: BenchContext;
  readonly model: Model;
  readonly type: string;
  readonly requests: Requests;
  readonly peer: LlamaPeer | undefined;
  readonly sizes: ServingSizes;
}

/** A turn of each contender. */
interface Round {
  readonly ms: number;
  readonly streams: readonly Streamed[];
  /** Of one request of those one after the other. */
  readonly oneMs: number;
  readonly peer: LlamaServed | undefined;
}

/** No further round begins after so long: large numbers of requests at once get fewer rounds. */
const enoughMs = 20_000;

/** Measures one number of requests at once. @throws WrongResultError where tokens differ from those alone */
export async function measurePoint(parts: CurveParts, concurrency: number): Promise<ServingPoint> {
  const { context, model, type, requests, peer, sizes } = parts;
  const { newTokens, promptTokens } = sizes;
  const { signal } = context;
  const say = (what: string) => context.progress(`serving ${type}, ${concurrency} at once, ${what}`);
  say('first run');
  await requests.stream(model, concurrency, newTokens, signal);
  const load = loadOf(requests, concurrency, newTokens);
  const attention = await peer?.begin(load);
  const rounds: Round[] = [];
  const started = performance.now();
  try {
    for (let round = 0; round < context.rounds; round++) {
      if (round > 0 && performance.now() - started > enoughMs) break;
      say(`round ${round + 1} of ${context.rounds}`);
      await rest(context);
      const streams = await requests.stream(model, concurrency, newTokens, signal);
      await rest(context);
      // Other prompts in each turn, so that many of them are computed alone, too.
      const from = concurrency + round * sizes.oneByOne;
      const oneMs = await requests.oneByOne(model, from, sizes.oneByOne, newTokens, signal);
      await rest(context);
      const served = attention === undefined ? undefined : await peer?.run(attention, load);
      rounds.push({ ms: wholeMs(streams), streams, oneMs, peer: served });
    }
  } finally {
    if (attention !== undefined) await peer?.end(attention);
  }
  const tokens = concurrency * newTokens;
  const streams = rounds.flatMap((round) => round.streams);
  return {
    type,
    workers: context.widest.threads,
    concurrency,
    promptTokens,
    newTokens,
    rounds: rounds.length,
    tokensPerSecond: (1000 * tokens) / median(rounds.map(({ ms }) => ms)),
    oneByOne: (1000 * newTokens) / median(rounds.map(({ oneMs }) => oneMs)),
    ratio: median(rounds.map(({ ms, oneMs }) => (concurrency * oneMs) / ms)),
    firstMs: spreadOf(streams.map(({ startedAt, times }) => (times[0] as number) - startedAt)),
    betweenMs: spreadOf(streams.flatMap(({ times }) => gapsOf(times))),
    peer: attention === undefined ? null : peerPoint(rounds, attention, tokens),
    ...context.origin,
  };
}

/** From the first call to the last token of all. */
function wholeMs(streams: readonly Streamed[]): number {
  const starts = streams.map(({ startedAt }) => startedAt);
  return Math.max(...streams.map(({ times }) => times.at(-1) as number)) - Math.min(...starts);
}

/** The times between the tokens of a request. */
export function gapsOf(times: readonly number[]): number[] {
  return times.slice(1).map((time, index) => time - (times[index] as number));
}

/** The prompts, and our tokens after them but the last, which nothing is computed from. */
function loadOf(requests: Requests, sequences: number, newTokens: number): LlamaLoad {
  const indices = Array.from({ length: sequences }, (_, index) => index);
  return {
    prompts: indices.map((index) => requests.prompt(index)),
    followers: Array.from({ length: newTokens - 1 }, (_, step) =>
      indices.map((index) => requests.tokensOf(index)[step] as number),
    ),
  };
}

function peerPoint(rounds: readonly Round[], attention: Attention, tokens: number): PeerPoint {
  const served = rounds.flatMap(({ peer }) => (peer === undefined ? [] : [peer]));
  const whole = ({ prefillMs, stepMs }: LlamaServed) => stepMs.reduce((sum, ms) => sum + ms, prefillMs);
  const ratios = rounds.map(({ ms }, round) => whole(served[round] as LlamaServed) / ms);
  return {
    tokensPerSecond: (1000 * tokens) / median(served.map(whole)),
    prefillMs: median(served.map(({ prefillMs }) => prefillMs)),
    betweenMs: spreadOf(served.flatMap(({ stepMs }) => stepMs)),
    attention,
    ratio: median(ratios),
  };
}

/** What is asked of the whole run, by type and requests at once: times as fast as one by one. */
const asked: Readonly<Record<string, Readonly<Record<number, number>>>> = {
  Q8_0: { 8: 4, 32: 6, 128: 7 },
  F32: { 32: 8 },
};
/** The same over llama.cpp. */
const askedOverPeer: Readonly<Record<string, number>> = { Q8_0: 2.5 };

/** The share of the peak of 8-bit products that is asked of products with quantized weights, at every number of rows. */
const askedOfPeak = 0.62;

/**
 * How many times as fast as one by one a point would be if its products had {@link askedOfPeak}, and nothing else took time.
 * @param info of a model whose output matrix is its embedding
 * @param dotGmacs the peak of 8-bit products
 */
export function limitOf(
  { promptTokens, newTokens, oneByOne }: ServingPoint,
  { parameters, vocabulary, dim }: Model['info'],
  dotGmacs: number,
): number {
  const logits = vocabulary * dim;
  const macs = (promptTokens + newTokens - 1) * (parameters - logits) + newTokens * logits;
  return newTokens / oneByOne / (macs / (askedOfPeak * dotGmacs * 1e9));
}

/**
 * The rows of a point of which something is asked.
 * @param isAsked whether model and sizes are those of which it is asked
 * @param limit the ratio over one by one that {@link limitOf} gives, where it is known
 */
export function figuresOf(point: ServingPoint, isAsked: boolean, limit?: number): ServingFigure[] {
  const { type, concurrency, ratio, peer, rounds, tokensPerSecond, oneByOne } = point;
  const least = asked[type]?.[concurrency];
  if (least === undefined) return [];
  const name = `${type.toLowerCase()}_${concurrency}_at_once`;
  const size = `${concurrency} requests of ${point.promptTokens} + ${point.newTokens} tokens, ${type}`;
  const perSecond = (value: number) => `${value.toFixed(0)} tokens/s`;
  const figures: ServingFigure[] = [
    {
      name,
      what: `${size}: at once over one after the other, whole run`,
      unit: '×',
      value: ratio,
      samples: rounds,
      detail:
        `${perSecond(tokensPerSecond)} over ${perSecond(oneByOne)}` +
        (limit === undefined ? '' : `; products alone, at ${askedOfPeak} of the int8 peak: ${limit.toFixed(1)}×`),
      target: isAsked ? atLeast(least) : null,
    },
  ];
  if (peer !== null) {
    const overPeer = askedOverPeer[type];
    figures.push({
      name: `${name}_llama`,
      what: `${size}: at once over llama.cpp with as many sequences`,
      unit: '×',
      value: peer.ratio,
      samples: rounds,
      detail: `${perSecond(tokensPerSecond)} over ${perSecond(peer.tokensPerSecond)}, ${peer.attention} attention`,
      target: isAsked && overPeer !== undefined ? atLeast(overPeer) : null,
    });
  }
  return figures;
}
