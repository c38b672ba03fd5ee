// Asserts how a promise is rejected: the library's typed errors by their code, cancellations by their reason.
import { expect } from 'vitest';
import { AbortError, type ErrorCode, TesseraeError } from '../../src/base/errors.js';

async function rejectionOf(action: unknown): Promise<unknown> {
  try {
    await (typeof action === 'function' ? action() : action);
  } catch (error) {
    return error;
  }
  return undefined;
}

/** Asserts the code of the error of a promise, or of a function that throws or returns one. Returns the error. */
export async function expectRejection(action: unknown, code: ErrorCode, message = /./): Promise<TesseraeError> {
  const error = await rejectionOf(action);
  expect(error, `expected ${code}`).toBeInstanceOf(TesseraeError);
  expect(error).toMatchObject({ name: 'TesseraeError', code });
  expect((error as Error).message).toMatch(message);
  return error as TesseraeError;
}

/** Asserts that the action was cancelled for this reason. */
export async function expectAbort(action: unknown, reason: unknown): Promise<void> {
  const error = await rejectionOf(action);
  expect(error).toBeInstanceOf(AbortError);
  expect(error).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });
  expect((error as Error).cause).toBe(reason);
}
