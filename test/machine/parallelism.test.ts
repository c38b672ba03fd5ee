// src/machine/parallelism.ts: how many CPUs a process may use, from control-group files as they are in containers.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type CgroupFiles, usableCpus } from '../../src/machine/parallelism.js';

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
