// Small JSON files of a model's folder, bounded before they are read. Called by the source of Hugging Face folders.
import { join } from 'node:path';
import { TesseraeError } from '../../errors.js';
import { OpenFile } from '../open-file.js';

/** The largest tokenizer.json in use has about 35 MB. */
const MOST_JSON_BYTES = 64 << 20;

/** The parsed document; undefined where the folder has no such file. */
export async function readJsonFile(folder: string, name: string, signal?: AbortSignal | undefined): Promise<unknown> {
  const path = join(folder, name);
  let file: OpenFile;
  try {
    file = await OpenFile.open(path);
  } catch (error) {
    const cause = error instanceof Error ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
    if (cause?.code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    if (file.sizeBytes > MOST_JSON_BYTES) {
      throw new TesseraeError('ERR_MODEL_FILE', `${path}: has ${file.sizeBytes} bytes, more than ${MOST_JSON_BYTES}`);
    }
    const bytes = new Uint8Array(file.sizeBytes);
    await file.readInto(bytes, 0, 'the document', signal);
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
    throw new TesseraeError('ERR_MODEL_FILE', `${path}: is no JSON`, { cause: error });
  } finally {
    await file.close();
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
