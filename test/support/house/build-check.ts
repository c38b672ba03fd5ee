// Refuses to test a stale build: worker threads run dist/ and the addon, not the sources that vitest transforms. Vitest
// calls the default export once, before the first test.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Fails `vitest run` on a stale build. A run with arguments, such as one file to test, gets only a warning: it may need
 * no build.
 */
export default function checkBuild(): void {
  const problem = describeStaleBuild(resolve(dirname(fileURLToPath(import.meta.url)), '../../..'));
  if (problem === undefined) return;
  const message = `${problem}: run \`pnpm build\`, or \`pnpm test\`, which builds first`;
  if (process.argv.slice(2).some((argument) => argument !== 'run')) {
    process.stderr.write(`warning: ${message}\n`);
    return;
  }
  const error = new Error(message);
  error.stack = `Error: ${message}`;
  throw error;
}

/** The problem of the build under `root`, in a few words; undefined if it is present and current. */
export function describeStaleBuild(root: string): string | undefined {
  return describeStaleAddon(root) ?? describeStaleWorker(root);
}

function describeStaleAddon(root: string): string | undefined {
  const addon = 'build/Release/tesserae.node';
  const builtAt = latest([join(root, addon), join(root, 'build/.built')]);
  if (!existsSync(join(root, addon))) return `${addon} is missing`;
  for (const file of nativeSources(root)) {
    if (modifiedAt(join(root, file)) > builtAt) return `${addon} is older than ${file}`;
  }
  return undefined;
}

function nativeSources(root: string): string[] {
  const files = ['CMakeLists.txt', 'native/CMakeLists.txt'];
  for (const folder of ['native/abi', 'native/binding', 'native/core', 'native/kernels']) {
    if (!existsSync(join(root, folder))) continue;
    for (const entry of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
      if (/\.(cpp|h|def|cmake|map|txt)$/.test(entry)) files.push(join(folder, entry));
    }
  }
  return files;
}

/** Checks the files that a worker loads, following their imports: most tests run nothing else of dist/. */
function describeStaleWorker(root: string): string | undefined {
  const compiledAt = latest([join(root, 'dist/.built')]);
  const queue = ['workers/shift.js', 'workers/text.js'];
  const seen = new Set(queue);
  for (const file of queue) {
    const built = join(root, 'dist', file);
    const source = file.replace(/\.js$/, '.ts');
    if (!existsSync(built)) return `dist/${file} is missing`;
    if (modifiedAt(join(root, source)) > Math.max(modifiedAt(built), compiledAt)) {
      return `dist/${file} is older than ${source}`;
    }
    for (const [, specifier] of readFileSync(built, 'utf8').matchAll(/(?:from|import)\s*\(?['"](\.[^'"]+)['"]/g)) {
      const imported = join(dirname(file), specifier as string);
      if (seen.has(imported)) continue;
      seen.add(imported);
      queue.push(imported);
    }
  }
  return undefined;
}

function latest(files: string[]): number {
  return Math.max(...files.map(modifiedAt));
}

/** In milliseconds; 0 for a missing file. */
function modifiedAt(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
