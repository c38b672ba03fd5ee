// Files mapped into memory, read-only: tensors stand in them without a copy, and what is not used is not resident. Does
// not open files and knows no format. Made by the engine for its models; the bytes are no part of the pool's budget.
import { TesseraeError } from '../../base/errors.js';
import { type DType, dtypes } from '../elements/dtype.js';
import { argumentError, elementCount } from '../layout/layout.js';
import { Tensor } from '../tensor.js';
import type { Storage } from './storage.js';

/** What the native addon does for mappings: see src/native/addon.ts. */
export interface MappingCalls {
  mapFile(fd: number, sizeBytes: number): object;
  mappingAddress(mapping: object): number;
  unmapFile(mapping: object): void;
  pageIn(mapping: object, position: number, sizeBytes: number): Promise<void>;
  releaseMapped(mapping: object, position: number, sizeBytes: number): Promise<void>;
}

/** An open file, whose descriptor may be closed once it is mapped. */
export interface FileToMap {
  readonly path: string;
  readonly fd: number;
  readonly sizeBytes: number;
}

/** The mapped files of one engine. */
export class FileMappings {
  readonly #calls: MappingCalls;
  readonly #owner: object;
  #mappedBytes = 0;

  /** @param owner the pool beside whose tensors the mapped ones are used */
  constructor(calls: MappingCalls, owner: object) {
    this.#calls = calls;
    this.#owner = owner;
  }

  /** Address space that is mapped; how much of it is resident is the system's business. */
  get mappedBytes(): number {
    return this.#mappedBytes;
  }

  /** @throws TesseraeError ERR_FILE when the file is none that can be mapped, or became shorter than `sizeBytes` */
  map(file: FileToMap): MappedFile {
    const { path, fd, sizeBytes } = file;
    let mapping: object;
    try {
      mapping = this.#calls.mapFile(fd, sizeBytes);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new TesseraeError('ERR_FILE', `${path}: cannot be mapped: ${reason}`, { cause });
    }
    this.#mappedBytes += sizeBytes;
    const onUnmap = () => {
      this.#mappedBytes -= sizeBytes;
    };
    return new MappedFile({ calls: this.#calls, owner: this.#owner, mapping, path, sizeBytes, onUnmap });
  }
}

interface MappedFileParts {
  readonly calls: MappingCalls;
  readonly owner: object;
  readonly mapping: object;
  readonly path: string;
  readonly sizeBytes: number;
  readonly onUnmap: () => void;
}

/**
 * One mapped file. It is unmapped when it was closed, all its tensors are disposed, and no program runs on them. While
 * it is mapped nobody may shorten the file: the system ends a process that reads what is no longer there.
 */
export class MappedFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** Of the first byte; page-aligned. */
  readonly address: number;
  readonly owner: object;
  readonly #calls: MappingCalls;
  readonly #mapping: object;
  readonly #onUnmap: () => void;
  /** The opener, and each tensor. */
  #users = 1;
  #closed = false;

  /** @internal {@link FileMappings} makes them. */
  constructor({ calls, owner, mapping, path, sizeBytes, onUnmap }: MappedFileParts) {
    this.path = path;
    this.sizeBytes = sizeBytes;
    this.address = calls.mappingAddress(mapping);
    this.owner = owner;
    this.#calls = calls;
    this.#mapping = mapping;
    this.#onUnmap = onUnmap;
  }

  /**
   * A tensor over the bytes from `position` on, packed, or with strides that name each of as many elements once. Its
   * reader is a program: JavaScript cannot see the bytes.
   * @throws TesseraeError ERR_ARGUMENT for a position that is no multiple of the element's size, ERR_SHAPE for a tensor
   * that reaches outside the file, ERR_DISPOSED
   */
  tensor<D extends DType>(
    position: number,
    shape: readonly number[],
    dtype: D,
    strides?: readonly number[] | undefined,
  ): Tensor<D> {
    this.#checkOpen();
    const sizeBytes = elementCount(shape) * dtypes[dtype].sizeBytes;
    if (position % dtypes[dtype].sizeBytes !== 0) {
      throw argumentError(`byte ${position} of ${this.path} is no place for a ${dtype} element`);
    }
    const within = Math.max(0, Math.min(sizeBytes, this.sizeBytes - position));
    const storage = new MappedStorage(this, position, within);
    const tensor = new Tensor({ dtype, shape, storage, ...(strides && { strides }) });
    this.#users++;
    return tensor;
  }

  /**
   * Reads a range from the disk, away from the event loop and from the workers, so that neither waits for it later.
   * @throws TesseraeError ERR_FILE when the file has become shorter
   */
  async pageIn(position: number, sizeBytes: number): Promise<void> {
    this.#checkOpen();
    try {
      await this.#calls.pageIn(this.#mapping, position, sizeBytes);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new TesseraeError('ERR_FILE', `${this.path}: cannot be read: ${reason}`, { cause });
    }
  }

  /** Gives the whole pages of a range back: for bytes that were copied elsewhere and are not read again. */
  async release(position: number, sizeBytes: number): Promise<void> {
    this.#checkOpen();
    await this.#calls.releaseMapped(this.#mapping, position, sizeBytes);
  }

  /** The opener is done with it; tensors keep the mapping for themselves. */
  close(): void {
    this.#checkOpen();
    this.#closed = true;
    this.leave();
  }

  /** @internal A tensor is gone. */
  leave(): void {
    this.#users--;
    if (this.#users > 0) return;
    this.#calls.unmapFile(this.#mapping);
    this.#onUnmap();
  }

  #checkOpen(): void {
    if (this.#closed) throw new TesseraeError('ERR_DISPOSED', `the mapping of ${this.path} was closed`);
  }
}

/** Bytes of a mapped file that a tensor owns. They stay mapped until it is released and no program has them pinned. */
class MappedStorage implements Storage {
  readonly sizeBytes: number;
  readonly address: number;
  readonly buffer = undefined;
  readonly byteOffset = 0;
  readonly readOnly = true;
  readonly #file: MappedFile;
  #pins = 0;
  #released = false;

  constructor(file: MappedFile, position: number, sizeBytes: number) {
    this.#file = file;
    this.address = file.address + position;
    this.sizeBytes = sizeBytes;
  }

  get owner(): object {
    return this.#file.owner;
  }

  get disposed(): boolean {
    return this.#released;
  }

  pin(): void {
    if (this.#released) throw new TesseraeError('ERR_DISPOSED', 'this memory was already released');
    this.#pins++;
  }

  unpin(): void {
    if (this.#pins === 0) throw argumentError('unpin without a pin');
    this.#pins--;
    if (this.#pins === 0 && this.#released) this.#file.leave();
  }

  release(): void {
    if (this.#released) throw new TesseraeError('ERR_DISPOSED', 'this memory was already released');
    this.#released = true;
    if (this.#pins === 0) this.#file.leave();
  }
}
