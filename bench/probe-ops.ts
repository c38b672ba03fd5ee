// The probes as ops: what native/kernels/probe_fma.h and probe_read.h take. Not in the registry of public ops; run
// through the engine's internal entry, so that a probe takes the same way to the workers as every other op.
import type { Engine, Tensor } from '../src/index.js';
import { type CallOptions, checkTensor, defineOp } from '../src/ops/op.js';
import { probeFma } from '../src/ops/probe-fma.js';
import type { StepOwner } from '../src/program/recorder.js';

export { iterationsLasting, probeFma, probeLanes } from '../src/ops/probe-fma.js';

interface ProbeReadArgs extends CallOptions {
  readonly x: Tensor;
  /** f32 [tiles] */
  readonly out: Tensor;
}

/** Sums of equal parts of a buffer, one a tile. */
export const probeRead = defineOp({
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

/** Fills `out` and awaits it; the workers do it, unless told otherwise. */
export async function runProbeFma(
  engine: Engine,
  out: Tensor,
  iterations: number,
  by: StepOwner | undefined = 'workers',
): Promise<void> {
  await engine.call(probeFma, { ...probeFma.args(out, iterations, by) });
}

export async function runProbeRead(engine: Engine, x: Tensor, out: Tensor): Promise<void> {
  await engine.call(probeRead, { ...probeRead.args(x, out) });
}
