// Measures how long work blocks the event loop. Used by the tests of sliced work.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

export interface LoopDelay {
  /** The 99th percentile of the event loop's delay, in milliseconds. */
  readonly p99: number;
  /** The longest delay, and the time that the work took, in milliseconds. */
  readonly max: number;
  readonly workMs: number;
  /**
   * The limit for p99: 10 ms, or a twentieth of the time that the work took if that is more, for machines that are slow
   * or busy. Work that is not sliced blocks the loop for its whole time.
   */
  readonly bound: number;
}

/** Runs `work` and measures the delay of the event loop meanwhile. */
export async function measureLoopDelay(work: () => Promise<unknown>): Promise<LoopDelay> {
  const resolution = 1;
  const delay = monitorEventLoopDelay({ resolution });
  const start = performance.now();
  delay.enable();
  await work();
  const workMs = performance.now() - start;
  // The monitor records a stall only when its timer fires afterwards.
  await sleep(2 * resolution);
  delay.disable();
  // It records the time between two firings, which includes the resolution.
  const p99 = Math.max(0, delay.percentile(99) / 1e6 - resolution);
  const max = Math.max(0, delay.max / 1e6 - resolution);
  return { p99, max, workMs, bound: Math.max(10, workMs / 20) };
}
