// The storage of a tensor that was made while a program was recorded. It has a size at first. Later, plan.ts gives it an
// offset in the arena or, for outputs of the program, program-recording.ts gives it memory of its own.
import { TesseraeError } from '../base/errors.js';
import type { Storage } from '../tensor/memory/storage.js';

export class TemporaryStorage implements Storage {
  readonly sizeBytes: number;
  /** Offset in the arena once planned; -1 before, and for outputs, which are not in the arena. */
  arenaOffset = -1;
  #backing: Storage | undefined;
  #disposed = false;

  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes;
  }

  /** Gives an output of the program memory of its own. */
  back(storage: Storage): void {
    this.#backing = storage;
  }

  get owner(): object | undefined {
    return this.#backing?.owner;
  }

  get address(): number {
    return this.#backing?.address ?? Number.NaN;
  }

  get buffer(): SharedArrayBuffer | undefined {
    return this.#backing?.buffer;
  }

  get byteOffset(): number {
    return this.#backing?.byteOffset ?? 0;
  }

  get disposed(): boolean {
    return this.#disposed || (this.#backing?.disposed ?? false);
  }

  /** The program was disposed. */
  dispose(): void {
    this.#disposed = true;
  }

  pin(): void {
    if (this.disposed) throw new TesseraeError('ERR_DISPOSED', 'the program of this tensor was disposed');
    this.#backing?.pin();
  }

  unpin(): void {
    this.#backing?.unpin();
  }
}
