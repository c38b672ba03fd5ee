// Prepares llama.cpp: installs its CPU libraries (this folder is a package of its own, whose install runs no script)
// and builds the probe that calls them. Does nothing when both are present. Called by the suite model and the parity
// tests.
import { spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/base/package-files.js';
import type { LineCommand } from '../processes/line-process.js';
import { MissingPeerError } from '../processes/missing-peer.js';

const sources = ['CMakeLists.txt', 'llama-api.h', 'llama-probe.cpp'];

/**
 * Installs and builds what is missing, and returns how to start the probe.
 * @param options `install`: whether what is not installed is fetched from the registry; true by default
 * @throws MissingPeerError with one clear line when this is no checkout, or when a tool or the network is missing
 */
export async function prepareLlama(
  onProgress: (text: string) => void,
  { install = true }: { readonly install?: boolean } = {},
): Promise<LineCommand> {
  const folder = join(packageRoot(), 'bench/llama');
  if (!existsSync(join(folder, 'package.json'))) {
    throw new MissingPeerError(
      'llama.cpp can be measured only in a checkout of the repository: bench/llama is not in the package',
    );
  }
  const libraries = join(folder, 'node_modules/@node-llama-cpp/linux-x64/bins/linux-x64');
  if (!existsSync(libraries)) {
    if (!install) throw new MissingPeerError('llama.cpp is not installed: the option --peers installs it');
    onProgress('installing the libraries of llama.cpp');
    await installPackage(folder);
    if (!existsSync(libraries)) throw new MissingPeerError('llama.cpp can be measured only on Linux on x64');
  }
  const build = join(packageRoot(), 'build-llama');
  const probe = join(build, 'llama-probe');
  const written = sources.map((name) => statSync(join(folder, 'native', name)).mtimeMs);
  if (!existsSync(probe) || statSync(probe).mtimeMs < Math.max(...written)) {
    onProgress('building the probe of llama.cpp');
    await run('cmake', ['-S', join(folder, 'native'), '-B', build, '-DCMAKE_BUILD_TYPE=Release']);
    await run('cmake', ['--build', build]);
  }
  return { file: probe, args: [libraries] };
}

/** Installs the dependencies of a package of its own, without running scripts. */
export async function installPackage(folder: string): Promise<void> {
  await run('npx', ['-y', 'pnpm', '--dir', folder, 'install', '--frozen-lockfile', '--ignore-scripts']);
}

async function run(file: string, args: readonly string[]): Promise<void> {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
    });
  }
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (error) => reject(new MissingPeerError(`llama.cpp needs ${file}: ${error.message}`)));
    child.once('close', resolve);
  });
  if (status !== 0)
    throw new MissingPeerError(`llama.cpp cannot be prepared: ${file}: ${printed.trim().split('\n').at(-1)}`);
}
