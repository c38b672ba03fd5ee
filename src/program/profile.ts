// What a traced run was spent on: a row for each step, from the entries that the executor wrote for each tile
// (TileTrace in native/core/control.h). Pure functions; called by Program.
import { dtypes } from '../tensor/elements/dtype.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Step } from './recorder.js';

/** One tile of a run. Times are in nanoseconds since the call that started the run. */
export interface TileSpan {
  /** Index of the step in {@link ProgramProfile.steps}. */
  readonly step: number;
  /** Index of the tile within its step. */
  readonly tile: number;
  /** The worker that computed it; `threads` stands for the calling thread, which computes tiny programs itself. */
  readonly seat: number;
  readonly startNs: number;
  readonly endNs: number;
}

export interface StepProfile {
  /** As in {@link Program.kernels}. */
  readonly kernel: string;
  readonly tiles: number;
  readonly flops: number;
  /**
   * What its operands' and results' elements take, each counted once. A step that reads rows by number counts the whole
   * table.
   */
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Time spent in its tiles, summed over all threads. */
  readonly threadNs: number;
  /**
   * Its part of the run's wall time: each moment is divided evenly among the tiles that are computed at that moment. So
   * `flops / wallNs` are GFLOPS of the whole team, and `bytesRead + bytesWritten` over it GB/s.
   */
  readonly wallNs: number;
  /** `wallNs` as a share of the run's. */
  readonly wallShare: number;
}

export interface ProgramProfile {
  /** Worker threads of the engine. */
  readonly threads: number;
  /** Runs measured; everything below is of the one whose wall time is the median (of two, the shorter). */
  readonly runs: number;
  /** From the call to its end. */
  readonly wallNs: number;
  /** Wall time in which no tile was computed: the hand-over. With the steps' `wallNs` it adds up to the run's. */
  readonly idleNs: number;
  /** In the order of the program. */
  readonly steps: readonly StepProfile[];
  /** Every tile of the program once, step by step: a time-line of who computed what when. */
  readonly tiles: readonly TileSpan[];
}

export interface PeakedStep extends StepProfile {
  /** Its flops per wall time, of the peak. */
  readonly peakShare: number;
}

/** With what the workers can give at most. */
export interface PeakedProfile extends ProgramProfile {
  readonly steps: readonly PeakedStep[];
  /** FMA peak of the engine's kernel set on all its workers, as probed when the engine first profiled. */
  readonly peakGflops: number;
}

export function withPeak(profile: ProgramProfile, peakGflops: number): PeakedProfile {
  const steps = profile.steps.map((step) => {
    const gflops = step.wallNs === 0 ? 0 : step.flops / step.wallNs;
    return { ...step, peakShare: gflops / peakGflops };
  });
  return { ...profile, steps, peakGflops };
}

/** What a profile needs to know of a step. Holds no tensor. */
export type StepSummary = Pick<StepProfile, 'kernel' | 'tiles' | 'flops' | 'bytesRead' | 'bytesWritten'>;

export function summarize({ kernel, tiles, flops, reads, writes }: Step): StepSummary {
  return { kernel, tiles, flops, bytesRead: bytesOf(reads), bytesWritten: bytesOf(writes) };
}

/** One run: when it was called and when it ended, on the clock of the entries, and the entries as 64-bit words. */
export interface TracedRun {
  readonly startedNs: bigint;
  readonly endedNs: bigint;
  readonly words: BigUint64Array;
}

const wordsPerTile = 3;

/** The run whose wall time is the median, the shorter one of two. */
export function medianRun(runs: readonly TracedRun[]): TracedRun {
  const length = ({ startedNs, endedNs }: TracedRun) => Number(endedNs - startedNs);
  const sorted = [...runs].sort((a, b) => length(a) - length(b));
  return sorted[Math.floor((sorted.length - 1) / 2)] as TracedRun;
}

/** The entries of a run, in the order of the steps. */
export function spansOf(steps: readonly StepSummary[], { startedNs, words }: TracedRun): TileSpan[] {
  const spans: TileSpan[] = [];
  steps.forEach(({ tiles }, step) => {
    for (let tile = 0; tile < tiles; tile++) {
      const first = wordsPerTile * spans.length;
      spans.push({
        step,
        tile,
        seat: Number(words[first + 2]),
        startNs: Number((words[first] as bigint) - startedNs),
        endNs: Number((words[first + 1] as bigint) - startedNs),
      });
    }
  });
  return spans;
}

/** The rows of a run. */
export function profileRun(
  steps: readonly StepSummary[],
  run: TracedRun,
  { threads, runs }: Pick<ProgramProfile, 'threads' | 'runs'>,
): ProgramProfile {
  const tiles = spansOf(steps, run);
  const wallNs = Number(run.endedNs - run.startedNs);
  const threadNs = steps.map(() => 0);
  for (const { step, startNs, endNs } of tiles) threadNs[step] = (threadNs[step] as number) + endNs - startNs;
  const walls = divideWall(tiles, steps.length);
  const rows = steps.map((step, index) => {
    const own = walls[index] as number;
    return { ...step, threadNs: threadNs[index] as number, wallNs: own, wallShare: own / wallNs };
  });
  const idleNs = wallNs - walls.reduce((sum, own) => sum + own, 0);
  return { threads, runs, wallNs, idleNs, steps: rows, tiles };
}

/** Divides each moment evenly among the tiles computed at it, and adds up the parts of each step. */
function divideWall(tiles: readonly TileSpan[], steps: number): number[] {
  const walls = new Array<number>(steps).fill(0);
  const bounds = tiles.flatMap((span, index) => [
    { at: span.startNs, index, isStart: true },
    { at: span.endNs, index, isStart: false },
  ]);
  bounds.sort((a, b) => a.at - b.at);
  // Advances by 1/n of the time that passes while n tiles are computed: a tile's part is what it advanced meanwhile.
  let clock = 0;
  let last = 0;
  let active = 0;
  const startedAt = new Float64Array(tiles.length);
  const endedAt = new Float64Array(tiles.length);
  for (const { at, index, isStart } of bounds) {
    if (active > 0) clock += (at - last) / active;
    last = at;
    active += isStart ? 1 : -1;
    (isStart ? startedAt : endedAt)[index] = clock;
  }
  tiles.forEach(({ step }, index) => {
    walls[step] = (walls[step] as number) + (endedAt[index] as number) - (startedAt[index] as number);
  });
  return walls;
}

/** Elements that an expanded dimension repeats are counted once. */
function bytesOf(tensors: readonly Tensor[]): number {
  let bytes = 0;
  for (const { dtype, shape, strides } of tensors) {
    let elements = dtypes[dtype].sizeBytes;
    for (let dim = 0; dim < shape.length; dim++) if (strides[dim] !== 0) elements *= shape[dim] as number;
    bytes += elements;
  }
  return bytes;
}
