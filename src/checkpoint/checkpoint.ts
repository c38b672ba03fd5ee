// A checkpoint: a model's files, open for reading, in either format. It gives the metadata, the location of each
// tensor, and the tokenizer. gguf/ and huggingface/ implement it; open-checkpoint.ts chooses between them.
import type { ModelMetadata } from '../metadata/model-metadata.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import type { ModelFile } from './model-file.js';

/** A tensor as a file stores it. */
export interface CheckpointTensor {
  /** GGUF's name, such as `blk.0.attn_q.weight`. */
  readonly name: string;
  /** Row-major: the last dimension is contiguous, unless the tensor is transposed. */
  readonly shape: readonly number[];
  /** ggml's name of the type, such as `F16` or `Q4_K`. */
  readonly type: string;
  readonly file: ModelFile;
  /** Offset in the file of the first byte. */
  readonly position: number;
  readonly sizeBytes: number;
  /** Whether the file stores the matrix transposed: as [in, out], where `shape` is [out, in]. */
  readonly transposed?: boolean;
  /** Added to each element of a vector when it is loaded. */
  readonly plus?: number;
}

/** Holds file descriptors: close it, or use `await using`. */
export interface Checkpoint extends AsyncDisposable {
  /** As the caller gave it. */
  readonly path: string;
  /** Under GGUF's keys, in either format. */
  readonly metadata: ModelMetadata;
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
  /** @throws TesseraeError ERR_MODEL_FILE, ERR_UNSUPPORTED; AbortError */
  createTokenizer(signal?: AbortSignal): Promise<Tokenizer>;
  close(): Promise<void>;
}

export interface OpenCheckpointOptions {
  readonly signal?: AbortSignal | undefined;
}
