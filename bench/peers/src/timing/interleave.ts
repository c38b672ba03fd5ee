// Times contenders in turns (A B A B …), so that a slow minute of the machine hits all of them alike. Knows nothing of
// what they compute, nor who they are.
import { setTimeout as sleep } from 'node:timers/promises';
import { median, smallest } from '../../../../dist/bench/measuring/statistics.js';
import type { TurnOptions } from './turn.js';

export interface Contender {
  readonly name: string;
  /** @returns the duration of every timed call in milliseconds */
  turn(options: TurnOptions): Promise<number[]>;
}

export interface Pace {
  /** The most turns of each contender. */
  readonly rounds: number;
  readonly turnMs: number;
  /** For all turns of a row together; the least number of rounds may exceed it. */
  readonly budgetMs: number;
}

export interface Timing {
  /** Median of the turns' medians. */
  readonly medianMs: number;
  readonly bestMs: number;
  /** The median of each turn, in order. */
  readonly turns: readonly number[];
  readonly calls: number;
}

const leastRounds = 3;
/** Before each turn, for threads that linger after the turn before: longer than our team's 10 ms. */
const settleMs = 15;
/** Calls before the timed ones take about so long together; none for work that itself takes ten times longer. */
const warmupMs = 10;
const mostWarmups = 200;
/** Calls in a turn when each has a rest before it, which counts as part of the turn. */
const restedCalls = 8;

/** @returns the timing of each contender, in order */
export async function interleave(contenders: readonly Contender[], pace: Pace, restMs = 0): Promise<Timing[]> {
  const estimates: number[] = [];
  for (const contender of contenders) {
    await sleep(settleMs);
    // The first call takes memory, starts threads and fills caches: only the second one tells how long calls take.
    const first = smallest(await contender.turn({ turnMs: 0, warmups: 0, restMs: 0 }));
    const isLong = first > 10 * warmupMs;
    estimates.push(isLong ? first : smallest(await contender.turn({ turnMs: warmupMs, warmups: 2, restMs: 0 })));
  }
  const turnMs = Math.max(pace.turnMs, restedCalls * restMs);
  const roundMs = estimates.reduce((total, ms) => total + Math.max(turnMs, ms) + settleMs, 0);
  const rounds = Math.max(leastRounds, Math.min(pace.rounds, Math.floor(pace.budgetMs / roundMs)));
  const samples = contenders.map((): number[][] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, contender] of contenders.entries()) {
      await sleep(settleMs);
      const estimate = estimates[index] as number;
      const warmups = estimate > 10 * warmupMs ? 0 : Math.min(mostWarmups, Math.ceil(warmupMs / estimate));
      samples[index]?.push(await contender.turn({ turnMs, warmups, restMs }));
    }
  }
  return samples.map((own) => {
    const turns = own.map(median);
    return {
      medianMs: median(turns),
      bestMs: smallest(own.flat()),
      turns,
      calls: own.reduce((total, turn) => total + turn.length, 0),
    };
  });
}

/** How many times longer `other` takes than `ours`: the median over the rounds, each of which compares neighbours. */
export function ratioOf(other: Timing, ours: Timing): number {
  return median(other.turns.map((ms, round) => ms / (ours.turns[round] as number)));
}
