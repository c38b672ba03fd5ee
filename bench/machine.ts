// What a figure belongs to: the machine, the versions, and the commit. Reads; measures nothing.
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { IsaName } from '../src/index.js';
import { type Cache, readCaches } from '../src/machine/caches.js';
import { loadAddon, packageRoot } from '../src/native/load.js';

export interface Machine {
  /** As the CPU names itself. */
  readonly cpu: string;
  /** Logical CPUs of the host; a process may be allowed fewer. */
  readonly cores: number;
  readonly memoryBytes: number;
  readonly platform: string;
  readonly node: string;
  /** Version of this package. */
  readonly tesserae: string;
  /** Of the checkout that runs, with `-dirty` when files differ from it; null for an installed package. */
  readonly commit: string | null;
  /** The kernel sets that this CPU runs, the best one last. */
  readonly kernelSets: readonly IsaName[];
  /** Of the first CPU, the nearest first; empty where the system does not tell. */
  readonly caches: readonly Cache[];
}

export async function describeMachine(): Promise<Machine> {
  const processors = cpus();
  const { isas } = loadAddon();
  return {
    cpu: processors[0]?.model.replace(/\s+/g, ' ').trim() || 'unknown CPU',
    cores: processors.length,
    memoryBytes: totalmem(),
    platform: `${process.platform}-${process.arch}`,
    node: process.version,
    tesserae: packageVersion(),
    commit: await commitOf(packageRoot()),
    kernelSets: isas as readonly IsaName[],
    caches: readCaches(),
  };
}

export function packageVersion(): string {
  const manifest = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string };
  return manifest.version;
}

/** The model that comes with the package. */
export function bundledModelPath(): string {
  return join(packageRoot(), 'models/tesserae-tiny-f16.gguf');
}

/** Only if the folder itself is a checkout: an installed package may lie inside somebody else's. */
async function commitOf(root: string): Promise<string | null> {
  if (!existsSync(join(root, '.git'))) return null;
  try {
    const args = ['-C', root, 'describe', '--always', '--dirty', '--abbrev=9', '--exclude=*'];
    const { stdout } = await promisify(execFile)('git', args, { timeout: 5000 });
    return stdout.trim() || null;
  } catch {
    // No git on this machine, or a checkout that it does not trust: the figure has no commit, then.
    return null;
  }
}
