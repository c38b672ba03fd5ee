// The kernels probe_fma and probe_read run through an engine's internal entry, so that a probe takes the same way to
// the workers as every other op. Neither is a public op. Called by the roofline, the benchmarks and their tests.
import type { Engine } from '../engine.js';
import { type CallOptions, checkTensor, defineOp } from '../ops/op.js';
import { probeFma } from '../ops/probe-fma.js';
import type { StepOwner } from '../program/recorder.js';
import type { Tensor } from '../tensor/tensor.js';

export { iterationsLasting, probeFma, probeLanes } from '../ops/probe-fma.js';

interface ProbeReadArgs extends CallOptions {
  readonly x: Tensor;
  /** f32 [tiles] */
  readonly out: Tensor;
}

/** Divides `x` into as many equal parts as `out` has elements; each tile writes the sum of its part. */
const probeRead = defineOp({
  name: 'probeRead',
  parameters: ['x'],
  inPlace: () => false,
  args: (x: Tensor, out: Tensor): ProbeReadArgs => ({ x, out }),
  operands: ({ x }) => [x],
  infer({ x, out }) {
    checkTensor(x, 'probeRead', 'x', 'f32');
    return { shape: out.shape, dtype: 'f32' };
  },
  record(recorder, { x }, out) {
    const step = { kernel: 'probe_read', tiles: out.size, flops: x.size, reads: [x], writes: [out] };
    recorder.emit(step, (params) =>
      params
        .pointer(x)
        .pointer(out)
        .ints([x.size, Math.ceil(x.size / out.size)]),
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

/** Reads `x` f32 [n] once; fills `out` f32 [tiles] with the sums of its parts. */
export async function runProbeRead(engine: Engine, x: Tensor, out: Tensor): Promise<void> {
  await engine.call(probeRead, { ...probeRead.args(x, out) });
}
