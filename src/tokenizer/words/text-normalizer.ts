// Unicode normalization of text before it is split, where the file of a tokenizer asks for it. GGUF files never do;
// tokenizer.json files may. Called by the kinds of tokenizers.

import { quote } from '../../base/quote.js';
import type { ModelMetadata } from '../../metadata/model-metadata.js';

export type TextNormalizer = (text: string) => string;

const forms = ['NFC', 'NFD', 'NFKC', 'NFKD'] as const;

/** @throws TesseraeError ERR_UNSUPPORTED for an unknown form */
export function normalizerOf(metadata: ModelMetadata): TextNormalizer | undefined {
  const key = 'tesserae.tokenizer.normalizer';
  if (!metadata.has(key)) return undefined;
  const name = metadata.string(key);
  const form = forms.find((known) => known === name);
  if (form === undefined) {
    throw metadata.error(key, `names the normalizer ${quote(name)}, which is not supported`, 'ERR_UNSUPPORTED');
  }
  return (text) => text.normalize(form);
}
