// Typed getters over parsed, untrusted JSON; their errors name the place of the wrong value. Used by the readers of
// Hugging Face folders (tokenizer.json, config.json, the safetensors index).
import { type ErrorCode, TesseraeError } from './errors.js';
import { quote } from './quote.js';

export class JsonView {
  readonly value: unknown;
  /** The file and the path of keys in it; messages begin with it. */
  readonly place: string;

  constructor(value: unknown, place: string) {
    this.value = value;
    this.place = place;
  }

  error(problem: string, code: ErrorCode = 'ERR_MODEL_FILE'): TesseraeError {
    return new TesseraeError(code, `${this.place}: ${problem}`);
  }

  unsupported(what: string): TesseraeError {
    return this.error(`${what} is not supported`, 'ERR_UNSUPPORTED');
  }

  get isAbsent(): boolean {
    return this.value === undefined || this.value === null;
  }

  /** The member of this name; it is absent when this value is not an object or has no such member. */
  at(key: string): JsonView {
    const members = isObject(this.value) && Object.hasOwn(this.value, key) ? this.value[key] : undefined;
    return new JsonView(members, `${this.place}: ${/^[\w./-]{1,60}$/.test(key) ? key : quote(key)}`);
  }

  string(fallback?: string): string {
    if (this.isAbsent && fallback !== undefined) return fallback;
    return typeof this.value === 'string' ? this.value : this.#mismatch('a string');
  }

  boolean(fallback: boolean): boolean {
    if (this.isAbsent) return fallback;
    return typeof this.value === 'boolean' ? this.value : this.#mismatch('true or false');
  }

  number(): number {
    return typeof this.value === 'number' && !Number.isNaN(this.value) ? this.value : this.#mismatch('a number');
  }

  /** An integer from 0 to 2^24 − 1. */
  id(): number {
    const value = this.value;
    return Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 24
      ? (value as number)
      : this.#mismatch('a token id');
  }

  /** The elements of a list; an absent one has none. */
  list(): JsonView[] {
    if (this.isAbsent) return [];
    if (!Array.isArray(this.value)) return this.#mismatch('a list');
    return this.value.map((element, i) => new JsonView(element, `${this.place}[${i}]`));
  }

  /** The object itself, for objects with too many members for a view of each. */
  rawObject(): Readonly<Record<string, unknown>> {
    return isObject(this.value) ? this.value : this.#mismatch('an object');
  }

  #mismatch(expected: string): never {
    throw this.error(`must be ${expected}, got ${describeJson(this.value)}`);
  }
}

/** A short description of a value for messages: an untrusted value may have any size and depth. */
export function describeJson(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return quote(value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return isObject(value) ? 'an object' : String(value);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
