// The architectures that can be loaded, one line each.
import type { GgufMetadata } from '../gguf/metadata.js';
import { quote } from '../gguf/quote.js';
import type { AnyArchitecture } from './architecture.js';
import { bert } from './bert.js';
import { gemma2 } from './gemma2.js';
import { gemma3 } from './gemma3.js';
import { gpt2 } from './gpt2.js';
import { jinaBertV2 } from './jina-bert-v2.js';
import { llama } from './llama.js';
import { nomicBert } from './nomic-bert.js';
import { phi3 } from './phi3.js';
import { qwen2 } from './qwen2.js';
import { qwen3 } from './qwen3.js';
import { smollm3 } from './smollm3.js';

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
] as readonly unknown[] as readonly AnyArchitecture[];

/** @throws TesseraeError ERR_UNSUPPORTED, naming the architecture and those that are supported */
export function architectureOf(metadata: GgufMetadata): AnyArchitecture {
  const key = 'general.architecture';
  const name = metadata.string(key);
  const found = architectures.find((architecture) => architecture.name === name);
  if (found !== undefined) return found;
  const supported = architectures.map((architecture) => architecture.name).join(', ');
  throw metadata.error(key, `names ${quote(name)}; supported are ${supported}`, 'ERR_UNSUPPORTED');
}
