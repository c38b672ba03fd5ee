// Files that are mapped into memory, read-only: tensors over them are no copies, and unused parts are not resident. Does
// not open files or interpret them. The engine has one FileMappings; the bytes do not count towards the pool's budget.
import { TesseraeError } from '../../base/errors.js';
import { internal } from '../../base/internal.js';
import { type DType, dtypes } from '../elements/dtype.js';
import { argumentError, elementCount } from '../layout/layout.js';
import { Tensor } from '../tensor.js';
import { ReleasableStorage, type Storage } from './storage.js';

/** The addon's calls for mappings; src/native/addon.ts describes them. */
export interface MappingCalls {
  mapFile(fd: number, sizeBytes: number): object;
  mappingAddress(mapping: object): number;
  unmapFile(mapping: object): void;
  pageIn(mapping: object, position: number, sizeBytes: number): Promise<void>;
  releaseMapped(mapping: object, position: number, sizeBytes: number): Promise<void>;
}

/** An open file. Its descriptor may be closed after the mapping. */
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

  /** @param owner the pool with whose tensors the mapped tensors may be used */
  constructor(calls: MappingCalls, owner: object) {
    this.#calls = calls;
    this.#owner = owner;
  }

  /** Size of all mappings. The system decides how much of them is resident. */
  get mappedBytes(): number {
    return this.#mappedBytes;
  }

  /** @throws TesseraeError ERR_FILE if the file cannot be mapped or has become shorter than `sizeBytes` */
  map(file: FileToMap): MappedFile {
    const { path, fd, sizeBytes } = file;
    let mapping: object;
    try {
      mapping = this.#calls.mapFile(fd, sizeBytes);
    } catch (cause) {
      throw fileError(path, 'mapped', cause);
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
 * One mapped file. It is unmapped once it is closed, all its tensors are disposed, and no program runs on them. Nobody
 * may shorten the file while it is mapped: the system ends a process that reads beyond the file's end (SIGBUS).
 */
export class MappedFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** Address of the first byte; page-aligned. */
  readonly address: number;
  readonly owner: object;
  readonly #calls: MappingCalls;
  readonly #mapping: object;
  readonly #onUnmap: () => void;
  /** One for the opener until {@link close}, and one for each tensor. */
  #users = 1;
  #closed = false;

  /** @internal Made by {@link FileMappings}. */
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
   * A tensor over the bytes from `position` on: packed, or with strides that are a permutation of the packed ones. Only
   * programs can read it, JavaScript cannot.
   * @throws TesseraeError ERR_ARGUMENT for a position that is not a multiple of the element's size, ERR_SHAPE for a
   * tensor that extends beyond the file, ERR_DISPOSED
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
      throw argumentError(`byte ${position} of ${this.path} is not aligned for a ${dtype} element`);
    }
    const within = Math.max(0, Math.min(sizeBytes, this.sizeBytes - position));
    const storage = new MappedStorage(this, position, within);
    const tensor = new Tensor(internal, { dtype, shape, storage, ...(strides && { strides }) });
    this.#users++;
    return tensor;
  }

  /**
   * Reads a range from the disk on another thread, so that neither the event loop nor the workers wait for it later.
   * @throws TesseraeError ERR_FILE if the file has become shorter
   */
  async pageIn(position: number, sizeBytes: number): Promise<void> {
    this.#checkOpen();
    try {
      await this.#calls.pageIn(this.#mapping, position, sizeBytes);
    } catch (cause) {
      throw fileError(this.path, 'read', cause);
    }
  }

  /** Gives the whole pages of a range back to the system: for bytes that were copied and are not read again. */
  async release(position: number, sizeBytes: number): Promise<void> {
    this.#checkOpen();
    await this.#calls.releaseMapped(this.#mapping, position, sizeBytes);
  }

  /** Called once by the opener. Existing tensors keep the mapping alive. */
  close(): void {
    this.#checkOpen();
    this.#closed = true;
    this.leave();
  }

  /** @internal A tensor was disposed and no program uses it. */
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

function fileError(path: string, failed: 'mapped' | 'read', cause: unknown): TesseraeError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new TesseraeError('ERR_FILE', `${path}: cannot be ${failed}: ${reason}`, { cause });
}

/** The part of a mapped file that belongs to one tensor. */
class MappedStorage extends ReleasableStorage implements Storage {
  readonly sizeBytes: number;
  readonly address: number;
  readonly buffer = undefined;
  readonly byteOffset = 0;
  readonly readOnly = true;
  readonly #file: MappedFile;

  constructor(file: MappedFile, position: number, sizeBytes: number) {
    super();
    this.#file = file;
    this.address = file.address + position;
    this.sizeBytes = sizeBytes;
  }

  get owner(): object {
    return this.#file.owner;
  }

  protected giveBack(): void {
    this.#file.leave();
  }
}
