// Makes the tokenizer that a model's metadata describes. Each kind of tokenizer is a folder beside this file and a line
// in the table below. Called by the readers of checkpoints.
import { quote } from '../base/quote.js';
import { TimeSlice } from '../base/time-slice.js';
import type { ModelMetadata } from '../metadata/model-metadata.js';
import { createByteLevelBpe } from './bpe/byte-level-bpe.js';
import { createSentencePiece } from './sentencepiece/sentencepiece.js';
import { createUnigram } from './sentencepiece/unigram.js';
import type { Tokenizer } from './tokenizer.js';
import { createWordPiece } from './wordpiece/wordpiece.js';

type TokenizerFactory = (metadata: ModelMetadata, timeSlice: TimeSlice) => Promise<Tokenizer>;

const factories: ReadonlyMap<string, TokenizerFactory> = new Map([
  ['gpt2', createByteLevelBpe],
  ['llama', createSentencePiece],
  ['t5', createUnigram],
  ['bert', createWordPiece],
]);

/**
 * Makes the tokenizer that a model's metadata describes, in time slices.
 * @throws TesseraeError ERR_UNSUPPORTED for an unknown tokenizer or pre-tokenizer, ERR_MODEL_FILE for a corrupt
 * vocabulary; AbortError when the signal fires
 */
export async function createTokenizer(
  metadata: ModelMetadata,
  options: { signal?: AbortSignal } = {},
): Promise<Tokenizer> {
  const key = 'tokenizer.ggml.model';
  const kind = metadata.string(key);
  const factory = factories.get(kind);
  if (factory === undefined) {
    const supported = [...factories.keys()].join(', ');
    throw metadata.error(key, `names the tokenizer ${quote(kind)}; supported are ${supported}`, 'ERR_UNSUPPORTED');
  }
  return factory(metadata, new TimeSlice(options.signal));
}
