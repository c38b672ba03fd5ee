// The metadata of a model with typed getters, by the keys of GGUF for all kinds of checkpoints. A getter checks the
// type and names the key in its error. What a key means is up to the callers: the tokenizers and the architectures.
import { type ErrorCode, TesseraeError } from '../base/errors.js';
import { quote } from '../base/quote.js';
import type { StringList } from './string-list.js';
import type { MetadataValue } from './value-types.js';

/** A read-only map. Every getter throws ERR_MODEL_FILE for a wrong type, or for a missing key without a fallback. */
export class ModelMetadata {
  readonly #values: ReadonlyMap<string, MetadataValue>;
  readonly #path: string;

  /** @param path of the model, with which error messages begin */
  constructor(values: Iterable<readonly [string, MetadataValue]>, path: string) {
    this.#values = new Map(values);
    this.#path = path;
  }

  get size(): number {
    return this.#values.size;
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  /** The value of a key with its type in the file, or undefined. */
  get(key: string): MetadataValue | undefined {
    return this.#values.get(key);
  }

  /**
   * An error about a key's value, for callers that check its meaning: `throw metadata.error('a.b', 'must be even')`.
   */
  error(key: string, problem: string, code: ErrorCode = 'ERR_MODEL_FILE'): TesseraeError {
    return new TesseraeError(code, `${this.#path}: metadata key ${quote(key)} ${problem}`);
  }

  /** A copy with another value for a key. */
  with(key: string, value: MetadataValue): ModelMetadata {
    return new ModelMetadata(new Map(this.#values).set(key, value), this.#path);
  }

  /** The entries in the order of the file. */
  [Symbol.iterator](): IterableIterator<[string, MetadataValue]> {
    return this.#values[Symbol.iterator]();
  }

  string(key: string, fallback?: string): string {
    const entry = this.#require(key, fallback);
    if (entry === undefined) return fallback as string;
    return entry.type === 'string' ? entry.value : this.#mismatch(key, 'a string', entry);
  }

  boolean(key: string, fallback?: boolean): boolean {
    const entry = this.#require(key, fallback);
    if (entry === undefined) return fallback as boolean;
    return entry.type === 'bool' ? entry.value : this.#mismatch(key, 'a bool', entry);
  }

  /** A number of any type. Integers beyond 2^53 are refused. */
  number(key: string, fallback?: number): number {
    const entry = this.#require(key, fallback);
    if (entry === undefined) return fallback as number;
    if (entry.type === 'f32' || entry.type === 'f64') return entry.value;
    return integerOf(entry) ?? this.#mismatch(key, 'a number', entry);
  }

  /** An integer of any type, from 0 to 2^53 - 1: a count, a size or a token id. */
  count(key: string, fallback?: number): number {
    const entry = this.#require(key, fallback);
    if (entry === undefined) return fallback as number;
    const value = integerOf(entry);
    return value !== undefined && value >= 0 ? value : this.#mismatch(key, 'an integer of at least 0', entry);
  }

  strings(key: string): StringList {
    const entry = this.#require(key, undefined) as MetadataValue;
    return entry.type === 'array' && entry.element === 'string'
      ? entry.value
      : this.#mismatch(key, 'an array of strings', entry);
  }

  /** An array of an integer type of up to 32 bits. */
  integers(key: string): ArrayLike<number> {
    const entry = this.#require(key, undefined) as MetadataValue;
    if (entry.type === 'array') {
      switch (entry.element) {
        case 'u8':
        case 'i8':
        case 'u16':
        case 'i16':
        case 'u32':
        case 'i32':
          return entry.value;
      }
    }
    return this.#mismatch(key, 'an array of integers', entry);
  }

  #require(key: string, fallback: unknown): MetadataValue | undefined {
    const entry = this.#values.get(key);
    if (entry === undefined && fallback === undefined) {
      throw this.error(key, 'is missing');
    }
    return entry;
  }

  #mismatch(key: string, expected: string, entry: MetadataValue): never {
    let got: string;
    if (entry.type === 'array') got = `an array of ${entry.value.length} × ${entry.element}`;
    else if (entry.type === 'string') got = `the string ${quote(entry.value)}`;
    else got = `${entry.type} ${entry.value}`;
    throw this.error(key, `must be ${expected}, got ${got}`);
  }
}

function integerOf(entry: MetadataValue): number | undefined {
  switch (entry.type) {
    case 'u8':
    case 'i8':
    case 'u16':
    case 'i16':
    case 'u32':
    case 'i32':
      return entry.value;
    case 'u64':
    case 'i64': {
      const value = Number(entry.value);
      return Number.isSafeInteger(value) ? value : undefined;
    }
    default:
      return undefined;
  }
}
