// The lines of a batch's input, one at a time, whatever the size of the file: from a file or standard input. Called by
// commands/batch.ts.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { CommandError } from '../run-command.js';

/** A line is held in memory as a whole. Of a longer one the rest is skipped. */
export const longestLineBytes = 8 << 20;

export type InputLine = { readonly text: string } | { readonly problem: string };

const lineFeed = 0x0a;
const carriageReturn = 0x0d;

/** The lines of a stream of bytes that are not empty. A line that cannot be read is a problem of its own. */
export async function* linesOf(source: AsyncIterable<Uint8Array>): AsyncGenerator<InputLine, void, void> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let parts: Uint8Array[] = [];
  let bytes = 0;
  const finish = (): InputLine | undefined => {
    const line = bytes > longestLineBytes ? undefined : Buffer.concat(parts);
    parts = [];
    bytes = 0;
    if (line === undefined) return { problem: `the line is longer than ${longestLineBytes} bytes` };
    try {
      const text = decoder.decode(line.at(-1) === carriageReturn ? line.subarray(0, -1) : line);
      return text.trim() === '' ? undefined : { text };
    } catch {
      return { problem: 'the line is not valid UTF-8' };
    }
  };
  const add = (part: Uint8Array) => {
    bytes += part.length;
    if (bytes > longestLineBytes) parts = [];
    else if (part.length > 0) parts.push(part);
  };
  for await (const chunk of source) {
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, start)) {
      add(chunk.subarray(start, end));
      start = end + 1;
      const line = finish();
      if (line !== undefined) yield line;
    }
    // A copy: the stream may use the chunk's memory again.
    add(Uint8Array.from(chunk.subarray(start)));
  }
  const line = finish();
  if (line !== undefined) yield line;
}

export interface InputScan {
  /** SHA-256 of all bytes, in hexadecimal. */
  readonly digest: string;
  readonly lines: number;
}

/** Reads a file once: its digest, and how many lines it has that are not empty. @throws CommandError */
export async function scanInput(path: string, signal: AbortSignal): Promise<InputScan> {
  const hash = createHash('sha256');
  let lines = 0;
  let isEmpty = true;
  for await (const chunk of openInput(path, signal)) {
    hash.update(chunk);
    for (const byte of chunk) {
      if (byte === lineFeed) {
        if (!isEmpty) lines++;
        isEmpty = true;
      } else if (byte > 0x20) {
        isEmpty = false;
      }
    }
  }
  return { digest: hash.digest('hex'), lines: isEmpty ? lines : lines + 1 };
}

/** The bytes of a file. @throws CommandError in the iteration */
export async function* openInput(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
  try {
    yield* createReadStream(path, { signal, highWaterMark: 1 << 18 }) as AsyncIterable<Uint8Array>;
  } catch (error) {
    if ((error as Error).name === 'AbortError') throw error;
    throw new CommandError(`${path}: ${(error as Error).message}`);
  }
}
