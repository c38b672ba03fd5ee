// The base of weights in a layout of the kernels: PackedMatrix and QuantizedMatrix. Holds their memory and disposes it.
import type { Tensor } from '../tensor/tensor.js';

export abstract class MatrixImage<T extends Tensor = Tensor> {
  /** @internal The weights as the kernels read them. */
  readonly image: T;

  /** @internal */
  constructor(image: T) {
    this.image = image;
  }

  get sizeBytes(): number {
    return this.image.sizeBytes;
  }

  get disposed(): boolean {
    return this.image.disposed;
  }

  /** Frees the memory. @throws TesseraeError ERR_DISPOSED the second time */
  dispose(): void {
    this.image.dispose();
  }

  /** Like {@link dispose}, but does nothing the second time. */
  [Symbol.dispose](): void {
    this.image[Symbol.dispose]();
  }
}
