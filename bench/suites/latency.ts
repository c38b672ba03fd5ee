// The suite latency: what a call costs besides its work, how long an abort takes, and how long the event loop is
// delayed. A row may have a limit, and then says whether it holds.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { bundledModelPath } from '../../src/base/package-files.js';
import { probeFma, probeLanes, runProbeFma } from '../../src/hardware/probes.js';
import { AbortError, type Engine } from '../../src/index.js';
import type { StepOwner } from '../../src/program/recorder.js';
import type { BenchContext, Origin } from '../measuring/context.js';
import { interleave } from '../measuring/interleave.js';
import { fillUniform } from '../measuring/seeded-numbers.js';
import { largest, median, quantile } from '../measuring/statistics.js';
import { WrongResultError } from '../measuring/wrong-result.js';

export interface LatencyRow extends Origin {
  readonly name: string;
  readonly what: string;
  readonly workers: number;
  readonly unit: 'µs' | 'ms';
  readonly median: number;
  readonly p99: number;
  readonly max: number;
  readonly samples: number;
  /** The limit, and whether it holds; null for rows without one. */
  readonly limit: { readonly statistic: 'median' | 'p99' | 'max'; readonly below: number } | null;
  readonly holds: boolean | null;
}

type Figure = Omit<LatencyRow, keyof Origin | 'workers' | 'holds'>;

const rowsInOrder = {
  dispatch_warm: dispatchWarm,
  dispatch_idle: dispatchIdle,
  dispatch_woken: dispatchWoken,
  call_inline: callInline,
  replay_200_inline: replayInline,
  replay_200_shared: replayShared,
  abort_matmul_4096: abortMatmul,
  loop_delay_compute: loopDelayComputing,
  loop_delay_load: loopDelayLoading,
} as const;

export type LatencyName = keyof typeof rowsInOrder;
export const latencyNames = Object.keys(rowsInOrder) as LatencyName[];

/** On the most workers of the context. */
export async function benchLatency(
  context: BenchContext,
  names: readonly LatencyName[] = latencyNames,
): Promise<LatencyRow[]> {
  const rows: LatencyRow[] = [];
  for (const name of names) {
    context.progress(`latency, ${name}`);
    const figure = await rowsInOrder[name](context.widest, context);
    const { limit } = figure;
    const holds = limit === null ? null : figure[limit.statistic] < limit.below;
    rows.push({ ...figure, workers: context.widest.threads, holds, ...context.origin });
  }
  return rows;
}

function figure(
  unit: LatencyRow['unit'],
  samplesMs: readonly number[],
  about: Pick<Figure, 'name' | 'what' | 'limit'>,
): Figure {
  const samples = unit === 'µs' ? samplesMs.map((ms) => ms * 1000) : samplesMs;
  return {
    ...about,
    unit,
    median: median(samples),
    p99: quantile(samples, 0.99),
    max: largest(samples),
    samples: samples.length,
  };
}

/** An op of as many tiles as workers, with almost no arithmetic: what is timed is the dispatch. */
async function dispatchWarm(engine: Engine, { rounds, signal }: BenchContext): Promise<Figure> {
  using out = engine.tensor([engine.threads, probeLanes]);
  const [samples = []] = await interleave([{ run: () => runProbeFma(engine, out, 2) }], { rounds, signal });
  checkProbe(out.data, 'dispatch_warm');
  return figure('µs', samples, {
    name: 'dispatch_warm',
    what: 'await of an op without work, workers on shift',
    limit: { statistic: 'median', below: 20 },
  });
}

/** Long enough for every shift to end. */
const idleMs = 30;
const warmupCalls = 2000;

async function dispatchIdle(engine: Engine, { signal }: BenchContext): Promise<Figure> {
  return figure('µs', await afterRest(engine, 'team', signal), {
    name: 'dispatch_idle',
    what: 'await of an op without work after 30 ms of rest: the calling thread begins it while workers wake',
    limit: { statistic: 'median', below: 80 },
  });
}

async function dispatchWoken(engine: Engine, { signal }: BenchContext): Promise<Figure> {
  return figure('µs', await afterRest(engine, 'workers', signal), {
    name: 'dispatch_woken',
    what: 'the same, left to the workers, which must wake first',
    limit: null,
  });
}

async function afterRest(engine: Engine, by: StepOwner, signal: AbortSignal | undefined): Promise<number[]> {
  using out = engine.tensor([engine.threads, probeLanes]);
  const call = () => runProbeFma(engine, out, 2, by);
  // Warms up, so that compiling the JavaScript is not timed.
  for (let i = 0; i < warmupCalls; i++) await call();
  const samples: number[] = [];
  for (let i = 0; i < 25; i++) {
    await sleep(idleMs, undefined, { signal });
    samples.push(await msOf(call));
  }
  checkProbe(out.data, `after a rest, by the ${by}`);
  return samples;
}

