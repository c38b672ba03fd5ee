// The portable functions have the same bits here and in the kernels: sums over the bits of millions of results are the same
// numbers as in native/test/sample_test.cpp.
import { expect, test } from 'vitest';
import { portableExp } from '../support/sampling/portable-exp.js';
import { portableLog } from '../support/sampling/portable-log.js';

const bits = new DataView(new ArrayBuffer(8));

function add(sum: number, value: number): number {
  bits.setFloat64(0, value);
  return Math.imul(Math.imul(sum ^ bits.getUint32(4), 0x01000193) ^ bits.getUint32(0), 0x01000193);
}

test('portableExp and portableLog have the bits of the kernels', () => {
  let exp = 0;
  let log = 0;
  for (let i = 0; i < 2_000_000; i++) {
    exp = add(exp, portableExp(-0.000354001 * i));
    exp = add(exp, portableExp(-0.0000123456789 * i));
    log = add(log, portableLog(0.0371 * i));
    log = add(log, portableLog(1e-7 * i));
  }
  expect(exp >>> 0).toBe(1323213757);
  expect(log >>> 0).toBe(1100022478);
});
