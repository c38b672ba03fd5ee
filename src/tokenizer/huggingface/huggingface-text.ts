// The parts of a tokenizer.json that decide how text is processed before it becomes tokens, as metadata: the kind of
// model, the normalizer and the pre-tokenizer. Refuses unsupported parts by name. Called by huggingface.ts.
import type { JsonView } from '../../base/json-view.js';
import { quote } from '../../base/quote.js';
import { StringList } from '../../metadata/string-list.js';
import type { MetadataMap } from '../../metadata/value-types.js';
import { SPACE_MARK } from '../vocabulary/token-bytes.js';
import { gpt2Pattern, isKnownPattern, namePatterns } from '../words/patterns.js';
import { isNormalForm } from '../words/text-normalizer.js';

export type Kind = 'gpt2' | 'llama' | 't5' | 'bert';

/** Adds the keys to `metadata`. @returns the kind of tokenizer, by its name in GGUF files */
export function translateText(file: JsonView, hasMerges: boolean, metadata: MetadataMap): Kind {
  const model = file.at('model');
  const type = model.at('type').string(hasMerges ? 'BPE' : '');
  const normalizers = flatten(file.at('normalizer'), 'normalizers');
  const preTokenizers = flatten(file.at('pre_tokenizer'), 'pretokenizers');
  const set = (key: string, value: boolean) => metadata.set(key, { type: 'bool', value });
  switch (type) {
    case 'BPE':
      for (const option of ['continuing_subword_prefix', 'end_of_word_suffix']) {
        if (model.at(option).string('') !== '') throw model.unsupported(`the option ${option}`);
      }
      if (preTokenizers.some((part) => typeOf(part) === 'ByteLevel')) {
        translateByteLevel(normalizers, preTokenizers, metadata);
        set('tesserae.tokenizer.ignore_merges', model.at('ignore_merges').boolean(false));
        return 'gpt2';
      }
      translateSpaces(file, normalizers, preTokenizers, metadata);
      return 'llama';
    case 'Unigram':
      if (model.at('byte_fallback').boolean(false)) throw model.unsupported('byte_fallback');
      translateUnigram(normalizers, preTokenizers, metadata);
      return 't5';
    case 'WordPiece':
      translateWordPiece(model, normalizers, preTokenizers, metadata);
      return 'bert';
    default:
      throw model.at('type').unsupported(`the model ${quote(type)}`);
  }
}

/** The parts of a sequence of parts, or the part itself if it is no sequence. */
function flatten(part: JsonView, listKey: string, depth = 0): JsonView[] {
  if (part.isAbsent) return [];
  if (typeOf(part) !== 'Sequence') return [part];
  if (depth > 8) throw part.unsupported('so deeply nested a Sequence');
  return part
    .at(listKey)
    .list()
    .flatMap((inner) => flatten(inner, listKey, depth + 1));
}

function typeOf(part: JsonView): string {
  return part.at('type').string();
}

function refuse(part: JsonView): never {
  throw part.unsupported(quote(typeOf(part)));
}

function translateByteLevel(normalizers: JsonView[], preTokenizers: JsonView[], metadata: MetadataMap): void {
  for (const part of normalizers) {
    if (normalizers.length > 1 || !isNormalForm(typeOf(part))) refuse(part);
    metadata.set('tesserae.tokenizer.normalizer', { type: 'string', value: typeOf(part) });
  }
  const patterns: string[] = [];
  for (const part of preTokenizers) {
    switch (typeOf(part)) {
      case 'ByteLevel':
        if (part.at('add_prefix_space').boolean(true)) throw part.unsupported('add_prefix_space');
        if (part.at('use_regex').boolean(true)) patterns.push(gpt2Pattern);
        break;
      case 'Digits':
        patterns.push(part.at('individual_digits').boolean(false) ? '\\p{N}' : '\\p{N}+');
        break;
      case 'Split':
        patterns.push(splitPattern(part));
        break;
      default:
        refuse(part);
    }
  }
  metadata.set('tokenizer.ggml.pre', { type: 'string', value: namePatterns(patterns) });
  metadata.set('tesserae.tokenizer.patterns', { type: 'array', element: 'string', value: StringList.from(patterns) });
}

function splitPattern(part: JsonView): string {
  const pattern = part.at('pattern').at('Regex').string();
  const behavior = part.at('behavior').string();
  // Inverted and removed: the text between matches is dropped. The same as isolating matches, if they cover all text.
  const isInverse = behavior === 'Removed' && part.at('invert').boolean(false);
  if (!isInverse && (behavior !== 'Isolated' || part.at('invert').boolean(false))) {
    throw part.unsupported(`the behavior ${quote(behavior)}`);
  }
  if (!isKnownPattern(pattern)) throw part.unsupported(`the pattern ${quote(pattern)}`);
  return pattern;
}

