// Builds the package twice, in fresh clones of HEAD in two folders with paths of different lengths, and fails unless both tarballs
// contain the same bytes: the addons for x64 and arm64, the WebAssembly and the TypeScript. Called by `pnpm test:nightly`.
// Needs the registry and all compilers; takes as long as two full builds.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const work = mkdtempSync(join(tmpdir(), 'tesserae-builds-'));

try {
  const [first, second] = ['a', 'a longer path/of/the same sources'].map((name) => build(join(work, name)));
  const names = [...new Set([...first.keys(), ...second.keys()])].sort();
  const different = names.filter((name) => first.get(name) !== second.get(name));
  for (const name of names.filter((name) => /\.(node|wasm)$/.test(name))) say(`${first.get(name)}  ${name}`);
  if (different.length > 0) {
    say(`${different.length} of ${names.length} files differ:\n${different.join('\n')}`);
    process.exitCode = 1;
  } else {
    say(`two builds: all ${names.length} files are equal`);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** The digest of each file of the tarball that a clone in `folder` makes. */
function build(folder) {
  mkdirSync(folder, { recursive: true });
  run('git', ['clone', '--quiet', '--no-hardlinks', root, '.'], folder);
  run('npx', ['-y', 'pnpm', 'install', '--frozen-lockfile'], folder);
  run('npx', ['-y', 'pnpm', 'build:all'], folder);
  const unpacked = join(folder, 'unpacked');
  mkdirSync(unpacked);
  const [{ filename }] = JSON.parse(run('npm', ['pack', '--json', '--pack-destination', unpacked], folder));
  run('tar', ['-xzf', filename], unpacked);
  rmSync(join(unpacked, filename));
  const files = readdirSync(unpacked, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  if (!files.some((entry) => entry.name.endsWith('.node'))) throw new Error('the tarball has no addon');
  return new Map(files.map((entry) => digestOf(join(entry.parentPath, entry.name), unpacked)));
}

function digestOf(file, folder) {
  return [relative(folder, file), createHash('sha256').update(readFileSync(file)).digest('hex')];
}

function run(command, args, cwd) {
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1e8 });
}

function say(text) {
  process.stdout.write(`${text}\n`);
}
