// What a model reports of itself: `model.info` when it is loaded, and the part of it that `engine.inspect` gives, too.
import type { ModelConfig } from '../architectures/architecture.js';
import type { KeyValueType } from '../ops/paged/key-value-pages.js';
import type { PoolingKind } from '../ops/rowwise/pool-rows.js';

/** What a model's files say of it. */
export interface ModelSummary extends ModelConfig {
  readonly path: string;
  /** The model's own name, where the file has one. */
  readonly name: string | undefined;
  readonly parameters: number;
  /** Bytes that the weights take in pooled memory. */
  readonly weightBytes: number;
  /** How many of the file's tensors have each type, as the file names it. */
  readonly tensorTypes: Readonly<Record<string, number>>;
  /** Positions in a session; `contextLength` of loading, where that was given. */
  readonly sessionCapacity: number;
  /** Whether the files have a default template for conversations; without one, `chat` needs the option `template`. */
  readonly hasChatTemplate: boolean;
  /** How `embed` makes one vector of a text's tokens by default. */
  readonly pooling: PoolingKind;
}

/** What a loaded model reports of itself. */
export interface ModelInfo extends ModelSummary {
  /** How long loading took. */
  readonly loadMs: number;
  /**
   * Bytes of f32, f16 and bf16 matrices that were repacked into the panels which products read. 0 where the memory budget
   * had no room to repack them: then they stay as the file has them, and products are slower, with the same results.
   */
  readonly panelBytes: number;
  /** Bytes of weights that are mapped from an image in the folder `cache`, and so shared by all processes that load the model. */
  readonly mappedBytes: number;
  /** How sessions keep keys and values, and what they take per token. Sessions grow by pages of 32 tokens. */
  readonly kvType: KeyValueType | undefined;
  readonly kvBytesPerToken: number;
}
