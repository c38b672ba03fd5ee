// A checkpoint in GGUF: one file, or all parts of a split one (`name-00001-of-00003.gguf` and so on, as llama.cpp's
// gguf-split writes them). The first part has the metadata; each has tensors. Called by open-checkpoint.ts.
import { TesseraeError } from '../../base/errors.js';
import { quote } from '../../base/quote.js';
import type { ModelMetadata } from '../../metadata/model-metadata.js';
import { createTokenizer } from '../../tokenizer/create-tokenizer.js';
import type { Tokenizer } from '../../tokenizer/tokenizer.js';
import type { Checkpoint, CheckpointTensor, OpenCheckpointOptions } from '../checkpoint.js';
import { type GgufFile, openGguf } from './gguf-file.js';

const partName = /-(\d{5})-of-(\d{5})\.gguf$/;
const countKey = 'split.count';
const numberKey = 'split.no';

/** @throws TesseraeError ERR_FILE, ERR_MODEL_FILE for parts that are missing or do not fit together; AbortError */
export async function openGgufCheckpoint(path: string, options: OpenCheckpointOptions): Promise<Checkpoint> {
  const named = await openGguf(path, options);
  const files = [named];
  try {
    const count = named.metadata.count(countKey, 1);
    if (count > 1) {
      checkPart(named, named.metadata.count(numberKey), count);
      for (let index = 0; index < count; index++) {
        const partPath = pathOfPart(path, index, count);
        // This part is open already.
        if (index === named.metadata.count(numberKey)) continue;
        files.push(await openPart(partPath, path, options));
        checkPart(files.at(-1) as GgufFile, index, count);
      }
      files.sort((a, b) => a.metadata.count(numberKey) - b.metadata.count(numberKey));
    }
    return new GgufCheckpoint(path, files);
  } catch (error) {
    await closeAll(files);
    throw error;
  }
}

class GgufCheckpoint implements Checkpoint {
  readonly path: string;
  readonly metadata: ModelMetadata;
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
  readonly #files: readonly GgufFile[];

  /** @param files in the order of their numbers */
  constructor(path: string, files: readonly GgufFile[]) {
    this.path = path;
    this.metadata = (files[0] as GgufFile).metadata;
    this.tensors = tensorsOf(files);
    this.#files = files;
    const expected = this.metadata.count('split.tensors.count', this.tensors.size);
    if (files.length > 1 && expected !== this.tensors.size) {
      throw this.metadata.error(
        'split.tensors.count',
        `is ${expected}, but the parts have ${this.tensors.size} tensors`,
      );
    }
  }

  createTokenizer(signal?: AbortSignal): Promise<Tokenizer> {
    return createTokenizer(this.metadata, signal === undefined ? {} : { signal });
  }

  async close(): Promise<void> {
    await closeAll(this.#files);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** The path of a part, made from the path of another. */
function pathOfPart(path: string, index: number, count: number): string {
  const digits = (value: number) => String(value).padStart(5, '0');
  return path.replace(partName, `-${digits(index + 1)}-of-${digits(count)}.gguf`);
}

async function openPart(path: string, named: string, options: OpenCheckpointOptions): Promise<GgufFile> {
  try {
    return await openGguf(path, options);
  } catch (error) {
    if (!(error instanceof TesseraeError) || error.code !== 'ERR_FILE') throw error;
    const message = `${named} is one part of a split model, and another is missing: ${error.message}`;
    throw new TesseraeError('ERR_FILE', message, { cause: error });
  }
}

/** A part's metadata must agree with its file name. */
function checkPart({ path, metadata }: GgufFile, index: number, count: number): void {
  const [, number, of] = partName.exec(path) ?? [];
  if (number === undefined) {
    const problem = `is ${count}, so the file must be named like "model-00001-of-0000${Math.min(count, 9)}.gguf"`;
    throw metadata.error(countKey, problem);
  }
  const claimedCount = metadata.count(countKey);
  if (claimedCount !== count || Number(of) !== count) {
    throw metadata.error(countKey, `is ${claimedCount}, where ${count} parts are expected`);
  }
  const claimed = metadata.count(numberKey);
  if (claimed !== index || Number(number) !== index + 1) {
    throw metadata.error(numberKey, `is ${claimed} (counted from 0), which does not fit the file's name`);
  }
}

function tensorsOf(files: readonly GgufFile[]): Map<string, CheckpointTensor> {
  const tensors = new Map<string, CheckpointTensor>();
  for (const { file, dataOffset, tensors: infos } of files) {
    for (const { name, shape, type, offset, sizeBytes } of infos.values()) {
      if (tensors.has(name)) {
        const other = tensors.get(name)?.file.path;
        throw new TesseraeError('ERR_MODEL_FILE', `${file.path}: tensor ${quote(name)} is also in ${other}`);
      }
      tensors.set(name, { name, shape, type, sizeBytes, file, position: dataOffset + offset });
    }
  }
  return tensors;
}

async function closeAll(files: readonly GgufFile[]): Promise<void> {
  for (const file of files) await file.close();
}
