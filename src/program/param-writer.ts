// The parameters of one op record: 8-byte words in the order of the kernel's parameter struct. Pointers are symbolic
// (storage and byte offset) until the program is compiled. Ops write them, compiled-program.ts encodes them.
import { dtypes } from '../tensor/elements/dtype.js';
import type { Storage } from '../tensor/memory/storage.js';
import { storageOf, type Tensor } from '../tensor/tensor.js';

export type ParamWord =
  | number
  | { readonly kind: 'double'; readonly value: number }
  | { readonly kind: 'pointer'; readonly storage: Storage; readonly byteOffset: number };

export class ParamWriter {
  readonly words: ParamWord[] = [];

  /** Appends an int64_t; a boolean becomes 0 or 1. */
  int(value: number | boolean): this {
    this.words.push(Number(value));
    return this;
  }

  ints(values: readonly number[]): this {
    for (let index = 0; index < values.length; index++) this.words.push(values[index] as number);
    return this;
  }

  double(value: number): this {
    this.words.push({ kind: 'double', value });
    return this;
  }

  /** Appends the address of the tensor's first element; null for undefined. */
  pointer(tensor: Tensor | undefined): this {
    if (tensor === undefined) this.words.push(0);
    else {
      const byteOffset = tensor.offset * dtypes[tensor.dtype].sizeBytes;
      this.words.push({ kind: 'pointer', storage: storageOf(tensor), byteOffset });
    }
    return this;
  }

  /** Appends the code of the tensor's element type. */
  dtype(tensor: Tensor): this {
    return this.int(dtypes[tensor.dtype].code);
  }
}
