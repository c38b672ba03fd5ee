// Files by path, without an engine: what is opened, what is refused, and what a failure leaves behind.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { checkPath, openRegularFile, replaceFile } from '../../src/base/regular-file.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const folder = temporaryFolder();
const here = folder.file('.');
afterAll(() => folder.remove());

const pipe = folder.file('pipe');
execFileSync('mkfifo', [pipe]);
const text = folder.file('text');
writeFileSync(text, 'text');
const link = folder.file('link');
symlinkSync(text, link);
// By a link: whatever goes wrong replaces the link, and never the device.
const device = folder.file('device');
symlinkSync('/dev/full', device);

/** How often this process has a file open now. */
function openCount(path: string): number {
  const files = '/proc/self/fd';
  const linkOf = (file: string) => {
    try {
      return readlinkSync(`${files}/${file}`);
    } catch {
      return undefined;
    }
  };
  return readdirSync(files).filter((file) => linkOf(file) === path).length;
}

describe('a path', () => {
  test.each(['a', ' ', '/dev/null'])('is a string: %j', (path) => {
    checkPath(path, 'a model', 'loadModel');
  });

  test.each([undefined, '', 'a\0b', 3, ['a'], Object.create(null)])('is a string that is not empty: %j', (path) => {
    const error = { code: 'ERR_ARGUMENT', message: expect.stringMatching(/expected the path of a model, got/) };
    expect(() => checkPath(path, 'a model')).toThrow(expect.objectContaining({ ...error, op: undefined }));
    expect(() => checkPath(path, 'a model', 'loadModel')).toThrow(
      expect.objectContaining({ ...error, op: 'loadModel' }),
    );
  });
});

describe('opening', () => {
  test.each([text, link])('a regular file, or a link to one, reads it', async (path) => {
    for (const signal of [undefined, new AbortController().signal]) {
      await using handle = await openRegularFile(path, signal);
      expect(await handle.readFile('utf8')).toBe('text');
    }
  });

  test.each([
    [here, 'it is a directory'],
    [pipe, 'it is not a regular file'],
    ['/dev/zero', 'it is not a regular file'],
    [folder.file('nothing'), /ENOENT/],
  ])('%s is refused at once', async (path, message) => {
    await expect(openRegularFile(path)).rejects.toThrow(message);
    await expect(openRegularFile(path, new AbortController().signal)).rejects.toThrow(message);
  });

  test('ends when the signal fires, before and meanwhile', async () => {
    const reason = new Error('enough');
    const aborted = { code: 'ABORT_ERR', cause: reason };
    await expect(openRegularFile(text, AbortSignal.abort(reason))).rejects.toMatchObject(aborted);
    const controller = new AbortController();
    const opening = openRegularFile(text, controller.signal);
    controller.abort(reason);
    await expect(opening).rejects.toMatchObject(aborted);
  });

  test('leaves nothing open behind a signal', async () => {
    const path = folder.file('left');
    writeFileSync(path, '');
    for (let time = 0; time < 5; time++) {
      const controller = new AbortController();
      const opening = openRegularFile(path, controller.signal);
      controller.abort();
      await expect(opening).rejects.toMatchObject({ code: 'ABORT_ERR' });
    }
    // By then those have been opened, too.
    for (let time = 0; time < 5; time++) await (await openRegularFile(path)).close();
    await expect.poll(() => openCount(path)).toBe(0);
  });
});

describe('replacing', () => {
  const files = () => readdirSync(here).sort();

  test('makes a file, or replaces one, once all is written', async () => {
    const path = folder.file('made');
    for (const content of ['first', 'second']) {
      const before = files();
      await replaceFile(path, async (handle) => {
        await handle.write(content);
        expect(files().filter((name) => !before.includes(name))).toEqual([expect.stringMatching(/^made\..*\.part$/)]);
        if (content === 'second') expect(readFileSync(path, 'utf8')).toBe('first');
      });
      expect([readFileSync(path, 'utf8'), openCount(path)]).toEqual([content, 0]);
      expect(files()).toEqual([...new Set([...before, 'made'])].sort());
    }
  });

  test('twice at once leaves one of both, whole', async () => {
    const path = folder.file('twice');
    await Promise.all(
      ['first', 'other'].map((content) => replaceFile(path, async (handle) => void (await handle.write(content)))),
    );
    expect(['first', 'other']).toContain(readFileSync(path, 'utf8'));
  });

  test('changes nothing where writing fails, or something else is there by then', async () => {
    const path = folder.file('kept');
    writeFileSync(path, 'kept');
    const before = files();
    const failure = new Error('the disk is full');
    await expect(replaceFile(path, () => Promise.reject(failure))).rejects.toBe(failure);
    expect([readFileSync(path, 'utf8'), files()]).toEqual(['kept', before]);
    const late = folder.file('late');
    const becomesFolder = replaceFile(late, async () => void mkdirSync(late));
    await expect(becomesFolder).rejects.toThrow('it is a directory');
    expect(files()).toEqual([...before, 'late'].sort());
    const gone = replaceFile(path, async () => {
      for (const name of files().filter((name) => name.endsWith('.part'))) rmSync(folder.file(name));
    });
    await expect(gone).rejects.toMatchObject({ code: 'ENOENT', syscall: 'rename' });
  });

  test.each([
    [here, 'it is a directory'],
    [pipe, 'it is not a regular file'],
    [device, 'it is not a regular file'],
    [`${text}/below`, /^ENOTDIR: .*, stat /],
    [folder.file('nowhere/below'), /ENOENT/],
  ])('%s is refused before anything is written', async (path, message) => {
    let isWritten = false;
    const write = async () => {
      isWritten = true;
    };
    await expect(replaceFile(path, write)).rejects.toThrow(message);
    expect(isWritten).toBe(false);
  });
});
