// src/cli/run-command.ts: how each kind of error becomes a message on stderr and an exit code.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CommandError, type ErrorClass, runCommand, UsageError } from '../../src/cli/run-command.js';
import { TesseraeError } from '../../src/index.js';

class BenchmarkError extends Error {}

let printed: string;
beforeEach(() => {
  printed = '';
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

async function fail(error: unknown, expected: readonly ErrorClass[] = []) {
  await runCommand(() => Promise.reject(error), expected);
  return { code: process.exitCode, printed };
}

test.each([
  ['bad usage', new UsageError('no such\nthing'), 2, 'tesserae: no such thing\n'],
  ['a bad argument', new TesseraeError('ERR_ARGUMENT', 'no such thing'), 2, 'tesserae: no such thing\n'],
  ['another error of the library', new TesseraeError('ERR_BUDGET', 'too large'), 1, 'tesserae: too large\n'],
  ['what a command needs', new CommandError('a.txt: ENOENT'), 1, 'tesserae: a.txt: ENOENT\n'],
])('%s: one line', async (_what, error, code, line) => {
  expect(await fail(error)).toEqual({ code, printed: line });
});

test('an error that the command expects: one line, else the stack', async () => {
  const error = new BenchmarkError('the result is wrong');
  expect(await fail(error, [BenchmarkError])).toEqual({ code: 1, printed: 'tesserae: the result is wrong\n' });
  printed = '';
  const unexpected = await fail(error);
  expect(unexpected.code).toBe(1);
  expect(unexpected.printed).toMatch(/^tesserae: unexpected: .*the result is wrong\n +at /);
});
