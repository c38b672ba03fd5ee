// src/base/number-text.ts: numbers as text for people.
import { expect, test } from 'vitest';
import {
  formatBytes,
  formatMs,
  formatNumber,
  formatShare,
  formatSpeedup,
  formatWorkers,
} from '../../src/base/number-text.js';

test('three significant digits', () => {
  const numbers = [0, 0.01234, 1.234, 12.34, 123.4, 1234.5, Number.NaN];
  expect(numbers.map(formatNumber)).toEqual(['0', '0.0123', '1.23', '12.3', '123', '1,235', 'NaN']);
});

test('units', () => {
  expect([formatMs(0.5), formatMs(1.5)]).toEqual(['500 µs', '1.50 ms']);
  expect([formatShare(0.934), formatShare(0.051), formatShare(null)]).toEqual(['93 %', '5.1 %', '']);
  expect([formatBytes(-20), formatBytes(1536), formatBytes(7 * 2 ** 30)]).toEqual(['-20 B', '1.50 KiB', '7.00 GiB']);
  expect([formatSpeedup(1.957), formatWorkers(1), formatWorkers(2)]).toEqual(['1.96×', '1 worker', '2 workers']);
});

test('values at the border of two forms', () => {
  const numbers = [999.4, 1000, -1000, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  expect(numbers.map(formatNumber)).toEqual(['999', '1,000', '-1,000', 'Infinity', '-Infinity']);
  expect([formatShare(0.1), formatShare(0.0999)]).toEqual(['10 %', '10.0 %']);
  expect([1023, 1024, 2 ** 30, 2 ** 40, 2 ** 50].map(formatBytes)).toEqual([
    '1023 B',
    '1.00 KiB',
    '1.00 GiB',
    '1,024 GiB',
    '1,048,576 GiB',
  ]);
  expect([formatMs(1), formatMs(0.999)]).toEqual(['1.00 ms', '999 µs']);
});
