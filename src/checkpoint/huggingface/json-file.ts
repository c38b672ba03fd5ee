// Reads the small files of a Hugging Face folder, refusing those that are too large before reading them. Called by
// huggingface-checkpoint.ts.
import { join } from 'node:path';
import { TesseraeError } from '../../base/errors.js';
import { ModelFile } from '../model-file.js';

/** JSON of this size is parsed in one go. A tokenizer_config.json has up to 1 MB, an index of files half of that. */
const MAX_PARSED_BYTES = 16 << 20;

/** The parsed document; `undefined` where the folder has no such file. */
export async function readJsonFile(folder: string, name: string, signal?: AbortSignal | undefined): Promise<unknown> {
  const bytes = await readSmallFile(folder, name, MAX_PARSED_BYTES, signal);
  if (bytes === undefined) return undefined;
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new TesseraeError('ERR_MODEL_FILE', `${join(folder, name)}: is no JSON`, { cause });
  }
}

/** The bytes of a file; `undefined` where the folder has none of that name. */
export async function readSmallFile(
  folder: string,
  name: string,
  maxBytes: number,
  signal?: AbortSignal | undefined,
): Promise<Uint8Array | undefined> {
  const path = join(folder, name);
  let file: ModelFile;
  try {
    file = await ModelFile.open(path, signal);
  } catch (error) {
    const cause = error instanceof Error ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
    if (cause?.code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    if (file.sizeBytes > maxBytes) {
      throw new TesseraeError('ERR_MODEL_FILE', `${path}: has ${file.sizeBytes} bytes, more than ${maxBytes}`);
    }
    const bytes = new Uint8Array(file.sizeBytes);
    await file.readInto(bytes, 0, 'the document', signal);
    return bytes;
  } finally {
    await file.close();
  }
}
