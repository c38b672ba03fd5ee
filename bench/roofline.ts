// What the hardware can give: the FMA peak and the read bandwidth of 1..N workers, measured through the engine itself
// in the same run as everything that is shown as a share of them.

import type { IsaName } from '../src/index.js';
import { Engine } from '../src/index.js';
import { loadAddon } from '../src/native/load.js';
import { iterationsLasting, probeLanes, runProbeFma, runProbeRead } from './probe-ops.js';
import { smallest } from './statistics.js';
import { WrongResultError } from './wrong-result.js';

export interface Roofline {
  readonly workers: number;
  /** The kernel set that probed: the FMA peak is that of its vectors. */
  readonly isa: string;
  /** Billions of floating-point operations a second, in registers: a fused multiply-add counts as two. */
  readonly fmaGflops: number;
  /** Billions of bytes a second, from a buffer that no cache holds. */
  readonly readGBs: number;
}

export interface RooflineOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((text: string) => void) | undefined;
}

const fmaRepeats = 12;
const readRepeats = 6;
const tilesPerWorker = 8;
/** Short enough that a repeat may pass undisturbed, long enough that the hand-over does not count. */
const tileMs = 0.6;
/** Far more than the last cache of the machines that we know. */
const readBytes = 512 * 2 ** 20;
const readTileBytes = 4 * 2 ** 20;

/**
 * The peak is the best of several short repeats, the worker counts in turn. Always with the machine's best kernel set,
 * whatever set the measured engines use.
 */
export async function probeRoofline(counts: readonly number[], options: RooflineOptions = {}): Promise<Roofline[]> {
  const isa = loadAddon().isas.at(-1) as IsaName;
  const engines: Engine[] = [];
  try {
    for (const threads of counts) engines.push(await Engine.create({ threads, isa }));
    options.onProgress?.('probing the FMA peak');
    const early = await probeFmaPeaks(engines, options.signal);
    const read: number[] = [];
    for (const engine of engines) {
      options.onProgress?.(`probing the read bandwidth, ${workersText(engine.threads)}`);
      read.push(await probeReadBandwidth(engine, options.signal));
    }
    // Once more: a shared machine may have been slow for as long as the first probe took.
    const late = await probeFmaPeaks(engines, options.signal);
    return engines.map(({ threads }, index) => ({
      workers: threads,
      isa,
      fmaGflops: Math.max(early[index] as number, late[index] as number),
      readGBs: read[index] as number,
    }));
  } finally {
    await Promise.all(engines.map((engine) => engine.close()));
  }
}

export function workersText(count: number): string {
  return count === 1 ? '1 worker' : `${count} workers`;
}

async function probeFmaPeaks(engines: readonly Engine[], signal: AbortSignal | undefined): Promise<number[]> {
  const first = engines[0] as Engine;
  const iterations = await iterationsFor(first, tileMs);
  const outs = engines.map((engine) => engine.tensor([engine.threads * tilesPerWorker, probeLanes]));
  const best = engines.map(() => 0);
  for (let repeat = 0; repeat < fmaRepeats; repeat++) {
    for (const [index, engine] of engines.entries()) {
      signal?.throwIfAborted();
      const out = outs[index] as (typeof outs)[number];
      const seconds = await secondsOf(() => runProbeFma(engine, out, iterations));
      best[index] = Math.max(best[index] as number, (2 * iterations * out.size) / seconds / 1e9);
    }
  }
  for (const out of outs) {
    const isRight = out.data.every((value, lane) => value === lane % probeLanes);
    out.dispose();
    if (!isRight) throw new WrongResultError('FMA probe');
  }
  return best;
}

/** An even number of iterations that keeps a worker busy for so long. */
async function iterationsFor(engine: Engine, targetMs: number): Promise<number> {
  using out = engine.tensor([1, probeLanes]);
  const { iterations, ms } = await iterationsLasting(targetMs / 2, async (count) => {
    const times: number[] = [];
    for (let repeat = 0; repeat < 3; repeat++) times.push(await secondsOf(() => runProbeFma(engine, out, count)));
    return smallest(times) * 1000;
  });
  return 2 * Math.ceil((iterations * targetMs) / ms / 2);
}

async function probeReadBandwidth(engine: Engine, signal: AbortSignal | undefined): Promise<number> {
  const budget = engine.stats().pool.budgetBytes;
  const tiles = Math.max(engine.threads, Math.floor(Math.min(readBytes, budget / 4) / readTileBytes));
  using scope = engine.scope();
  const one = scope.tensor([1], Float32Array.of(1));
  const size = (tiles * readTileBytes) / Float32Array.BYTES_PER_ELEMENT;
  const x = scope.tensor([size]);
  // Memory that was never written is all one page, which the cache holds.
  await engine.copy(one.expand([size]), { out: x, signal });
  const sums = scope.tensor([tiles]);
  let best = 0;
  for (let repeat = 0; repeat < readRepeats; repeat++) {
    signal?.throwIfAborted();
    const seconds = await secondsOf(() => runProbeRead(engine, x, sums));
    best = Math.max(best, x.sizeBytes / seconds / 1e9);
  }
  if (!sums.data.every((sum) => sum === size / tiles)) throw new WrongResultError('read probe');
  return best;
}

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}
