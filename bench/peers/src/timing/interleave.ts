// Times contenders in turns (A B A B …), so that a slow minute of the machine affects all of them alike. Does not
// depend on what they compute.
import { setTimeout as sleep } from 'node:timers/promises';
import { median, smallest } from '../../../../dist/bench/measuring/statistics.js';
import type { TurnOptions } from './turn.js';

export interface Contender {
  readonly name: string;
  /** Times a turn. @returns the duration of every timed call in milliseconds */
  turn(options: TurnOptions): Promise<number[]>;
}

export interface Pace {
  /** The most turns that each contender gets. */
  readonly rounds: number;
  readonly turnMs: number;
  /** For all turns of a row together. It may be exceeded, since there are at least three rounds. */
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
/** Rest before each turn: longer than the 10 ms for which our workers stay awake. */
const settleMs = 15;
/**
 * About how long the calls before the timed ones take together. A call that takes ten times longer has none before it.
 */
const warmupMs = 10;
const mostWarmups = 200;
/** Calls in a turn when each has a rest before it; the rests count as part of the turn. */
const restedCalls = 8;

/** Times the contenders. @returns the timing of each, in order */
export async function interleave(contenders: readonly Contender[], pace: Pace, restMs = 0): Promise<Timing[]> {
  const estimates: number[] = [];
  for (const contender of contenders) {
    await sleep(settleMs);
    // The first call takes memory, starts threads and fills caches, so short work is timed again.
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

/** How many times longer `other` takes than `ours`: the median of the ratios within each round. */
export function ratioOf(other: Timing, ours: Timing): number {
  return median(other.turns.map((ms, round) => ms / (ours.turns[round] as number)));
}
