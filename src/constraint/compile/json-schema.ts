// Compiles JSON schemas (draft 2020-12) to terms. Unsupported keywords are refused by name, annotations are ignored. An
// object has the schema's properties only, in the schema's order; there is no white space. Called by
// constraint-compiler.ts.
import { TesseraeError } from '../../base/errors.js';
import type { Rule, Term, Terms } from '../term.js';
import { jsonString } from './characters.js';
import { jsonInteger, jsonNumber, jsonText } from './json-value.js';
import { compileRegex } from './regex.js';

type Schema = Readonly<Record<string, unknown>>;

const annotations = [
  '$schema',
  '$id',
  '$comment',
  '$defs',
  'definitions',
  'title',
  'description',
  'default',
  'examples',
];
const keywords: Readonly<Record<string, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties'],
  array: ['items', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength', 'pattern'],
  integer: [],
  number: [],
  boolean: [],
  null: [],
};
const MOST_NESTING = 100;

/** @throws TesseraeError ERR_FORMAT for a schema that is malformed, not supported, or matched by no finite value */
export function compileJsonSchema(schema: unknown, terms: Terms): Term {
  return new SchemaCompiler(schema, terms).compile();
}

class SchemaCompiler {
  readonly #root: unknown;
  readonly #terms: Terms;
  readonly #rules = new Map<string, Rule>();

  constructor(root: unknown, terms: Terms) {
    this.#root = root;
    this.#terms = terms;
  }

  compile(): Term {
    const start = this.#reference('#', '#');
    // The rules that some finite value matches: first those that need no other rules, then those that need only these.
    const able = new Set<Rule>();
    for (let before = -1; before < able.size; ) {
      before = able.size;
      for (const rule of this.#rules.values()) if (isAble(rule.body, able)) able.add(rule);
    }
    for (const [path, rule] of this.#rules) if (!able.has(rule)) throw refusal(path, 'is matched by no finite value');
    return start;
  }

  #reference(path: string, from: string): Term {
    let rule = this.#rules.get(path);
    if (rule === undefined) {
      rule = this.#terms.rule();
      this.#rules.set(path, rule);
      rule.body = this.#value(this.#find(path, from), path, 0);
    }
    return this.#terms.reference(rule);
  }

  #find(path: string, from: string): unknown {
    if (path !== '#' && !path.startsWith('#/'))
      throw refusal(from, `refers to ${path}, which is not within the schema`);
    let at = this.#root;
    for (const part of path.split('/').slice(1)) {
      const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
      const isThere = typeof at === 'object' && at !== null && Object.hasOwn(at, name);
      if (!isThere) throw refusal(from, `refers to ${path}, which does not exist`);
      at = (at as Schema)[name];
    }
    return at;
  }

