// Opens GGUF files: the header is parsed in slices that leave the event loop free, and tensor data is read straight
// into memory that the caller owns. Computes nothing and converts nothing. Called by the model loader.
import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { TesseraeError } from '../../errors.js';
import { Pace } from '../pace.js';
import { HeaderCursor, messageOf, readPiece } from './cursor.js';
import { GgufMetadata } from './metadata.js';
import { type GgufHeader, type GgufTensorInfo, parseHeader } from './parse.js';
import { quote } from './quote.js';
import { supportedTensorTypes } from './tensor-types.js';

export type { GgufTensorInfo } from './parse.js';

/** Tensor data is read in pieces of this size, so that an abort is noticed between two of them. */
const PIECE_BYTES = 4 << 20;

/** An open GGUF file. Holds a file descriptor: close it, or use `await using`. */
export class GgufFile {
  readonly path: string;
  readonly version: number;
  readonly metadata: GgufMetadata;
  /** In the order of the file. */
  readonly tensors: ReadonlyMap<string, GgufTensorInfo>;
  /** Every tensor begins at a multiple of this many bytes from `dataOffset`. */
  readonly alignment: number;
  /** Where the tensor data begins in the file, in bytes. */
  readonly dataOffset: number;
  readonly fileSizeBytes: number;
  #handle: FileHandle | undefined;

  /** Not for users: {@link openGguf} makes these. */
  constructor(handle: FileHandle, path: string, fileSizeBytes: number, header: GgufHeader) {
    this.#handle = handle;
    this.path = path;
    this.version = header.version;
    this.metadata = new GgufMetadata(header.metadata, path);
    this.tensors = header.tensors;
    this.alignment = header.alignment;
    this.dataOffset = header.dataOffset;
    this.fileSizeBytes = fileSizeBytes;
  }

  /** @throws TesseraeError ERR_MODEL_FILE when the file has no such tensor. */
  tensor(name: string): GgufTensorInfo {
    const info = this.tensors.get(name);
    if (info === undefined) throw new TesseraeError('ERR_MODEL_FILE', `${this.path}: tensor ${quote(name)} is missing`);
    return info;
  }

  /** @throws TesseraeError ERR_UNSUPPORTED when a tensor has a type that no kernel computes with; names both. */
  requireSupportedTypes(): void {
    for (const { name, type } of this.tensors.values()) {
      if (supportedTensorTypes.has(type)) continue;
      throw new TesseraeError(
        'ERR_UNSUPPORTED',
        `${this.path}: tensor ${quote(name)} has type ${type}; supported are ${[...supportedTensorTypes].join(', ')}`,
      );
    }
  }

  /**
   * Reads a tensor's bytes as they stand in the file, whatever its type, without a buffer in between.
   * @param target exactly `info.sizeBytes` long; may lie in shared memory. Its contents are undefined after a failure
   * @throws TesseraeError ERR_ARGUMENT, ERR_FILE, ERR_MODEL_FILE (file became shorter), ERR_DISPOSED; AbortError
   */
  async readTensorInto(info: GgufTensorInfo, target: Uint8Array, signal?: AbortSignal): Promise<void> {
    if (this.tensors.get(info.name) !== info) {
      throw new TesseraeError('ERR_ARGUMENT', `tensor ${quote(info.name)} is not of ${this.path}`);
    }
    if (!(target instanceof Uint8Array) || target.byteLength !== info.sizeBytes) {
      const got = target instanceof Uint8Array ? `${target.byteLength} bytes` : typeof target;
      throw new TesseraeError(
        'ERR_ARGUMENT',
        `tensor ${quote(info.name)} has ${info.sizeBytes} bytes, the target is ${got}`,
      );
    }
    const start = this.dataOffset + info.offset;
    const pace = new Pace(signal);
    let at = 0;
    while (at < target.length) {
      pace.check();
      if (this.#handle === undefined) throw new TesseraeError('ERR_DISPOSED', `${this.path} is closed`);
      const length = Math.min(PIECE_BYTES, target.length - at);
      const bytesRead = await readPiece(this.#handle, this.path, { target, at, length, position: start + at });
      if (bytesRead === 0) {
        throw new TesseraeError('ERR_MODEL_FILE', `${this.path}: ends inside tensor ${quote(info.name)}`);
      }
      at += bytesRead;
    }
  }

  /** Closes the file; reads under way finish before. May be called again. */
  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/**
 * Opens a GGUF file (version 2 or 3, little-endian) and parses its header.
 * @throws TesseraeError ERR_FILE when it cannot be read, ERR_MODEL_FILE when it is truncated, corrupt or inconsistent,
 * ERR_UNSUPPORTED when a tensor's type is unknown; AbortError when the signal fires.
 */
export async function openGguf(path: string, options: { signal?: AbortSignal } = {}): Promise<GgufFile> {
  if (typeof path !== 'string' || path === '') {
    throw new TesseraeError('ERR_ARGUMENT', `expected the path of a GGUF file, got ${quote(String(path))}`);
  }
  const pace = new Pace(options.signal);
  const handle = await openRegularFile(path);
  try {
    const { size } = await handle.stat();
    const header = await parseHeader(new HeaderCursor(handle, path, size), size, pace);
    return new GgufFile(handle, path, size, header);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function openRegularFile(path: string): Promise<FileHandle> {
  try {
    // Asked before opening, since opening a named pipe would wait for its writer.
    const stats = await stat(path);
    if (stats.isDirectory()) throw new Error('it is a directory');
    if (!stats.isFile()) throw new Error('it is not a regular file');
    return await open(path, constants.O_RDONLY);
  } catch (error) {
    throw new TesseraeError('ERR_FILE', `${path}: cannot be opened: ${messageOf(error)}`, { cause: error });
  }
}
