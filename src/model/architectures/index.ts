// The architectures that can be loaded, one line each.
import type { GgufMetadata } from '../gguf/metadata.js';
import type { Architecture, ModelConfig } from './architecture.js';
import { gpt2 } from './gpt2.js';
import { llama } from './llama.js';
import { phi3 } from './phi3.js';
import { qwen2 } from './qwen2.js';
import { qwen3 } from './qwen3.js';

const architectures: readonly Architecture<never>[] = [llama, qwen2, qwen3, phi3, gpt2].map(
  (known) => known as Architecture<never>,
);

/** @throws TesseraeError ERR_UNSUPPORTED, naming the architecture and those that are supported */
export function architectureOf(metadata: GgufMetadata): Architecture<ModelConfig> {
  const key = 'general.architecture';
  const name = metadata.string(key);
  const found = architectures.find((architecture) => architecture.name === name);
  if (found !== undefined) return found as unknown as Architecture<ModelConfig>;
  const supported = architectures.map((architecture) => architecture.name).join(', ');
  throw metadata.error(key, `names ${JSON.stringify(name)}; supported are ${supported}`, 'ERR_UNSUPPORTED');
}
