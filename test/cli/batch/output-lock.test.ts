// The lock of a batch's output where its holder cannot be asked for: on another machine. Holders of this machine are in
// batch.test.ts.
import { existsSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { lockOutput } from '../../../src/cli/batch/output-lock.js';
import { temporaryFolder } from '../../support/temporary-folder.js';

const folder = temporaryFolder();
afterAll(() => folder.remove());
const times = { renewMs: 20, patienceMs: 200 };
const elsewhere = JSON.stringify({ pid: 1, host: 'elsewhere', started: null });

test('one that is renewed is refused, and one that is not is taken over', async () => {
  const output = folder.file('a');
  const lock = `${output}.lock`;
  writeFileSync(lock, elsewhere);
  const renewing = setInterval(() => utimesSync(lock, new Date(), new Date()), 20);
  await expect(lockOutput(output, times)).rejects.toThrow(`${output} is in use by process 1 on elsewhere`);
  clearInterval(renewing);
  expect(readFileSync(lock, 'utf8')).toBe(elsewhere);
  const taken = await lockOutput(output, times);
  expect(JSON.parse(readFileSync(lock, 'utf8'))).toMatchObject({ pid: process.pid, host: hostname() });
  await expect(lockOutput(output, times)).rejects.toThrow(`in use by process ${process.pid}:`);
  await taken.release();
  expect(existsSync(lock)).toBe(false);
});

test('its time is renewed, and it is lost when another process has it', async () => {
  const output = folder.file('b');
  const lock = `${output}.lock`;
  const taken = await lockOutput(output, times);
  utimesSync(lock, 0, 0);
  await sleep(200);
  const foreign = { host: 'elsewhere', pid: 2, started: null };
  expect(taken.isLost).toBe(false);
  writeFileSync(lock, JSON.stringify(foreign));
  while (!taken.isLost) await sleep(5);
  await taken.release();
  expect(JSON.parse(readFileSync(lock, 'utf8'))).toEqual(foreign);
});
