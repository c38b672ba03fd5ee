// Tries the package as npm publishes it: `try-package.mjs [RUNTIME…]`, by default on Node 20, 22, 24 and 26, and on Bun and Deno. For
// each, an empty project installs the tarball with no compiler in PATH and without scripts, and runs the examples of README.md
// by import, and one by require; on Node 20, whose require is the oldest, Jest, too. Bun and Deno compute all golden digests,
// with the native addon and with WebAssembly. Needs the registry; changes nothing in the checkout.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleSmokeApp, goldenArgument } from './smoke-app-bundle.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const runtimes = process.argv.length > 2 ? process.argv.slice(2) : ['20', '22', '24', '26', 'bun', 'deno'];
/** Of those that are not Node: the npm package that contains the binary for this machine, the binary, and what comes before a file. */
const others = {
  bun: { name: '@oven/bun-linux-x64', binary: 'bin/bun', args: ['run'] },
  deno: { name: '@deno/linux-x64-glibc', binary: 'deno', args: ['run', '--allow-all', '--no-prompt'] },
};
const work = mkdtempSync(join(tmpdir(), 'tesserae-try-'));

const byRequire = `const { Engine } = require('tesserae');
Engine.create({ threads: 2 }).then(async (engine) => {
  const a = engine.tensor([2, 2], Float32Array.of(1, 2, 3, 4));
  console.log((await engine.matmul(a, a)).data.join(' '));
  await engine.close();
});
`;
const jestTest = `const { Engine } = require('tesserae');
const { bundledModel } = require('tesserae/models');
test('generates', async () => {
  const engine = await Engine.create({ threads: 2 });
  const model = await engine.loadModel(bundledModel);
  const { text } = await model.generate('In ', { maxTokens: 8, format: { regex: '[0-9]{4}' } }).result;
  expect(text).toMatch(/^[0-9]{4}$/);
  await engine[Symbol.asyncDispose]();
});
`;

try {
  const packed = run('npm', ['pack', '--json', '--pack-destination', work], { cwd: root });
  const [{ filename, size, unpackedSize }] = JSON.parse(packed);
  say(`${filename}: ${(size / 1e6).toFixed(1)} MB, unpacked ${(unpackedSize / 1e6).toFixed(1)} MB`);
  for (const runtime of runtimes) {
    if (Object.hasOwn(others, runtime)) await tryOther(others[runtime], join(work, filename));
    else tryVersion(runtime, join(work, filename));
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}

function tryVersion(version, tarball) {
  const node = run('npx', ['--yes', '--package', `node@${version}`, '--', 'node', '-p', 'process.execPath']).trim();
  const app = join(work, `app-${version}`);
  const path = join(work, `path-${version}`);
  for (const folder of [app, path]) mkdirSync(folder);
  symlinkSync(node, join(path, 'node'));
  symlinkSync('/bin/sh', join(path, 'sh'));
  const options = { cwd: app, env: { ...process.env, PATH: path } };
  const npm = join(dirname(run('npm', ['root', '-g']).trim()), 'node_modules/npm/bin/npm-cli.js');
  const install = ['install', '--ignore-scripts', '--no-audit', '--no-fund'];
  writeFileSync(join(app, 'package.json'), '{ "name": "app", "private": true }');
  run('node', [npm, ...install, tarball], options);
  const packages = readdirSync(join(app, 'node_modules')).filter((name) => !name.startsWith('.'));
  say(`Node ${run('node', ['--version'], options).trim()}: installed ${packages.join(', ')}`);

  const examples = examplesOf(readFileSync(join(root, 'README.md'), 'utf8'));
  for (const [index, text] of examples.entries()) {
    writeFileSync(join(app, `example-${index}.mjs`), text);
    say(
      `  example ${index + 1}: ${run('node', [`example-${index}.mjs`], options)
        .split('\n', 1)[0]
        .slice(0, 80)}`,
    );
  }
  writeFileSync(join(app, 'required.cjs'), byRequire);
  say(`  require: ${run('node', ['required.cjs'], options).trim()}`);
  if (version.split('.')[0] !== '20') return;
  run('node', [npm, ...install, 'jest@30'], options);
  writeFileSync(join(app, 'generate.test.js'), jestTest);
  run('node', ['node_modules/jest/bin/jest.js'], options);
  say('  Jest: passed');
}

async function tryOther({ name, binary, args }, tarball) {
  const app = join(work, `app-${name.replace('/', '-')}`);
  mkdirSync(app);
  writeFileSync(join(app, 'package.json'), '{ "name": "app", "private": true, "type": "module" }');
  run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', name, tarball], { cwd: app });
  const command = join(app, 'node_modules', name, binary);
  say(`${name}: ${run(command, ['--version']).trim().split('\n', 1)[0]}`);
  for (const [index, text] of examplesOf(readFileSync(join(root, 'README.md'), 'utf8')).entries()) {
    writeFileSync(join(app, `example-${index}.mjs`), text);
    const printed = run(command, [...args, `example-${index}.mjs`], { cwd: app });
    say(`  example ${index + 1}: ${printed.split('\n', 1)[0].slice(0, 80)}`);
  }
  await bundleSmokeApp(join(app, 'smoke.mjs'));
  for (const addon of ['native', 'wasm']) {
    const env = { ...process.env, ...(addon === 'wasm' ? { TESSERAE_ADDON: 'wasm' } : {}) };
    const argument = JSON.stringify({ addon, golden: goldenArgument() });
    say(`  ${run(command, [...args, 'smoke.mjs', argument], { cwd: app, env }).trim()}`);
  }
}

/** The programs of the README that need no server. One that only continues another gets a model. */
function examplesOf(readme) {
  const blocks = [...readme.matchAll(/^```js\n([\s\S]*?)^```/gm)].map(([, text]) => text);
  const programs = blocks.filter((text) => !text.includes('tesserae/bullmq'));
  if (programs.length < 3) throw new Error('README.md has fewer examples than expected');
  const prelude = `import { Engine } from 'tesserae';
import { bundledModel } from 'tesserae/models';
const engine = await Engine.create();
const model = await engine.loadModel(bundledModel);
`;
  return programs.map((text) => (text.includes("from 'tesserae'") ? text : `${prelude}${text}await engine.close();\n`));
}

function run(command, args, options = {}) {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], ...options });
}

function say(text) {
  process.stdout.write(`${text}\n`);
}
