// probeDot: products of bytes in registers, to measure the peak of products with quantized weights (native/kernels/probe_dot.h).
// Not in the registry of public ops: the roofline calls it through `engine.call`.
import type { Tensor } from '../tensor/tensor.js';
import { type CallOptions, checkTensor, defineOp } from './op.js';

/** Integers that a tile writes: kProbeDotLanes. */
export const probeDotLanes = 192;
/** What an iteration adds to each of them: kProbeQuad. */
export const probeQuad = -24;

interface ProbeDotArgs extends CallOptions {
  /** i32 [tiles, probeDotLanes] */
  readonly out: Tensor;
  /** Even, 2^26 at most; each multiplies and adds four bytes in each lane. */
  readonly iterations: number;
}

/** Fills `out` with iterations · {@link probeQuad}, on the workers. */
export const probeDot = defineOp({
  name: 'probeDot',
  parameters: ['iterations'],
  inPlace: () => false,
  args: (out: Tensor, iterations: number): ProbeDotArgs => ({ out, iterations }),
  operands: () => [],
  infer({ out }) {
    checkTensor(out, 'probeDot', 'out', 'i32');
    return { shape: out.shape, dtype: 'i32' };
  },
  record(recorder, { iterations }, out) {
    const tiles = out.shape[0] as number;
    const flops = 8 * iterations * probeDotLanes * tiles;
    recorder.emit({ kernel: 'probe_dot', tiles, flops, by: 'workers', reads: [], writes: [out] }, (params) =>
      params.pointer(out).int(iterations),
    );
  },
});
