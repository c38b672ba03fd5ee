// A JSON document of a stranger with typed getters, which name the place where something else stands than expected.
// Called by the reader of tokenizer.json files.
import { type ErrorCode, TesseraeError } from './errors.js';
import { quote } from './quote.js';

export class JsonView {
  readonly value: unknown;
  /** The file and the place in it, with which messages begin. */
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

  /** A member, which is absent where this is no object or has none of that name. */
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

  /** An integer from 0 to under 2^24. */
  id(): number {
    const value = this.value;
    return Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 24
      ? (value as number)
      : this.#mismatch('a token id');
  }

  /** The elements of a list; none when it is absent. */
  list(): JsonView[] {
    if (this.isAbsent) return [];
    if (!Array.isArray(this.value)) return this.#mismatch('a list');
    return this.value.map((element, i) => new JsonView(element, `${this.place}[${i}]`));
  }

  /** A list as it stands, for those that are too long for a view of each element. */
  rawList(): readonly unknown[] {
    return Array.isArray(this.value) ? this.value : this.#mismatch('a list');
  }

  rawObject(): Readonly<Record<string, unknown>> {
    return isObject(this.value) ? this.value : this.#mismatch('an object');
  }

  #mismatch(expected: string): never {
    throw this.error(`must be ${expected}, got ${describeJson(this.value)}`);
  }
}

/** What a value is, in a few words: values of strangers may be of any size and depth. */
export function describeJson(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return quote(value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return isObject(value) ? 'an object' : String(value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
