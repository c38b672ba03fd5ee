// The checksums of a stored image of weights, computed by all workers. Not a public op: called for images alone.
import type { Compute } from '../../ops/calls/compute.js';
import { type CallOptions, checkTensor, defineOp } from '../../ops/op.js';
import type { Tensor } from '../../tensor/tensor.js';

/** Bytes for which there are two sums of 32 bits: kChecksumChunk of native/kernels/checksum.h. */
const chunkBytes = 1 << 20;

interface ChecksumArgs extends CallOptions {
  /** i8, contiguous. */
  readonly x: Tensor;
}

const checksum = defineOp({
  name: 'checksum',
  parameters: ['x'],
  inPlace: () => false,
  args: (x: Tensor): ChecksumArgs => ({ x }),
  operands: ({ x }) => [x],
  infer({ x }) {
    checkTensor(x, 'checksum', 'x', 'i8');
    return { shape: [checksumCount(x.size)], dtype: 'i32' };
  },
  record(recorder, { x }, out) {
    const step = { kernel: 'checksum', tiles: out.size / 2, flops: x.size / 2, reads: [x], writes: [out] };
    recorder.emit(step, (params) => params.pointer(x).pointer(out).int(x.size));
  },
});

/** Sums of so many bytes. */
export function checksumCount(sizeBytes: number): number {
  return 2 * Math.ceil(sizeBytes / chunkBytes);
}

/** @throws AbortError when the signal fires */
export async function checksumsOf(compute: Compute, x: Tensor, signal: AbortSignal | undefined): Promise<Int32Array> {
  using sums = await compute.call(checksum, { ...checksum.args(x), signal });
  return Int32Array.from(sums.data as Int32Array);
}
