// The option `format` of a generation: what its text must match, as callers write it, and the check of its shape.
// constraint-compiler.ts compiles it. Called by generation/generate-options.ts.
import { TesseraeError } from '../base/errors.js';
import { checkKeys } from '../base/options.js';

/**
 * The text matches a regular expression as a whole (JavaScript's syntax with the flag u, without lookaround,
 * backreferences, word boundaries, \p and inline flags), or is one JSON value without white space between its parts: a
 * value of a JSON schema, or any value.
 */
export type Format =
  | { readonly regex: string }
  | { readonly jsonSchema: Readonly<Record<string, unknown>> }
  | { readonly json: true }
  | TagsFormat;

/**
 * Free text, in which a trigger is always the beginning of a tag: where the model writes a trigger, one of the tags that begin
 * with it follows, and then the text is free again. A trigger that begins no tag is never written. A trigger may be written as
 * the control token of that spelling.
 */
export interface TagsFormat {
  readonly tags: readonly {
    readonly begin: string;
    /** What follows the beginning: a JSON value of this schema, without white space between its parts. */
    readonly jsonSchema: Readonly<Record<string, unknown>>;
    /** What follows the value, before the text is free again; without it, the value is the end of the text. */
    readonly end?: string | undefined;
  }[];
  readonly triggers: readonly string[];
  /** A trigger only where the text begins. */
  readonly opening?: string | undefined;
}

/** @throws TesseraeError ERR_ARGUMENT */
export function checkFormat(value: unknown, op: string): Format | undefined {
  if (value === undefined) return undefined;
  const keys = typeof value === 'object' && value !== null ? Object.keys(value) : [];
  const { regex, json, jsonSchema } = (value ?? {}) as Record<string, unknown>;
  const isSchema = typeof jsonSchema === 'object' && jsonSchema !== null;
  if (keys.includes('tags')) return checkTags(value as object, op);
  if (keys.length === 1 && (typeof regex === 'string' || json === true || isSchema)) return value as Format;
  const known = "{ regex: '…' }, { jsonSchema: {…} }, { json: true } or { tags: […], triggers: […] }";
  throw new TesseraeError('ERR_ARGUMENT', `format must be ${known}`, { op });
}

function checkTags(value: object, op: string): Format {
  checkKeys(value, ['tags', 'triggers', 'opening'], op);
  const { tags, triggers, opening } = value as Partial<Record<keyof TagsFormat, unknown>>;
  const wrong = (problem: string) => new TesseraeError('ERR_ARGUMENT', `format.${problem}`, { op });
  const isText = (text: unknown) => typeof text === 'string' && text !== '';
  if (!Array.isArray(triggers) || !triggers.every(isText)) throw wrong('triggers must be texts');
  if (opening !== undefined && !isText(opening)) throw wrong('opening must be a text');
  if (!Array.isArray(tags)) throw wrong('tags must be an array');
  for (const [i, tag] of tags.entries()) {
    if (typeof tag !== 'object' || tag === null) throw wrong(`tags[${i}] must be { begin, jsonSchema, end }`);
    checkKeys(tag, ['begin', 'jsonSchema', 'end'], op);
    const { begin, jsonSchema, end } = tag as Record<string, unknown>;
    if (typeof begin !== 'string') throw wrong(`tags[${i}].begin must be a text`);
    if (typeof jsonSchema !== 'object' || jsonSchema === null) throw wrong(`tags[${i}].jsonSchema must be a schema`);
    if (end !== undefined && typeof end !== 'string') throw wrong(`tags[${i}].end must be a text`);
  }
  return value as Format;
}
