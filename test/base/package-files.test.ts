// src/base/package-files.ts: the folder and the model of this package, and where a bundle finds them; the version.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import {
  bundledModelPath,
  findWorkerFile,
  packageRoot,
  packageVersion,
  searchFrom,
  useWorkerFile,
} from '../../src/base/package-files.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const folder = temporaryFolder();
afterAll(() => folder.remove());

test('packageRoot is the folder of package.json', () => {
  expect(existsSync(join(packageRoot(), 'package.json'))).toBe(true);
  expect(existsSync(join(packageRoot(), 'native/CMakeLists.txt'))).toBe(true);
});

test('the version, the model and the file of the workers are those of that folder', () => {
  const manifest = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string };
  expect(packageVersion).toBe(manifest.version);
  expect(existsSync(bundledModelPath())).toBe(true);
  expect(findWorkerFile()).toBe(join(packageRoot(), 'dist/worker.cjs'));
});

test('another file of the workers is used where it is given, and has to exist', () => {
  const built = findWorkerFile();
  try {
    const own = folder.file('worker.cjs');
    useWorkerFile(own);
    expect(findWorkerFile).toThrow(expect.objectContaining({ code: 'ERR_WORKER_START' }));
    writeFileSync(own, '');
    expect(findWorkerFile()).toBe(own);
  } finally {
    useWorkerFile(built);
  }
});

test('a bundle finds the package in a node_modules folder above, and no other package', () => {
  const place = (file: string, text: string) => {
    mkdirSync(dirname(folder.file(file)), { recursive: true });
    writeFileSync(folder.file(file), text);
  };
  place('app/package.json', '{ "name": "app" }');
  place('app/dist/server/main.js', '');
  const bundle = folder.file('app/dist/server/main.js');
  expect(searchFrom([bundle])).toBeUndefined();
  place('node_modules/tesserae/package.json', '{ "name": "tesserae" }');
  expect(searchFrom([bundle])).toBe(folder.file('node_modules/tesserae'));
  place('app/node_modules/tesserae/package.json', 'not JSON');
  expect(searchFrom([bundle])).toBe(folder.file('node_modules/tesserae'));
  place('app/node_modules/tesserae/package.json', '{ "name": "tesserae" }');
  expect(searchFrom([bundle])).toBe(folder.file('app/node_modules/tesserae'));
  expect(searchFrom(['/nowhere/main.js', bundle])).toBe(folder.file('app/node_modules/tesserae'));
});
