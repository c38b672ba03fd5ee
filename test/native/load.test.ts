// src/native/load.ts: which files are loaded, and the errors if none is there, or the wrong one.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findWorkerFile, packageRoot } from '../../src/base/package-files.js';
import { Engine } from '../../src/index.js';
import { loadAddon, loadWorkerFile } from '../../src/native/load.js';
import { expectRejection } from '../support/rejections.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const platform = `${process.platform}-${process.arch}`;
const built = join(packageRoot(), 'build/Release/tesserae.node');
const folders = temporaryFolder();
const foreign = foreignAddon(folders.file('foreign.node'));
let folder: string;
let count = 0;

beforeEach(() => {
  folder = folders.file(String(count++));
  mkdirSync(folder);
});
afterEach(() => {
  delete process.env.TESSERAE_ADDON;
});
afterAll(() => folders.remove());

describe('loadAddon', () => {
  test('loads the build of a checkout', () => {
    expect(loadAddon()).toBeTypeOf('object');
    expect(loadAddon()).toBe(loadAddon());
  });

  test('loads the prebuilt binary if there is no build', () => {
    const prebuilt = place(`prebuilds/${platform}/tesserae.node`);
    copyFileSync(built, prebuilt);
    expect(Object.keys(loadAddon({ root: folder }))).toEqual(Object.keys(loadAddon()));
  });

  test('says in one line that there is no binary, for which platform, where it looked, and what to do', async () => {
    const error = await expectRejection(() => loadAddon({ root: folder }), 'ERR_NATIVE');
    expect(error.message).toContain(platform);
    expect(error.message).toContain(join(folder, 'build/Release/tesserae.node'));
    expect(error.message).toContain(join(folder, `prebuilds/${platform}/tesserae.node`));
    expect(error.message).toMatch(/pnpm build.*TESSERAE_ADDON.*addonPath/);
    expect(error.message).not.toContain('\n');
  });

  test('names the platforms that have a binary', async () => {
    writeFileSync(place('prebuilds/plan9-mips/tesserae.node'), '');
    await expectRejection(() => loadAddon({ root: folder }), 'ERR_NATIVE', /there is one for plan9-mips/);
  });

  const header = readFileSync(built).subarray(0, 64);
  test.each([
    ['that is no shared object', Buffer.from('not a shared object')],
    ['that is empty', Buffer.alloc(0)],
    ['that is cut off', readFileSync(built).subarray(0, 100_000)],
    [
      'for another machine',
      Buffer.concat([header.subarray(0, 18), Buffer.from([0xf3, 0]), readFileSync(built).subarray(20)]),
    ],
  ])('says in one line that a file does not load %s, and does not try the next', async (_what, bytes) => {
    const broken = place('build/Release/tesserae.node');
    writeFileSync(broken, bytes);
    copyFileSync(built, place(`prebuilds/${platform}/tesserae.node`));
    const error = await expectRejection(() => loadAddon({ root: folder }), 'ERR_NATIVE', /does not load/);
    expect(error.message).toContain(broken);
    expect(error.message).toContain(platform);
    expect(error.message).not.toContain('\n');
    expect(error.cause).toBeInstanceOf(Error);
  });

  test('takes TESSERAE_ADDON, and addonPath before it', async () => {
    process.env.TESSERAE_ADDON = join(folder, 'of-variable.node');
    await expectRejection(() => loadAddon(), 'ERR_NATIVE', /of-variable\.node, which TESSERAE_ADDON names/);
    expect(loadAddon({ addonPath: built })).toBe(loadAddon({ addonPath: built }));
    copyFileSync(built, join(folder, 'of-variable.node'));
    expect(Object.keys(loadAddon())).toEqual(Object.keys(loadAddon({ addonPath: built })));
  });
});

describe('Engine.create', () => {
  test('computes with copies of the addon and of the file of the workers, formats included', async () => {
    const [addonPath, workerPath] = [join(folder, 'a.node'), join(folder, 'w.cjs')];
    copyFileSync(built, addonPath);
    copyFileSync(findWorkerFile(), workerPath);
    await using engine = await Engine.create({ threads: 2, addonPath, workerPath });
    using a = engine.tensor([2, 2], Float32Array.of(1, 2, 3, 4));
    using c = await engine.matmul(a, a);
    expect([...c.data]).toEqual([7, 10, 15, 22]);
    expect(findWorkerFile()).toBe(workerPath);
    await using next = await Engine.create({ threads: 1, workerPath: join(packageRoot(), 'dist/worker.cjs') });
    expect(next.threads).toBe(1);
  });

  test.each([
    [
      'an addon that does not exist',
      { addonPath: '/nowhere/x.node' },
      'ERR_NATIVE',
      /no native addon at \/nowhere\/x\.node/,
    ],
    ['a text as an addon', { addonPath: import.meta.filename }, 'ERR_NATIVE', /does not load|is not the native addon/],
    ['a folder as an addon', { addonPath: import.meta.dirname }, 'ERR_NATIVE', /does not load/],
    ['another addon', { addonPath: foreign }, 'ERR_NATIVE', /is not the native addon of tesserae .* has no function/],
    [
      'a worker file that does not exist',
      { workerPath: '/nowhere/w.cjs' },
      'ERR_WORKER_START',
      /nowhere\/w\.cjs is not/,
    ],
    ['the addon as worker file', { workerPath: built }, 'ERR_WORKER_START', /is not the file of the worker threads/],
    ['a number', { addonPath: 7 }, 'ERR_ARGUMENT', /addonPath must be the path of a file, got 7/],
    ['an empty path', { workerPath: '' }, 'ERR_ARGUMENT', /workerPath must be/],
  ])('refuses %s with one clear error', async (_what, options, code, message) => {
    const error = await expectRejection(Engine.create(options as never), code as never, message);
    expect(error.message).not.toContain('\n');
    expect(loadWorkerFile(findWorkerFile()).Piscina).toBeTypeOf('function');
  });
});

function place(file: string): string {
  mkdirSync(dirname(join(folder, file)), { recursive: true });
  return join(folder, file);
}

/** Builds an addon that exports nothing. */
function foreignAddon(file: string): string {
  const program = 'extern "C" void* napi_register_module_v1(void*, void* exports) { return exports; }';
  execFileSync('c++', ['-x', 'c++', '-', '-shared', '-fPIC', '-o', file], { input: program });
  return file;
}
