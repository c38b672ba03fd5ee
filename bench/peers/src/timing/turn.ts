// One turn of a contender: its work again and again for a while, each call timed. The same loop for ours and for all
// peers (native/blas-probe.cpp has it in C++). Knows nothing of what it times.
import { setTimeout as sleep } from 'node:timers/promises';

export interface TurnOptions {
  /** How long the timed calls of a turn take together, roughly; a turn has at least one. */
  readonly turnMs: number;
  /** Calls before the timed ones, for caches and for threads that have gone to sleep. */
  readonly warmups: number;
  /** Rest before each timed call. */
  readonly restMs: number;
}

const mostCalls = 5000;

/** @returns the duration of every timed call in milliseconds */
export async function timeTurn(run: () => unknown, { turnMs, warmups, restMs }: TurnOptions): Promise<number[]> {
  for (let i = 0; i < warmups; i++) await run();
  const samples: number[] = [];
  let total = 0;
  while (samples.length === 0 || (total < turnMs && samples.length < mostCalls)) {
    if (restMs > 0) await sleep(restMs);
    const started = performance.now();
    await run();
    const ms = performance.now() - started;
    samples.push(ms);
    total += ms + restMs;
  }
  return samples;
}
