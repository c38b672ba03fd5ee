// What models need of an engine. The engine implements it; models know nothing else of it.
import type { ProgramBuilder } from '../ops/program-builder.js';
import type { PackQuantizedOptions, QuantizedMatrix } from '../ops/quantized-matrix.js';
import type { ProgramProfile } from '../program/profile.js';
import type { ProfileOptions, Program } from '../program/program.js';
import type { DType } from '../tensor/dtype.js';
import type { FileToMap, MappedFile } from '../tensor/mapped-file.js';
import type { Tensor } from '../tensor/tensor.js';

export interface ModelHost {
  readonly threads: number;
  /** Bytes of the memory budget that no tensor has. */
  freeBytes(): number;
  /** A tensor whose contents are whatever was there. */
  empty<D extends DType>(shape: readonly number[], dtype: D): Tensor<D>;
  /**
   * Records a program in slices that leave the event loop free: `record` yields where it may rest. All or nothing;
   * rejects with an AbortError when the signal fires.
   */
  program<T>(
    record: (builder: ProgramBuilder) => Generator<void, T>,
    signal?: AbortSignal | undefined,
  ): Promise<Program<T>>;
  /** As `engine.profile`. */
  profile(program: Program<unknown>, options: ProfileOptions): Promise<ProgramProfile>;
  /** Copies and converts into a tensor of the same shape. */
  copy(x: Tensor, options: { out: Tensor; signal?: AbortSignal | undefined }): Promise<Tensor>;
  /** Weights in the layout that the kernels stream, from the blocks of a file, which may stand anywhere. */
  packQuantized(blocks: Tensor, options: PackQuantizedOptions): Promise<QuantizedMatrix>;
  /** Maps an open file for reading; the caller closes the mapping, and tensors over it keep it for themselves. */
  mapFile(file: FileToMap): MappedFile;
}
