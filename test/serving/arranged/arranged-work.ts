// Work on items that is ended by the test. Used by batch.test.ts and each-item.test.ts.
import { expect } from 'vitest';
import { TesseraeError } from '../../../src/base/errors.js';

/** Work that begins at once, and ends when it is told to. */
export function arrangedWork() {
  const begun: number[] = [];
  const ends = new Map<number, { resolve: (value: string) => void; reject: (error: unknown) => void }>();
  const signals: AbortSignal[] = [];
  const work = (_item: unknown, signal: AbortSignal, index: number) => {
    begun.push(index);
    signals.push(signal);
    return new Promise<string>((resolve, reject) => ends.set(index, { resolve, reject }));
  };
  return { begun, signals, work, ends };
}

export const failure = () => new TesseraeError('ERR_CONTEXT', 'failed');

/** All that is due has happened. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));

export const argumentError = (message: string) => ({
  code: 'ERR_ARGUMENT',
  op: 'test',
  message: expect.stringContaining(message),
});
