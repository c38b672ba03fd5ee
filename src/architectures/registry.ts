// The architectures that can be loaded, one line each.

import type { JsonView } from '../base/json-view.js';
import { quote } from '../base/quote.js';
import type { ModelMetadata } from '../metadata/model-metadata.js';
import type { Architecture } from './architecture.js';
import { gemma2 } from './decoders/gemma2.js';
import { gemma3 } from './decoders/gemma3.js';
import { gpt2 } from './decoders/gpt2.js';
import { llama } from './decoders/llama.js';
import { phi3 } from './decoders/phi3.js';
import { qwen2 } from './decoders/qwen2.js';
import { qwen3 } from './decoders/qwen3.js';
import { smollm3 } from './decoders/smollm3.js';
import { bert } from './encoders/bert.js';
import { jinaBertV2 } from './encoders/jina-bert-v2.js';
import { nomicBert } from './encoders/nomic-bert.js';

const architectures = [
  llama,
  smollm3,
  qwen2,
  qwen3,
  gemma2,
  gemma3,
  phi3,
  gpt2,
  bert,
  nomicBert,
  jinaBertV2,
] as readonly unknown[] as readonly Architecture[];

/**
 * The architecture that `general.architecture` names.
 * @throws TesseraeError ERR_UNSUPPORTED, naming it and those that are supported
 */
export function architectureOf(metadata: ModelMetadata): Architecture {
  const key = 'general.architecture';
  const name = metadata.string(key);
  const found = architectures.find((architecture) => architecture.name === name);
  if (found !== undefined) return found;
  const supported = architectures.map((architecture) => architecture.name).join(', ');
  throw metadata.error(key, `names ${quote(name)}; supported are ${supported}`, 'ERR_UNSUPPORTED');
}

/**
 * The architecture of a Hugging Face folder.
 * @param config the folder's config.json
 * @throws TesseraeError ERR_MODEL_FILE without a `model_type`, ERR_UNSUPPORTED, naming it and those that are supported
 */
export function architectureOfFolder(config: JsonView): Architecture {
  const type = config.at('model_type').string();
  const found = architectures.find(
    ({ huggingFace: { modelTypes, accepts } }) => modelTypes.includes(type) && (accepts?.(config) ?? true),
  );
  if (found !== undefined) return found;
  const supported = new Set(architectures.flatMap((architecture) => architecture.huggingFace.modelTypes));
  throw config.at('model_type').unsupported(`${quote(type)} (supported are ${[...supported].join(', ')})`);
}