/** Where a Metaspace part adds a space, as sentencepiece.ts names it; undefined for another part. */
function metaspaceOf(part: JsonView): 'never' | 'unless-there' | 'first-unless-there' | undefined {
  if (typeOf(part) !== 'Metaspace' || part.at('replacement').string(SPACE_MARK) !== SPACE_MARK) return undefined;
  const scheme = part.at('prepend_scheme').string(part.at('add_prefix_space').boolean(true) ? 'always' : 'never');
  if (scheme === 'always') return 'unless-there';
  if (scheme === 'first') return 'first-unless-there';
  return scheme === 'never' ? scheme : undefined;
}

function translateSpaces(file: JsonView, normalizers: JsonView[], parts: JsonView[], metadata: MetadataMap): void {
  let prefix = 'never';
  let marksSpaces = false;
  for (const part of normalizers) {
    if (typeOf(part) === 'Prepend' && part.at('prepend').string() === SPACE_MARK) prefix = 'always';
    else if (isSpaceReplacement(part)) marksSpaces = true;
    else refuse(part);
  }
  for (const part of parts) {
    // Gemma's files split at spaces, but the normalizer has replaced all of them.
    if (typeOf(part) === 'Split' && marksSpaces && part.at('pattern').at('String').string('') === ' ') continue;
    const rule = metaspaceOf(part);
    if (rule === undefined || part.at('split').boolean(true)) refuse(part);
    marksSpaces = true;
    prefix = rule;
  }
  if (!marksSpaces) throw file.unsupported('byte-pair encoding that writes spaces neither as bytes nor as U+2581');
  metadata.set('tokenizer.ggml.add_space_prefix', { type: 'bool', value: prefix !== 'never' });
  if (prefix !== 'never') metadata.set('tesserae.tokenizer.space_prefix', { type: 'string', value: prefix });
}

function isSpaceReplacement(part: JsonView): boolean {
  if (typeOf(part) !== 'Replace') return false;
  return part.at('pattern').at('String').string('') === ' ' && part.at('content').string() === SPACE_MARK;
}

function translateUnigram(normalizers: JsonView[], preTokenizers: JsonView[], metadata: MetadataMap): void {
  let joinsSpaces = false;
  let addsSpace = false;
  for (const part of normalizers) {
    const isJoining = typeOf(part) === 'Replace' && part.at('pattern').at('Regex').string('') === ' {2,}';
    if (typeOf(part) === 'Precompiled') {
      const bytes = Uint8Array.from(Buffer.from(part.at('precompiled_charsmap').string(''), 'base64'));
      metadata.set('tokenizer.ggml.precompiled_charsmap', { type: 'array', element: 'u8', value: bytes });
    } else if (isJoining || typeOf(part) === 'Strip') {
      joinsSpaces = true;
    } else {
      refuse(part);
    }
  }
  for (const part of preTokenizers) {
    const rule = metaspaceOf(part);
    if (typeOf(part) === 'WhitespaceSplit') joinsSpaces = true;
    else if (rule === undefined) refuse(part);
    else addsSpace = rule !== 'never';
  }
  metadata.set('tokenizer.ggml.add_space_prefix', { type: 'bool', value: addsSpace });
  metadata.set('tokenizer.ggml.remove_extra_whitespaces', { type: 'bool', value: joinsSpaces });
}

function translateWordPiece(model: JsonView, normalizers: JsonView[], parts: JsonView[], metadata: MetadataMap): void {
  if (model.at('continuing_subword_prefix').string('##') !== '##') throw model.unsupported('continuing_subword_prefix');
  const [normalizer, ...others] = normalizers;
  for (const part of others) refuse(part);
  if (normalizer === undefined || typeOf(normalizer) !== 'BertNormalizer') {
    throw model.unsupported('WordPiece without a BertNormalizer');
  }
  for (const option of ['clean_text', 'handle_chinese_chars']) {
    if (!normalizer.at(option).boolean(true)) throw normalizer.unsupported(`${option} = false`);
  }
  for (const part of parts) if (typeOf(part) !== 'BertPreTokenizer') refuse(part);
  const lowercase = normalizer.at('lowercase').boolean(true);
  const stripAccents = normalizer.at('strip_accents').boolean(lowercase);
  metadata.set('tokenizer.ggml.normalizer.lowercase', { type: 'bool', value: lowercase });
  metadata.set('tokenizer.ggml.normalizer.strip_accents', { type: 'bool', value: stripAccents });
  metadata.set('tesserae.tokenizer.full_decomposition', { type: 'bool', value: true });
  const longest = model.at('max_input_chars_per_word');
  metadata.set('tesserae.tokenizer.longest_word', { type: 'u32', value: longest.isAbsent ? 100 : longest.id() });
}
