// Unicode normalization of text before it is split, in pieces of long texts. Called by byte-level-bpe.ts, if the model's
// tokenizer.json has it (GGUF files have no key for it), by wordpiece.ts, and by the reader of tokenizer.json.
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

/** The least length of a piece, in code units. */
const PIECE = 1 << 14;

/**
 * Normalizes text[start, end) piece by piece, and gives the parts. Joined, they are the normal form of the whole.
 */
export function* normalizedPieces(
  text: string,
  start: number,
  end: number,
  normalize: TextNormalizer,
): Generator<string, void> {
  for (let from = start; from < end; ) {
    let to = Math.min(end, from + PIECE);
    while (to < end && !mayBeginPiece(text.charCodeAt(to))) to += 1;
    yield normalize(text.slice(from, to));
    from = to;
  }
}

/** As {@link normalizedPieces}, joined. Yields after each piece. */
export function* normalizedInPieces(
  text: string,
  start: number,
  end: number,
  normalize: TextNormalizer,
): Generator<void, string> {
  const parts: string[] = [];
  for (const part of normalizedPieces(text, start, end, normalize)) {
    parts.push(part);
    yield;
  }
  return parts.join('');
}

/**
 * Whether a character never joins what is before it, in any normal form: ASCII, Chinese characters, and Korean syllables,
 * of which one is soon met in texts of almost all scripts.
 */
function mayBeginPiece(unit: number): boolean {
  return unit < 0x80 || (unit >= 0x4e00 && unit <= 0x9fff) || (unit >= 0xac00 && unit <= 0xd7a3);
}
