// Metadata as plain values, to compare it with what is expected. Called by tests of the reader of tokenizer.json.
import { TimeSlice } from '../../../src/base/time-slice.js';
import type { MetadataValue } from '../../../src/metadata/value-types.js';
import {
  mergesPath,
  readTokens,
  type TokenList,
  vocabPath,
} from '../../../src/tokenizer/huggingface/huggingface-tokens.js';
import { parseAround } from '../../../src/tokenizer/huggingface/json-spans.js';

/** The values by key, without `tokenizer.ggml.` and `tesserae.tokenizer.`; lists as arrays. */
export function plainMetadata(metadata: Iterable<readonly [string, MetadataValue]>): Record<string, unknown> {
  const plain = ({ type, value }: MetadataValue) => {
    if (value === undefined) throw new Error('metadata without a value');
    return type === 'array' ? Array.from(value as Iterable<unknown>) : value;
  };
  return Object.fromEntries(
    [...metadata].map(([key, value]) => [key.replace(/^(tokenizer\.ggml|tesserae\.tokenizer)\./, ''), plain(value)]),
  );
}

/** The tokens of a tokenizer.json. */
export async function tokensOf(json: object, timeSlice = new TimeSlice()): Promise<TokenList> {
  const bytes = Buffer.from(JSON.stringify(json));
  const document = await parseAround(bytes, 'tokenizer.json', [vocabPath, mergesPath], timeSlice);
  return readTokens(document, timeSlice);
}

/** A time slice that is over at every other look. */
export class CountedSlice {
  looks = 0;
  yields = 0;

  isOver(): boolean {
    return this.looks++ % 2 === 1;
  }

  async yield(): Promise<void> {
    this.yields += 1;
  }

  get asTimeSlice(): TimeSlice {
    return this as unknown as TimeSlice;
  }
}
