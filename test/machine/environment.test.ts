// src/machine/environment.ts: the values that each variable may have, and the error for any other value.
import { describe, expect, test } from 'vitest';
import { readEnvironment } from '../../src/machine/environment.js';
import { expectRejection } from '../support/rejections.js';

describe('readEnvironment', () => {
  test('gives undefined for variables that are absent or empty', () => {
    const nothing = { isa: undefined, threads: undefined };
    expect(readEnvironment({})).toEqual(nothing);
    expect(readEnvironment({ TESSERAE_ISA: '', TESSERAE_THREADS: '' })).toEqual(nothing);
  });

  test('reads the variables of the process at each call', () => {
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

  test.each([
    'ref',
    'portable',
    'avx2',
    'avx_vnni',
    'avx512_floats',
    'avx512',
    'neon',
    'neon_dot',
    'neon_i8mm',
  ] as const)('takes the kernel set %s', (isa) => {
    expect(readEnvironment({ TESSERAE_ISA: isa }).isa).toBe(isa);
  });

  test.each([
    ['TESSERAE_ISA', 'AVX2', 'one of ref, portable, avx2, avx_vnni, avx512_floats, avx512, neon, neon_dot, neon_i8mm'],
    ['TESSERAE_ISA', 'sse2', 'one of ref, portable, avx2, avx_vnni, avx512_floats, avx512, neon, neon_dot, neon_i8mm'],
    ['TESSERAE_THREADS', '0', 'a positive whole number'],
    ['TESSERAE_THREADS', '-1', 'a positive whole number'],
    ['TESSERAE_THREADS', '1.5', 'a positive whole number'],
    ['TESSERAE_THREADS', '1e1', 'a positive whole number'],
    ['TESSERAE_THREADS', ' 2', 'a positive whole number'],
    ['TESSERAE_THREADS', 'all', 'a positive whole number'],
    ['TESSERAE_THREADS', '99999999999999999999', 'a positive whole number'],
  ])('refuses %s=%s', async (name, value, expected) => {
    const error = await expectRejection(() => readEnvironment({ [name]: value }), 'ERR_ARGUMENT');
    expect(error.message).toBe(`${name} must be ${expected}, got '${value}'`);
  });
});
