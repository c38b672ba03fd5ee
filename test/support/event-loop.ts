// Measures how long some work keeps the event loop from turning. Used by the tests of sliced work.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

/** Runs `work` and gives percentiles of the event loop's delay meanwhile, in milliseconds. */
export async function loopDelayMs(work: () => Promise<unknown>): Promise<{ p50: number; p99: number; max: number }> {
  const resolution = 1;
  const delay = monitorEventLoopDelay({ resolution });
  delay.enable();
  await work();
  // The monitor notices a stall when its timer fires after it.
  await sleep(2 * resolution);
  delay.disable();
  // What it records is the time between two firings, the resolution included.
  const percentile = (p: number) => Math.max(0, delay.percentile(p) / 1e6 - resolution);
  return { p50: percentile(50), p99: percentile(99), max: percentile(100) };
}
