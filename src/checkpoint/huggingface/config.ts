// Translates a config.json of Hugging Face into the metadata keys of GGUF: what all folders share is done here, the
// rest by the mapping of the architecture that the config names. Called by huggingface-checkpoint.ts.

import { firstPresent, MetadataBuilder, type TensorNames } from '../../architectures/huggingface-mapping.js';
import { architectureOfFolder } from '../../architectures/registry.js';
import { JsonView } from '../../base/json-view.js';
import { quote } from '../../base/quote.js';
import type { MetadataValue } from '../../metadata/value-types.js';

export interface TranslatedConfig {
  /** As GGUF names it. */
  readonly architecture: string;
  readonly metadata: Map<string, MetadataValue>;
  readonly tensorNames: TensorNames;
  /** Whether the embedding is also the output matrix: an output matrix in the files is a copy of it. */
  readonly tied: boolean;
}

/**
 * @param document the parsed config.json
 * @throws TesseraeError ERR_MODEL_FILE for values that cannot be, ERR_UNSUPPORTED for models that cannot be computed
 */
export function translateConfig(document: unknown, path: string): TranslatedConfig {
  const whole = new JsonView(document, path);
  const { name: architecture, huggingFace } = architectureOfFolder(whole);
  const { activations, tiedByDefault = false, tensorNames } = huggingFace;
  const quantization = whole.at('quantization_config');
  if (!quantization.isAbsent) throw quantization.unsupported('a quantized folder');
  // Vision models have the config of their text part in here.
  const config = whole.at('text_config').isAbsent ? whole : whole.at('text_config');
  refuseOtherActivations(config, activations);
  const metadata = new MetadataBuilder(architecture);
  const name = whole.at('_name_or_path').value;
  if (typeof name === 'string' && name !== '') metadata.string('general.name', name);
  huggingFace.addMetadata(config, metadata);
  const tied = config.at('tie_word_embeddings').boolean(tiedByDefault);
  return { architecture, metadata: metadata.values, tensorNames, tied };
}

function refuseOtherActivations(config: JsonView, activations: readonly string[]): void {
  const activation = firstPresent(config, 'hidden_activation', 'hidden_act', 'activation_function');
  if (activation.isAbsent || activations.includes(activation.string())) return;
  throw activation.unsupported(quote(activation.string()));
}
