// One turn of a contender: repeats its work for a while and times each call. The same loop for us and for all peers;
// native/blas-probe.cpp has it in C++.
import { setTimeout as sleep } from 'node:timers/promises';

export interface TurnOptions {
  /** About how long the timed calls of a turn take together; a turn has at least one. */
  readonly turnMs: number;
  /** Calls before the timed ones, which fill caches and wake threads. */
  readonly warmups: number;
  /** Rest before each timed call. */
  readonly restMs: number;
}

const mostCalls = 5000;

/** Times a turn. @returns the duration of every timed call in milliseconds */
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
