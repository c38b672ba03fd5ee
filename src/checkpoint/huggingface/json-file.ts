// Small JSON files of a model's folder, bounded before they are read. Called by huggingface-checkpoint.ts.
import { join } from 'node:path';
import { TesseraeError } from '../../base/errors.js';
import { ModelFile } from '../model-file.js';

/** What is parsed at once; a tokenizer_config.json may have one MB, an index of files half of that. */
const MOST_PARSED_BYTES = 16 << 20;

/** The parsed document; undefined where the folder has no such file. */
export async function readJsonFile(folder: string, name: string, signal?: AbortSignal | undefined): Promise<unknown> {
  const bytes = await readSmallFile(folder, name, MOST_PARSED_BYTES, signal);
  if (bytes === undefined) return undefined;
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new TesseraeError('ERR_MODEL_FILE', `${join(folder, name)}: is no JSON`, { cause });
  }
}

/** The bytes of a file; undefined where the folder has none of that name. */
export async function readSmallFile(
  folder: string,
  name: string,
  mostBytes: number,
  signal?: AbortSignal | undefined,
): Promise<Uint8Array | undefined> {
  const path = join(folder, name);
  let file: ModelFile;
  try {
    file = await ModelFile.open(path);
  } catch (error) {
    const cause = error instanceof Error ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
    if (cause?.code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    if (file.sizeBytes > mostBytes) {
      throw new TesseraeError('ERR_MODEL_FILE', `${path}: has ${file.sizeBytes} bytes, more than ${mostBytes}`);
    }
    const bytes = new Uint8Array(file.sizeBytes);
    await file.readInto(bytes, 0, 'the document', signal);
    return bytes;
  } finally {
    await file.close();
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
