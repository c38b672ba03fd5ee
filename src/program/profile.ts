// Evaluates a traced run: a row for each step, from the entries that the executor wrote for each tile (TileTrace in
// native/core/control.h). Pure functions; called by Program.
import { dtypes } from '../tensor/elements/dtype.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Step } from './recorder.js';

/** One tile of a run. Times are in nanoseconds since the call that started the run. */
export interface TileSpan {
  /** Index of the step in {@link ProgramProfile.steps}. */
  readonly step: number;
  /** Index of the tile within its step. */
  readonly tile: number;
  /** The worker that computed it; the number of threads if it was the calling thread. */
  readonly seat: number;
  readonly startNs: number;
  readonly endNs: number;
}

export interface StepProfile {
  /** Its name, as in {@link Program.kernels}. */
  readonly kernel: string;
  readonly tiles: number;
  /** It starts when this many steps at the front of the program are complete. */
  readonly after: number;
  readonly flops: number;
  /** Size of its operands, each element counted once. A step that reads rows by index counts the whole table. */
  readonly bytesRead: number;
  /** Size of its results. */
  readonly bytesWritten: number;
  /** Time in its tiles, summed over all threads. */
  readonly threadNs: number;
  /**
   * Its part of the run's wall time: each moment is divided evenly among the tiles that are computed at that moment. So
   * `flops / wallNs` is the speed of the whole team in GFLOPS, and `(bytesRead + bytesWritten) / wallNs` in GB/s.
   */
  readonly wallNs: number;
  /** `wallNs` as a share of the run's. */
  readonly wallShare: number;
}

export interface ProgramProfile {
  /** Worker threads of the engine. */
  readonly threads: number;
  /** Number of measured runs. All that follows is from the one with the median wall time (of two, the shorter). */
  readonly runs: number;
  /** Time from the call to its end. */
  readonly wallNs: number;
  /** Wall time in which no tile was computed: the hand-over. The sum with `wallNs` of all steps is the run's `wallNs`. */
  readonly idleNs: number;
  /** In the order of the program. */
  readonly steps: readonly StepProfile[];
  /** Every tile of the program, step by step, with the worker and the times. */
  readonly tiles: readonly TileSpan[];
}

export interface PeakedStep extends StepProfile {
  /** Its speed, flops per wall time, as a share of the FMA peak. */
  readonly peakShare: number;
}

/** A profile with the FMA peak of the workers. */
export interface PeakedProfile extends ProgramProfile {
  readonly steps: readonly PeakedStep[];
  /** FMA peak of the engine's kernel set on all its workers, measured at the engine's first profile. */
  readonly peakGflops: number;
}

export function withPeak(profile: ProgramProfile, peakGflops: number): PeakedProfile {
  const steps = profile.steps.map((step) => {
    const gflops = step.wallNs === 0 ? 0 : step.flops / step.wallNs;
    return { ...step, peakShare: gflops / peakGflops };
  });
  return { ...profile, steps, peakGflops };
}

/** The properties of a step that a profile needs, without its tensors. */
export type StepSummary = Pick<StepProfile, 'kernel' | 'tiles' | 'after' | 'flops' | 'bytesRead' | 'bytesWritten'>;

export function summarize({ kernel, tiles, flops, reads, writes }: Step, after: number): StepSummary {
  return { kernel, tiles, after, flops, bytesRead: countBytes(reads), bytesWritten: countBytes(writes) };
}

/** One run: its start and end on the clock of the trace, and the entries of the trace as 64-bit words. */
export interface TracedRun {
  readonly startedNs: bigint;
  readonly endedNs: bigint;
  readonly words: BigUint64Array;
}

const wordsPerTile = 3;

/** The run with the median wall time; of two, the shorter. */
export function medianRun(runs: readonly TracedRun[]): TracedRun {
  const length = ({ startedNs, endedNs }: TracedRun) => Number(endedNs - startedNs);
  const sorted = [...runs].sort((a, b) => length(a) - length(b));
  return sorted[Math.floor((sorted.length - 1) / 2)] as TracedRun;
}

/** The tiles of a run, in the order of the steps. */
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

/** The profile of a run. */
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

/** Divides each moment evenly among the tiles that are computed at that moment, and sums up the parts of each step. */
function divideWall(tiles: readonly TileSpan[], steps: number): number[] {
  const walls = new Array<number>(steps).fill(0);
  const bounds = tiles.flatMap((span, index) => [
    { at: span.startNs, index, isStart: true },
    { at: span.endNs, index, isStart: false },
  ]);
  bounds.sort((a, b) => a.at - b.at);
  // Advances by 1/n of the time while n tiles are computed: a tile's part is the advance between its start and its end.
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

/** Size of the tensors' elements; those that an expanded dimension repeats are counted once. */
function countBytes(tensors: readonly Tensor[]): number {
  let bytes = 0;
  for (const { dtype, shape, strides } of tensors) {
    let elements = dtypes[dtype].sizeBytes;
    for (let dim = 0; dim < shape.length; dim++) if (strides[dim] !== 0) elements *= shape[dim] as number;
    bytes += elements;
  }
  return bytes;
}
