// Tries examples/docker, examples/lambda and examples/sea with the packed package, and without a container engine:
// `try-examples.mjs [image|layer|executable]`. It does what the Dockerfile says in folders, and starts the result in a root of its own, which has the program, the libraries of Node and
// nothing else, is read-only, and belongs to another user. Linux, as root; needs the registry. Part of `pnpm test:nightly`.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = join(dirname(fileURLToPath(import.meta.url)), '..');
const work = mkdtempSync(join(tmpdir(), 'tesserae-examples-'));
/** Of the user `nonroot` of distroless images. */
const user = 65532;
// Mounts proc, makes the root read-only, and enters it as the user, without any capability.
const enter = `set -e; root=$1; shift
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -o remount,bind,ro "$root"
exec chroot "$root" /setpriv --reuid ${user} --regid ${user} --clear-groups --bounding-set=-all --no-new-privs "$@"`;

try {
  const packed = run('npm', ['pack', '--json', '--loglevel', 'error', '--pack-destination', work], { cwd: repository });
  const tarball = join(work, JSON.parse(packed)[0].filename);
  const tries = { image: tryImage, layer: tryLayer, executable: tryExecutable };
  for (const name of process.argv.length > 2 ? process.argv.slice(2) : Object.keys(tries)) tries[name](tarball);
} catch (error) {
  process.stderr.write(`try-examples: ${error.message}\n`);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** The two stages of examples/docker/Dockerfile. */
function tryImage(tarball) {
  const app = makeProject('image-build', 'docker', ['main.mjs'], ['install', '--package-lock-only', tarball]);
  npm(app, ['ci', '--omit=dev', '--ignore-scripts']);
  const root = makeRoot('image');
  cpSync(app, join(root, 'app'), { recursive: true });
  report('image', inRoot(root, ['/node', '/app/main.mjs']));
}

/** The layer at /opt, and the function at /var/task, as Lambda has them. */
function tryLayer(tarball) {
  const folder = join(work, 'layer-build');
  cpSync(join(repository, 'examples/lambda'), folder, { recursive: true });
  run('bash', ['layer.sh', tarball], { cwd: folder });
  const root = makeRoot('function');
  cpSync(join(folder, 'layer'), join(root, 'opt'), { recursive: true });
  mkdirSync(join(root, 'var/task'), { recursive: true });
  copyFileSync(join(folder, 'index.cjs'), join(root, 'var/task/index.cjs'));
  const call = `require('/var/task/index.cjs').handler({ texts: ['a text', 'another'] }).then((vectors) => {
    console.log(vectors.length + ' vectors of ' + vectors[0].length);
    process.exit();
  });`;
  report('layer', inRoot(root, ['/node', '--eval', call], { NODE_PATH: '/opt/nodejs/node_modules' }));
}

function tryExecutable(tarball) {
  const files = ['build.sh', 'main.mjs'];
  const app = makeProject('executable', 'sea', files, ['install', tarball, 'esbuild', 'postject']);
  run('bash', ['build.sh'], { cwd: app });
  const root = makeRoot('executable-root');
  cpSync(join(app, 'out'), join(root, 'out'), { recursive: true });
  rmSync(join(root, 'node'));
  report('executable', inRoot(root, ['/out/app']));
}

function makeProject(name, example, files, install) {
  const app = join(work, name);
  mkdirSync(app);
  for (const file of files) copyFileSync(join(repository, 'examples', example, file), join(app, file));
  writeFileSync(join(app, 'package.json'), '{ "name": "app", "private": true }');
  npm(app, [...install, '--ignore-scripts']);
  return app;
}

/** A root with Node, what it is linked with, and the program that changes the user. */
function makeRoot(name) {
  const root = join(work, name);
  for (const folder of ['proc', 'lib64']) mkdirSync(join(root, folder), { recursive: true });
  const setpriv = run('sh', ['-c', 'command -v setpriv']).trim();
  for (const program of [process.execPath, setpriv]) {
    copyFileSync(program, join(root, basename(program)));
    chmodSync(join(root, basename(program)), 0o755);
    for (const [, library] of run('ldd', [program]).matchAll(/(?:=> |^\s*)(\/\S+) \(/gm)) {
      mkdirSync(join(root, dirname(library)), { recursive: true });
      copyFileSync(library, join(root, library));
    }
  }
  return root;
}

function inRoot(root, command, variables = {}) {
  const env = { PATH: process.env.PATH, ...variables };
  return run('unshare', ['--mount', '--pid', '--fork', 'bash', '-c', enter, 'enter', root, ...command], { env });
}

function npm(cwd, args) {
  run('npm', [...args, '--no-audit', '--no-fund', '--loglevel', 'error'], { cwd });
}

function report(what, printed) {
  const line = printed.trim().split('\n', 1)[0];
  if (line === '') throw new Error(`${what} printed nothing`);
  process.stdout.write(`${what}: ${line.slice(0, 100)}\n`);
}

function run(command, args, options = {}) {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], ...options });
}
