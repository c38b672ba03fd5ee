// What the hardware can give at most: the peaks of FMAs and of 8-bit products, and the read bandwidth of a number of workers,
// measured through engines, in the same run as the figures that are given as a share of them. Called by
// `tesserae info --probe` and the benchmarks.
import { AbortError, TesseraeError } from '../base/errors.js';
import { formatWorkers } from '../base/number-text.js';
import { checkOptions } from '../base/options.js';
import { Engine } from '../engine.js';
import type { IsaName } from '../machine/environment.js';
import { loadAddon } from '../native/load.js';
import type { Tensor } from '../tensor/tensor.js';
import {
  iterationsLasting,
  probeDotLanes,
  probeLanes,
  probeQuad,
  readPatterns,
  runProbeDot,
  runProbeFma,
  runProbeRead,
} from './probes.js';

export interface Roofline {
  readonly workers: number;
  /** The kernel set that was probed: the FMA peak is that of its vectors. */
  readonly isa: string;
  /** Billions of floating-point operations a second, in registers: a fused multiply-add counts as two. */
  readonly fmaGflops: number;
  /** Billions of multiplications and additions of bytes a second, in registers, by the set's own instructions. */
  readonly dotGmacs: number;
  /** Billions of bytes a second, from a buffer that is larger than any cache, by the fastest of several patterns. */
  readonly readGBs: number;
}

export interface RooflineOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with what is probed next, such as `the peaks of FMAs and of 8-bit products`. */
  readonly onProgress?: ((what: string) => void) | undefined;
}

const peakRepeats = 12;
/** Of each pattern. */
const readRepeats = 3;
const tilesPerWorker = 8;
/** Short enough that a repeat may pass undisturbed, long enough that the hand-over does not count. */
const tileMs = 0.6;
/** Far more than the last cache of any machine that this was tried on. */
const readBytes = 512 * 2 ** 20;
const readTileBytes = 4 * 2 ** 20;

/**
 * Probes the peaks of FMAs and of 8-bit products, and the read bandwidth, for each of some numbers of workers, always with
 * the machine's best kernel set. Takes about a second, starts engines of its own, and reads a buffer of half a GiB, or of
 * a quarter of the memory that an engine may use where that is less.
 * @param counts numbers of workers, each at least 1
 * @returns the roofline of each, in order: of the peaks the best of several short repeats, the numbers in turn
 * @throws TesseraeError ERR_ARGUMENT, ERR_KERNEL when a probe computes a wrong result; AbortError
 */
export async function probeRoofline(counts: readonly number[], options: RooflineOptions = {}): Promise<Roofline[]> {
  checkOptions(options, ['signal', 'onProgress'], 'probeRoofline');
  if (!Array.isArray(counts) || counts.length === 0) {
    throw new TesseraeError('ERR_ARGUMENT', 'counts must be an array of numbers of workers', { op: 'probeRoofline' });
  }
  const { signal, onProgress } = options;
  const isa = loadAddon().isas.at(-1) as IsaName;
  const engines: Engine[] = [];
  try {
    for (const threads of counts) engines.push(await Engine.create({ threads, isa }));
    onProgress?.('the peaks of FMAs and of 8-bit products');
    const early = await probePeaks(engines, signal);
    const read: number[] = [];
    for (const engine of engines) {
      onProgress?.(`the read bandwidth, ${formatWorkers(engine.threads)}`);
      read.push(await probeReadBandwidth(engine, signal));
    }
    // Once more: a shared machine may have been slow for as long as the first probe took.
    const late = await probePeaks(engines, signal);
    return engines.map(({ threads }, index) => ({
      workers: threads,
      isa,
      fmaGflops: Math.max((early[index] as Peaks).fmaGflops, (late[index] as Peaks).fmaGflops),
      dotGmacs: Math.max((early[index] as Peaks).dotGmacs, (late[index] as Peaks).dotGmacs),
      readGBs: read[index] as number,
    }));
  } finally {
    await Promise.all(engines.map((engine) => engine.close()));
  }
}

interface Peaks {
  readonly fmaGflops: number;
  readonly dotGmacs: number;
}

