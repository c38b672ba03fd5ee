// test/support/house/build-check.ts: stale and missing builds are found, in small trees made for these tests.
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeStaleBuild } from './support/house/build-check.js';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tesserae-build-'));
  place('CMakeLists.txt', 10);
  place('native/CMakeLists.txt', 10);
  place('native/kernels/ref/add.cpp', 10);
  place('workers/shift.ts', 10);
  place('workers/text.ts', 10);
  place('src/native/load.ts', 10);
  place('build/Release/tesserae.node', 20);
  place('dist/workers/shift.js', 20, "import { loadAddon } from '../src/native/load.js';\n");
  place('dist/workers/text.js', 20);
  place('dist/src/native/load.js', 20);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test('a build that is newer than its sources is current', () => {
  expect(describeStaleBuild(root)).toBeUndefined();
});

test('an absent binary or worker is named', () => {
  rmSync(join(root, 'dist/src/native/load.js'));
  expect(describeStaleBuild(root)).toBe('dist/src/native/load.js is missing');
  rmSync(join(root, 'dist'), { recursive: true });
  expect(describeStaleBuild(root)).toBe('dist/workers/shift.js is missing');
  rmSync(join(root, 'build'), { recursive: true });
  expect(describeStaleBuild(root)).toBe('build/Release/tesserae.node is missing');
});

test.each([
  ['native/kernels/ref/add.cpp', 'build/Release/tesserae.node'],
  ['native/CMakeLists.txt', 'build/Release/tesserae.node'],
  ['workers/shift.ts', 'dist/workers/shift.js'],
  ['src/native/load.ts', 'dist/src/native/load.js'],
])('a change to %s makes %s stale', (source, built) => {
  place(source, 30);
  expect(describeStaleBuild(root)).toBe(`${built} is older than ${source}`);
});

test('a source that the worker does not load may be newer', () => {
  place('src/ops/add.ts', 30);
  place('native/test/add_test.cpp', 30);
  expect(describeStaleBuild(root)).toBeUndefined();
});

test('a build that found nothing to do leaves a stamp, and is current', () => {
  place('native/kernels/ref/add.cpp', 30);
  place('workers/shift.ts', 30);
  place('build/.built', 40);
  place('dist/.built', 40);
  expect(describeStaleBuild(root)).toBeUndefined();
});

/** Writes a file that was last modified at `seconds`. */
function place(file: string, seconds: number, text = ''): void {
  mkdirSync(dirname(join(root, file)), { recursive: true });
  writeFileSync(join(root, file), text);
  utimesSync(join(root, file), seconds, seconds);
}
