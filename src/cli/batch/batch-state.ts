// What must be the same when a batch is resumed, kept in a file beside the output: the input, the model, the options and the
// seed. Called by commands/batch.ts.
import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { packageVersion } from '../../base/package-files.js';
import { openRegularFile, replaceFile } from '../../base/regular-file.js';
import { CommandError } from '../run-command.js';

export interface BatchState {
  /** The package's version: another one may give other bits. */
  readonly version: string;
  /** SHA-256 of the input. */
  readonly input: string;
  readonly model: string;
  readonly kind: string | null;
  readonly text: boolean;
  readonly maxTokens: number;
  readonly temperature: number;
  /** Line i samples from the seed plus i. */
  readonly seed: number;
}

/** What a changed member is called in a message. */
const names: Readonly<Record<keyof BatchState, string>> = {
  version: 'the version of tesserae',
  input: 'the input',
  model: 'the model',
  kind: '--kind',
  text: '--text',
  maxTokens: '--max-tokens',
  temperature: '--temperature',
  seed: '--seed',
};

export const statePathOf = (output: string) => `${output}.state.json`;

/**
 * Keeps the state of a batch that begins, and compares that of one that goes on.
 * @param lines how many the output has
 * @throws CommandError for a batch that has changed
 */
export async function enterState(output: string, given: Omit<BatchState, 'version'>, lines: number): Promise<void> {
  const path = statePathOf(output);
  const state: BatchState = { version: packageVersion, ...given };
  const kept = await readState(path);
  if (lines === 0) return writeState(path, state);
  if (kept === undefined) throw new CommandError(`${output} cannot be resumed: ${path} is missing`);
  const changed = (Object.keys(names) as (keyof BatchState)[]).filter((name) => kept[name] !== state[name]);
  if (changed.length === 0) return;
  const all = changed.map((name) => names[name]).join(', ');
  throw new CommandError(`${output} cannot be resumed: since it was begun, this has changed: ${all}`);
}

/** Undefined where a batch was stopped before it had written anything. */
async function readState(path: string): Promise<BatchState | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as BatchState;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CommandError(`${path}: ${(error as Error).message}`);
  }
}

/** All at once: whoever reads it finds the whole of it or nothing. */
async function writeState(path: string, state: BatchState): Promise<void> {
  try {
    await replaceFile(path, async (file) => {
      await file.writeFile(`${JSON.stringify(state, undefined, 2)}\n`);
      await file.sync();
    });
  } catch (error) {
    throw new CommandError(`${path}: ${(error as Error).message}`);
  }
}

const samples = 64;
const sampleBytes = 1 << 16;

/** Tells models apart by names and sizes of their files, and by samples of their bytes: reading all of them takes too long. */
export async function fingerprintOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for (const file of await filesOf(path)) {
    const { size } = await stat(file);
    hash.update(`${size}\n`);
    const handle = await openRegularFile(file);
    try {
      const buffer = Buffer.alloc(sampleBytes);
      const step = Math.max(sampleBytes, Math.floor((size - sampleBytes) / (samples - 1)));
      for (let at = 0; at < size; at += step) {
        const { bytesRead } = await handle.read(buffer, 0, sampleBytes, at);
        hash.update(buffer.subarray(0, bytesRead));
      }
    } finally {
      await handle.close();
    }
  }
  return hash.digest('hex');
}

/** The files of a model: one, all parts of a split one, or those of a folder. */
async function filesOf(path: string): Promise<string[]> {
  if ((await stat(path)).isDirectory()) {
    const entries = await readdir(path, { withFileTypes: true });
    const files = entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
    return files.sort().map((name) => join(path, name));
  }
  const [, stem] = /^(.*)-\d{5}-of-\d{5}\.gguf$/.exec(basename(path)) ?? [];
  if (stem === undefined) return [path];
  const parts = (await readdir(dirname(path))).filter((name) => name.startsWith(`${stem}-`) && name.endsWith('.gguf'));
  return parts.sort().map((name) => join(dirname(path), name));
}
