// src/machine/environment.ts: what each variable may hold, and what is said where it holds something else.
import { describe, expect, test } from 'vitest';
import { TesseraeError } from '../../src/base/errors.js';
import { readEnvironment } from '../../src/machine/environment.js';

describe('readEnvironment', () => {
  test('is silent where the variables are absent or empty', () => {
    const silent = { isa: undefined, threads: undefined };
    expect(readEnvironment({})).toEqual(silent);
    expect(readEnvironment({ TESSERAE_ISA: '', TESSERAE_THREADS: '' })).toEqual(silent);
  });

  test('reads the variables of the process, at each call anew', () => {
    const before = process.env.TESSERAE_THREADS;
    try {
      process.env.TESSERAE_THREADS = '3';
      expect(readEnvironment().threads).toBe(3);
      process.env.TESSERAE_THREADS = '5';
      expect(readEnvironment().threads).toBe(5);
    } finally {
      if (before === undefined) delete process.env.TESSERAE_THREADS;
      else process.env.TESSERAE_THREADS = before;
    }
  });

  test.each(['ref', 'avx2', 'avx_vnni', 'avx512'] as const)('takes the kernel set %s', (isa) => {
    expect(readEnvironment({ TESSERAE_ISA: isa }).isa).toBe(isa);
  });

  test.each([
    ['TESSERAE_ISA', 'AVX2', 'one of ref, avx2, avx_vnni, avx512'],
    ['TESSERAE_ISA', 'neon', 'one of ref, avx2, avx_vnni, avx512'],
    ['TESSERAE_THREADS', '0', 'a positive whole number'],
    ['TESSERAE_THREADS', '-1', 'a positive whole number'],
    ['TESSERAE_THREADS', '1.5', 'a positive whole number'],
    ['TESSERAE_THREADS', '1e1', 'a positive whole number'],
    ['TESSERAE_THREADS', ' 2', 'a positive whole number'],
    ['TESSERAE_THREADS', 'all', 'a positive whole number'],
    ['TESSERAE_THREADS', '99999999999999999999', 'a positive whole number'],
  ])('refuses %s=%s', (name, value, expected) => {
    const error = catchError(() => readEnvironment({ [name]: value }));
    expect(error).toBeInstanceOf(TesseraeError);
    expect(error).toMatchObject({ code: 'ERR_ARGUMENT', message: `${name} must be ${expected}, got '${value}'` });
  });
});

function catchError(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}
