// Compiles the option `format` to a constraint on a model's tokens. A model owns one compiler, which keeps the trie of
// the model's tokens and the constraints used last. Called by model/model.ts.
import { TesseraeError } from '../base/errors.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { Automaton } from './automaton.js';
import { utf8 } from './compile/characters.js';
import { compileJsonSchema } from './compile/json-schema.js';
import { anyJsonValue } from './compile/json-value.js';
import { compileRegex } from './compile/regex.js';
import { Constraint } from './constraint.js';
import type { Format } from './format.js';
import { type Term, Terms } from './term.js';
import { createTokenTrie, type TokenTrie } from './token-trie.js';

/** The default of the option `formatTimeoutMs`. */
export const defaultFormatTimeoutMs = 2000;
const CONSTRAINTS_KEPT = 8;

export class ConstraintCompiler {
  readonly #tokenizer: Tokenizer;
  readonly #vocabulary: number;
  #trie: TokenTrie | undefined;
  /** By the format's JSON, the one compiled last at the end. */
  readonly #constraints = new Map<string, Constraint>();

  /** @param vocabulary the number of logits, which may exceed the number of the tokenizer's tokens */
  constructor(tokenizer: Tokenizer, vocabulary: number) {
    this.#tokenizer = tokenizer;
    this.#vocabulary = vocabulary;
  }

  /**
   * The constraint of a format. Equal formats share one constraint.
   * @throws TesseraeError ERR_FORMAT for a format that is malformed, not supported, or matched by no text; AbortError
   */
  async compile(format: Format, signal: AbortSignal | undefined): Promise<Constraint> {
    const key = JSON.stringify(format);
    const known = this.#constraints.get(key);
    if (known !== undefined) return known;
    const terms = new Terms();
    const automaton = new Automaton(terms, termOf(format, terms));
    if (automaton.isEmpty) throw new TesseraeError('ERR_FORMAT', 'no text matches this format');
    this.#trie ??= await createTokenTrie(this.#tokenizer, signal);
    const constraint = new Constraint(automaton, this.#trie, this.#tokenizer, this.#vocabulary);
    if (this.#constraints.size === CONSTRAINTS_KEPT) {
      this.#constraints.delete(this.#constraints.keys().next().value as string);
    }
    this.#constraints.set(key, constraint);
    return constraint;
  }
}

function termOf(format: Format, terms: Terms): Term {
  if ('regex' in format) return compileRegex(format.regex, terms, { encoding: utf8 });
  return 'jsonSchema' in format ? compileJsonSchema(format.jsonSchema, terms) : anyJsonValue(terms);
}
