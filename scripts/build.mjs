// Builds the native addon (cmake-js) and the TypeScript (tsc), both incrementally; `native` or `ts` as argument builds
// that half alone. Called by the scripts of package.json. Each finished half writes a stamp, by which
// test/support/house/build-check.ts recognises a stale build.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

const halves = {
  native() {
    needTool('CMake', ['cmake']);
    needTool('A C++17 compiler', [process.env.CXX ?? 'c++', 'g++', 'clang++']);
    say('building the native addon');
    run([installed('cmake-js/bin/cmake-js'), 'compile', '--log-level', 'error']);
    stamp('build');
  },
  ts() {
    say('compiling the TypeScript');
    removeOrphans();
    run([installed('typescript/bin/tsc'), '--project', 'tsconfig.json']);
    stamp('dist');
  },
};

const chosen = process.argv.length > 2 ? process.argv.slice(2) : ['native', 'ts'];
for (const name of chosen) {
  if (!Object.hasOwn(halves, name)) fail(`unknown argument '${name}': expected native or ts`, 2);
}
for (const name of chosen) halves[name]();

function needTool(what, commands) {
  if (commands.some((command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0)) return;
  fail(`${what} is missing; the native addon is built with it. On Debian: apt-get install cmake g++ ninja-build`, 1);
}

function installed(module) {
  return fileURLToPath(import.meta.resolve(module));
}

function run(args) {
  const { status, error } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (error) fail(error.message, 1);
  if (status !== 0) process.exit(status ?? 1);
}

// Removes the output of deleted sources, which would still be run and packed.
function removeOrphans() {
  const dist = join(root, 'dist');
  if (!existsSync(dist)) return;
  for (const file of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
    const source = file.replace(/(\.d\.ts|\.js|\.js\.map)$/, '.ts');
    if (source !== file && !existsSync(join(root, source))) rmSync(join(dist, file));
  }
}

function stamp(folder) {
  mkdirSync(join(root, folder), { recursive: true });
  writeFileSync(join(root, folder, '.built'), '');
}

function say(text) {
  process.stderr.write(`tesserae: ${text}\n`);
}

function fail(text, code) {
  say(text);
  process.exit(code);
}
