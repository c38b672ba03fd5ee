// What a measured figure belongs to: the machine, the versions and the commit. Reads; measures nothing. Called by
// `tesserae info` and the benchmarks.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findPackageRoot, packageVersion } from '../base/package-files.js';
import { type Cache, cacheName, readCaches } from '../machine/caches.js';
import type { IsaName } from '../machine/environment.js';
import { loadAddon } from '../native/load.js';

export interface Machine {
  /** The CPU's own name for itself. */
  readonly cpu: string;
  /** Logical CPUs of the host; a process may be allowed fewer. */
  readonly cores: number;
  readonly memoryBytes: number;
  /** `linux-x64` */
  readonly platform: string;
  /** Version of Node.js. */
  readonly node: string;
  /** Version of this package. */
  readonly tesserae: string;
  /** Of the checkout that runs, with `-dirty` when files differ from it; null for an installed package. */
  readonly commit: string | null;
  /** The kernel sets that this CPU runs, the best one last. */
  readonly kernelSets: readonly IsaName[];
  /** Of the first CPU, the nearest first; empty where the system does not report them. */
  readonly caches: readonly MachineCache[];
}

export interface MachineCache extends Cache {
  /** `L1d`, `L1i`, `L2`. */
  readonly name: string;
}

/**
 * Describes the machine and the package, as `tesserae info` prints it.
 * @throws TesseraeError ERR_NATIVE without a usable addon
 */
export async function describeMachine(): Promise<Machine> {
  const processors = cpus();
  const { isas } = loadAddon();
  return {
    cpu: processors[0]?.model.replace(/\s+/g, ' ').trim() || 'unknown CPU',
    cores: processors.length,
    memoryBytes: totalmem(),
    platform: `${process.platform}-${process.arch}`,
    node: process.version,
    tesserae: packageVersion,
    commit: await commitOf(findPackageRoot()),
    kernelSets: isas as readonly IsaName[],
    caches: readCaches().map((cache) => ({ name: cacheName(cache), ...cache })),
  };
}

/** Null unless the folder itself is a checkout: an installed package may be inside somebody else's. */
async function commitOf(root: string | undefined): Promise<string | null> {
  if (root === undefined || !existsSync(join(root, '.git'))) return null;
  try {
    const args = ['-C', root, 'describe', '--always', '--dirty', '--abbrev=9', '--exclude=*'];
    const { stdout } = await promisify(execFile)('git', args, { timeout: 5000 });
    return stdout.trim() || null;
  } catch {
    // Git is missing, or does not trust the checkout: the commit is unknown.
    return null;
  }
}
