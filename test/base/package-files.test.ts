// src/base/package-files.ts: the folder, the version and the model of this package.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bundledModelPath, packageRoot, packageVersion } from '../../src/base/package-files.js';

test('packageRoot is the folder of package.json', () => {
  expect(existsSync(join(packageRoot(), 'package.json'))).toBe(true);
  expect(existsSync(join(packageRoot(), 'native/CMakeLists.txt'))).toBe(true);
});

test('the version and the model are those of that folder', () => {
  expect(packageVersion()).toMatch(/^\d+\.\d+\.\d+$/);
  expect(existsSync(bundledModelPath())).toBe(true);
});
