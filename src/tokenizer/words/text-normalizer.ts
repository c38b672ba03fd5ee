// Unicode normalization of text before it is split, if the model's tokenizer.json has it; GGUF files have no key for
// it. Called by byte-level-bpe.ts, and by the reader of tokenizer.json.
import { quote } from '../../base/quote.js';
import type { ModelMetadata } from '../../metadata/model-metadata.js';

export type TextNormalizer = (text: string) => string;

const forms = ['NFC', 'NFD', 'NFKC', 'NFKD'];

export function isNormalForm(name: string): boolean {
  return forms.includes(name);
}

/** The normalizer of a model, undefined if it has none. @throws TesseraeError ERR_UNSUPPORTED for an unknown form */
export function normalizerOf(metadata: ModelMetadata): TextNormalizer | undefined {
  const key = 'tesserae.tokenizer.normalizer';
  if (!metadata.has(key)) return undefined;
  const form = metadata.string(key);
  if (!isNormalForm(form)) {
    throw metadata.error(key, `names the normalizer ${quote(form)}, which is not supported`, 'ERR_UNSUPPORTED');
  }
  return (text) => text.normalize(form);
}
