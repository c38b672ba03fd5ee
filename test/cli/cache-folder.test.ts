// Where the commands keep images of weights: in the user's cache folder for large files, else where the option says.
import { mkdirSync, readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { cacheOf } from '../../src/cli/cache-folder.js';
import { bundledModelPath } from '../support/models/bundled-model.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { runCli } from './run-cli.js';

const folder = temporaryFolder();
afterAll(() => folder.remove());

function fileOf(sizeBytes: number): string {
  const path = folder.file(`${sizeBytes}.gguf`);
  writeFileSync(path, '');
  truncateSync(path, sizeBytes);
  return path;
}

describe('the folder', () => {
  test("is the user's for files of 256 MiB and more", async () => {
    const home = folder.file('home');
    expect(await cacheOf(undefined, fileOf((256 << 20) - 1), home)).toEqual({});
    expect(readdirSync(folder.file('.'))).not.toContain('home');
    const cache = join(home, '.cache', 'tesserae');
    expect(await cacheOf(undefined, fileOf(256 << 20), home)).toEqual({ cache });
    expect(statSync(cache).mode & 0o777).toBe(0o700);
  });

  test('is none where it cannot be made, and where the file is not there', async () => {
    expect(await cacheOf(undefined, fileOf(256 << 20), join(fileOf(0), 'below'))).toEqual({});
    expect(await cacheOf(undefined, folder.file('missing'), folder.file('home'))).toEqual({});
  });

  test('is what the option says', async () => {
    expect(await cacheOf('none', fileOf(256 << 20))).toEqual({});
    expect(await cacheOf('here', fileOf(0))).toEqual({ cache: 'here' });
  });
});

test('a command with --cache gives the same text from the image', async () => {
  const cache = folder.file('images');
  const run = () => runCli(['generate', 'The sea', '--max-tokens', '8', '--model', bundledModelPath, '--cache', cache]);
  const first = await run();
  expect(first).toMatchObject({ code: 0 });
  expect(readdirSync(cache)).toHaveLength(1);
  expect(await run()).toMatchObject({ code: 0, stdout: first.stdout });
});

test('a folder that others may read is refused in one line', async () => {
  const cache = folder.file('open');
  mkdirSync(cache, { mode: 0o755 });
  const { code, stderr } = await runCli(['generate', 'x', '--cache', cache]);
  expect(code).toBe(2);
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect(stderr).toContain('0700');
});
