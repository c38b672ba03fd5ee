// Reads an architecture's sizes and numbers from a model's metadata; checks each, and names its key in the error.
// readSizes reads the keys that all architectures share; each architecture reads its own.

import type { ErrorCode, TesseraeError } from '../base/errors.js';
import type { ModelMetadata } from '../metadata/model-metadata.js';
import { mostHeadDim } from '../ops/attention/attention.js';
import type { ModelConfig } from './architecture.js';

/** The metadata keys of one architecture, given without the prefix `<architecture>.` that they have in GGUF. */
export class ConfigReader {
  readonly metadata: ModelMetadata;
  readonly architecture: string;

  constructor(metadata: ModelMetadata, architecture: string) {
    this.metadata = metadata;
    this.architecture = architecture;
  }

  has(name: string): boolean {
    return this.metadata.has(this.#key(name));
  }

  error(name: string, problem: string, code?: ErrorCode): TesseraeError {
    return this.metadata.error(this.#key(name), problem, code);
  }

  /** An integer of at least 1. A size that is too large does not match the tensors, whose shapes are checked later. */
  size(name: string, fallback?: number): number {
    const value = this.metadata.count(this.#key(name), fallback);
    if (value < 1) throw this.error(name, 'must be at least 1');
    return value;
  }

  /** An integer of at least 0. */
  count(name: string, fallback?: number): number {
    return this.metadata.count(this.#key(name), fallback);
  }

  number(name: string, fallback?: number): number {
    const value = this.metadata.number(this.#key(name), fallback);
    if (!Number.isFinite(value)) throw this.error(name, 'must be a finite number');
    return value;
  }

  positive(name: string, fallback?: number): number {
    const value = this.metadata.number(this.#key(name), fallback);
    if (!(value > 0 && value < Number.POSITIVE_INFINITY)) throw this.error(name, 'must be a positive number');
    return value;
  }

  string(name: string, fallback?: string): string {
    return this.metadata.string(this.#key(name), fallback);
  }

  flag(name: string, fallback?: boolean): boolean {
    return this.metadata.boolean(this.#key(name), fallback);
  }

  #key(name: string): string {
    return `${this.architecture}.${name}`;
  }
}

/** The sizes that all architectures read. */
export interface BaseConfig extends ModelConfig {
  /** Width of the feed-forward layers. */
  readonly ffn: number;
  /** Added by norms to the variance, or to the mean square, before the root. */
  readonly normEps: number;
}

/**
 * @throws TesseraeError ERR_MODEL_FILE for inconsistent sizes, ERR_UNSUPPORTED for heads that are wider than attention
 * takes and for a mixture of experts
 */
export function readSizes(reader: ConfigReader, norm: 'rms' | 'layer'): BaseConfig {
  const dim = reader.size('embedding_length');
  const heads = reader.size('attention.head_count');
  const kvHeads = reader.size('attention.head_count_kv', heads);
  if (heads % kvHeads !== 0) throw reader.error('attention.head_count_kv', `does not divide ${heads} heads`);
  if (!reader.has('attention.key_length') && dim % heads !== 0) {
    throw reader.error('attention.head_count', `is ${heads}, which does not divide the width of ${dim}`);
  }
  const headDim = reader.size('attention.key_length', dim / heads);
  if (headDim > mostHeadDim) {
    const problem = `makes heads of ${headDim}; ${mostHeadDim} is the widest that is supported`;
    throw reader.error('attention.head_count', problem, 'ERR_UNSUPPORTED');
  }
  // Models whose heads are not dim / heads wide have both lengths.
  if (reader.count('attention.value_length', headDim) !== headDim) {
    throw reader.error('attention.value_length', 'differs from that of the keys', 'ERR_UNSUPPORTED');
  }
  if (reader.count('expert_count', 0) > 0) {
    throw reader.error('expert_count', 'asks for a mixture of experts, which is not supported', 'ERR_UNSUPPORTED');
  }
  return {
    architecture: reader.architecture,
    layers: reader.size('block_count'),
    dim,
    heads,
    kvHeads,
    headDim,
    vocabulary: reader.metadata.strings('tokenizer.ggml.tokens').length,
    contextLength: reader.size('context_length'),
    ffn: reader.size('feed_forward_length'),
    normEps: reader.positive(`attention.layer_norm${norm === 'rms' ? '_rms' : ''}_epsilon`, 1e-5),
  };
}
