// How many CPUs this process may use, by its affinity mask and its control groups, and how many cores these are; the host may
// have more. Called by the engine: the cores are its default number of threads.
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

/** Where Linux describes the CPUs; tests use others. */
export interface CpuFiles {
  /** `/proc/self/status`. */
  readonly status: string;
  /** `/sys/devices/system/cpu`. */
  readonly cpus: string;
}

const systemCpus: CpuFiles = { status: '/proc/self/status', cpus: '/sys/devices/system/cpu' };

/**
 * The physical cores among the CPUs that this process may use, `cpus` at most: the hardware threads of a core share its
 * arithmetic units, so that a second worker on one adds next to nothing. A CPU whose siblings are not known is a core.
 */
export function usableCores(cpus: number = usableCpus(), files: CpuFiles = systemCpus): number {
  const [, list] = /^Cpus_allowed_list:\s*(\S*)$/m.exec(readText(files.status)) ?? [];
  const allowed = cpusOf(list ?? '');
  const counted = new Set<number>();
  let cores = 0;
  for (const cpu of allowed) {
    if (counted.has(cpu)) continue;
    cores += 1;
    const siblings = readText(join(files.cpus, `cpu${cpu}`, 'topology', 'thread_siblings_list'));
    for (const sibling of cpusOf(siblings)) counted.add(sibling);
  }
  return cores === 0 ? cpus : Math.min(cores, cpus);
}

/** The CPUs of a list such as `0-3,8`. */
function cpusOf(list: string): number[] {
  return [...list.matchAll(/(\d+)(?:-(\d+))?/g)].flatMap(([, first, last]) => {
    const count = Number(last ?? first) - Number(first) + 1;
    return Array.from({ length: Math.max(0, count) }, (_, i) => Number(first) + i);
  });
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
