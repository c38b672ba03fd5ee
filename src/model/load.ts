// Loads a model: header, tokenizer and weights of a file, in steps that leave the event loop free.

import { architectureOf } from '../architectures/registry.js';
import { TesseraeError } from '../base/errors.js';
import { checkOptions, checkPositive } from '../base/options.js';
import type { Checkpoint } from '../checkpoint/checkpoint.js';
import { openCheckpoint } from '../checkpoint/open-checkpoint.js';
import type { LoadingMemory } from '../checkpoint/weights.js';
import { type LoadProgress, loadWeights, requireSupportedTypes } from '../checkpoint/weights.js';
import { type DecoderParts, DecoderPrograms, type ForwardParts } from '../forward/decoder-programs.js';
import type { EncoderParts } from '../forward/encoder-programs.js';
import { PageDirectory } from '../forward/page-directory.js';
import { readChatTemplates } from '../generation/chat/chat.js';
import { type KeyValueType, type PageLayout, pageLayout, positionsPerPage } from '../ops/paged/key-value-pages.js';
import { ServedDecoder } from '../serving/served-decoder.js';
import { ServedEncoder } from '../serving/served-encoder.js';
import { type ServingOptions, servingOptionsOf } from '../serving/serving-options.js';
import type { Turns } from '../serving/steps/turns.js';
import type { Tensor } from '../tensor/tensor.js';
import { readPooling } from './embed-options.js';
import { Model } from './model.js';
import { checkKeyValueType } from './session.js';

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
  /** How requests share the model. */
  readonly serving?: Partial<ServingOptions> | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
}

const mostDefaultContext = 4096;

/**
 * @throws TesseraeError ERR_FILE, ERR_MODEL_FILE, ERR_UNSUPPORTED, ERR_BUDGET, ERR_ARGUMENT; AbortError when the signal
 * fires. After a failure nothing of the model is left in memory.
 */
export async function loadModel(
  memory: LoadingMemory & { readonly turns: Turns },
  path: string,
  options: LoadModelOptions,
  onDispose: (model: Model) => void,
): Promise<Model> {
  const op = 'loadModel';
  const started = performance.now();
  const { compute, turns } = memory;
  checkOptions(options, ['contextLength', 'kvType', 'serving', 'signal', 'onProgress'], op);
  const serving = servingOptionsOf(options.serving, op);
  const { signal, contextLength } = options;
  if (contextLength !== undefined) checkPositive(contextLength, 'contextLength', op);
  await using checkpoint = await openCheckpoint(path, { signal });
  const architecture = architectureOf(checkpoint.metadata);
  const config = architecture.readConfig(checkpoint.metadata);
  const made = config.contextLength;
  const capacity = contextLength ?? Math.min(made, mostDefaultContext);
  if (capacity > made) {
    throw new TesseraeError('ERR_ARGUMENT', `contextLength is ${capacity}, the model was made for ${made}`, { op });
  }
  if (config.layers > checkpoint.tensors.size) {
    const problem = `is ${config.layers}, but the file has ${checkpoint.tensors.size} tensors`;
    throw checkpoint.metadata.error(`${architecture.name}.block_count`, problem);
  }
  const isEncoder = architecture.kind === 'encoder';
  if (isEncoder && options.kvType !== undefined) {
    const message = `a model of architecture ${architecture.name} keeps no keys and values`;
    throw new TesseraeError('ERR_ARGUMENT', message, { op });
  }
  const layout = isEncoder ? undefined : pageLayout(config, checkKeyValueType(options.kvType, op));
  const specs = architecture.weights(config);
  requireSupportedTypes(checkpoint);
  const tokenizer = await checkpoint.createTokenizer(signal);
  const weights = await loadWeights(memory, checkpoint, specs, options);
  const constants = new Map<string, Tensor>();
  try {
    for (const [name, values] of Object.entries(architecture.constants(config, weights, capacity))) {
      const constant = compute.pool.empty([values.length], 'f32');
      constants.set(name, constant);
      constant.set(values);
    }
    const info = {
      ...config,
      path,
      name: checkpoint.metadata.string('general.name', '') || undefined,
      parameters: [...weights.values()].reduce((sum, tensor) => sum + tensor.size, 0),
      weightBytes: [...weights.values()].reduce((sum, tensor) => sum + tensor.sizeBytes, 0),
      tensorTypes: countTypes(checkpoint),
      sessionCapacity: capacity,
      pooling: readPooling(checkpoint.metadata),
      loadMs: performance.now() - started,
      kvType: layout?.type,
      kvBytesPerToken: layout === undefined ? 0 : layout.pageBytes / positionsPerPage,
    };
    const shared = { compute, config, weights, constants, capacity };
    const served =
      layout === undefined
        ? new ServedEncoder({ ...shared, architecture } as EncoderParts, serving)
        : new ServedDecoder(decoderParts({ ...shared, architecture } as ForwardParts, layout), serving, turns);
    const chatTemplates = readChatTemplates(checkpoint.metadata);
    return new Model({ served, tokenizer, chatTemplates, info, onDispose });
  } catch (error) {
    for (const tensor of [...weights.values(), ...constants.values()]) tensor.dispose();
    throw error;
  }
}

function decoderParts(parts: ForwardParts, layout: PageLayout): DecoderParts {
  const directory = PageDirectory.forModel(parts.compute, layout);
  return { ...parts, directory, pageLayout: layout, programs: new DecoderPrograms(parts, directory) };
}

function countTypes(checkpoint: Checkpoint): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { type } of checkpoint.tensors.values()) counts[type] = (counts[type] ?? 0) + 1;
  return counts;
}
