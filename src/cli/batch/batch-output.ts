// The file that a batch appends its lines to. Opening it for a batch that is resumed cuts a last line that is incomplete, and
// counts the others. Called by commands/batch.ts.
import { type FileHandle, open } from 'node:fs/promises';
import { CommandError } from '../run-command.js';
import { lockOutput, type OutputLock } from './output-lock.js';

/** How every line without an error ends. */
export const wellEnding = '"error":null}';

const chunkBytes = 1 << 18;
const lineFeed = 0x0a;

export interface BatchWriter {
  /** Lines that were there before. */
  readonly lines: number;
  /** Those of them that have errors. */
  readonly errors: number;
  append(text: string): Promise<void>;
  close(): Promise<void>;
}

/**
 * @param resumes goes on with what the file has
 * @throws CommandError where a file with lines is not to be resumed, cannot be written, or is in use by another process
 */
export async function openOutput(path: string, resumes: boolean): Promise<BatchWriter> {
  const lock = await lockOutput(path).catch((error: unknown) => {
    throw failureOf(error, path);
  });
  try {
    const file = await open(path, resumes ? 'a+' : 'ax+').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
      throw new CommandError(`${path} exists: --resume continues it`);
    });
    const { lines, errors, bytes } = await countLines(file).catch(async (error: unknown) => {
      await file.close();
      throw error;
    });
    await file.truncate(bytes);
    return { lines, errors, append: (text) => append(file, lock, path, text), close: () => closeSynced(file, lock) };
  } catch (error) {
    await lock.release();
    throw failureOf(error, path);
  }
}

async function append(file: FileHandle, lock: OutputLock, path: string, text: string): Promise<void> {
  if (lock.isLost) throw new CommandError(`${path} was taken over by another process`);
  try {
    await file.appendFile(text);
  } catch (error) {
    throw failureOf(error, path);
  }
}

async function closeSynced(file: FileHandle, lock: OutputLock): Promise<void> {
  try {
    await file.sync();
  } finally {
    await file.close();
    await lock.release();
  }
}

/** The complete lines of a file, those of them with errors, and their bytes. */
async function countLines(file: FileHandle): Promise<{ lines: number; errors: number; bytes: number }> {
  const found = { lines: 0, errors: 0, bytes: 0 };
  const buffer = Buffer.alloc(chunkBytes);
  /** The end of the line so far, which a chunk may cut. */
  let tail = '';
  for (let at = 0; ; ) {
    const { bytesRead } = await file.read(buffer, 0, chunkBytes, at);
    if (bytesRead === 0) return found;
    const chunk = buffer.subarray(0, bytesRead);
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, start)) {
      found.lines++;
      found.bytes = at + end + 1;
      if (!endOf(tail, chunk.subarray(start, end)).endsWith(wellEnding)) found.errors++;
      tail = '';
      start = end + 1;
    }
    tail = endOf(tail, chunk.subarray(start));
    at += bytesRead;
  }
}

function endOf(before: string, bytes: Buffer): string {
  return (before + bytes.subarray(-wellEnding.length).toString('latin1')).slice(-wellEnding.length);
}

function failureOf(error: unknown, path: string): Error {
  if (error instanceof CommandError) return error;
  return new CommandError(`${path}: ${(error as Error).message}`);
}
