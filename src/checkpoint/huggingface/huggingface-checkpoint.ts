// A checkpoint in a Hugging Face folder: config.json, tokenizer.json, and safetensors files, one or many. Gives
// everything under GGUF's names; what is particular to a family is in src/architectures. Called by open-checkpoint.ts.
import { basename, join } from 'node:path';
import type { TensorRule } from '../../architectures/huggingface-mapping.js';
import { TesseraeError } from '../../base/errors.js';
import { describeJson, isObject, JsonView } from '../../base/json-view.js';
import { quote } from '../../base/quote.js';
import { TimeSlice } from '../../base/time-slice.js';
import { ModelMetadata } from '../../metadata/model-metadata.js';
import { StringList } from '../../metadata/string-list.js';
import type { MetadataArray, MetadataValue } from '../../metadata/value-types.js';
import { createTokenizer } from '../../tokenizer/create-tokenizer.js';
import { tokenizerMetadata } from '../../tokenizer/huggingface/huggingface.js';
import type { Tokenizer } from '../../tokenizer/tokenizer.js';
import type { Checkpoint, CheckpointTensor, OpenCheckpointOptions } from '../checkpoint.js';
import { translateConfig } from './config.js';
import { readJsonFile, readSmallFile } from './json-file.js';
import { openSafetensors, type SafetensorsFile } from './safetensors.js';
import { translateName } from './tensor-names.js';

const configName = 'config.json';
const weightsName = 'model.safetensors';
const indexName = 'model.safetensors.index.json';
const tokenizerName = 'tokenizer.json';
const modulesName = 'modules.json';
const poolingFolder = '1_Pooling';
const MAX_FILES = 1000;
/** The largest tokenizer.json in use has about 35 MB. */
const MAX_TOKENIZER_BYTES = 128 << 20;

/** In the order of llama.cpp's `pooling_type`. */
const poolingModes = ['pooling_mode_mean_tokens', 'pooling_mode_cls_token', 'pooling_mode_lasttoken'];

/**
 * @throws TesseraeError ERR_FILE for a folder without a model, ERR_MODEL_FILE for files that are damaged or
 * inconsistent, ERR_UNSUPPORTED for models that cannot be computed; AbortError
 */
export async function openHuggingFaceCheckpoint(path: string, { signal }: OpenCheckpointOptions): Promise<Checkpoint> {
  const config = await readJsonFile(path, configName, signal);
  if (config === undefined) {
    const problem = `cannot be opened: it is a directory without a ${configName}, and so no model`;
    throw new TesseraeError('ERR_FILE', `${path}: ${problem}`);
  }
  const { architecture, metadata, tensorNames, tied } = translateConfig(config, join(path, configName));
  const tokenizer = await readSmallFile(path, tokenizerName, MAX_TOKENIZER_BYTES, signal);
  if (tokenizer === undefined) {
    throw new TesseraeError('ERR_UNSUPPORTED', `${path}: there is no ${tokenizerName}; other tokenizers are not read`);
  }
  const tokenizerConfig = (await readJsonFile(path, 'tokenizer_config.json', signal)) ?? {};
  const translated = await tokenizerMetadata(tokenizer, tokenizerConfig, new TimeSlice(signal));
  for (const [key, value] of translated) metadata.set(key, value);
  await checkModules(path, signal);
  await addPooling(path, architecture, metadata, signal);
  const files: SafetensorsFile[] = [];
  try {
    for (const name of await namesOfFiles(path, signal)) files.push(await openSafetensors(join(path, name), signal));
    const tensors = tensorsOf(files, (name) => translateName(tensorNames, name, tied));
    padTokens(metadata, tensors.get('token_embd.weight'));
    return new HuggingFaceCheckpoint({ path, metadata, tensors, files });
  } catch (error) {
    for (const { file } of files) await file.close();
    throw error;
  }
}

interface SourceParts {
  readonly path: string;
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
  readonly files: readonly SafetensorsFile[];
}

class HuggingFaceCheckpoint implements Checkpoint {
  readonly path: string;
  readonly metadata: ModelMetadata;
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
  readonly #files: readonly SafetensorsFile[];

  constructor({ path, metadata, tensors, files }: SourceParts) {
    this.path = path;
    this.metadata = new ModelMetadata(metadata, path);
    this.tensors = tensors;
    this.#files = files;
  }

  createTokenizer(signal?: AbortSignal): Promise<Tokenizer> {
    return createTokenizer(this.metadata, signal === undefined ? {} : { signal });
  }

