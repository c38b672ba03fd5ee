// What `engine.inspect` reports: a model's description, and what loading it takes, from its files' headers alone. Loads no
// tensor data and takes no pooled memory.
import { checkOptions } from '../base/options.js';
import { openCheckpoint } from '../checkpoint/open-checkpoint.js';
import { heldByWeights } from '../checkpoint/weights.js';
import {
  allowsKeyValueType,
  type KeyValueType,
  keyValueTypes,
  pageLayout,
  positionsPerPage,
} from '../ops/paged/key-value-pages.js';
import { classBytesFor } from '../tensor/tensor-pool.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import type { ModelSummary } from './model-info.js';
import { type ReadModel, readModel } from './read-model.js';

export interface InspectOptions {
  readonly signal?: AbortSignal | undefined;
}

/** What a model's files say of it, and what the model takes. */
export interface ModelInspection extends ModelSummary {
  readonly tokenizer: Pick<Tokenizer, 'kind' | 'vocabularySize' | 'bosId' | 'eosId' | 'addsBos' | 'addsEos'>;
  /**
   * Bytes that loading takes from the memory budget for as long as the model is loaded: so much more is
   * `engine.stats().pool.rentedBytes` then. Its first request takes more, for the memory of its steps.
   */
  readonly loadBytes: number;
  /**
   * Bytes that a token's keys and values take, by the `kvType` of loading. Undefined for a type that the model's heads do
   * not allow; 0 for an encoder, which keeps none. They are taken in pages of 32 tokens.
   */
  readonly kvBytesPerToken: Readonly<Record<KeyValueType, number | undefined>>;
}

const op = 'inspect';

/**
 * @throws TesseraeError ERR_FILE, ERR_MODEL_FILE, ERR_UNSUPPORTED, ERR_ARGUMENT, as loading does; AbortError when the
 * signal fires
 */
export async function inspectModel(path: string, options: InspectOptions): Promise<ModelInspection> {
  checkOptions(options, ['signal'], op);
  await using checkpoint = await openCheckpoint(path, options);
  const model = await readModel(checkpoint, options, op);
  const { kind, vocabularySize, bosId, eosId, addsBos, addsEos } = model.tokenizer;
  return {
    ...model.summary,
    tokenizer: { kind, vocabularySize, bosId, eosId, addsBos, addsEos },
    loadBytes: loadBytesOf(model),
    kvBytesPerToken: keyValueBytesOf(model),
  };
}

function loadBytesOf({ architecture, config, capacity, tensors }: ReadModel): number {
  // Their values need weights, their lengths do not.
  const constants = Object.values(architecture.constants(config, new Map(), capacity));
  return constants.reduce((sum, { byteLength }) => sum + classBytesFor(byteLength), heldByWeights(tensors));
}

function keyValueBytesOf({ config, layout }: ReadModel): Record<KeyValueType, number | undefined> {
  const bytesOf = (type: KeyValueType): number | undefined => {
    if (layout === undefined) return 0;
    if (!allowsKeyValueType(config, type)) return undefined;
    return pageLayout(config, type).pageBytes / positionsPerPage;
  };
  const types = Object.keys(keyValueTypes) as KeyValueType[];
  return Object.fromEntries(types.map((type) => [type, bytesOf(type)])) as Record<KeyValueType, number | undefined>;
}