  #value(schema: unknown, path: string, depth: number): Term {
    const terms = this.#terms;
    if (depth > MOST_NESTING) throw refusal(path, `nests deeper than ${MOST_NESTING}`);
    if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) throw refusal(path, 'is not an object');
    const given = schema as Schema;
    const { type, $ref, anyOf, enum: choices } = given;
    const rest = (...used: string[]) => this.#checkKeys(given, used, path);
    if ($ref !== undefined) {
      rest('$ref');
      return this.#reference(String($ref), path);
    }
    if (anyOf !== undefined) {
      rest('anyOf');
      if (!Array.isArray(anyOf) || anyOf.length === 0) throw refusal(path, 'must have a non-empty list as anyOf');
      return terms.either(...anyOf.map((one, i) => this.#value(one, `${path}/anyOf/${i}`, depth + 1)));
    }
    if (Object.hasOwn(given, 'const') || choices !== undefined) {
      rest(choices === undefined ? 'const' : 'enum', 'type');
      const all = choices === undefined ? [given.const] : choices;
      if (!Array.isArray(all) || all.length === 0) throw refusal(path, 'must have a non-empty list as enum');
      const kept = all.filter((value) => type === undefined || [type].flat().some((name) => isOfType(value, name)));
      if (kept.length === 0) throw refusal(path, 'has no value of its type');
      return terms.either(...kept.map((value) => terms.literal(JSON.stringify(value))));
    }
    const names = [type].flat();
    rest('type', ...names.flatMap((name) => keywords[String(name)] ?? []));
    return terms.either(...names.map((name) => this.#ofType(String(name), given, path, depth)));
  }

  #checkKeys(schema: Schema, used: readonly string[], path: string): void {
    for (const key of Object.keys(schema)) {
      if (!used.includes(key) && !annotations.includes(key)) {
        throw refusal(path, `uses ${key}, which is not supported here`);
      }
    }
  }

  #ofType(type: string, schema: Schema, path: string, depth: number): Term {
    const terms = this.#terms;
    if (type === 'integer') return jsonInteger(terms);
    if (type === 'number') return jsonNumber(terms);
    if (type === 'null') return terms.literal('null');
    if (type === 'boolean') return terms.either(terms.literal('true'), terms.literal('false'));
    if (type === 'string') return this.#text(schema, path);
    if (type === 'array') return this.#array(schema, path, depth);
    if (type === 'object') return this.#object(schema, path, depth);
    throw refusal(path, `needs a type, enum, const, anyOf or $ref; its type is ${type}`);
  }

  #text(schema: Schema, path: string): Term {
    const terms = this.#terms;
    const { pattern } = schema;
    const [least, most] = limits(schema, 'minLength', 'maxLength', path);
    if (pattern === undefined) return jsonText(terms, least, most);
    if (least > 0 || most < Number.POSITIVE_INFINITY) {
      throw refusal(path, 'uses pattern together with minLength or maxLength, which is not supported');
    }
    const text = compileRegex(String(pattern), terms, { encoding: jsonString, search: true });
    return terms.sequence(terms.literal('"'), text, terms.literal('"'));
  }

  #array(schema: Schema, path: string, depth: number): Term {
    const terms = this.#terms;
    const [least, most] = limits(schema, 'minItems', 'maxItems', path);
    const item = this.#value(schema.items, `${path}/items`, depth + 1);
    const more = terms.repeat(terms.sequence(terms.literal(','), item), Math.max(0, least - 1), most - 1);
    const some = most === 0 ? terms.empty : terms.sequence(item, more);
    return terms.sequence(terms.literal('['), least === 0 ? terms.optional(some) : some, terms.literal(']'));
  }

  #object(schema: Schema, path: string, depth: number): Term {
    const terms = this.#terms;
    const { properties = {}, required = [], additionalProperties = false } = schema;
    if (typeof additionalProperties !== 'boolean')
      throw refusal(path, 'uses a schema as additionalProperties, which is not supported');
    if (typeof properties !== 'object' || properties === null) throw refusal(path, 'must have an object as properties');
    if (!Array.isArray(required)) throw refusal(path, 'must have a list as required');
    for (const name of required) {
      if (!Object.hasOwn(properties, name)) throw refusal(path, `requires ${String(name)}, which is not in properties`);
    }
    const members = Object.entries(properties).map(([name, value]) => {
      const at = `${path}/properties/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
      const key = terms.literal(`${JSON.stringify(name)}:`);
      return { term: terms.sequence(key, this.#value(value, at, depth + 1)), isRequired: required.includes(name) };
    });
    // From the last member to the first: the rest of the object if no member was written before, and if one was.
    let first = terms.end;
    let later = terms.end;
    for (const { term, isRequired } of members.reverse()) {
      const begun = terms.sequence(term, later);
      const continued = terms.sequence(terms.literal(','), begun);
      first = isRequired ? begun : terms.either(begun, first);
      later = isRequired ? continued : terms.either(continued, later);
    }
    return terms.sequence(terms.literal('{'), first, terms.literal('}'));
  }
}

/** Whether some finite value matches a term, given the rules for which this is known. */
function isAble(term: Term, able: ReadonlySet<Rule>): boolean {
  if (term.kind === 'rule') return able.has(term.rule);
  if (term.kind === 'sequence') return isAble(term.head, able) && isAble(term.tail, able);
  if (term.kind === 'either') return term.members.some((member) => isAble(member, able));
  if (term.kind === 'repeat') return term.least === 0 || isAble(term.body, able);
  return term.kind !== 'empty';
}

function isOfType(value: unknown, type: unknown): boolean {
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  return type === 'integer' ? Number.isInteger(value) : typeof value === type;
}

function limits(schema: Schema, least: string, most: string, path: string): [number, number] {
  const { [least]: low = 0, [most]: high = Number.POSITIVE_INFINITY } = schema as Record<string, number | undefined>;
  const isCount = (value: number) => Number.isSafeInteger(value) && value >= 0;
  if (!isCount(low) || !(isCount(high) || high === Number.POSITIVE_INFINITY) || high < low) {
    throw refusal(path, `has an invalid ${least} or ${most}`);
  }
  return [low, high];
}

function refusal(path: string, problem: string): TesseraeError {
  return new TesseraeError('ERR_FORMAT', `the JSON schema at ${path} ${problem}`);
}
