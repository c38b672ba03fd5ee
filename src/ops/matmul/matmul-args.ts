// The arguments of matmul, for dense and for quantized weights.
import type { Tensor } from '../../tensor/tensor.js';
import type { CallOptions } from '../op.js';
import type { QuantizedMatrix } from '../quantized/quantized-matrix.js';
import type { ActivationName } from '../rowwise/elementwise.js';
import type { PackedMatrix } from './pack.js';

export interface MatmulOptions extends CallOptions {
  /** Read a as [..., k, m]. */
  readonly transposeA?: boolean | undefined;
  /** Read b as [..., n, k], the usual layout of weights. */
  readonly transposeB?: boolean | undefined;
  /** f32 [n], added to each row. */
  readonly bias?: Tensor | undefined;
  /** Applied after the bias. */
  readonly activation?: ActivationName | undefined;
  /** f32 of the result's shape, added last; may be the same tensor as `out`. */
  readonly residual?: Tensor | undefined;
}

export interface MatmulArgs extends MatmulOptions {
  readonly a: Tensor;
  /** A tensor, or packed or quantized weights. */
  readonly b: Tensor | PackedMatrix | QuantizedMatrix;
}
