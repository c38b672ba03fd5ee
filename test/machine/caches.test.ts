// src/machine/caches.ts: reading the system's description of a CPU's caches.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { cacheName, readCaches } from '../../src/machine/caches.js';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tesserae-caches-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function place(index: number, files: Record<string, string>): void {
  const path = join(folder, `index${index}`);
  mkdirSync(path);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), `${text}\n`);
}

test('gives the caches of a CPU, L1 first, for any order of the folders', () => {
  const line = { coherency_line_size: '64' };
  place(3, { level: '1', type: 'Data', size: '48K', shared_cpu_list: '0', ...line });
  place(10, { level: '1', type: 'Instruction', size: '32K', shared_cpu_list: '0,16', ...line });
  place(0, { level: '3', type: 'Unified', size: '32M', shared_cpu_list: '0-7,16-23', ...line });
  place(1, { level: '2', type: 'Unified', size: '1024K', shared_cpu_list: '0,16', ...line });
  const caches = readCaches(folder);
  expect(caches.map(cacheName)).toEqual(['L1d', 'L1i', 'L2', 'L3']);
  expect(caches.map(({ sizeBytes }) => sizeBytes)).toEqual([48 << 10, 32 << 10, 1 << 20, 32 << 20]);
  expect(caches.map(({ sharedBy }) => sharedBy)).toEqual([1, 2, 2, 16]);
  expect(caches.map(({ lineBytes }) => lineBytes)).toEqual([64, 64, 64, 64]);
});

test('leaves out a cache whose description is incomplete or unknown', () => {
  place(0, { level: '1', type: 'Data', size: '32K' });
  place(1, { level: '2', type: 'Unified' });
  place(2, { level: 'x', type: 'Unified', size: '32K' });
  place(3, { level: '3', type: 'Odd', size: '32K' });
  place(4, { level: '3', type: 'Unified', size: 'much' });
  expect(readCaches(folder)).toEqual([{ level: 1, kind: 'data', sizeBytes: 32768, lineBytes: 0, sharedBy: 1 }]);
});

test('gives no caches if the system reports none', () => {
  expect(readCaches(join(folder, 'absent'))).toEqual([]);
});
