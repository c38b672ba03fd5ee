// Terms of JSON values: strings, numbers, and a value of any kind. Called by constraint-compiler.ts and json-schema.ts.
import type { Term, Terms } from '../term.js';
import { everyCharacter, jsonString, utf8 } from './characters.js';
import { compileRegex } from './regex.js';

/** An integer of at most 15 digits, which float64 holds exactly. */
export function jsonInteger(terms: Terms): Term {
  return compileRegex('0|-?[1-9][0-9]{0,14}', terms, { encoding: utf8 });
}

/** A number that is short enough to be finite. */
export function jsonNumber(terms: Terms): Term {
  return compileRegex('-?(0|[1-9][0-9]{0,14})(\\.[0-9]{1,15})?([eE][+-]?[0-9]{1,2})?', terms, { encoding: utf8 });
}

/** A string of `least` to `most` characters. */
export function jsonText(terms: Terms, least = 0, most = Number.POSITIVE_INFINITY): Term {
  const characters = terms.repeat(jsonString(terms, everyCharacter), least, most);
  return terms.sequence(terms.literal('"'), characters, terms.literal('"'));
}

/** Any JSON value, without white space between its parts. */
export function anyJsonValue(terms: Terms): Term {
  const value = terms.rule();
  const any = terms.reference(value);
  const text = jsonText(terms);
  const list = (open: string, item: Term, close: string) => {
    const more = terms.repeat(terms.sequence(terms.literal(','), item), 0);
    return terms.sequence(terms.literal(open), terms.optional(terms.sequence(item, more)), terms.literal(close));
  };
  const object = list('{', terms.sequence(text, terms.literal(':'), any), '}');
  const words = ['true', 'false', 'null'].map((word) => terms.literal(word));
  value.body = terms.either(text, jsonNumber(terms), object, list('[', any, ']'), ...words);
  return any;
}
