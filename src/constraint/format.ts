// The option `format` of a generation: what its text must match, as callers write it, and the check of its shape.
// constraint-compiler.ts compiles it. Called by generation/generate-options.ts.
import { TesseraeError } from '../base/errors.js';

/**
 * The text matches a regular expression as a whole (JavaScript's syntax with the flag u, without lookaround,
 * backreferences, word boundaries, \p and inline flags), or is one JSON value without white space between its parts: a
 * value of a JSON schema, or any value.
 */
export type Format =
  | { readonly regex: string }
  | { readonly jsonSchema: Readonly<Record<string, unknown>> }
  | { readonly json: true };

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
