// The kernels probe_fma, probe_dot and probe_read run through an engine's internal entry, so that a probe takes the same way to
// the workers as every other op. None is a public op. Called by the roofline, the benchmarks and their tests.
import type { Engine } from '../engine.js';
import { type CallOptions, checkTensor, defineOp } from '../ops/op.js';
import { probeDot } from '../ops/probe-dot.js';
import { probeFma } from '../ops/probe-fma.js';
import type { StepOwner } from '../program/recorder.js';
import type { Tensor } from '../tensor/tensor.js';

export { probeDotLanes, probeQuad } from '../ops/probe-dot.js';
export { iterationsLasting, probeFma, probeLanes } from '../ops/probe-fma.js';

/** How a buffer is read: as so many streams in turn, and how far ahead lines are prefetched. */
export interface ReadPattern {
  readonly streams: 1 | 2 | 4 | 8;
  readonly aheadBytes: number;
}

/** Which one is fastest depends on the CPU. */
export const readPatterns: readonly ReadPattern[] = [
  { streams: 4, aheadBytes: 0 },
  { streams: 1, aheadBytes: 0 },
  { streams: 1, aheadBytes: 4096 },
  { streams: 2, aheadBytes: 4096 },
  { streams: 8, aheadBytes: 0 },
];

interface ProbeReadArgs extends CallOptions {
  readonly x: Tensor;
  readonly pattern: ReadPattern;
  /** f32 [tiles] */
  readonly out: Tensor;
}

/** Divides `x` into as many equal parts as `out` has elements; each tile writes the sum of its part. */
const probeRead = defineOp({
  name: 'probeRead',
  parameters: ['x', 'pattern'],
  inPlace: () => false,
  args: (x: Tensor, out: Tensor, pattern: ReadPattern): ProbeReadArgs => ({ x, out, pattern }),
  operands: ({ x }) => [x],
  infer({ x, out }) {
    checkTensor(x, 'probeRead', 'x', 'f32');
    return { shape: out.shape, dtype: 'f32' };
  },
  record(recorder, { x, pattern }, out) {
    const ahead = pattern.aheadBytes / Float32Array.BYTES_PER_ELEMENT;
    const step = { kernel: 'probe_read', tiles: out.size, flops: x.size, reads: [x], writes: [out] };
    recorder.emit(step, (params) =>
      params
        .pointer(x)
        .pointer(out)
        .ints([x.size, Math.ceil(x.size / out.size), pattern.streams, ahead]),
    );
  },
});

/** Fills `out` f32 [tiles, probeLanes]; by default on the workers alone. */
export async function runProbeFma(
  engine: Engine,
  out: Tensor,
  iterations: number,
  by: StepOwner = 'workers',
): Promise<void> {
  await engine.call(probeFma, { ...probeFma.args(out, iterations, by) });
}

/** Fills `out` i32 [tiles, probeDotLanes] on the workers. @param iterations even */
export async function runProbeDot(engine: Engine, out: Tensor, iterations: number): Promise<void> {
  await engine.call(probeDot, { ...probeDot.args(out, iterations) });
}

/** Reads `x` f32 [n] once; fills `out` f32 [tiles] with the sums of its parts. */
export async function runProbeRead(engine: Engine, x: Tensor, out: Tensor, pattern: ReadPattern): Promise<void> {
  await engine.call(probeRead, { ...probeRead.args(x, out, pattern) });
}
