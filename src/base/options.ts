// Checks of the options and values that callers pass, with one message for each kind of mistake. Called by every room
// that takes options.
import { describe, unreadable } from './describe.js';
import { TesseraeError } from './errors.js';

/**
 * @throws TesseraeError ERR_ARGUMENT for options that are not an object, for a key that is not in the list, and for a
 * value that throws when it is read
 */
export function checkKeys(options: unknown, allowed: readonly string[], op: string): asserts options is object {
  checkIsObject(options, op);
  try {
    // Without a list of the keys: this is called for every op.
    for (const key in options) if (!allowed.includes(key) && Object.hasOwn(options, key)) throw unknownOption(key, op);
    for (let i = 0; i < allowed.length; i++) void (options as Record<string, unknown>)[allowed[i] as string];
  } catch (cause) {
    throw unreadable(cause, 'the options', op);
  }
}

/** The error for an option that does not exist. */
export function unknownOption(key: string, op: string): TesseraeError {
  return new TesseraeError('ERR_ARGUMENT', `there is no option ${key}`, { op });
}

/** @throws TesseraeError ERR_ARGUMENT for a key that is not in the list, and for a wrong `signal` or `onProgress` */
export function checkOptions(options: object, allowed: readonly string[], op: string): void {
  checkKeys(options, allowed, op);
  checkSignalAndProgress(options, op);
}

/** Checks `signal` and `onProgress` of options whose keys are checked elsewhere. @throws TesseraeError ERR_ARGUMENT */
export function checkSignalAndProgress(options: unknown, op: string): void {
  const { signal, onProgress } = signalAndProgressOf(options, op);
  checkSignal(signal, op);
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw new TesseraeError('ERR_ARGUMENT', 'onProgress must be a function', { op });
  }
}

function signalAndProgressOf(options: unknown, op: string): { signal?: unknown; onProgress?: unknown } {
  checkIsObject(options, op);
  try {
    // All of them, because callers copy them afterwards.
    return { ...options };
  } catch (cause) {
    throw unreadable(cause, 'the options', op);
  }
}

function checkIsObject(options: unknown, op: string): asserts options is object {
  if (typeof options === 'object' && options !== null) return;
  throw new TesseraeError('ERR_ARGUMENT', `the options must be an object, got ${describe(options)}`, { op });
}

/** @throws TesseraeError ERR_ARGUMENT unless the value is an integer of at least `least` */
export function checkPositive(value: unknown, name: string, op: string, least = 1): number {
  if (Number.isSafeInteger(value) && (value as number) >= least) return value as number;
  const wanted = least === 1 ? 'a positive integer' : `an integer of at least ${least}`;
  throw new TesseraeError('ERR_ARGUMENT', `${name} must be ${wanted}, got ${describe(value)}`, { op });
}

/** @throws TesseraeError ERR_ARGUMENT unless the value is undefined or an integer from `least` to `most` */
export function checkRange(value: unknown, name: string, op: string, least: number, most: number): number | undefined {
  if (value === undefined) return undefined;
  if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
  const message = `${name} must be an integer from ${least} to ${most}, got ${describe(value)}`;
  throw new TesseraeError('ERR_ARGUMENT', message, { op });
}

/** @throws TesseraeError ERR_ARGUMENT unless the value is a signal or undefined */
export function checkSignal(value: unknown, op: string): AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return value;
  throw new TesseraeError('ERR_ARGUMENT', 'signal must be an AbortSignal', { op });
}

/** A boolean; undefined gives the fallback. @throws TesseraeError ERR_ARGUMENT for any other value */
export function checkFlag(value: unknown, fallback: boolean, name: string, op: string): boolean {
  if (value === undefined) return fallback;
  if (typeof value === 'boolean') return value;
  throw new TesseraeError('ERR_ARGUMENT', `${name} must be true or false, got ${describe(value)}`, { op });
}

/** One of the given words; undefined gives the first. @throws TesseraeError ERR_ARGUMENT for any other value */
export function checkWord<T extends string>(value: unknown, words: readonly T[], name: string, op: string): T {
  if (value === undefined) return words[0] as T;
  if (words.includes(value as T)) return value as T;
  throw new TesseraeError('ERR_ARGUMENT', `${name} must be one of ${words.join(', ')}, got ${describe(value)}`, { op });
}
