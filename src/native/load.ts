// Finds and loads the files that are not modules of ours: the native addon, and in the main thread the file of the worker
// threads, for Piscina. Every worker loads the addon, too; Node keeps one instance of it per thread.
import { existsSync, readdirSync } from 'node:fs';
import { Module } from 'node:module';
import { join, resolve } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { describe } from '../base/describe.js';
import { TesseraeError } from '../base/errors.js';
import { findWorkerFile, packageRoot, packageVersion, useWorkerFile } from '../base/package-files.js';
import { readEnvironment } from '../machine/environment.js';
import { type Addon, addonFunctions } from './addon.js';
import { findElfProblem } from './elf-check.js';
import { loadWasm } from './wasm/load-wasm.js';

/** Where files of the package are, for a bundle that has no node_modules folder above. */
export interface FileOptions {
  /**
   * The native addon, a copy of `prebuilds/<platform>/tesserae.node` of the package; by default `TESSERAE_ADDON`, else the one
   * in the package. Or `prebuilds/wasm/tesserae.wasm`, which runs on any platform, slower; `TESSERAE_ADDON=wasm` names it, too.
   * It is what the package takes on a platform that it has no native addon for.
   */
  readonly addonPath?: string | undefined;
  /**
   * The file of the worker threads, a copy of `dist/worker.cjs` of the package; by default the one in the package. It is used
   * for all threads that the process starts from then on, by other engines, too.
   */
  readonly workerPath?: string | undefined;
}

export interface AddonOptions {
  /** The file to load. By default the one of `TESSERAE_ADDON`, else the build of a checkout, else the package's binary. */
  readonly addonPath?: string | undefined;
  /** The package's folder. */
  readonly root?: string | undefined;
  /** In a worker thread, for WebAssembly: what the addon of the main thread has as `wasm.shared`. */
  readonly shared?: unknown;
}

/**
 * Loads the addon. A file that exists but does not load is an error; no other is tried.
 * @throws TesseraeError ERR_NATIVE if there is no file, or if it does not load on this machine, or if it is no addon of
 * this version
 */
export function loadAddon(options: AddonOptions = {}): Addon {
  const file = findAddon(options);
  let addon: unknown;
  try {
    if (file.endsWith('.wasm')) return loadWasm(file, options.shared);
    const problem = process.platform === 'linux' ? findElfProblem(file) : undefined;
    if (problem !== undefined) throw new Error(problem);
    addon = requireFile(file);
  } catch (cause) {
    const problem = `does not load on ${platformName()} with Node ${process.version}: ${firstLine(cause)}`;
    throw new TesseraeError('ERR_NATIVE', `the native addon ${file} ${problem}`, { cause });
  }
  const exported = Object(addon) as Record<string, unknown>;
  const missing = addonFunctions.filter((name) => typeof exported[name] !== 'function');
  if (missing.length > 0) {
    const problem = `it has no function ${missing.slice(0, 3).join(', ')}`;
    throw new TesseraeError('ERR_NATIVE', `${file} is not the native addon of tesserae ${packageVersion}: ${problem}`);
  }
  return addon as Addon;
}

/**
 * Loads the addon for an engine, and checks the file of its worker threads.
 * @throws TesseraeError ERR_ARGUMENT, ERR_NATIVE, ERR_WORKER_START
 */
export function loadFiles(options: FileOptions, op: string): { readonly addon: Addon; readonly addonPath: string } {
  const given = { addonPath: checkPath(options, 'addonPath', op), workerPath: checkPath(options, 'workerPath', op) };
  const addonPath = findAddon({ addonPath: given.addonPath });
  const addon = loadAddon({ addonPath });
  const workerFile = given.workerPath ?? findWorkerFile();
  loadWorkerFile(workerFile);
  if (given.workerPath !== undefined) useWorkerFile(workerFile);
  return { addon, addonPath };
}

function checkPath(options: FileOptions, name: keyof FileOptions, op: string): string | undefined {
  const path: unknown = options[name];
  if (path === undefined) return undefined;
  if (typeof path === 'string' && path !== '') return resolve(path);
  throw new TesseraeError('ERR_ARGUMENT', `${name} must be the path of a file, got ${describe(path)}`, { op });
}

/** The path of the addon that {@link loadAddon} loads. @throws TesseraeError ERR_NATIVE if there is none */
export function findAddon({ addonPath, root }: AddonOptions = {}): string {
  const { addon } = readEnvironment();
  for (const [name, path] of [
    ['addonPath', addonPath],
    ['TESSERAE_ADDON', addon],
  ] as const) {
    if (path === undefined) continue;
    const named = name === 'TESSERAE_ADDON' && path === 'wasm' ? wasmOf(root ?? packageRoot()) : path;
    if (existsSync(named)) return resolve(named);
    throw new TesseraeError('ERR_NATIVE', `there is no native addon at ${path}, which ${name} names`);
  }
  const folder = root ?? packageRoot();
  const prebuilds = join(folder, 'prebuilds');
  const candidates = [join(folder, 'build/Release/tesserae.node'), join(prebuilds, platformName(), 'tesserae.node')];
  const file = candidates.find((candidate) => existsSync(candidate));
  if (file !== undefined) return file;
  const wasm = wasmOf(folder);
  if (existsSync(wasm)) {
    warnOfWasm(wasm);
    return wasm;
  }
  const others = existsSync(prebuilds) ? readdirSync(prebuilds).sort().join(', ') : '';
  throw new TesseraeError(
    'ERR_NATIVE',
    `tesserae has no native addon for ${platformName()} with Node ${process.version}: looked for ` +
      `${candidates.join(' and ')}; ${others === '' ? 'there is none for any platform' : `there is one for ${others}`}. ` +
      'Build it from the sources (`pnpm build`), and name it by TESSERAE_ADDON or the option addonPath of Engine.create',
  );
}

/**
 * What the file of the worker threads exports in the main thread.
 * @throws TesseraeError ERR_WORKER_START if it is another file
 */
export function loadWorkerFile(file: string): { readonly Piscina: unknown } {
  let cause: unknown;
  try {
    const exported = requireFile(file) as { Piscina?: unknown };
    if (typeof exported.Piscina === 'function') return exported as { Piscina: unknown };
  } catch (error) {
    cause = error;
  }
  const problem = cause === undefined ? '' : `: ${firstLine(cause)}`;
  const message = `${file} is not the file of the worker threads, dist/worker.cjs of tesserae${problem}`;
  throw new TesseraeError('ERR_WORKER_START', message, { cause });
}

/** By a method, since webpack replaces calls of an imported `createRequire`. */
function requireFile(file: string): unknown {
  return Module.createRequire(file)(file);
}

function wasmOf(folder: string): string {
  return join(folder, 'prebuilds/wasm/tesserae.wasm');
}

let isWarned = false;

function warnOfWasm(file: string): void {
  if (isWarned || !isMainThread) return;
  isWarned = true;
  const message =
    `tesserae has no native addon for ${platformName()}: it runs as WebAssembly (${file}), ` +
    'with the same results, much slower and in 4 GiB of memory at most';
  process.emitWarning(message, { code: 'TESSERAE_WASM' });
}

function platformName(): string {
  return `${process.platform}-${process.arch}`;
}

function firstLine(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).split('\n', 1)[0] as string;
}
