// Where this package's files are: its folder, the model that it carries, the file of its worker threads. In a bundle, which has
// no such folder around it, they are those of the package in a node_modules folder above. Loads none of them.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TesseraeError } from './errors.js';

const packageName = 'tesserae';
/** Written here, too, because a bundle cannot read package.json. A test compares the two. */
export const packageVersion = '0.1.0';

/** Defined where this file runs as CommonJS. */
declare const __filename: unknown;

/** The package's folder. @throws TesseraeError ERR_NATIVE if it is not found */
export function packageRoot(): string {
  const folder = findPackageRoot();
  if (folder !== undefined) return folder;
  throw new TesseraeError(
    'ERR_NATIVE',
    `the package ${packageName} is not found from ${origins().join(' or ')}: a bundle that has no node_modules folder with it ` +
      'above needs the options addonPath and workerPath of Engine.create',
  );
}

let found: string | undefined;

/** Undefined for a bundle without the package in a node_modules folder above. */
export function findPackageRoot(): string | undefined {
  found ??= searchFrom(origins());
  return found;
}

/**
 * Looks in all folders that contain a file: for this package, or for a node_modules folder that has it.
 * @param files in order of preference
 */
export function searchFrom(files: readonly string[]): string | undefined {
  for (const file of files) {
    for (let folder = dirname(file), last = ''; folder !== last; last = folder, folder = dirname(folder)) {
      for (const candidate of [folder, join(folder, 'node_modules', packageName)]) {
        if (isPackage(candidate)) return candidate;
      }
    }
  }
  return undefined;
}

/** Files that this code may be in: its own, or the bundle's. A bundler may replace each of the first two, or leave it out. */
function origins(): string[] {
  const url: unknown = import.meta.url;
  const files = [
    typeof __filename === 'string' ? __filename : undefined,
    typeof url === 'string' && url.startsWith('file:') ? fileURLToPath(url) : undefined,
    process.argv[1],
  ];
  return files.filter((file) => file !== undefined).map((file) => resolve(file));
}

function isPackage(folder: string): boolean {
  try {
    const manifest: unknown = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    return (manifest as { name?: unknown }).name === packageName;
  } catch {
    return false;
  }
}

/** The GGUF file that comes with the package; in a bundle without the package, a file of that name beside the bundle. */
export function bundledModelPath(): string {
  const name = 'tesserae-tiny-f16.gguf';
  const folder = findPackageRoot();
  return folder === undefined ? join(dirname(origins()[0] ?? resolve('x')), name) : join(folder, 'models', name);
}

let workerPath: string | undefined;

/** Sets the file for all worker threads that are started from now on. */
export function useWorkerFile(path: string): void {
  workerPath = path;
}

/**
 * The built file of the worker threads, workers/worker.cjs. A thread cannot start from a source on every version of Node.js
 * that we support, so it is this one in tests, too.
 * @throws TesseraeError ERR_NATIVE, ERR_WORKER_START if it does not exist
 */
export function findWorkerFile(): string {
  const file = workerPath ?? builtFile('worker.cjs');
  if (existsSync(file)) return file;
  throw new TesseraeError('ERR_WORKER_START', `the file of the worker threads, ${file}, does not exist`);
}

/** A file that the build writes into dist/. */
export function builtFile(name: string): string {
  return join(packageRoot(), 'dist', name);
}
