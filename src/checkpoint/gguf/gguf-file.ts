// Opens GGUF files: parses the header without blocking the event loop, and keeps the file open. Reads no tensor data:
// the checkpoint's users do, by position. Called by gguf-checkpoint.ts, and by tests and benchmarks for single files.

import { checkPath } from '../../base/regular-file.js';
import { TimeSlice } from '../../base/time-slice.js';
import { ModelMetadata } from '../../metadata/model-metadata.js';
import { ModelFile } from '../model-file.js';
import { HeaderCursor } from './header-cursor.js';
import { type GgufHeader, type GgufTensorInfo, parseHeader } from './parse-header.js';

export type { GgufTensorInfo } from './parse-header.js';

/** An open GGUF file. Holds a file descriptor: close it, or use `await using`. */
export class GgufFile {
  readonly path: string;
  readonly version: number;
  readonly metadata: ModelMetadata;
  /** In the order of the file. */
  readonly tensors: ReadonlyMap<string, GgufTensorInfo>;
  /** Every tensor begins at a multiple of this many bytes from `dataOffset`. */
  readonly alignment: number;
  /** Offset in the file of the tensor data, in bytes. */
  readonly dataOffset: number;
  readonly file: ModelFile;

  /** Called by {@link openGguf}. */
  constructor(file: ModelFile, header: GgufHeader) {
    this.file = file;
    this.path = file.path;
    this.version = header.version;
    this.metadata = new ModelMetadata(header.metadata, file.path);
    this.tensors = header.tensors;
    this.alignment = header.alignment;
    this.dataOffset = header.dataOffset;
  }

  /** Closes the file once reads in progress have finished. Further calls do nothing. */
  async close(): Promise<void> {
    await this.file.close();
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
export async function openGguf(path: string, options: { signal?: AbortSignal | undefined } = {}): Promise<GgufFile> {
  checkPath(path, 'a GGUF file');
  const timeSlice = new TimeSlice(options.signal);
  const file = await ModelFile.open(path, options.signal);
  try {
    return new GgufFile(file, await parseHeader(new HeaderCursor(file), file.sizeBytes, timeSlice));
  } catch (error) {
    await file.close();
    throw error;
  }
}
