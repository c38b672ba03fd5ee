// The base of weights in a layout of the kernels: PackedMatrix and QuantizedMatrix. Holds their memory and disposes it.
import { TesseraeError } from '../base/errors.js';
import { checkInternal, type Internal, seal } from '../base/internal.js';
import type { Tensor } from '../tensor/tensor.js';

/** The weights as the kernels read them. Not a property: ops could be given it as an operand of another layout. */
export let imageOf: <T extends Tensor>(matrix: MatrixImage<T>) => T;

export abstract class MatrixImage<T extends Tensor = Tensor> {
  readonly #image: T;

  static {
    imageOf = (matrix) => matrix.#image;
  }

  /** Only what was constructed here is a matrix, and not what has its prototype. */
  static [Symbol.hasInstance](value: unknown): boolean {
    if (typeof value !== 'object' || value === null || !(#image in value)) return false;
    // biome-ignore lint/complexity/noThisInStatic: each subclass inherits this and asks for its own instances.
    return this.prototype === MatrixImage.prototype || Object.prototype.isPrototypeOf.call(this.prototype, value);
  }

  /** @internal @param elements that the kernels will read */
  constructor(key: Internal, image: T, elements: number) {
    checkInternal(key, new.target.name, 'the engine');
    if (image.size !== elements) {
      throw new TesseraeError('ERR_SHAPE', `an image of ${elements} elements cannot be ${image.toString()}`);
    }
    this.#image = image;
  }

  get sizeBytes(): number {
    return this.#image.sizeBytes;
  }

  get disposed(): boolean {
    return this.#image.disposed;
  }

  /** Frees the memory. @throws TesseraeError ERR_DISPOSED the second time */
  dispose(): void {
    this.#image.dispose();
  }

  /** Like {@link dispose}, but does nothing the second time. */
  [Symbol.dispose](): void {
    this.#image[Symbol.dispose]();
  }
}

seal(MatrixImage);
