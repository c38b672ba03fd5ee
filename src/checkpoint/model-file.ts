// A file of a model, open for reading at any position, in bounded chunks, into memory that the caller owns. It does not
// depend on the file's format. Opened by the readers of both formats.
import type { FileHandle } from 'node:fs/promises';
import { messageOf as messageOfAny } from '../base/describe.js';
import { AbortError, TesseraeError } from '../base/errors.js';
import { openRegularFile } from '../base/regular-file.js';
import { TimeSlice } from '../base/time-slice.js';

/** Data is read in chunks of this size; an abort takes effect between two of them. */
const CHUNK_BYTES = 4 << 20;

/** Holds a file descriptor: close it, or use `await using`. */
export class ModelFile {
  readonly path: string;
  /** Its size when it was opened. */
  readonly sizeBytes: number;
  #handle: FileHandle | undefined;

  private constructor(path: string, sizeBytes: number, handle: FileHandle) {
    this.path = path;
    this.sizeBytes = sizeBytes;
    this.#handle = handle;
  }

  /** @throws TesseraeError ERR_FILE when there is no such file, or it is a directory, a pipe or a device */
  static async open(path: string, signal?: AbortSignal | undefined): Promise<ModelFile> {
    let handle: FileHandle | undefined;
    try {
      handle = await openRegularFile(path, signal);
      return new ModelFile(path, (await handle.stat()).size, handle);
    } catch (error) {
      await handle?.close();
      if (error instanceof AbortError) throw error;
      throw new TesseraeError('ERR_FILE', `${path}: cannot be opened: ${messageOf(error)}`, { cause: error });
    }
  }

  /** The descriptor, for as long as the file is open. */
  get fd(): number {
    return this.#open().fd;
  }

  /** By which it is recognised when it is opened again: device, inode, size, and time of the last change. */
  async identity(): Promise<string> {
    const { dev, ino, size, mtimeNs } = await this.#open().stat({ bigint: true });
    return `${dev}:${ino}:${size}:${mtimeNs}`;
  }

  /** Reads once into part of `target`, which may be shared memory. @returns how many bytes; 0 at the end of the file */
  async readChunk(target: Uint8Array, at: number, length: number, position: number): Promise<number> {
    const handle = this.#open();
    try {
      return (await handle.read(target, at, length, position)).bytesRead;
    } catch (error) {
      throw new TesseraeError('ERR_FILE', `${this.path}: cannot be read: ${messageOf(error)}`, { cause: error });
    }
  }

  /**
   * Fills `target` with the bytes from `position` on. Its contents are undefined after a failure.
   * @param what names the data in the error message
   * @throws TesseraeError ERR_FILE, ERR_MODEL_FILE when the file is too short, ERR_DISPOSED; AbortError
   */
  async readInto(target: Uint8Array, position: number, what: string, signal?: AbortSignal | undefined): Promise<void> {
    const timeSlice = new TimeSlice(signal);
    let at = 0;
    while (at < target.length) {
      timeSlice.throwIfAborted();
      const bytesRead = await this.readChunk(target, at, Math.min(CHUNK_BYTES, target.length - at), position + at);
      if (bytesRead === 0) throw new TesseraeError('ERR_MODEL_FILE', `${this.path}: ends inside ${what}`);
      at += bytesRead;
    }
  }

  /** Closes the file once reads in progress have finished. Further calls do nothing. */
  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #open(): FileHandle {
    if (this.#handle === undefined) throw new TesseraeError('ERR_DISPOSED', `${this.path} is closed`);
    return this.#handle;
  }
}

/** The text of a system error without the system call and the path, for one line of a message. */
export function messageOf(error: unknown): string {
  return messageOfAny(error).replace(/, \w+( '.*')?$/s, '');
}
