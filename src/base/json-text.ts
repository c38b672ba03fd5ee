// JSON of what callers pass, written in turns (text-turns.ts) and within limits: it may be of any size, cyclic, or full of getters. Used
// for what is sent to the threads for untrusted text.
import { AbortError, type ErrorDetails, TesseraeError } from './errors.js';
import { runInTurns } from './text-turns.js';

export interface JsonLimits {
  readonly op?: string | undefined;
  /** What the data is called in messages, in the plural. */
  readonly name: string;
  readonly mostUnits: number;
  readonly mostValues: number;
  readonly deepest: number;
}

/** So many code units are written at once. */
const STEP = 1 << 16;
/** Texts of so many code units are written with other values. */
const SHORT = 1 << 10;
const VALUES_PER_LOOK = 128;

/**
 * JSON of plain data. Members that are undefined are left out.
 * @throws TesseraeError ERR_ARGUMENT for what is no plain data, nested too deep, or too much; AbortError
 */
export async function jsonText(data: unknown, limits: JsonLimits, signal: AbortSignal | undefined): Promise<string> {
  try {
    return await runInTurns(new JsonWriter(limits).write(data), signal);
  } catch (error) {
    if (error instanceof TesseraeError || error instanceof AbortError) throw error;
    // A getter or a trap of the caller's own has thrown.
    throw new TesseraeError('ERR_ARGUMENT', `the ${limits.name} cannot be read`, detailsOf(limits, error));
  }
}

class JsonWriter {
  readonly #limits: JsonLimits;
  readonly #parts: string[] = [];
  #units = 0;
  #values = 0;

  constructor(limits: JsonLimits) {
    this.#limits = limits;
  }

  *write(data: unknown): Generator<void, string> {
    yield* this.#value(data, 0);
    return this.#parts.join('');
  }

  *#value(value: unknown, depth: number): Generator<void> {
    const isWritten = this.#isWritten(value);
    if (this.#values % VALUES_PER_LOOK === 0) yield;
    if (isWritten) return;
    if (typeof value === 'string') {
      yield* this.#text(value);
    } else if (typeof value !== 'object') {
      throw this.#error(`hold a ${typeof value}, which is no plain data`);
    } else if (depth > this.#limits.deepest) {
      throw this.#error(`are nested more than ${this.#limits.deepest} deep`);
    } else if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) {
        this.#parts.push(i === 0 ? '[' : ',');
        yield* this.#value(value[i], depth + 1);
      }
      this.#parts.push(value.length === 0 ? '[]' : ']');
    } else {
      yield* this.#object(value as Readonly<Record<string, unknown>>, depth);
    }
  }

  /** Counts a value, and writes it at once where it is short. */
  #isWritten(value: unknown): boolean {
    this.#values += 1;
    if (this.#values > this.#limits.mostValues) throw this.#error(`hold more than ${this.#limits.mostValues} values`);
    if (typeof value === 'string' && value.length <= SHORT) {
      this.#count(value);
      this.#parts.push(JSON.stringify(value));
    } else if (typeof value === 'number') {
      // JSON has no Infinity, but a number that is read as Infinity.
      const infinity = value > 0 ? '1e999' : '-1e999';
      this.#parts.push(Number.isFinite(value) ? String(value) : Number.isNaN(value) ? 'null' : infinity);
    } else if (typeof value === 'boolean' || value === null || value === undefined) {
      this.#parts.push(String(value ?? null));
    } else return false;
    return true;
  }

  #count(text: string): void {
    this.#units += text.length;
    if (this.#units > this.#limits.mostUnits) throw this.#error(`hold more than ${this.#limits.mostUnits} characters`);
  }

  *#object(value: Readonly<Record<string, unknown>>, depth: number): Generator<void> {
    let separator = '{';
    for (const key of Object.keys(value)) {
      const member = value[key];
      if (member === undefined) continue;
      this.#parts.push(separator);
      separator = ',';
      yield* this.#text(key);
      this.#parts.push(':');
      yield* this.#value(member, depth + 1);
    }
    this.#parts.push(separator === '{' ? '{}' : '}');
  }

  *#text(text: string): Generator<void> {
    this.#count(text);
    if (text.length <= STEP) {
      this.#parts.push(JSON.stringify(text));
      return;
    }
    this.#parts.push('"');
    for (let at = 0; at < text.length; at += STEP) {
      // A surrogate pair that is cut becomes two escapes, which are read as the pair.
      this.#parts.push(JSON.stringify(text.slice(at, at + STEP)).slice(1, -1));
      yield;
    }
    this.#parts.push('"');
  }

  #error(problem: string): TesseraeError {
    return new TesseraeError('ERR_ARGUMENT', `the ${this.#limits.name} ${problem}`, detailsOf(this.#limits));
  }
}

function detailsOf({ op }: JsonLimits, cause?: unknown): ErrorDetails {
  return { ...(op === undefined ? {} : { op }), ...(cause === undefined ? {} : { cause }) };
}
