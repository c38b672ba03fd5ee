// src/machine/parallelism.ts: how many CPUs and cores a process may use, from control-group files as they are in containers,
// and from descriptions of CPUs as machines with hardware threads and several nodes have them.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type CgroupFiles, type CpuFiles, usableCores, usableCpus } from '../../src/machine/parallelism.js';

const folders: string[] = [];

/** Writes the files below a new folder; `membership` is the text of /proc/self/cgroup. */
function cgroup(membership: string, files: Record<string, string>): CgroupFiles {
  const root = mkdtempSync(join(tmpdir(), 'tesserae-cgroup-'));
  folders.push(root);
  for (const [name, text] of Object.entries({ membership, ...files })) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return { membership: join(root, 'membership'), root };
}

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

describe('usableCpus', () => {
  it.each([
    ['no limit', '0::/\n', { 'cpu.max': 'max 100000\n' }, 16],
    ['no files at all', '', {}, 16],
    ['version 2 in a container', '0::/\n', { 'cpu.max': '400000 100000\n' }, 4],
    ['a fraction rounds up', '0::/\n', { 'cpu.max': '150000 100000\n' }, 2],
    ['less than one CPU', '0::/\n', { 'cpu.max': '20000 100000\n' }, 1],
    ['a quota above the affinity', '0::/\n', { 'cpu.max': '6400000 100000\n' }, 16],
    ['a parent limits its children', '0::/a/b\n', { 'a/cpu.max': '300000 100000', 'a/b/cpu.max': 'max 100000' }, 3],
    [
      'the child limits itself further',
      '0::/a/b\n',
      { 'a/cpu.max': '300000 100000', 'a/b/cpu.max': '100000 100000' },
      1,
    ],
    ['a path outside the container', '0::/../../kubepods/x\n', { 'cpu.max': '200000 100000' }, 2],
    [
      'version 1',
      '4:cpu,cpuacct:/job\n3:memory:/job\n',
      { 'cpu,cpuacct/job/cpu.cfs_quota_us': '250000\n', 'cpu,cpuacct/job/cpu.cfs_period_us': '100000\n' },
      3,
    ],
    [
      'version 1 without a limit',
      '4:cpu,cpuacct:/\n',
      { 'cpu,cpuacct/cpu.cfs_quota_us': '-1\n', 'cpu,cpuacct/cpu.cfs_period_us': '100000\n' },
      16,
    ],
    ['text that is not a number', '0::/\n', { 'cpu.max': 'abc def\n' }, 16],
  ])('%s', (_, membership, files, expected) => {
    expect(usableCpus(cgroup(membership, files), 16)).toBe(expected);
  });

  it('never exceeds the affinity of this process', () => {
    expect(usableCpus()).toBeGreaterThanOrEqual(1);
  });
});

describe('usableCores', () => {
  /** A machine that says of each CPU which CPUs share its core, and of which the process may use `allowed`. */
  function machine(allowed: string, siblings: readonly string[]): CpuFiles {
    const files: Record<string, string> = {
      status: `Name:\tnode\nCpus_allowed:\tff\nCpus_allowed_list:\t${allowed}\n`,
    };
    siblings.forEach((list, cpu) => {
      files[`cpus/cpu${cpu}/topology/thread_siblings_list`] = `${list}\n`;
    });
    const { root } = cgroup('', files);
    return { status: join(root, 'status'), cpus: join(root, 'cpus') };
  }
  const separate = ['0', '1', '2', '3'];
  const adjacent = ['0-1', '0-1', '2-3', '2-3', '4-5', '4-5', '6-7', '6-7'];
  /** Two nodes of four cores: CPUs 0-3 and their second threads 8-11 are node 0. */
  const twoNodes = Array.from({ length: 16 }, (_, cpu) => `${cpu % 8},${(cpu % 8) + 8}`);

  it.each([
    ['one thread a core', '0-3', separate, 4, 4],
    ['two threads a core, side by side', '0-7', adjacent, 8, 4],
    ['one thread of each core', '0,2,4,6', adjacent, 4, 4],
    ['both threads of one core', '4-5', adjacent, 2, 1],
    ['a core and half of the next', '0-2', adjacent, 3, 2],
    ['two nodes with two threads a core', '0-15', twoNodes, 16, 8],
    ['one of two nodes', '0-3,8-11', twoNodes, 8, 4],
    ['second threads alone', '8-15', twoNodes, 8, 8],
    ['a quota below the cores', '0-15', twoNodes, 3, 3],
    ['a quota between cores and threads', '0-15', twoNodes, 12, 8],
    ['four threads a core', '0-7', Array.from({ length: 8 }, (_, cpu) => (cpu < 4 ? '0-3' : '4-7')), 8, 2],
    ['no description of the CPUs', '0-3', [], 4, 4],
    ['no list of the CPUs', '', adjacent, 8, 8],
  ])('%s', (_, allowed, siblings, cpus, expected) => {
    expect(usableCores(cpus, machine(allowed, siblings))).toBe(expected);
  });

  it('is at least 1, and at most the CPUs of this process', () => {
    expect(usableCores()).toBeGreaterThanOrEqual(1);
    expect(usableCores()).toBeLessThanOrEqual(usableCpus());
  });
});
