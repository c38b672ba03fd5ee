// Opens regular files by path, and makes new ones. Never waits for a pipe or a device: in the threads of libuv, a few
// such waits would stop all of the process's files. Called by every room that opens a path.
import { constants } from 'node:fs';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { whenAborted } from './abort-watch.js';
import { describe } from './describe.js';
import { AbortError, TesseraeError } from './errors.js';

/** @throws TesseraeError ERR_ARGUMENT unless it is a path: a string that is not empty and contains no NUL */
export function checkPath(path: unknown, what: string, op?: string): asserts path is string {
  if (typeof path === 'string' && path !== '' && !path.includes('\0')) return;
  const details = op === undefined ? {} : { op };
  throw new TesseraeError('ERR_ARGUMENT', `expected the path of ${what}, got ${describe(path)}`, details);
}

/**
 * Opens a regular file for reading.
 * @throws Error of the system, or that it is none; AbortError when the signal fires, also while the system does not answer
 */
export async function openRegularFile(path: string, signal?: AbortSignal | undefined): Promise<FileHandle> {
  const opening = openForReading(path);
  if (signal === undefined) return opening;
  try {
    return await abortable(opening, signal);
  } catch (error) {
    if (error instanceof AbortError) opening.then((handle) => handle.close()).catch(() => {});
    throw error;
  }
}

async function openForReading(path: string): Promise<FileHandle> {
  refuseOthers(await stat(path));
  // It may have been replaced since: with O_NONBLOCK, opening a pipe does not wait for its writer.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    refuseOthers(await handle.stat());
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function refuseOthers(stats: { isDirectory(): boolean; isFile(): boolean }): void {
  if (stats.isDirectory()) throw new Error('it is a directory');
  if (!stats.isFile()) throw new Error('it is not a regular file');
}

/** Rejects with an AbortError as soon as the signal fires; what was begun goes on. */
function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(new AbortError(signal.reason));
    if (signal.aborted) abort();
    const leave = whenAborted(signal, abort);
    work.then(resolve, reject).finally(leave);
  });
}

let filesMade = 0;

/**
 * Makes a file that appears at `path` when `write` has filled it, in place of a regular file that is there. After a
 * failure nothing has changed.
 * @throws Error of the system, or that something else than a regular file is there; what `write` throws
 */
export async function replaceFile(path: string, write: (handle: FileHandle) => Promise<void>): Promise<void> {
  await checkReplaceable(path);
  const partPath = `${path}.${process.pid}-${++filesMade}.part`;
  // Exclusive: whatever is there is neither opened nor overwritten.
  const handle = await open(partPath, 'wx+');
  try {
    try {
      await write(handle);
    } finally {
      await handle.close();
    }
    await checkReplaceable(path);
    await rename(partPath, path);
  } catch (error) {
    await rm(partPath, { force: true });
    throw error;
  }
}

async function checkReplaceable(path: string): Promise<void> {
  const there = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (there !== undefined) refuseOthers(there);
}
