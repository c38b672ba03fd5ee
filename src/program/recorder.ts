// Collects the steps of a program while ops record themselves. Places and runs nothing.

import { internal } from '../base/internal.js';
import type { BlockSizes } from '../machine/block-sizes.js';
import type { ProductTraits } from '../native/addon.js';
import { type DType, dtypes } from '../tensor/elements/dtype.js';
import { elementCount } from '../tensor/layout/layout.js';
import { storageOf, Tensor } from '../tensor/tensor.js';
import { type ParamWord, ParamWriter } from './param-writer.js';
import { TemporaryStorage } from './temporary-storage.js';

/** Who computes a step: the team, which the calling thread may assist, or the workers alone. */
export type StepOwner = 'team' | 'workers';

/** One step as an op describes it: the kernel, the number of tiles, the tensors that it reads and writes. */
export interface StepDescription {
  /** The kernel's name in native/kernels/table.def. */
  readonly kernel: string;
  /** Number of tiles; a step without tiles (an empty result) is left out. */
  readonly tiles: number;
  /** Floating-point operations of the whole step. */
  readonly flops: number;
  /** Who must compute the step, however short it is. By default whoever is estimated to be fastest. */
  readonly by?: StepOwner | undefined;
  /**
   * Whether the kernel can write its result in 8 bits as well. Its last parameter, recorded as null, is then the address of
   * that second output (src/ops/quantized/quantized-rows.ts).
   */
  readonly quantizes?: boolean | undefined;
  readonly reads: readonly (Tensor | undefined)[];
  readonly writes: readonly Tensor[];
}

/** A recorded step: its description with the parameters of the kernel. */
export interface Step {
  readonly kernel: string;
  readonly tiles: number;
  readonly flops: number;
  readonly by?: StepOwner | undefined;
  readonly quantizes?: boolean | undefined;
  readonly reads: readonly Tensor[];
  readonly writes: readonly Tensor[];
  readonly params: readonly ParamWord[];
}

export type RecorderOptions = Pick<Recorder, 'threads' | 'blockSizes' | 'products' | 'zero'>;

export class Recorder {
  readonly steps: Step[] = [];
  readonly temporaries = new Set<TemporaryStorage>();
  readonly #leftOutIfUnread = new Set<Step>();
  /** Number of workers that the tiles should keep busy. Results never depend on it. */
  readonly threads: number;
  /** The block sizes of matrix products. Results never depend on them. */
  readonly blockSizes: BlockSizes;
  /** Properties of the kernel set that affect the choice of tiles. */
  readonly products: ProductTraits;
  /** A tensor of one f32 zero. */
  readonly zero: Tensor;

  constructor({ threads, blockSizes, products, zero }: RecorderOptions) {
    this.threads = threads;
    this.blockSizes = blockSizes;
    this.products = products;
    this.zero = zero;
  }

  /** Whether the tensor is a temporary of this program. */
  owns(tensor: Tensor): boolean {
    const storage = storageOf(tensor);
    return storage instanceof TemporaryStorage && this.temporaries.has(storage);
  }

  /** A tensor that exists only inside the program. Temporaries that are alive at different times share memory. */
  temporary(shape: readonly number[], dtype: DType = 'f32'): Tensor {
    const storage = new TemporaryStorage(elementCount(shape) * dtypes[dtype].sizeBytes);
    this.temporaries.add(storage);
    return new Tensor(internal, { dtype, shape, storage });
  }

  /** Appends a step. `write` writes the parameters in the order of the kernel's struct. */
  emit(step: StepDescription, write: (params: ParamWriter) => void): void {
    if (step.tiles === 0) return;
    const writer = new ParamWriter();
    write(writer);
    this.steps.push({
      kernel: step.kernel,
      tiles: step.tiles,
      flops: step.flops,
      by: step.by,
      quantizes: step.quantizes,
      reads: step.reads.filter((tensor) => tensor !== undefined),
      writes: step.writes,
      params: writer.words,
    });
  }

  /** Adds an output to the last step; the tensor's address replaces the step's last parameter. */
  addOutput(tensor: Tensor): void {
    const step = this.steps.pop() as Step;
    const { words } = new ParamWriter().pointer(tensor);
    this.steps.push({
      ...step,
      writes: [...step.writes, tensor],
      params: [...step.params.slice(0, -1), ...words],
    });
  }

  /** Another step does not need this one's result any more. */
  leaveOutIfUnread(step: Step): void {
    this.#leftOutIfUnread.add(step);
  }

  /** Removes the steps that {@link leaveOutIfUnread} named, if nothing else reads what they write. Called at the end. */
  dropUnread(): void {
    if (this.#leftOutIfUnread.size === 0) return;
    const read = new Set(this.steps.flatMap(({ reads }) => reads.map(storageOf)));
    const isUnread = (written: Tensor) => {
      const storage = storageOf(written);
      return storage instanceof TemporaryStorage && storage.buffer === undefined && !read.has(storage);
    };
    const kept = this.steps.filter((step) => !(this.#leftOutIfUnread.has(step) && step.writes.every(isUnread)));
    this.steps.splice(0, this.steps.length, ...kept);
  }
}
