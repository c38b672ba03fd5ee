// Where this package's files are: its folder, its version, the model that it carries, the entries of its worker threads. Used
// by the loader of the addon, the team, the command and the benchmarks. Loads none of them.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TesseraeError } from './errors.js';

/** The package's folder. This file runs from `src/`, or built from `dist/src/`. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) {
      throw new TesseraeError('ERR_NATIVE', `no folder above ${fileURLToPath(import.meta.url)} has a package.json`);
    }
    folder = parent;
  }
  return folder;
}

export function packageVersion(): string {
  const manifest = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string };
  return manifest.version;
}

/** The GGUF file that comes with the package. */
export function bundledModelPath(): string {
  return join(packageRoot(), 'models/tesserae-tiny-f16.gguf');
}

/**
 * The URL of the built entry of a worker thread. This file may run from its source, as in the tests, but a thread cannot start
 * from a .ts file on every version of Node.js that we support.
 * @param name relative to dist/
 */
export function findWorkerFile(name = 'workers/shift.js'): string {
  for (const root of ['../../', '../../dist/']) {
    const url = new URL(root + name, import.meta.url);
    if (existsSync(url)) return url.href;
  }
  throw new Error(`the built file ${name} is missing: run the build`);
}
