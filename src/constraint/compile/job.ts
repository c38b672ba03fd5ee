// The job of compiling a format, as the thread for untrusted text takes it. Called by workers/text.ts; constraint-compiler.ts
// sends it.
import { TesseraeError } from '../../base/errors.js';
import { type CompiledTerms, writeTerms } from '../compiled-terms.js';
import type { Format } from '../format.js';
import { type Term, Terms } from '../term.js';
import { utf8 } from './characters.js';
import { compileJsonSchema } from './json-schema.js';
import { anyJsonValue } from './json-value.js';
import { compileRegex } from './regex.js';
import { compileTags } from './tags.js';

export interface FormatJob {
  readonly kind: 'format';
  /** JSON of the format. */
  readonly json: string;
}

/** So many terms are sent at most. */
const MOST_TERMS = 400_000;

/** @throws TesseraeError ERR_FORMAT for a format that is malformed, not supported, or matched by no text */
export function compileFormat({ json }: FormatJob): { value: CompiledTerms; transfer: ArrayBuffer[] } {
  const terms = new Terms(MOST_TERMS);
  const start = termOf(JSON.parse(json) as Format, terms);
  if (start.kind === 'empty') throw new TesseraeError('ERR_FORMAT', 'no text matches this format');
  const value = writeTerms(start);
  return { value, transfer: [value.words.buffer, value.sets.buffer] };
}

function termOf(format: Format, terms: Terms): Term {
  if ('regex' in format) return compileRegex(format.regex, terms, { encoding: utf8 });
  if ('tags' in format) return compileTags(format, terms);
  return 'jsonSchema' in format ? compileJsonSchema(format.jsonSchema, terms) : anyJsonValue(terms);
}
