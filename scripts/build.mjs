// Builds the native addon (cmake-js), the addon as WebAssembly where its compiler is installed, and the TypeScript (tsc, esbuild), all
// incrementally; `native`, `wasm` or `ts` as argument builds that part alone, `arm64` cross-compiles the addon for the package.
// Called by the scripts of package.json. The native addon and the TypeScript write a stamp when they are finished, by which
// test/support/house/build-check.ts recognises a stale build.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { digestOfNativeSources, sourcesFile } from './native-sources.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

const commonJs = {
  format: 'cjs',
  platform: 'node',
  target: 'node20.19',
  logLevel: 'warning',
  define: { 'import.meta.url': 'undefined' },
};

const wasmPackages = 'clang-22 lld-22 libc++-22-dev-wasm32 libclang-rt-22-dev-wasm32 wasi-libc';

const halves = {
  native() {
    needTool('CMake', ['cmake']);
    needTool('A C++17 compiler', [process.env.CXX ?? 'c++', 'g++', 'clang++']);
    say('building the native addon');
    const sources = digestOfNativeSources(root);
    run(process.execPath, [installed('cmake-js/bin/cmake-js'), 'compile', '--log-level', 'error']);
    strip('strip', join(root, 'build/Release/tesserae.node'), `${process.platform}-${process.arch}`, sources);
    stamp('build');
  },
  // For the package: after `native`, from whose configuration it takes where the headers are.
  arm64() {
    if (process.platform !== 'linux' || process.arch === 'arm64') return;
    if (!isTool('aarch64-linux-gnu-g++')) {
      say('left out the addon for arm64: its compiler is missing (on Debian: apt-get install g++-aarch64-linux-gnu)');
      return;
    }
    say('building the native addon for arm64');
    const sources = digestOfNativeSources(root);
    const cache = readFileSync(join(root, 'build/CMakeCache.txt'), 'utf8');
    const headers = /^CMAKE_JS_INC:\w+=(.*)$/m.exec(cache)?.[1];
    if (headers === undefined) fail('build the native addon of this machine first', 1);
    run('cmake', [
      ...['-S', '.', '-B', 'build-arm64', ...(isTool('ninja') ? ['-G', 'Ninja'] : [])],
      '-DCMAKE_SYSTEM_NAME=Linux',
      '-DCMAKE_SYSTEM_PROCESSOR=aarch64',
      '-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++',
      '-DCMAKE_BUILD_TYPE=Release',
      `-DCMAKE_JS_INC=${headers}`,
      `-DCMAKE_LIBRARY_OUTPUT_DIRECTORY=${join(root, 'build-arm64/Release')}`,
    ]);
    run('cmake', ['--build', 'build-arm64', '--target', 'tesserae']);
    strip('aarch64-linux-gnu-strip', join(root, 'build-arm64/Release/tesserae.node'), 'linux-arm64', sources);
  },
  // For the package: what runs where no native addon does. The compiler is a fixed one, so that the bytes are the same everywhere;
  // Clang 19 compiles the sources wrongly.
  wasm() {
    if (!isTool('clang++-22') || !isTool('wasm-ld-22')) {
      say(`left out the WebAssembly: its compiler is missing (on Debian: apt-get install ${wasmPackages})`);
      return;
    }
    say('building the WebAssembly');
    const sources = digestOfNativeSources(root);
    const options = ['-DCMAKE_CXX_COMPILER=clang++-22', ...(isTool('ninja') ? ['-G', 'Ninja'] : [])];
    run('cmake', ['-S', 'native/wasm', '-B', 'build-wasm', '--log-level=WARNING', ...options]);
    run('cmake', ['--build', 'build-wasm', '--parallel', String(availableParallelism())]);
    mkdirSync(join(root, 'prebuilds/wasm'), { recursive: true });
    for (const name of ['tesserae.wasm', 'tesserae-fused.wasm']) {
      copyFileSync(join(root, 'build-wasm', name), join(root, 'prebuilds/wasm', name));
    }
    writeFileSync(join(root, 'prebuilds/wasm', sourcesFile), sources);
  },
  async ts() {
    say('compiling the TypeScript');
    removeOrphans();
    run(process.execPath, [installed('typescript/bin/tsc'), '--project', 'tsconfig.json']);
    await bundleWorker();
    await writeCommonJs();
    stamp('dist');
  },
};

const chosen = process.argv.length > 2 ? process.argv.slice(2) : ['native', 'wasm', 'ts'];
for (const name of chosen) {
  if (!Object.hasOwn(halves, name)) fail(`unknown argument '${name}': expected native, arm64, wasm or ts`, 2);
}
for (const name of chosen) await halves[name]();

function needTool(what, commands) {
  if (commands.some(isTool)) return;
  fail(`${what} is missing; the native addon is built with it. On Debian: apt-get install cmake g++ ninja-build`, 1);
}

function isTool(command) {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;
}

function installed(module) {
  return fileURLToPath(import.meta.resolve(module));
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error) fail(error.message, 1);
  if (status !== 0) process.exit(status ?? 1);
}

// Copies an addon without its symbol table to where the package has it, with the digest of its sources. macOS and Windows keep the
// file as it is.
function strip(command, addon, platform, sources) {
  const target = join(root, 'prebuilds', platform, 'tesserae.node');
  mkdirSync(dirname(target), { recursive: true });
  if (platform.startsWith('linux')) run(command, ['--strip-unneeded', '-o', target, addon]);
  else copyFileSync(addon, target);
  writeFileSync(join(dirname(target), sourcesFile), sources);
}

// Writes dist/worker.cjs, the one file of all worker threads, with Piscina and its worker inside. Piscina looks for its worker
// in a file beside its own; here that is the bundle itself.
async function bundleWorker() {
  const place = "(0, node_path_1.resolve)(__dirname, 'worker.js')";
  const plugin = {
    name: 'piscina-in-one-file',
    setup(bundle) {
      bundle.onLoad({ filter: /[\\/]piscina[\\/]dist[\\/]index\.js$/ }, ({ path }) => {
        const [before, after, ...more] = readFileSync(path, 'utf8').split(place);
        if (after === undefined || more.length > 0) fail(`${path} does not start its worker as expected`, 1);
        return { contents: `${before}__filename${after}` };
      });
    },
  };
  await build({
    ...commonJs,
    entryPoints: [join(root, 'workers/worker.cjs')],
    outfile: join(root, 'dist/worker.cjs'),
    bundle: true,
    external: ['@napi-rs/nice'], // for an option of Piscina's that is not used
    legalComments: 'inline',
    plugins: [plugin],
  });
}

// Writes dist/cjs, the library as CommonJS: for test runners and compilers that cannot require ES modules.
async function writeCommonJs() {
  const modules = join(root, 'dist/src');
  const output = join(root, 'dist/cjs');
  const files = readdirSync(modules, { recursive: true, encoding: 'utf8' }).filter((file) => !/^cli\b/.test(file));
  rmSync(output, { recursive: true, force: true });
  await build({
    ...commonJs,
    entryPoints: files.filter((file) => file.endsWith('.js')).map((file) => join(modules, file)),
    outbase: modules,
    outdir: output,
  });
  for (const file of files.filter((name) => name.endsWith('.d.ts')))
    copyFileSync(join(modules, file), join(output, file));
  writeFileSync(join(output, 'package.json'), '{ "type": "commonjs" }\n');
}

// Removes the output of deleted sources, which would still be run and packed.
function removeOrphans() {
  const dist = join(root, 'dist');
  if (!existsSync(dist)) return;
  for (const file of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
    if (/^cjs\b/.test(file)) continue;
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
