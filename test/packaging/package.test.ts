// The package as npm publishes it: packed, unpacked in another folder, and used there without running a script or
// building. Slow: it packs the whole package.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isWithoutWasm } from '../support/running/wasm.js';

const root = resolve(import.meta.dirname, '../..');
let folder: string;
let app: string;
let installed: string;
let tarball: string;
let packMs: number;

interface Manifest {
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
  peerDependencies: Record<string, string>;
  peerDependenciesMeta: Record<string, { optional: boolean }>;
  exports: Record<string, string | Record<string, { types: string; default: string }>>;
  bin: Record<string, string>;
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tesserae-packaging-'));
  app = join(folder, 'app');
  installed = join(app, 'node_modules/tesserae');
  mkdirSync(installed, { recursive: true });
  const start = performance.now();
  const pack = spawnSync('npm', ['pack', '--pack-destination', folder], { cwd: root, encoding: 'utf8' });
  packMs = performance.now() - start;
  if (pack.status !== 0) throw new Error(`npm pack failed: ${pack.stdout}${pack.stderr}`);
  tarball = join(folder, readdirSync(folder).find((file) => file.endsWith('.tgz')) as string);
  execFileSync('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1']);
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
    ...(isWithoutWasm ? [] : ['prebuilds/wasm/tesserae.wasm', 'prebuilds/wasm/tesserae-fused.wasm']),
    'dist/src/index.js',
    'dist/src/index.d.ts',
    'dist/cjs/index.js',
    'dist/worker.cjs',
    'models/tesserae-tiny-f16.gguf',
    'prebuilds/SHA256SUMS',
    'sbom.json',
    'LICENSE',
    'THIRD-PARTY-LICENSES.md',
  ]) {
    expect({ file, exists: existsSync(join(installed, file)) }).toEqual({ file, exists: true });
  }
  for (const file of ['build', 'test', 'dist/test', 'dist/workers', 'binding.gyp', 'CMakeLists.txt']) {
    expect({ file, exists: existsSync(join(installed, file)) }).toEqual({ file, exists: false });
  }
  const others = listFiles('src')
    .concat(listFiles('native'))
    .filter((file) => !file.endsWith('README.md'));
  expect(others).toEqual([]);
});

test('is packed without a compiler, in less than 20 s and 15 MB', () => {
  expect(packMs).toBeLessThan(20_000);
  expect(statSync(tarball).size).toBeLessThan(15_000_000);
});

test('has every file that README.md links, and every map has its sources', () => {
  const links = [...readFileSync(join(installed, 'README.md'), 'utf8').matchAll(/\]\(([^)#:]+)(#[^)]*)?\)/g)];
  expect(links.length).toBeGreaterThan(10);
  for (const [, file] of links)
    expect({ file, exists: existsSync(join(installed, file as string)) }).toMatchObject({ exists: true });
  const maps = listFiles('dist').filter((file) => file.endsWith('.map'));
  expect(maps.length).toBeGreaterThan(100);
  for (const file of maps) {
    const map = JSON.parse(readFileSync(join(installed, file), 'utf8')) as {
      sources: unknown[];
      sourcesContent?: unknown[];
    };
    expect({ file, length: map.sourcesContent?.length }).toEqual({ file, length: map.sources.length });
  }
});

test('names its contents: a digest of each addon, and the packages and libraries that are inside', () => {
  const sums = readFileSync(join(installed, 'prebuilds/SHA256SUMS'), 'utf8').trimEnd().split('\n');
  expect(sums.length).toBeGreaterThan(0);
  for (const [digest, file] of sums.map((line) => line.split('  ') as [string, string])) {
    expect(
      createHash('sha256')
        .update(readFileSync(join(installed, file)))
        .digest('hex'),
    ).toBe(digest);
  }
  const { components, ...document } = JSON.parse(readFileSync(join(installed, 'sbom.json'), 'utf8')) as {
    components: { name: string; version?: string; licenses?: unknown[] }[];
  };
  expect(document).toMatchObject({ bomFormat: 'CycloneDX', specVersion: '1.5', dependencies: [expect.anything()] });
  const names = components.map(({ name }) => name);
  expect(names).toEqual(
    expect.arrayContaining([...Object.keys(manifest().dependencies), 'piscina', '@huggingface/jinja']),
  );
  const notices = readFileSync(join(installed, 'THIRD-PARTY-LICENSES.md'), 'utf8');
  for (const name of ['Piscina', '@huggingface/jinja', 'node-addon-api', "GCC's", 'musl'])
    expect(notices).toContain(`## ${name}`);
});

test('asks for no operating system, so that it installs where an addon is built by hand', () => {
  expect(manifest()).not.toHaveProperty('os');
  expect(manifest()).not.toHaveProperty('cpu');
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
  const entries = Object.entries(exports).filter(([, entry]) => typeof entry !== 'string');
  for (const { types, default: file } of entries.flatMap(
    ([, entry]) => Object.values(entry) as { types: string; default: string }[],
  )) {
    expect({ types, exists: existsSync(join(installed, types)) }).toEqual({ types, exists: true });
    expect({ file, exists: existsSync(join(installed, file)) }).toEqual({ file, exists: true });
  }
  const names = entries.map(([entry]) => entry.replace(/^\./, 'tesserae'));
  const program = `${names.map((name) => `await import('${name}');`).join('')}console.log('imported');`;
  expect(runNode(['--input-type=module', '--eval', program])).toBe('imported\n');
  for (const name of Object.keys(peerDependencies)) expect(peerDependenciesMeta[name]).toEqual({ optional: true });
});

test('is required by a CommonJS program and multiplies, as the same module that is imported', () => {
  const same = `if ((await import('tesserae')).Engine !== Engine) throw new Error('there are two copies');`;
  const program = `const { Engine } = require('tesserae'); (async () => { ${same} ${multiply} })();`;
  expect(runNode(['--input-type=commonjs', '--eval', program])).toBe('4 5 10 11\n');
});

test('is required where nothing can require ES modules', () => {
  const program = `const { Engine } = require('tesserae'); (async () => { ${multiply} })();`;
  const arguments_ = ['--no-experimental-require-module', '--input-type=commonjs', '--eval', program];
  expect(runNode(arguments_)).toBe('4 5 10 11\n');
});

test.skipIf(isWithoutWasm)('without a native addon for the platform runs as WebAssembly, and says so once', () => {
  const native = join(installed, 'prebuilds', `${process.platform}-${process.arch}`);
  renameSync(native, `${native}.away`);
  try {
    const program = `import { bundledModel } from 'tesserae/models'; import { Engine } from 'tesserae'; ${multiply}
      const second = await Engine.create({ threads: 2 });
      const model = await second.loadModel(bundledModel);
      console.log((await model.generate('In ', { maxTokens: 4, temperature: 0 }).result).tokens.length);
      console.log(second.stats().addon);
      await second.close();`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
      cwd: app,
      encoding: 'utf8',
    });
    expect(stdout).toBe('4 5 10 11\n4\nwasm\n');
    expect(stderr.split('TESSERAE_WASM')).toHaveLength(2);
  } finally {
    renameSync(`${native}.away`, native);
  }
});

/** The files in a folder of the installed package, by their paths in the package; none if there is no such folder. */
function listFiles(name: string): string[] {
  if (!existsSync(join(installed, name))) return [];
  const entries = readdirSync(join(installed, name), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(installed, join(entry.parentPath, entry.name)));
}

function manifest(): Manifest {
  return JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as Manifest;
}

/** The standard output of a program that runs in the folder of the application. */
function runNode(args: string[]): string {
  return execFileSync(process.execPath, args, { cwd: app, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}