async function callInline(engine: Engine, { rounds, signal }: BenchContext): Promise<Figure> {
  using x = engine.tensor([64]);
  const [samples = []] = await interleave([{ run: () => engine.scale(x, 0.5, { out: x }) }], { rounds, signal });
  return figure('µs', samples, {
    name: 'call_inline',
    what: 'await of scale over 64 elements, which runs on the calling thread',
    limit: null,
  });
}

const replayedOps = 200;

async function replayInline(engine: Engine, { rounds, signal }: BenchContext): Promise<Figure> {
  using program = engine.program((p) => {
    const x = p.input([16]);
    let y = x;
    for (let i = 0; i < replayedOps; i++) y = p.scale(y, -1) as typeof x;
    return { x, y };
  });
  program.tensors.x.data.fill(3);
  const [samples = []] = await interleave([{ run: () => program.run() }], { rounds, signal });
  if (!program.tensors.y.data.every((value) => value === 3)) throw new WrongResultError('replay_200_inline');
  const perOp = samples.map((ms) => ms / replayedOps);
  return figure('µs', perOp, {
    name: 'replay_200_inline',
    what: 'per op: replay of 200 ops of 16 elements, on the calling thread',
    limit: null,
  });
}

async function replayShared(engine: Engine, { rounds, signal }: BenchContext): Promise<Figure> {
  using out = engine.tensor([engine.threads, probeLanes]);
  using program = engine.program((p) => {
    // Each op writes the tensor that the op before it wrote, so it waits for that op.
    for (let i = 0; i < replayedOps; i++) p.record(probeFma, probeFma.args(out, 2, 'workers'));
  });
  const [samples = []] = await interleave([{ run: () => program.run() }], { rounds, signal });
  checkProbe(out.data, 'replay_200_shared');
  const perOp = samples.map((ms) => ms / replayedOps);
  return figure('µs', perOp, {
    name: 'replay_200_shared',
    what: 'per op: replay of 200 ops without work, each waiting for the last, on the workers',
    limit: null,
  });
}

function checkProbe(values: Float32Array, name: string): void {
  if (!values.every((value, lane) => value === lane % probeLanes)) throw new WrongResultError(name);
}

const aborts = 9;

/** The time from abort() to the rejection of a product that would take about a second. */
async function abortMatmul(engine: Engine, { signal }: BenchContext): Promise<Figure> {
  const size = 4096;
  using scope = engine.scope();
  const a = scope.tensor([size, size]);
  const b = scope.tensor([size, size]);
  const out = scope.tensor([size, size]);
  fillUniform(a.data, 1);
  fillUniform(b.data, 2);
  const samples: number[] = [];
  for (let i = 0; i < aborts; i++) {
    signal?.throwIfAborted();
    const controller = new AbortController();
    const ended = engine.matmul(a, b, { out, signal: controller.signal }).then(
      () => new Error('the product was complete before the abort'),
      (error: unknown) => error,
    );
    // At a different moment of the run each time: while b is packed, and later.
    await sleep(5 + 12 * i);
    const started = performance.now();
    controller.abort();
    const error = await ended;
    samples.push(performance.now() - started);
    if (!(error instanceof AbortError)) throw error;
  }
  return figure('ms', samples, {
    name: 'abort_matmul_4096',
    what: 'from abort() to the AbortError of a running 4096³ matmul',
    limit: { statistic: 'max', below: 20 },
  });
}

const computeMs = 1500;

async function loopDelayComputing(engine: Engine, { signal }: BenchContext): Promise<Figure> {
  using scope = engine.scope();
  const a = scope.tensor([1024, 1024]);
  const out = scope.tensor([1024, 1024]);
  fillUniform(a.data, 1);
  return await loopDelay(
    async () => {
      const end = performance.now() + computeMs;
      while (performance.now() < end) await engine.matmul(a, a, { out, signal });
    },
    { name: 'loop_delay_compute', what: 'delay of the event loop while all workers multiply 1024³' },
  );
}

/** Loads of the bundled model: enough for many samples of the delay. */
const loads = 20;

async function loopDelayLoading(engine: Engine, { signal }: BenchContext): Promise<Figure> {
  return loopDelay(
    async () => {
      for (let i = 0; i < loads; i++) {
        const model = await engine.loadModel(bundledModelPath(), { signal });
        model.dispose();
      }
    },
    { name: 'loop_delay_load', what: 'delay of the event loop while the bundled model loads, again and again' },
  );
}

async function loopDelay(work: () => Promise<void>, about: Pick<Figure, 'name' | 'what'>): Promise<Figure> {
  const resolution = 1;
  const monitor = monitorEventLoopDelay({ resolution });
  monitor.enable();
  await work();
  // The monitor records a stall when its timer fires after it.
  await sleep(2 * resolution);
  monitor.disable();
  // It records the time between two firings of its timer, the resolution included.
  const ms = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - resolution);
  return {
    ...about,
    unit: 'ms',
    median: ms(monitor.percentile(50)),
    p99: ms(monitor.percentile(99)),
    max: ms(monitor.max),
    samples: monitor.count,
    limit: { statistic: 'p99', below: 10 },
  };
}

async function msOf(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}
