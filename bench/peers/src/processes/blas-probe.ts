// Builds the probe of OpenBLAS and BLIS (../../native) when it is missing or older than its source.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../../native/', import.meta.url));
const build = fileURLToPath(new URL('../../build/', import.meta.url));
const probe = `${build}blas-probe`;

/** Returns the path of the probe. @throws Error with the reason when it cannot be built */
export function buildBlasProbe(): string {
  const sources = ['blas-probe.cpp', 'CMakeLists.txt'].map((name) => statSync(source + name).mtimeMs);
  if (!existsSync(probe) || statSync(probe).mtimeMs < Math.max(...sources)) {
    cmake('-S', source, '-B', build, '-DCMAKE_BUILD_TYPE=Release');
    cmake('--build', build);
  }
  return probe;
}

function cmake(...args: readonly string[]): void {
  const { status, error, stderr } = spawnSync('cmake', args, { encoding: 'utf8' });
  if (error !== undefined) throw new Error(`its probe needs cmake: ${error.message}`);
  if (status !== 0) throw new Error(`its probe does not build: ${stderr.trim().split('\n').at(-1)}`);
}
