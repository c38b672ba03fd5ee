// Where this package's files are: its folder, its version, the model that it carries. Used by the loader of the addon,
// the command and the benchmarks. Loads none of them.
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
