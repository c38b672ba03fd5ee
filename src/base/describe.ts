// Makes text of values that callers passed, for error messages: short, and without calling anything of the value's own,
// because a value may throw wherever it is asked. Imported by every room that checks arguments.
import { AbortError, TesseraeError } from './errors.js';
import { quote } from './quote.js';

/** Arrays of more numbers are described by their length. */
const mostNumbers = 8;

/** A short description of any value. Never throws. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return quote(value);
    case 'bigint':
      return `${quoteDigits(value)}n`;
    case 'symbol':
    case 'function':
      return `a ${typeof value}`;
    case 'object':
      return value === null ? 'null' : describeObject(value);
    default:
      return String(value);
  }
}

/** A bigint may have any number of digits. */
function quoteDigits(value: bigint): string {
  return value > -(10n ** 40n) && value < 10n ** 40n ? String(value) : 'a long';
}

/** A few numbers as they are, such as a shape. */
function describeArray(values: readonly unknown[]): string {
  const { length } = values;
  const isShort = length <= mostNumbers && values.every((value) => typeof value === 'number');
  return isShort ? `[${values.join(', ')}]` : `an array of ${length}`;
}

function describeObject(value: object): string {
  try {
    if (Array.isArray(value)) return describeArray(value);
    const tag: unknown = Object.prototype.toString.call(value).slice(8, -1);
    return tag === 'Object' ? 'an object' : `an object (${quote(String(tag)).slice(1, -1)})`;
  } catch {
    return 'an object';
  }
}

/** The message of what was thrown, which may be anything. Never throws. */
export function messageOf(error: unknown): string {
  try {
    return error instanceof Error ? String(error.message) : describe(error);
  } catch {
    return 'an error without a message';
  }
}

/** The error for an argument that throws when it is read: a getter, a proxy's trap, an iterator. Errors of ours stay. */
export function unreadable(cause: unknown, what: string, op: string | undefined): Error {
  if (cause instanceof TesseraeError || cause instanceof AbortError) return cause;
  const details = op === undefined ? { cause } : { op, cause };
  return new TesseraeError('ERR_ARGUMENT', `${what} cannot be read: ${messageOf(cause)}`, details);
}
