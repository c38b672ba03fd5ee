// What a caller may hold a generation's text to, and its compilation. A model keeps one of these, with the tree of its
// tokens and the formats used last. Called by model.ts.
import { TesseraeError } from '../base/errors.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { Automaton } from './automaton.js';
import { everyCharacter, jsonString, utf8 } from './compile/characters.js';
import { compileJsonSchema } from './compile/json-schema.js';
import { compileRegex } from './compile/regex.js';
import { Constraint, TokenMasks } from './constraint.js';
import { type Term, Terms } from './term.js';
import { createTokenTrie, type TokenTrie } from './token-trie.js';

/**
 * The text matches a regular expression as a whole (JavaScript's syntax with the flag u, without lookaround,
 * backreferences, word boundaries, \p and inner flags), or is one JSON value without white space between its parts, of a
 * JSON schema or of any kind.
 */
export type Format =
  | { readonly regex: string }
  | { readonly jsonSchema: Readonly<Record<string, unknown>> }
  | { readonly json: true };

const FORMATS_KEPT = 8;

/** @throws TesseraeError ERR_ARGUMENT */
export function checkFormat(value: unknown, op: string): Format | undefined {
  if (value === undefined) return undefined;
  const keys = typeof value === 'object' && value !== null ? Object.keys(value) : [];
  const { regex, json, jsonSchema } = (value ?? {}) as Record<string, unknown>;
  const isSchema = typeof jsonSchema === 'object' && jsonSchema !== null;
  if (keys.length === 1 && (typeof regex === 'string' || json === true || isSchema)) return value as Format;
  throw new TesseraeError('ERR_ARGUMENT', "format must be { regex: '…' }, { jsonSchema: {…} } or { json: true }", {
    op,
  });
}

export class Formats {
  readonly #tokenizer: Tokenizer;
  readonly #vocabulary: number;
  #trie: TokenTrie | undefined;
  readonly #masks = new Map<string, TokenMasks>();

  constructor(tokenizer: Tokenizer, vocabulary: number) {
    this.#tokenizer = tokenizer;
    this.#vocabulary = vocabulary;
  }

  /** @throws TesseraeError ERR_FORMAT for what is malformed, not supported, or matched by no text; AbortError */
  async constraintOf(format: Format, signal: AbortSignal | undefined): Promise<Constraint> {
    const key = JSON.stringify(format);
    let masks = this.#masks.get(key);
    if (masks === undefined) {
      const terms = new Terms();
      const start = compile(format, terms);
      const automaton = new Automaton(terms, start);
      if (automaton.isEmpty) throw new TesseraeError('ERR_FORMAT', 'no text at all has this format');
      this.#trie ??= await createTokenTrie(this.#tokenizer, signal);
      masks = new TokenMasks(automaton, this.#trie, this.#tokenizer, this.#vocabulary);
      if (this.#masks.size === FORMATS_KEPT) this.#masks.delete(this.#masks.keys().next().value as string);
      this.#masks.set(key, masks);
    }
    return new Constraint(masks, this.#tokenizer);
  }
}

function compile(format: Format, terms: Terms): Term {
  if ('regex' in format) return compileRegex(format.regex, terms, { encoding: utf8 });
  return 'jsonSchema' in format ? compileJsonSchema(format.jsonSchema, terms) : jsonValue(terms);
}

/** Any JSON value; numbers are short enough to be finite. */
function jsonValue(terms: Terms): Term {
  const value = terms.rule();
  const any = terms.reference(value);
  const text = terms.sequence(
    terms.literal('"'),
    terms.repeat(jsonString(terms, everyCharacter), 0),
    terms.literal('"'),
  );
  const number = compileRegex('-?(0|[1-9][0-9]{0,14})(\\.[0-9]{1,15})?([eE][+-]?[0-9]{1,2})?', terms, {
    encoding: utf8,
  });
  const list = (open: string, item: Term, close: string) => {
    const more = terms.repeat(terms.sequence(terms.literal(','), item), 0);
    return terms.sequence(terms.literal(open), terms.optional(terms.sequence(item, more)), terms.literal(close));
  };
  const object = list('{', terms.sequence(text, terms.literal(':'), any), '}');
  const words = ['true', 'false', 'null'].map((word) => terms.literal(word));
  value.body = terms.either(text, number, object, list('[', any, ']'), ...words);
  return any;
}
