// What models need of an engine. The engine implements it; models know nothing else of it.
import type { ProgramBuilder } from '../ops/program-builder.js';
import type { Program } from '../program/program.js';
import type { DType } from '../tensor/dtype.js';
import type { Tensor } from '../tensor/tensor.js';

export interface ModelHost {
  readonly threads: number;
  /** A tensor whose contents are whatever was there. */
  empty<D extends DType>(shape: readonly number[], dtype: D): Tensor<D>;
  program<T>(record: (builder: ProgramBuilder) => T): Program<T>;
  /** A copy as f32. */
  copy(x: Tensor, options: { dtype: 'f32'; signal?: AbortSignal | undefined }): Promise<Tensor>;
}
