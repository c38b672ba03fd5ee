// Loads a model, in steps that leave the event loop free: metadata, tokenizer and weights of its checkpoint, then what serves
// it. Called by the engine.
import { basename } from 'node:path';
import type { Weights } from '../architectures/architecture.js';
import { checkOptions, checkPositive, checkRange } from '../base/options.js';
import { mappedBytesOf } from '../checkpoint/image/image-folder.js';
import { storedWeights } from '../checkpoint/image/stored-weights.js';
import { openCheckpoint } from '../checkpoint/open-checkpoint.js';
import { type LoadProgress, loadWeights } from '../checkpoint/weights.js';
import { defaultFormatTimeoutMs } from '../constraint/constraint-compiler.js';
import { type DecoderParts, DecoderPrograms, type ForwardParts } from '../forward/decoder-programs.js';
import type { EncoderParts } from '../forward/encoder/encoder-programs.js';
import { PageDirectory } from '../forward/page-directory.js';
import { defaultTemplateTimeoutMs } from '../generation/chat/chat-template.js';
import type { EngineMetrics } from '../metrics/engine-metrics.js';
import type { Compute } from '../ops/calls/compute.js';
import { PackedMatrix } from '../ops/matmul/pack.js';
import { type KeyValueType, type PageLayout, positionsPerPage } from '../ops/paged/key-value-pages.js';
import { ServedDecoder } from '../serving/served-decoder.js';
import { ServedEncoder } from '../serving/served-encoder.js';
import type { ServedModel, Shared } from '../serving/served-model.js';
import { type ServingOptions, servingOptionsOf } from '../serving/serving-options.js';
import type { Turns } from '../serving/steps/turns.js';
import type { Tensor } from '../tensor/tensor.js';
import { Model } from './model.js';
import type { ModelInfo } from './model-info.js';
import { type ReadModel, readModel } from './read-model.js';
import type { TextLimits } from './requests.js';

export interface LoadModelOptions {
  /**
   * Positions in a session, prompt and generated tokens together; by default what the model was made for, or 4096
   * where that is more. Memory for keys and values is taken as a session grows.
   */
  readonly contextLength?: number | undefined;
  /**
   * How sessions keep keys and values: f32 (the default) is exact; f16 takes half the memory, and half the time to read
   * them where contexts are long; q8_0 about a quarter, and needs heads of a multiple of 32 elements. What is kept is
   * what is computed with, in prompts too, so that results depend on the type but on nothing else.
   */
  readonly kvType?: KeyValueType | undefined;
  /**
   * A folder for images of weights, none by default: the first load stores the weights there as products read them, and maps
   * them; each later one, also of another process, maps the same file, which is verified by checksums. Mapped weights take
   * nothing of the memory budget. The folder is made with mode 0700, and must belong to this user alone. An image is as large
   * as `info.weightBytes`; it is used for as long as the model's files stay as they are, and never removed by the library.
   */
  readonly cache?: string | undefined;
  /** The time that rendering a chat template may take, in milliseconds; 250 by default. */
  readonly templateTimeoutMs?: number | undefined;
  /** The time that compiling a format may take, in milliseconds; 2000 by default. */
  readonly formatTimeoutMs?: number | undefined;
  /** How requests share the model. */
  readonly serving?: Partial<ServingOptions> | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
}

const op = 'loadModel';
const loadKeys = [
  'contextLength',
  'kvType',
  'cache',
  'templateTimeoutMs',
  'formatTimeoutMs',
  'serving',
  'signal',
  'onProgress',
] as const;
/** What a timer takes. */
const MOST_TIMEOUT_MS = 2 ** 31 - 1;

/**
 * @throws TesseraeError ERR_FILE, ERR_MODEL_FILE, ERR_UNSUPPORTED, ERR_BUDGET, ERR_ARGUMENT; AbortError when the signal
 * fires. After a failure nothing of the model is left in memory.
 */
export async function loadModel(
  engine: { readonly compute: Compute; readonly turns: Turns; readonly metrics: EngineMetrics },
  path: string,
  options: LoadModelOptions,
  onDispose: (model: Model) => void,
): Promise<Model> {
  const started = performance.now();
  const { compute, turns, metrics } = engine;
  const { serving, limits } = checkLoadOptions(options);
  await using checkpoint = await openCheckpoint(path, { signal: options.signal });
  const read = await readModel(checkpoint, options, op);
  const { architecture, config, capacity, tokenizer, chatTemplates } = read;
  const { cache } = options;
  const weights = await (cache === undefined
    ? loadWeights(compute, read.tensors, options)
    : storedWeights(compute, read.tensors, { ...options, cache }));
  const constants = new Map<string, Tensor>();
  try {
    for (const [name, values] of Object.entries(architecture.constants(config, weights, capacity))) {
      const constant = compute.pool.empty([values.length], 'f32');
      constants.set(name, constant);
      constant.set(values);
    }
    const info = infoOf(read, weights, performance.now() - started);
    const recorder = metrics.recorder(info.name ?? basename(path));
    const served = serve(read, { compute, weights, constants }, serving, { turns, recorder });
    return new Model({ served, tokenizer, chatTemplates, limits, info, recorder, onDispose });
  } catch (error) {
    for (const tensor of [...weights.values(), ...constants.values()]) tensor.dispose();
    throw error;
  }
}

/** @returns how requests share the model. The type of keys and values is checked where there are any. */
function checkLoadOptions(options: LoadModelOptions): { serving: ServingOptions; limits: TextLimits } {
  checkOptions(options, loadKeys, op);
  const serving = servingOptionsOf(options.serving, op);
  if (options.contextLength !== undefined) checkPositive(options.contextLength, 'contextLength', op);
  const { templateTimeoutMs = defaultTemplateTimeoutMs, formatTimeoutMs = defaultFormatTimeoutMs } = options;
  const limits = {
    templateTimeoutMs: checkRange(templateTimeoutMs, 'templateTimeoutMs', op, 1, MOST_TIMEOUT_MS) as number,
    formatTimeoutMs: checkRange(formatTimeoutMs, 'formatTimeoutMs', op, 1, MOST_TIMEOUT_MS) as number,
  };
  return { serving, limits };
}

function infoOf({ summary, layout }: ReadModel, weights: Weights, loadMs: number): ModelInfo {
  const panels = [...weights.values()].filter((weight) => weight instanceof PackedMatrix);
  return {
    ...summary,
    panelBytes: panels.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    mappedBytes: mappedBytesOf(weights),
    loadMs,
    kvType: layout?.type,
    kvBytesPerToken: layout === undefined ? 0 : layout.pageBytes / positionsPerPage,
  };
}

/** The server takes over weights and constants. */
function serve(
  { architecture, config, capacity, layout }: ReadModel,
  memory: Pick<ForwardParts, 'compute' | 'weights' | 'constants'>,
  serving: ServingOptions,
  shared: Shared,
): ServedModel {
  const parts = { ...memory, architecture, config, capacity };
  if (layout === undefined) return new ServedEncoder(parts as EncoderParts, serving, shared);
  return new ServedDecoder(decoderParts(parts as ForwardParts, layout), serving, shared);
}

function decoderParts(parts: ForwardParts, layout: PageLayout): DecoderParts {
  const directory = PageDirectory.forModel(parts.compute, layout);
  return { ...parts, directory, pageLayout: layout, programs: new DecoderPrograms(parts, directory) };
}
