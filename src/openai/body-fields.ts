// The fields of an untrusted request body. Each is read once, with its check; `end` refuses those that nobody has read.
import { TesseraeError } from '../base/errors.js';
import { quote } from '../base/quote.js';

/** Fields without effect on the output. */
const ignored = [
  'model',
  'user',
  'metadata',
  'store',
  'service_tier',
  'safety_identifier',
  'prompt_cache_key',
  'prompt_cache_retention',
];

export class BodyFields {
  readonly #fields = new Map<string, unknown>();

  /** @throws TesseraeError ERR_ARGUMENT unless the body is an object */
  constructor(body: unknown) {
    if (typeof body !== 'object' || body === null || Array.isArray(body)) throw wrong('body', 'must be an object');
    for (const [name, value] of Object.entries(body)) {
      // Clients write null for what they leave out.
      if (value !== null && value !== undefined && !ignored.includes(name)) this.#fields.set(name, value);
    }
  }

  has(name: string): boolean {
    return this.#fields.has(name);
  }

  /** The value of a field, which counts as read. */
  take(name: string): unknown {
    const value = this.#fields.get(name);
    this.#fields.delete(name);
    return value;
  }

  /** @throws TesseraeError ERR_ARGUMENT, as all below */
  number(name: string, least: number, most: number): number | undefined {
    const value = this.take(name);
    if (value === undefined || (typeof value === 'number' && value >= least && value <= most)) return value;
    throw wrong(name, `must be a number from ${least} to ${most}`);
  }

  integer(name: string, least: number, most: number = Number.MAX_SAFE_INTEGER): number | undefined {
    const value = this.number(name, least, most);
    if (value === undefined || Number.isSafeInteger(value)) return value;
    throw wrong(name, 'must be an integer');
  }

  flag(name: string): boolean | undefined {
    const value = this.take(name);
    if (value === undefined || typeof value === 'boolean') return value;
    throw wrong(name, 'must be true or false');
  }

  /** A field that is accepted with one value alone, which changes nothing. */
  only(name: string, neutral: unknown): void {
    const value = this.take(name);
    if (value === undefined || value === neutral) return;
    if (Array.isArray(value) && value.length === 0) return;
    throw wrong(name, `is not supported, but for ${JSON.stringify(neutral)}`);
  }

  /** Refuses the fields that were not read. */
  end(): void {
    const [name] = this.#fields.keys();
    if (name !== undefined) throw wrong(name, 'is not supported');
  }
}

export function wrong(field: string, problem: string): TesseraeError {
  return new TesseraeError('ERR_ARGUMENT', `${/^\w+$/.test(field) ? field : quote(field)} ${problem}`);
}
