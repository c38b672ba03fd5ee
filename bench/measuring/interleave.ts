// Times variants of the same work in turns (A B A B), so that a slow minute of the machine affects all of them alike.
// Tinybench takes the samples. Called by the suites.
import { Bench } from 'tinybench';

export interface Variant {
  /** One iteration: the work, awaited. */
  run(): Promise<unknown>;
}

export interface InterleaveOptions {
  /** Turns of each variant. */
  readonly rounds: number;
  readonly signal?: AbortSignal | undefined;
  /** How long a turn takes, roughly; a turn has at least one iteration. */
  readonly turnMs?: number;
  /** Called before each turn. */
  readonly onTurn?: (turn: number, turns: number) => void;
}

const defaultTurnMs = 60;
const mostIterations = 2000;
/** Work longer than this needs no warm-up before each turn, and fewer turns. */
const longMs = 250;
const roundsOfLongWork = 3;

/** Times the variants. @returns the duration of every iteration in milliseconds, for each variant in order */
export async function interleave(variants: readonly Variant[], options: InterleaveOptions): Promise<number[][]> {
  const { signal, turnMs = defaultTurnMs, onTurn } = options;
  const samples: number[][] = variants.map(() => []);
  const estimates: number[] = [];
  for (const variant of variants) {
    signal?.throwIfAborted();
    estimates.push(await timeOf(variant));
  }
  const isLong = Math.max(...estimates) > longMs;
  if (!isLong) {
    // Estimates again: the first call also recorded the program, took memory and filled caches.
    for (const [index, variant] of variants.entries()) estimates[index] = await timeOf(variant);
  }
  const rounds = isLong ? Math.min(options.rounds, roundsOfLongWork) : options.rounds;
  for (let round = 0; round < rounds; round++) {
    for (const [index, variant] of variants.entries()) {
      signal?.throwIfAborted();
      onTurn?.(round * variants.length + index, rounds * variants.length);
      const iterations = Math.ceil(turnMs / (estimates[index] as number));
      const turn = await timeTurn(variant, Math.max(1, Math.min(mostIterations, iterations)), !isLong);
      samples[index]?.push(...turn);
    }
  }
  return samples;
}

async function timeOf(variant: Variant): Promise<number> {
  const started = performance.now();
  await variant.run();
  return performance.now() - started;
}

async function timeTurn(variant: Variant, iterations: number, warmup: boolean): Promise<readonly number[]> {
  const warmupIterations = Math.min(iterations, 4);
  const bench = new Bench({
    iterations,
    time: 0,
    warmup,
    warmupIterations,
    warmupTime: 0,
    throws: true,
    retainSamples: true,
  });
  bench.add('turn', () => variant.run(), { async: true });
  const [task] = await bench.run();
  const result = task?.result;
  if (result?.state !== 'completed') throw new Error(`a measurement ended as ${result?.state ?? 'nothing'}`);
  return result.latency.samples as readonly number[];
}
