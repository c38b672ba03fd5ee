// Measures how long some work keeps the event loop from turning. Used by the tests of sliced work.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

export interface LoopDelay {
  /** The 99th percentile of the event loop's delay, in milliseconds. */
  readonly p99: number;
  /**
   * What it must stay under: 10 ms, or on a machine that is busy with other work and slow with ours, a twentieth of the
   * time that the work took. Work that is not sliced takes its whole time in one delay.
   */
  readonly bound: number;
}

/** Runs `work` and measures how long the event loop was kept meanwhile. */
export async function measureLoopDelay(work: () => Promise<unknown>): Promise<LoopDelay> {
  const resolution = 1;
  const delay = monitorEventLoopDelay({ resolution });
  const start = performance.now();
  delay.enable();
  await work();
  const workMs = performance.now() - start;
  // The monitor notices a stall when its timer fires after it.
  await sleep(2 * resolution);
  delay.disable();
  // What it records is the time between two firings, the resolution included.
  const p99 = Math.max(0, delay.percentile(99) / 1e6 - resolution);
  return { p99, bound: Math.max(10, workMs / 20) };
}
