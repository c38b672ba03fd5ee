// scripts/bench-compare.mjs: wrong arguments are refused before anything is built.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../src/base/package-files.js';

function compare(...args: string[]) {
  const script = join(packageRoot(), 'scripts/bench-compare.mjs');
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

test.each([
  [[], 'name the commit'],
  [['no-such-commit'], 'there is no commit no-such-commit'],
  [['HEAD', '--rounds', '0'], '--rounds'],
  [['HEAD', '--fast'], 'unknown option --fast'],
  [['HEAD', 'matmul'], 'come after --'],
])('bench:compare %j is bad usage', (args, message) => {
  const { status, stdout, stderr } = compare(...args);
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  expect(stderr).toContain(message);
});

test('--help', () => {
  const { status, stdout } = compare('--help');
  expect(status).toBe(0);
  expect(stdout).toContain('usage: pnpm bench:compare REF');
});