  async close(): Promise<void> {
    for (const { file } of this.#files) await file.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** The safetensors files that the index names; without an index there is one file. */
async function namesOfFiles(path: string, signal: AbortSignal | undefined): Promise<string[]> {
  const index = await readJsonFile(path, indexName, signal);
  if (index === undefined) return [weightsName];
  const map = new JsonView(index, join(path, indexName)).at('weight_map');
  const names = new Set<string>();
  for (const name of Object.values(map.rawObject())) {
    // A name must not lead out of the folder.
    if (typeof name !== 'string' || name !== basename(name) || !name.endsWith('.safetensors')) {
      throw map.error(`names the file ${describeJson(name)}, which is no safetensors file of the folder`);
    }
    names.add(name);
    if (names.size > MAX_FILES) throw map.error(`names more than ${MAX_FILES} files`);
  }
  if (names.size === 0) throw map.error('names no files');
  return [...names].sort();
}

/** @param translate gives a tensor's name in GGUF; undefined where the tensor is to be left out */
function tensorsOf(
  files: readonly SafetensorsFile[],
  translate: (name: string) => TensorRule | undefined,
): Map<string, CheckpointTensor> {
  const tensors = new Map<string, CheckpointTensor>();
  for (const { file, tensors: infos } of files) {
    for (const info of infos.values()) {
      const translation = translate(info.name);
      if (translation === undefined) continue;
      const { name, transposed = false, plus = 0 } = translation;
      if (tensors.has(name)) {
        throw new TesseraeError('ERR_MODEL_FILE', `${file.path}: tensor ${quote(info.name)} occurs twice in the model`);
      }
      const { position, sizeBytes, type = info.dtype } = info;
      const shape = transposed ? [...info.shape].reverse() : info.shape;
      tensors.set(name, { name, shape, type, file, position, sizeBytes, transposed, plus });
    }
  }
  return tensors;
}

/**
 * Adds unused tokens for the rows that an embedding has beyond the last token, as llama.cpp's conversion does: many
 * models round the number of rows up.
 * @throws TesseraeError ERR_MODEL_FILE where the added rows are more than the tokens: no model rounds up so far
 */
function padTokens(metadata: Map<string, MetadataValue>, embedding: CheckpointTensor | undefined): void {
  const tokens = metadata.get('tokenizer.ggml.tokens') as MetadataArray & { value: StringList };
  const known = tokens.value.length;
  const [rows = 0] = embedding?.shape ?? [];
  const missing = rows - known;
  if (missing <= 0) return;
  if (missing > known) {
    const problem = `the embedding has ${rows} rows, more than twice as many as there are tokens (${known})`;
    throw new TesseraeError('ERR_MODEL_FILE', `${embedding?.file.path}: ${problem}`);
  }
  const pads = StringList.from(Array.from({ length: missing }, (_, index) => `[PAD${known + index}]`));
  const { bytes, offsets } = tokens.value;
  const end = offsets[known] as number;
  const paddedOffsets = new Uint32Array(rows + 1);
  paddedOffsets.set(offsets);
  paddedOffsets.set(
    pads.offsets.map((offset) => offset + end),
    known,
  );
  const value = new StringList(Buffer.concat([bytes, pads.bytes]), paddedOffsets);
  metadata.set('tokenizer.ggml.tokens', { type: 'array', element: 'string', value });
  const unused = 5;
  const types = metadata.get('tokenizer.ggml.token_type') as MetadataArray & { value: Int32Array };
  const paddedTypes = new Int32Array(value.length).fill(unused);
  paddedTypes.set(types.value);
  metadata.set('tokenizer.ggml.token_type', { type: 'array', element: 'i32', value: paddedTypes });
  const scores = metadata.get('tokenizer.ggml.scores') as (MetadataArray & { value: Float32Array }) | undefined;
  if (scores === undefined) return;
  const paddedScores = new Float32Array(value.length).fill(Number.NEGATIVE_INFINITY);
  paddedScores.set(scores.value);
  metadata.set('tokenizer.ggml.scores', { type: 'array', element: 'f32', value: paddedScores });
}

/** The modules of sentence-transformers that are computed; `Normalize` is what `embed` does by default. */
const knownModules = ['Transformer', 'Pooling', 'Normalize'];

/** @throws TesseraeError ERR_UNSUPPORTED where the folder names a module that is not computed */
async function checkModules(path: string, signal: AbortSignal | undefined): Promise<void> {
  const document = await readJsonFile(path, modulesName, signal);
  if (document === undefined) return;
  const types = new JsonView(document, join(path, modulesName)).list().map((module) => {
    const type = module.at('type').string();
    const name = type.split('.').at(-1) ?? '';
    if (!knownModules.includes(name)) throw module.unsupported(`the module ${quote(type)}`);
    const folder = module.at('path').string('');
    if (name === 'Pooling' && folder !== poolingFolder)
      throw module.unsupported(`a pooling in the folder ${quote(folder)}`);
    return name;
  });
  for (const [i, name] of types.entries()) {
    if (knownModules.indexOf(name) < knownModules.indexOf(types[i - 1] ?? 'Transformer') || types.indexOf(name) < i) {
      throw new TesseraeError(
        'ERR_UNSUPPORTED',
        `${path}: the modules ${types.join(', ')} are not supported in this order`,
      );
    }
  }
}

/** Adds how sentence-transformers pools the states, where the folder says so. */
async function addPooling(
  path: string,
  architecture: string,
  metadata: Map<string, MetadataValue>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const pooling = await readJsonFile(join(path, poolingFolder), configName, signal);
  if (!isObject(pooling)) return;
  const chosen = Object.keys(pooling).filter((key) => key.startsWith('pooling_mode_') && pooling[key] === true);
  const mode = poolingModes.indexOf(chosen[0] ?? '');
  if (chosen.length !== 1 || mode === -1) {
    throw new TesseraeError('ERR_UNSUPPORTED', `${path}: the pooling ${quote(chosen.join(', '))} is not supported`);
  }
  metadata.set(`${architecture}.pooling_type`, { type: 'u32', value: mode + 1 });
}
