// What a loader needs of a model's files, whatever their format: metadata, where each tensor lies, and a tokenizer. The
// reading of formats is in gguf/ and huggingface/.
import { stat } from 'node:fs/promises';
import type { GgufMetadata } from './gguf/metadata.js';
import { openGgufSource } from './gguf/source.js';
import { openHuggingFaceFolder } from './huggingface/source.js';
import type { OpenFile } from './open-file.js';
import type { Tokenizer } from './tokenizer/tokenizer.js';

/** A tensor as it stands in a file. */
export interface SourceTensor {
  /** As GGUF names it, such as `blk.0.attn_q.weight`. */
  readonly name: string;
  /** Row-major: the last dimension is contiguous. */
  readonly shape: readonly number[];
  /** The ggml name of the type, such as `F16` or `Q4_K`. */
  readonly type: string;
  readonly file: OpenFile;
  /** Of the first byte, from the beginning of the file. */
  readonly position: number;
  readonly sizeBytes: number;
  /** Whether a matrix stands in the file as [in, out], the other way round than `shape` says. */
  readonly transposed?: boolean;
  /** What is to be added to each element of a vector. */
  readonly plus?: number;
}

/** An open model. Holds file descriptors: close it, or use `await using`. */
export interface ModelSource extends AsyncDisposable {
  /** What the user named. */
  readonly path: string;
  /** With the keys of GGUF, whatever the format. */
  readonly metadata: GgufMetadata;
  readonly tensors: ReadonlyMap<string, SourceTensor>;
  /** @throws TesseraeError ERR_MODEL_FILE, ERR_UNSUPPORTED; AbortError */
  createTokenizer(signal?: AbortSignal): Promise<Tokenizer>;
  close(): Promise<void>;
}

export interface OpenSourceOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens the model at a path: a GGUF file, or any part of a split one, or a folder as Hugging Face has them.
 * @throws TesseraeError ERR_FILE, ERR_MODEL_FILE, ERR_UNSUPPORTED, ERR_ARGUMENT; AbortError
 */
export async function openSource(path: string, options: OpenSourceOptions = {}): Promise<ModelSource> {
  const isFolder = typeof path === 'string' && (await stat(path).catch(() => undefined))?.isDirectory() === true;
  return isFolder ? openHuggingFaceFolder(path, options) : openGgufSource(path, options);
}
