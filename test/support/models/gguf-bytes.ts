// Makes GGUF files byte by byte, invalid ones too, without the library's writer. Used by the tests of the reader.

const valueCodes = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  array: 9,
  u64: 10,
  i64: 11,
  f64: 12,
};

/** A sequence of little-endian fields. */
export class Bytes {
  readonly #parts: Buffer[] = [];

  u8(value: number): this {
    this.#parts.push(Buffer.from([value]));
    return this;
  }

  u32(value: number): this {
    const part = Buffer.alloc(4);
    part.writeUInt32LE(value);
    this.#parts.push(part);
    return this;
  }

  u64(value: number | bigint): this {
    const part = Buffer.alloc(8);
    part.writeBigUInt64LE(BigInt(value));
    this.#parts.push(part);
    return this;
  }

  raw(bytes: Uint8Array | string): this {
    this.#parts.push(Buffer.from(bytes));
    return this;
  }

  string(text: string | Uint8Array): this {
    const bytes = Buffer.from(text);
    return this.u64(bytes.length).raw(bytes);
  }

  type(name: keyof typeof valueCodes): this {
    return this.u32(valueCodes[name]);
  }

  padTo(alignment: number): this {
    const length = this.build().length;
    return this.raw(Buffer.alloc((alignment - (length % alignment)) % alignment));
  }

  build(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

/** Magic, version and counts. */
export function header(tensors: number | bigint, keys: number | bigint, version = 3): Bytes {
  return new Bytes().raw('GGUF').u32(version).u64(tensors).u64(keys);
}

export interface RawTensor {
  readonly name?: string;
  /** In the order of the file: the row length first. */
  readonly dims?: readonly (number | bigint)[];
  readonly type?: number;
  readonly offset?: number | bigint;
}

export function tensorInfo(bytes: Bytes, { name = 'a', dims = [8], type = 0, offset = 0 }: RawTensor): Bytes {
  bytes.string(name).u32(dims.length);
  for (const size of dims) bytes.u64(size);
  return bytes.u32(type).u64(offset);
}

/** A file of tensors without metadata. */
export function tensorFile(tensors: readonly RawTensor[], dataSizeBytes = 32): Buffer {
  const bytes = header(tensors.length, 0);
  for (const tensor of tensors) tensorInfo(bytes, tensor);
  return bytes.padTo(32).raw(Buffer.alloc(dataSizeBytes)).build();
}
