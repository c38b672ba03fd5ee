// What a checkpoint says of a model, read and checked before any tensor is: sizes, tokenizer, and where each tensor will be.
// `loadModel` goes on from it, `inspect` reports it, so that both refuse the same files by the same errors.
import type { Architecture, ModelConfig } from '../architectures/architecture.js';
import { architectureOf } from '../architectures/registry.js';
import { TesseraeError } from '../base/errors.js';
import type { Checkpoint } from '../checkpoint/checkpoint.js';
import { type PlacedTensor, placedTensors, requireSupportedTypes } from '../checkpoint/placed-tensors.js';
import { readChatTemplates } from '../generation/chat/chat.js';
import { type KeyValueType, type PageLayout, pageLayout } from '../ops/paged/key-value-pages.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { readPooling } from './embed-options.js';
import type { ModelSummary } from './model-info.js';
import { checkKeyValueType } from './session.js';

export interface ReadModelOptions {
  readonly contextLength?: number | undefined;
  readonly kvType?: KeyValueType | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ReadModel {
  readonly architecture: Architecture;
  readonly config: ModelConfig;
  /** Positions in a sequence. */
  readonly capacity: number;
  /** How pages hold keys and values; undefined for an encoder. */
  readonly layout: PageLayout | undefined;
  readonly tokenizer: Tokenizer;
  readonly chatTemplates: ReadonlyMap<string, string>;
  readonly tensors: readonly PlacedTensor[];
  readonly summary: ModelSummary;
}

const mostDefaultContext = 4096;

/** @throws TesseraeError ERR_MODEL_FILE, ERR_UNSUPPORTED, ERR_ARGUMENT; AbortError when the signal fires */
export async function readModel(checkpoint: Checkpoint, options: ReadModelOptions, op: string): Promise<ReadModel> {
  const { metadata } = checkpoint;
  const sizes = sizesOf(checkpoint, options, op);
  const specs = sizes.architecture.weights(sizes.config);
  requireSupportedTypes(checkpoint);
  const tokenizer = await checkpoint.createTokenizer(options.signal);
  const tensors = placedTensors(checkpoint, specs);
  const chatTemplates = readChatTemplates(metadata);
  const summary = { ...summaryOf(checkpoint, sizes, tensors), hasChatTemplate: chatTemplates.has('default') };
  return { ...sizes, tokenizer, chatTemplates, tensors, summary };
}

type Sizes = Pick<ReadModel, 'architecture' | 'config' | 'capacity' | 'layout'>;

function sizesOf(checkpoint: Checkpoint, { contextLength, kvType }: ReadModelOptions, op: string): Sizes {
  const { metadata, tensors } = checkpoint;
  const architecture = architectureOf(metadata);
  const config = architecture.readConfig(metadata);
  const made = config.contextLength;
  const capacity = contextLength ?? Math.min(made, mostDefaultContext);
  if (capacity > made) {
    throw new TesseraeError('ERR_ARGUMENT', `contextLength is ${capacity}, the model was made for ${made}`, { op });
  }
  if (config.layers > tensors.size) {
    const problem = `is ${config.layers}, but the file has ${tensors.size} tensors`;
    throw metadata.error(`${architecture.name}.block_count`, problem);
  }
  const isEncoder = architecture.kind === 'encoder';
  if (isEncoder && kvType !== undefined) {
    const message = `a model of architecture ${architecture.name} keeps no keys and values`;
    throw new TesseraeError('ERR_ARGUMENT', message, { op });
  }
  const layout = isEncoder ? undefined : pageLayout(config, checkKeyValueType(kvType, op));
  return { architecture, config, capacity, layout };
}

function summaryOf(
  { path, metadata, tensors }: Checkpoint,
  { config, capacity }: Sizes,
  placed: readonly PlacedTensor[],
): Omit<ModelSummary, 'hasChatTemplate'> {
  const tensorTypes: Record<string, number> = {};
  for (const { type } of tensors.values()) tensorTypes[type] = (tensorTypes[type] ?? 0) + 1;
  return {
    ...config,
    path,
    name: metadata.string('general.name', '') || undefined,
    parameters: placed.reduce((sum, { tensor }) => sum + tensor.shape.reduce((size, dim) => size * dim, 1), 0),
    weightBytes: placed.reduce((sum, { placement }) => sum + placement.sizeBytes, 0),
    tensorTypes,
    sessionCapacity: capacity,
    pooling: readPooling(metadata),
  };
}
