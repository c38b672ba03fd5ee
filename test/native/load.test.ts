// src/native/load.ts: which binary is loaded, and the error if none loads.
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { packageRoot } from '../../src/base/package-files.js';
import { loadAddon } from '../../src/native/load.js';
import { expectRejection } from '../support/rejections.js';

const platform = `${process.platform}-${process.arch}`;
const built = join(packageRoot(), 'build/Release/tesserae.node');
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tesserae-load-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('loadAddon', () => {
  test('loads the build of a checkout', () => {
    expect(loadAddon()).toBeTypeOf('object');
    expect(loadAddon()).toBe(loadAddon());
  });

  test('loads the prebuilt binary if there is no build', () => {
    const prebuilt = place(`prebuilds/${platform}/tesserae.node`);
    copyFileSync(built, prebuilt);
    expect(Object.keys(loadAddon(folder))).toEqual(Object.keys(loadAddon()));
  });

  test('says in one line that there is no binary, for which platform, and where it looked', async () => {
    const error = await expectRejection(() => loadAddon(folder), 'ERR_NATIVE');
    expect(error.message).toContain(platform);
    expect(error.message).toContain(join(folder, 'build/Release/tesserae.node'));
    expect(error.message).toContain(join(folder, `prebuilds/${platform}/tesserae.node`));
    expect(error.message).not.toContain('\n');
  });

  test('says in one line that a binary does not load, and does not try the next', async () => {
    const broken = place('build/Release/tesserae.node');
    writeFileSync(broken, 'not a shared object');
    copyFileSync(built, place(`prebuilds/${platform}/tesserae.node`));
    const error = await expectRejection(() => loadAddon(folder), 'ERR_NATIVE');
    expect(error.message).toContain(broken);
    expect(error.message).toContain(platform);
    expect(error.message).not.toContain('\n');
    expect(error.cause).toBeInstanceOf(Error);
  });
});

function place(file: string): string {
  mkdirSync(dirname(join(folder, file)), { recursive: true });
  return join(folder, file);
}
