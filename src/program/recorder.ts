// Collects the steps of a program while ops record themselves. Pure bookkeeping: nothing is placed or run here.

import type { BlockSizes } from '../machine/block-sizes.js';
import type { ProductTraits } from '../native/addon.js';
import { type DType, dtypes } from '../tensor/elements/dtype.js';
import { elementCount } from '../tensor/layout/layout.js';
import { Tensor } from '../tensor/tensor.js';
import { type ParamWord, ParamWriter } from './param-writer.js';
import { TemporaryStorage } from './temporary-storage.js';

/** The team, which the calling thread may assist, or its workers alone. */
export type StepOwner = 'team' | 'workers';

/** What an op says of one step: which kernel, in how many tiles, and what it touches. */
export interface StepDescription {
  /** Spelled as in native/kernels/table.def. */
  readonly kernel: string;
  /** How many tiles; a step with none is left out (an empty result). */
  readonly tiles: number;
  /** Floating-point operations of the whole step. */
  readonly flops: number;
  /** Who must compute it, however little it is; without it whoever is thought to be fastest does. */
  readonly by?: StepOwner | undefined;
  /** Its last parameter, undefined as it is recorded, can say where the result goes in 8 bits too: see quantized-rows.ts. */
  readonly quantizes?: boolean | undefined;
  readonly reads: readonly (Tensor | undefined)[];
  readonly writes: readonly Tensor[];
}

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
  /** How many workers the tiles should keep busy. Results never depend on it. */
  readonly threads: number;
  /** How matrix products are cut. Results never depend on it. */
  readonly blockSizes: BlockSizes;
  /** How the kernels compute them. */
  readonly products: ProductTraits;
  /** One f32 zero. */
  readonly zero: Tensor;

  constructor({ threads, blockSizes, products, zero }: RecorderOptions) {
    this.threads = threads;
    this.blockSizes = blockSizes;
    this.products = products;
    this.zero = zero;
  }

  /** Whether the tensor is a temporary of this program. */
  owns(tensor: Tensor): boolean {
    return tensor.storage instanceof TemporaryStorage && this.temporaries.has(tensor.storage);
  }

  /** A tensor that lives only inside the program; its memory is shared with others that live at other times. */
  temporary(shape: readonly number[], dtype: DType = 'f32'): Tensor {
    const storage = new TemporaryStorage(elementCount(shape) * dtypes[dtype].sizeBytes);
    this.temporaries.add(storage);
    return new Tensor({ dtype, shape, storage });
  }

  /** Appends a step. `write` gives the parameters in the order of the kernel's struct. */
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

  /** The last step writes one more tensor, whose address takes the place of its last parameter. */
  addOutput(tensor: Tensor): void {
    const step = this.steps.pop() as Step;
    const { words } = new ParamWriter().pointer(tensor);
    this.steps.push({
      ...step,
      writes: [...step.writes, tensor],
      params: [...step.params.slice(0, -1), ...words],
    });
  }
}
