// probeFma: fused multiply-adds in registers, to measure the FMA peak of a kernel set (native/kernels/probe_fma.h). Not in
// the registry of public ops: engine.profile and the benchmarks call it through `engine.call`.
import type { StepOwner } from '../program/recorder.js';
import type { Tensor } from '../tensor/tensor.js';
import { type CallOptions, checkTensor, defineOp } from './op.js';

/** Floats that a tile writes: kProbeLanes. */
export const probeLanes = 192;

interface ProbeFmaArgs extends CallOptions {
  /** f32 [tiles, probeLanes] */
  readonly out: Tensor;
  readonly iterations: number;
  /** Who computes it; by default whoever is estimated to be fastest. */
  readonly by: StepOwner | undefined;
}

/** Iterates x = 1 - x: float i of a tile is i after an even number of iterations, and 1 - i after an odd one. */
export const probeFma = defineOp({
  name: 'probeFma',
  parameters: ['iterations', 'by'],
  inPlace: () => false,
  args: (out: Tensor, iterations: number, by: StepOwner | undefined): ProbeFmaArgs => ({ out, iterations, by }),
  operands: () => [],
  infer({ out }) {
    checkTensor(out, 'probeFma', 'out', 'f32');
    return { shape: out.shape, dtype: 'f32' };
  },
  record(recorder, { iterations, by }, out) {
    const tiles = out.shape[0] as number;
    const flops = 2 * iterations * probeLanes * tiles;
    const step = { kernel: 'probe_fma', tiles, flops, by, reads: [], writes: [out] };
    recorder.emit(step, (params) => params.pointer(out).int(iterations).double(-1).double(1));
  },
});

/** The part of an engine that the measurement needs. */
export interface FmaProbe {
  readonly threads: number;
  tensor(shape: readonly number[]): Tensor<'f32'>;
  call(op: typeof probeFma, args: Record<string, unknown>): Promise<unknown>;
}

/** The least power of two of iterations, from 1024 on, that takes at least `leastMs`, and its time. */
export async function iterationsLasting(
  leastMs: number,
  msOf: (iterations: number) => Promise<number>,
): Promise<{ iterations: number; ms: number }> {
  for (let iterations = 1024; ; iterations *= 2) {
    const ms = await msOf(iterations);
    if (ms >= leastMs) return { iterations, ms };
  }
}

const tilesPerWorker = 8;
const repeats = 12;
/** Short enough that some repeat is not disturbed by other processes, long enough that the hand-over is negligible. */
const repeatMs = 5;

/** GFLOPS of all workers together with the engine's kernel set: the best of several short repeats. Takes about 0.1 s. */
export async function measureFmaPeak(engine: FmaProbe, signal: AbortSignal | undefined): Promise<number> {
  using out = engine.tensor([engine.threads * tilesPerWorker, probeLanes]);
  const msOf = async (iterations: number) => {
    const started = performance.now();
    await engine.call(probeFma, { ...probeFma.args(out, iterations, 'workers'), signal });
    return performance.now() - started;
  };
  let { iterations, ms } = await iterationsLasting(repeatMs, msOf);
  for (let repeat = 1; repeat < repeats; repeat++) ms = Math.min(ms, await msOf(iterations));
  return (2 * iterations * out.size) / ms / 1e6;
}
