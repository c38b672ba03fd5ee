// How many CPUs this process may use, by its affinity mask and its control groups; the host may have more.
// Called by the engine for the default number of threads.
import { availableParallelism } from 'node:os';
import { join, posix } from 'node:path';
import { readText } from './read-text.js';

/** The files in which Linux describes control groups; tests use others. */
export interface CgroupFiles {
  /** `/proc/self/cgroup`. */
  readonly membership: string;
  /** `/sys/fs/cgroup`. */
  readonly root: string;
}

const systemFiles: CgroupFiles = { membership: '/proc/self/cgroup', root: '/sys/fs/cgroup' };

/** The number of CPUs in the affinity mask (cpusets included) or the CPU quota rounded up, if that is less; at least 1. */
export function usableCpus(files: CgroupFiles = systemFiles, affinity: number = availableParallelism()): number {
  const quota = cpuQuota(files);
  return Math.max(1, Math.min(affinity, quota === undefined ? affinity : Math.ceil(quota)));
}

/**
 * The CPU quota in CPUs, or undefined if there is none: the smallest quota of the process's control group and the groups
 * above it, each of which limits all below it. Cgroup version 2 has it in cpu.max, version 1 in cpu.cfs_quota_us.
 */
export function cpuQuota(files: CgroupFiles): number | undefined {
  const quotas = readText(files.membership)
    .split('\n')
    .flatMap((line) => {
      const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
      if (controllers === undefined || path === undefined) return [];
      if (controllers === '') return groupsUpFrom(files.root, path).map(quotaOfVersion2);
      if (!controllers.split(',').includes('cpu')) return [];
      const mounts = [join(files.root, controllers), join(files.root, 'cpu')];
      return mounts.flatMap((mount) => groupsUpFrom(mount, path).map(quotaOfVersion1));
    })
    .filter((quota) => quota !== undefined);
  return quotas.length === 0 ? undefined : Math.min(...quotas);
}

/**
 * The folders of a control group and of all groups above it, up to the mount. In a container the path may not exist
 * below the mount; the mount itself is the group then.
 */
function groupsUpFrom(mount: string, path: string): string[] {
  const folders: string[] = [];
  for (let current = posix.normalize(path); ; current = posix.dirname(current)) {
    folders.push(join(mount, current));
    if (current === '/' || current === '.') return folders;
  }
}

function quotaOfVersion2(folder: string): number | undefined {
  const [quota, period] = readText(join(folder, 'cpu.max')).split(/\s+/);
  return ratio(quota, period);
}

function quotaOfVersion1(folder: string): number | undefined {
  return ratio(readText(join(folder, 'cpu.cfs_quota_us')), readText(join(folder, 'cpu.cfs_period_us')));
}

/** Undefined if there is no limit (`max` or -1) or no such file. */
function ratio(quota: string | undefined, period: string | undefined): number | undefined {
  const cpus = Number.parseInt(quota ?? '', 10) / Number.parseInt(period ?? '', 10);
  return cpus > 0 && Number.isFinite(cpus) ? cpus : undefined;
}
