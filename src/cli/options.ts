// Parsers of option values, and the options that several commands share. An invalid value is bad usage.
import { InvalidArgumentError, Option } from 'commander';

/**
 * A parser of whole numbers.
 * @throws InvalidArgumentError, which commander reports with the option's name
 */
export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^[0-9]+$/.test(text) ? Number(text) : Number.NaN;
    if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
    const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
    throw new InvalidArgumentError(`It must be a whole number ${range}.`);
  };
}

/** A parser of numbers from `least` to `most`. @throws InvalidArgumentError */
export function numberBetween(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (value >= least && value <= most) return value;
    const range = most === Number.POSITIVE_INFINITY ? `of at least ${least}` : `from ${least} to ${most}`;
    throw new InvalidArgumentError(`It must be a number ${range}.`);
  };
}

export const threadsOption = () =>
  new Option('--threads <n>', 'worker threads (default: TESSERAE_THREADS, else all usable cores)').argParser(
    wholeNumber(1),
  );

export const jsonOption = () => new Option('--json', 'one JSON document on stdout');

export const modelOption = () => new Option('--model <file>', 'a GGUF file (default: the bundled model)');

/** The options of every command. */
export interface CommonOptions {
  readonly threads?: number;
  readonly json?: boolean;
}

export interface ModelOptions extends CommonOptions {
  readonly model?: string;
  /** See cache-folder.ts. */
  readonly cache?: string;
}
