// Paths that name pipes and devices, and files that change while they are read: a typed error at once, whatever the
// caller passed. Opening a pipe would wait for its writer, and four of such waits stop all files of the process.
import { execFileSync } from 'node:child_process';
import { readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { ModelFile, messageOf } from '../../src/checkpoint/model-file.js';
import type { Engine } from '../../src/engine.js';
import { bundledModelPath } from '../support/models/bundled-model.js';
import { expectAbort, expectRejection } from '../support/rejections.js';
import { sharedEngines } from '../support/running/engines.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const engines = sharedEngines();
const folder = temporaryFolder();
afterAll(() => folder.remove());

const pipe = folder.file('pipe');
execFileSync('mkfifo', [pipe]);
const link = folder.file('link');
symlinkSync('/dev/full', link);

async function withModel(use: (model: Awaited<ReturnType<Engine['loadModel']>>, engine: Engine) => Promise<void>) {
  const engine = await engines({ threads: 2 });
  using model = await engine.loadModel(bundledModelPath);
  await use(model, engine);
}

describe('what is no regular file', () => {
  const paths = [pipe, '/dev/zero', '/dev/full', link, '/dev/stdin', '/proc', folder.file('nothing')];

  test('is not loaded, as model or as session, and more of them at once than libuv has threads', async () => {
    await withModel(async (model, engine) => {
      const calls = [...paths, ...paths].flatMap((path) => [
        () => engine.loadModel(path),
        () => model.loadSession(path),
        () => engine.quantizeModel(path, folder.file('out.gguf'), { type: 'Q8_0' as never }),
      ]);
      const errors = await Promise.all(calls.map((call) => call().then(Object, (error: unknown) => error)));
      for (const error of errors) expect(error).toMatchObject({ name: 'TesseraeError' });
      // Files are still read.
      expect((await stat(bundledModelPath)).size).toBeGreaterThan(0);
    });
  });

  test('is not written over', async () => {
    await withModel(async (model, engine) => {
      using session = model.session();
      await session.append([1, 2, 3]);
      for (const path of [pipe, '/dev/null', link, '/proc']) {
        await expectRejection(session.saveTo(path), 'ERR_FILE', /not a regular file|directory/);
        const quantizing = engine.quantizeModel(bundledModelPath, path, { type: 'q8_0' as never, force: true });
        await expectRejection(quantizing, 'ERR_FILE');
      }
      expect((await stat('/dev/null')).isCharacterDevice()).toBe(true);
      expect((await stat(link)).isCharacterDevice()).toBe(true);
      const path = folder.file('saved');
      await Promise.all([session.saveTo(path), stat(bundledModelPath)]);
      using loaded = await model.loadSession(path);
      expect(loaded.length).toBe(3);
    });
  });
});

test.each([undefined, null, 7, '', 'a\0b', {}, Object.create(null), Symbol('x'), ['x'], 10n])(
  'a path that is none: %o',
  async (path) => {
    await withModel(async (model, engine) => {
      using session = model.session();
      await session.append([1]);
      const wrong = path as string;
      await expectRejection(engine.loadModel(wrong), 'ERR_ARGUMENT', /path/);
      await expectRejection(model.loadSession(wrong), 'ERR_ARGUMENT', /path/);
      await expectRejection(session.saveTo(wrong), 'ERR_ARGUMENT', /path/);
      await expectRejection(engine.quantizeModel(bundledModelPath, wrong, { type: 'q8_0' as never }), 'ERR_ARGUMENT');
    });
  },
);

test('a signal that has fired is honoured before a file is opened', async () => {
  await withModel(async (model, engine) => {
    const reason = new Error('enough');
    const signal = AbortSignal.abort(reason);
    await expectAbort(engine.loadModel(bundledModelPath, { signal }), reason);
    await expectAbort(model.loadSession(bundledModelPath, { signal }), reason);
    await expectAbort(ModelFile.open(bundledModelPath, signal), reason);
  });
});

test('a model file that becomes shorter while it is loaded is an error, and afterwards harms nothing', async () => {
  const engine = await engines({ threads: 2 });
  const path = folder.file('shrinking.gguf');
  const bytes = readFileSync(bundledModelPath);
  writeFileSync(path, bytes);
  const before = engine.stats().pool.rentedBytes;
  const onProgress = () => truncateSync(path, Math.floor(bytes.length / 2));
  await expectRejection(engine.loadModel(path, { onProgress }), 'ERR_MODEL_FILE', /ends inside tensor/);
  expect(engine.stats().pool.rentedBytes).toBe(before);

  writeFileSync(path, bytes);
  using model = await engine.loadModel(path);
  const wanted = await model.logits([1, 2, 3]);
  truncateSync(path, 0);
  expect(await model.logits([1, 2, 3])).toEqual(wanted);
});

test('messages of system errors name neither the call nor the path twice', () => {
  expect(messageOf(new Error("ENOENT: no such file or directory, open '/x'"))).toBe(
    'ENOENT: no such file or directory',
  );
  expect(messageOf(Object.create(null))).toBe('an object');
});