async function probePeaks(engines: readonly Engine[], signal: AbortSignal | undefined): Promise<Peaks[]> {
  const first = engines[0] as Engine;
  using fmaOut = first.tensor([1, probeLanes]);
  using dotOut = first.tensor([1, probeDotLanes], 'i32');
  const fma = await fastest(engines, signal, {
    iterations: await iterationsFor((count) => runProbeFma(first, fmaOut, count)),
    out: (engine) => engine.tensor([engine.threads * tilesPerWorker, probeLanes]),
    run: runProbeFma,
    isRight: (lane, value) => value === lane,
    name: 'FMA',
  });
  const dot = await fastest(engines, signal, {
    iterations: await iterationsFor((count) => runProbeDot(first, dotOut, count)),
    out: (engine) => engine.tensor([engine.threads * tilesPerWorker, probeDotLanes], 'i32'),
    run: runProbeDot,
    isRight: (_lane, value, iterations) => value === iterations * probeQuad,
    name: '8-bit products',
  });
  return engines.map((_, index) => ({
    fmaGflops: (2 * (fma[index] as number)) / 1e9,
    dotGmacs: (4 * (dot[index] as number)) / 1e9,
  }));
}

/** A loop in registers that every lane of a tensor takes part in. */
interface LoopProbe<T extends Tensor> {
  readonly iterations: number;
  readonly out: (engine: Engine) => T;
  readonly run: (engine: Engine, out: T, iterations: number) => Promise<void>;
  readonly isRight: (lane: number, value: number, iterations: number) => boolean;
  readonly name: string;
}

/** For each engine the most iterations · lanes a second of several repeats. */
async function fastest<T extends Tensor>(
  engines: readonly Engine[],
  signal: AbortSignal | undefined,
  { iterations, out: makeOut, run, isRight, name }: LoopProbe<T>,
): Promise<number[]> {
  const outs = engines.map(makeOut);
  const best = engines.map(() => 0);
  for (let repeat = 0; repeat < peakRepeats; repeat++) {
    for (const [index, engine] of engines.entries()) {
      if (signal?.aborted) throw new AbortError(signal.reason);
      const out = outs[index] as T;
      const seconds = await secondsOf(() => run(engine, out, iterations));
      best[index] = Math.max(best[index] as number, (iterations * out.size) / seconds);
    }
  }
  for (const out of outs) {
    const lanes = out.shape[1] as number;
    const right = out.data.every((value, lane) => isRight(lane % lanes, value, iterations));
    out.dispose();
    if (!right) throw wrongResult(name);
  }
  return best;
}

/** An even number of iterations with which a tile takes about {@link tileMs}. */
async function iterationsFor(run: (iterations: number) => Promise<void>): Promise<number> {
  const { iterations, ms } = await iterationsLasting(tileMs / 2, async (count) => {
    const times: number[] = [];
    for (let repeat = 0; repeat < 3; repeat++) times.push(await secondsOf(() => run(count)));
    return Math.min(...times) * 1000;
  });
  return 2 * Math.ceil((iterations * tileMs) / ms / 2);
}

async function probeReadBandwidth(engine: Engine, signal: AbortSignal | undefined): Promise<number> {
  const budget = engine.stats().pool.budgetBytes;
  const tiles = Math.max(engine.threads, Math.floor(Math.min(readBytes, budget / 4) / readTileBytes));
  using scope = engine.scope();
  const one = scope.tensor([1], Float32Array.of(1));
  const size = (tiles * readTileBytes) / Float32Array.BYTES_PER_ELEMENT;
  const x = scope.tensor([size]);
  // Written first: pages that were never written are all the same page of zeros, which fits into a cache.
  await engine.copy(one.expand([size]), { out: x, signal });
  const sums = scope.tensor([tiles]);
  let best = 0;
  for (let repeat = 0; repeat < readRepeats; repeat++) {
    for (const pattern of readPatterns) {
      if (signal?.aborted) throw new AbortError(signal.reason);
      const seconds = await secondsOf(() => runProbeRead(engine, x, sums, pattern));
      best = Math.max(best, x.sizeBytes / seconds / 1e9);
    }
  }
  if (!sums.data.every((sum) => sum === size / tiles)) throw wrongResult('read');
  return best;
}

function wrongResult(probe: string): TesseraeError {
  return new TesseraeError('ERR_KERNEL', `${probe} probe: the result is wrong, so no figure is given`);
}

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}
