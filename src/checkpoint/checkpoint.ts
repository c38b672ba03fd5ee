// A model's files, open for reading, whatever their format: metadata, where each tensor is located, and a tokenizer. The
// readers of the formats are in gguf/ and huggingface/; open-checkpoint.ts chooses between them.
import type { ModelMetadata } from '../metadata/model-metadata.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import type { ModelFile } from './model-file.js';

/** A tensor as it stands in a file. */
export interface CheckpointTensor {
  /** As GGUF names it, such as `blk.0.attn_q.weight`. */
  readonly name: string;
  /** Row-major: the last dimension is contiguous. */
  readonly shape: readonly number[];
  /** The ggml name of the type, such as `F16` or `Q4_K`. */
  readonly type: string;
  readonly file: ModelFile;
  /** Of the first byte, from the beginning of the file. */
  readonly position: number;
  readonly sizeBytes: number;
  /** Whether a matrix stands in the file as [in, out], the other way round than `shape` says. */
  readonly transposed?: boolean;
  /** What is to be added to each element of a vector. */
  readonly plus?: number;
}

/** An open model. Holds file descriptors: close it, or use `await using`. */
export interface Checkpoint extends AsyncDisposable {
  /** What the user named. */
  readonly path: string;
  /** With the keys of GGUF, whatever the format. */
  readonly metadata: ModelMetadata;
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
  /** @throws TesseraeError ERR_MODEL_FILE, ERR_UNSUPPORTED; AbortError */
  createTokenizer(signal?: AbortSignal): Promise<Tokenizer>;
  close(): Promise<void>;
}

export interface OpenCheckpointOptions {
  readonly signal?: AbortSignal | undefined;
}
