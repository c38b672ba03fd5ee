// The package as npm publishes it: packed, unpacked in another folder, and used there without running a script or
// building. Slow: it packs the whole package.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
let folder: string;
let app: string;
let installed: string;

interface Manifest {
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
  peerDependencies: Record<string, string>;
  peerDependenciesMeta: Record<string, { optional: boolean }>;
  exports: Record<string, { types: string; default: string }>;
  bin: Record<string, string>;
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tesserae-packaging-'));
  app = join(folder, 'app');
  installed = join(app, 'node_modules/tesserae');
  mkdirSync(installed, { recursive: true });
  const pack = spawnSync('npm', ['pack', '--pack-destination', folder], { cwd: root, encoding: 'utf8' });
  if (pack.status !== 0) throw new Error(`npm pack failed: ${pack.stdout}${pack.stderr}`);
  const tarball = readdirSync(folder).find((file) => file.endsWith('.tgz')) as string;
  execFileSync('tar', ['-xzf', join(folder, tarball), '-C', installed, '--strip-components=1']);
  const { dependencies, peerDependencies } = manifest();
  for (const name of Object.keys({ ...dependencies, ...peerDependencies })) {
    mkdirSync(dirname(join(app, 'node_modules', name)), { recursive: true });
    symlinkSync(realpathSync(join(root, 'node_modules', name)), join(app, 'node_modules', name));
  }
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('holds the prebuilt addon and the built files, and neither sources nor tests', () => {
  for (const file of [
    `prebuilds/${process.platform}-${process.arch}/tesserae.node`,
    'dist/src/index.js',
    'dist/src/index.d.ts',
    'dist/workers/shift.js',
    'dist/workers/text.js',
    'LICENSE',
  ]) {
    expect({ file, exists: existsSync(join(installed, file)) }).toEqual({ file, exists: true });
  }
  for (const file of ['src', 'native', 'build', 'test', 'dist/test', 'binding.gyp', 'CMakeLists.txt']) {
    expect({ file, exists: existsSync(join(installed, file)) }).toEqual({ file, exists: false });
  }
});

test('runs no script when it is installed', () => {
  const scripts = Object.keys(manifest().scripts);
  expect(scripts.filter((name) => /^(pre|post)?install$|^prepare$/.test(name))).toEqual([]);
});

const multiply = `
  const engine = await Engine.create({ threads: 2 });
  const a = engine.tensor([2, 3], Float32Array.of(1, 2, 3, 4, 5, 6));
  const b = engine.tensor([3, 2], Float32Array.of(1, 0, 0, 1, 1, 1));
  const c = await engine.matmul(a, b);
  console.log(c.data.join(' '));
  await engine.close();`;

test('is imported and multiplies', () => {
  expect(runNode(['--input-type=module', '--eval', `import { Engine } from 'tesserae'; ${multiply}`])).toBe(
    '4 5 10 11\n',
  );
});

test('has every entry of its exports, and needs no peer for the main one', () => {
  const { exports, peerDependencies, peerDependenciesMeta } = manifest();
  for (const { types, default: file } of Object.values(exports)) {
    expect({ types, exists: existsSync(join(installed, types)) }).toEqual({ types, exists: true });
    expect({ file, exists: existsSync(join(installed, file)) }).toEqual({ file, exists: true });
  }
  const names = Object.keys(exports).map((entry) => entry.replace(/^\./, 'tesserae'));
  const program = `${names.map((name) => `await import('${name}');`).join('')}console.log('imported');`;
  expect(runNode(['--input-type=module', '--eval', program])).toBe('imported\n');
  for (const name of Object.keys(peerDependencies)) expect(peerDependenciesMeta[name]).toEqual({ optional: true });
});

test('is required by a CommonJS program and multiplies', () => {
  const program = `const { Engine } = require('tesserae'); (async () => { ${multiply} })();`;
  expect(runNode(['--input-type=commonjs', '--eval', program])).toBe('4 5 10 11\n');
});

function manifest(): Manifest {
  return JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as Manifest;
}

/** The standard output of a program that runs in the folder of the application. */
function runNode(args: string[]): string {
  return execFileSync(process.execPath, args, { cwd: app, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}
