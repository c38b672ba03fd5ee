// The tokenizer of a Hugging Face folder: translates tokenizer.json and tokenizer_config.json to the metadata that a
// GGUF file of the same model has, and refuses by name what has no translation. Called by the reader of such folders.
import { JsonView } from '../../base/json-view.js';
import { quote } from '../../base/quote.js';
import type { TimeSlice } from '../../base/time-slice.js';
import { StringList } from '../../metadata/string-list.js';
import type { MetadataMap } from '../../metadata/value-types.js';
import { ByteList } from '../byte-list.js';
import { addEndings } from './huggingface-endings.js';
import { translateText } from './huggingface-text.js';
import {
  ENTRIES_PER_LOOK,
  markWords,
  mergesPath,
  readTokens,
  type TokenList,
  vocabPath,
} from './huggingface-tokens.js';
import { type JsonSpan, JsonWalker, parseAround } from './json-spans.js';

const BLANK = 0x20;
/** The shortest merge is `"a b",`. */
const MERGE_BYTES = 6;

/**
 * The `tokenizer.*` metadata of a model.
 * @param tokenizerJson the UTF-8 of tokenizer.json
 * @param tokenizerConfig tokenizer_config.json, parsed
 * @throws TesseraeError ERR_MODEL_FILE for a damaged file, ERR_UNSUPPORTED for parts that are not supported; AbortError
 */
export async function tokenizerMetadata(
  tokenizerJson: Uint8Array,
  tokenizerConfig: unknown,
  timeSlice: TimeSlice,
): Promise<MetadataMap> {
  const document = await parseAround(tokenizerJson, 'tokenizer.json', [vocabPath, mergesPath], timeSlice);
  const { root, spans } = document;
  const config = new JsonView(tokenizerConfig, 'tokenizer_config.json');
  const tokens = await readTokens(document, timeSlice);
  const metadata: MetadataMap = new Map();
  const merges = spans.get(mergesPath);
  const kind = translateText(root, merges !== undefined, metadata);
  metadata.set('tokenizer.ggml.model', { type: 'string', value: kind });
  if (kind === 'gpt2' || kind === 'llama') {
    if (merges === undefined) throw root.at('model').at('merges').error('must be a list');
    if (kind === 'gpt2') addStrings(metadata, 'merges', await linesOf(merges, timeSlice));
    else addScores(metadata, await scoresOfMerges(merges, tokens, timeSlice));
  } else if (kind === 't5') {
    if (tokens.scores === undefined) throw root.at('model').at('vocab').error('must be a list of tokens with scores');
    addScores(metadata, tokens.scores);
  }
  addStrings(metadata, 'tokens', kind === 'bert' ? await markWords(tokens, timeSlice) : tokens.texts);
  metadata.set('tokenizer.ggml.token_type', { type: 'array', element: 'i32', value: tokens.types });
  addEndings(root, config, tokens, metadata);
  const decoder = root.at('decoder');
  const isCleaned = decoder.at('type').value === 'WordPiece' && decoder.at('cleanup').boolean(true);
  const cleansUp = config.at('clean_up_tokenization_spaces').boolean(isCleaned);
  if (cleansUp) metadata.set('tesserae.tokenizer.clean_up_spaces', { type: 'bool', value: true });
  return metadata;
}

function addStrings(metadata: MetadataMap, name: string, value: StringList): void {
  metadata.set(`tokenizer.ggml.${name}`, { type: 'array', element: 'string', value });
}

function addScores(metadata: MetadataMap, scores: Float32Array): void {
  metadata.set('tokenizer.ggml.scores', { type: 'array', element: 'f32', value: scores });
}

/** The first blank in bytes[start, end), or -1. */
function blankIn(bytes: Uint8Array, start: number, end: number): number {
  const at = bytes.subarray(start, end).indexOf(BLANK);
  return at < 0 ? -1 : start + at;
}

/**
 * Appends each merge, `"left right"` or `["left", "right"]`, to `into` as `left right`. Yields, in batches, where each
 * begins, where its blank is, and where it ends.
 */
async function* mergesOf(
  span: JsonSpan,
  into: ByteList,
  timeSlice: TimeSlice,
): AsyncGenerator<readonly (readonly [start: number, blank: number, end: number])[]> {
  const walker = new JsonWalker(span);
  walker.open('[');
  let count = 0;
  let batch: [number, number, number][] = [];
  while (walker.next()) {
    const start = into.length;
    let blank = -1;
    if (walker.isAtList) {
      walker.open('[');
      for (let part = 0; walker.next(); part++) {
        if (part === 1) {
          blank = into.length;
          into.push(BLANK);
        }
        if (part > 1) throw walker.error(`has at ${count} no pair of tokens`);
        walker.string(into);
      }
    } else {
      walker.string(into);
      blank = blankIn(into.bytes, start, into.length);
      if (blankIn(into.bytes, blank + 1, into.length) >= 0) blank = -1;
    }
    if (blank < 0) throw walker.error(`has at ${count} no pair of tokens`);
    batch.push([start, blank, into.length]);
    count += 1;
    if (batch.length < ENTRIES_PER_LOOK) continue;
    yield batch;
    batch = [];
    if (timeSlice.isOver()) await timeSlice.yield();
  }
  yield batch;
}

async function linesOf(span: JsonSpan, timeSlice: TimeSlice): Promise<StringList> {
  const sizeBytes = span.end - span.start;
  const bytes = new ByteList(Math.ceil(sizeBytes / 2));
  const offsets = new Uint32Array(Math.ceil(sizeBytes / MERGE_BYTES) + 1);
  let count = 0;
  for await (const batch of mergesOf(span, bytes, timeSlice)) {
    for (const [, blank, end] of batch) {
      if (blankIn(bytes.bytes, blank + 1, end) >= 0) {
        throw new JsonWalker(span).error(`has a token with a space at ${count}`);
      }
      count += 1;
      offsets[count] = end;
    }
  }
  return new StringList(bytes.bytes, offsets.subarray(0, count + 1));
}

/** Scores with which SentencePiece merges in the order of these merges: the earlier a token is made, the higher. */
async function scoresOfMerges(
  span: JsonSpan,
  { texts, table }: TokenList,
  timeSlice: TimeSlice,
): Promise<Float32Array> {
  // A token that no merge makes must never be made.
  const scores = new Float32Array(texts.length).fill(Number.NEGATIVE_INFINITY);
  const bytes = new ByteList(ENTRIES_PER_LOOK);
  let rank = 0;
  for await (const batch of mergesOf(span, bytes, timeSlice)) {
    for (const [start, blank, end] of batch) {
      const id = table.find(bytes.bytes, start, end, blank);
      if (id < 0) {
        const made = Buffer.from(bytes.bytes.subarray(start, end)).toString();
        throw new JsonWalker(span).error(`makes ${quote(made)}, which is not a token`);
      }
      if (scores[id] === Number.NEGATIVE_INFINITY) scores[id] = -rank;
      rank += 1;
    }
    bytes.length = 0;
  }
  return scores;
}
