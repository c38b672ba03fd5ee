// Compiles JSON schemas (draft 2020-12, and what older drafts have in common with it) to terms. What is made is always valid;
// not all that is valid is made: an object has the schema's properties in their order, and there is no white space.
// Unsupported keywords are refused by name. Called by job.ts.
import { isObject } from '../../base/json-view.js';
import type { Rule, Term, Terms } from '../term.js';
import { complement, everyCharacter, jsonString } from './characters.js';
import { anyJsonValue } from './json-value.js';
import { compileRegex } from './regex.js';
import {
  isOfType,
  isReference,
  keywords,
  memberPath,
  propertiesOf,
  refusal,
  type Schema,
  SchemaParts,
  typesOf,
  valuesOf,
} from './schema-parts.js';
import { isScalarValid, limits, numberTerm, textTerm } from './schema-scalars.js';

const MOST_NESTING = 100;
/** After so many members, the rest of an object is a rule: otherwise each would hold the alternatives of all that follow. */
const MEMBERS_PER_RULE = 64;

/** @throws TesseraeError ERR_FORMAT for a schema that is malformed, not supported, or matched by no finite value */
export function compileJsonSchema(schema: unknown, terms: Terms): Term {
  return new SchemaCompiler(schema, terms).compile();
}

interface Place {
  readonly path: string;
  readonly depth: number;
}

interface Member {
  readonly term: Term;
  readonly isRequired: boolean;
}

class SchemaCompiler {
  readonly #terms: Terms;
  readonly #parts: SchemaParts;
  readonly #rules = new Map<string, Rule>();
  readonly #objectRules: Rule[] = [];
  #any: Term | undefined;

  constructor(root: unknown, terms: Terms) {
    this.#terms = terms;
    this.#parts = new SchemaParts(root);
  }

  compile(): Term {
    const start = this.#reference('#', '#');
    // The rules that some finite value matches: first those that need no other rules, then those that need only these.
    const able = new Set<Rule>();
    const anyRule = this.#any?.kind === 'rule' ? [this.#any.rule] : [];
    const all = [...this.#rules.values(), ...this.#objectRules, ...anyRule];
    for (let before = -1; before < able.size; ) {
      before = able.size;
      for (const rule of all) if (!able.has(rule) && isAble(rule.body, able)) able.add(rule);
    }
    for (const [path, rule] of this.#rules) if (!able.has(rule)) throw refusal(path, 'is matched by no finite value');
    return start;
  }

  #reference(path: string, from: string): Term {
    let rule = this.#rules.get(path);
    if (rule === undefined) {
      rule = this.#terms.rule();
      this.#rules.set(path, rule);
      rule.body = this.#value(this.#parts.find(path, from), { path, depth: 0 });
    }
    return this.#terms.reference(rule);
  }

  #value(schema: unknown, { path, depth }: Place): Term {
    if (depth > MOST_NESTING) throw refusal(path, `nests deeper than ${MOST_NESTING}`);
    if (isReference(schema)) return this.#reference(this.#parts.pathOf(schema, path), path);
    const branches = this.#plainBranches(schema, path, depth);
    if (branches !== undefined) return this.#terms.either(...branches);
    const alternatives = this.#parts.alternatives(schema, path);
    return this.#terms.either(...alternatives.map((one) => this.#plain(one, { path, depth })));
  }

  /** The branches of a schema that has nothing but `anyOf` or `oneOf`, where references stay references. */
  #plainBranches(schema: unknown, path: string, depth: number): Term[] | undefined {
    if (!isObject(schema)) return undefined;
    for (const word of ['anyOf', 'oneOf'] as const) {
      const list = schema[word];
      const rest = Object.fromEntries(Object.entries(schema).filter(([key]) => key !== word));
      if (!Array.isArray(list) || list.length === 0) continue;
      if (rest.$ref !== undefined || !isReference({ ...rest, $ref: '#' })) continue;
      if (word === 'oneOf') {
        const all = list.map((one, i) => this.#parts.alternatives(one, `${path}/${word}/${i}`));
        this.#parts.checkExclusive(all, all, path);
      }
      return list.map((one, i) => this.#value(one, { path: `${path}/${word}/${i}`, depth: depth + 1 }));
    }
    return undefined;
  }

  /** A schema without references and combinations. */
  #plain(schema: Schema, place: Place): Term {
    const { path } = place;
    const values = valuesOf(schema);
    if (schema.enum !== undefined && !Array.isArray(schema.enum)) throw refusal(path, 'must have a list as enum');
    if (values !== undefined) return this.#choice(schema, values, path);
    if (Object.keys(schema).length === 0) return this.#anyValue();
    return this.#terms.either(...typesOf(schema, false).map((type) => this.#ofType(type, schema, place)));
  }

  #choice(schema: Schema, values: readonly unknown[], path: string): Term {
    const types = schema.type === undefined ? undefined : [schema.type].flat();
    const ofType = values.filter((value) => types === undefined || types.some((type) => isOfType(value, type)));
    if (ofType.length === 0) throw refusal(path, 'has no value of its type');
    const unchecked = { object: keywords.object, array: keywords.array, string: ['format'] };
    for (const [type, words] of Object.entries(unchecked)) {
      const used = words.find((word) => schema[word] !== undefined);
      if (used === undefined || !ofType.some((value) => isOfType(value, type))) continue;
      throw refusal(path, `uses ${used} beside enum or const, which is not supported`);
    }
    const valid = ofType.filter((value) => isScalarValid(value, schema, path));
    return this.#terms.words(valid.map((value) => JSON.stringify(value)));
  }

  #anyValue(): Term {
    this.#any ??= anyJsonValue(this.#terms);
    return this.#any;
  }

  #ofType(type: string, schema: Schema, place: Place): Term {
    const terms = this.#terms;
    switch (type) {
      case 'integer':
      case 'number':
        return numberTerm(schema, place.path, terms, type === 'integer');
      case 'null':
        return terms.literal('null');
      case 'boolean':
        return terms.either(terms.literal('true'), terms.literal('false'));
      case 'string':
        return textTerm(schema, place.path, terms);
      case 'array':
        return this.#array(schema, place);
      case 'object':
        return this.#object(schema, place);
      default:
        throw refusal(place.path, `has the unknown type ${type}`);
    }
  }

  #array(schema: Schema, { path, depth }: Place): Term {
    const terms = this.#terms;
    const [least, most] = limits(schema, 'minItems', 'maxItems', path);
    if (Array.isArray(schema.items)) throw refusal(path, 'uses a list as items, which is not supported');
    if (schema.uniqueItems === true && most > 1) throw refusal(path, 'uses uniqueItems, which is not supported');
    const item = this.#value(schema.items ?? true, { path: `${path}/items`, depth: depth + 1 });
    return list(terms, '[', item, ']', least, most);
  }

  #object(schema: Schema, place: Place): Term {
    const { path } = place;
    const terms = this.#terms;
    const { required = [] } = schema;
    if (!Array.isArray(required)) throw refusal(path, 'must have a list as required');
    const properties = propertiesOf(schema, path);
    const names = [...new Set([...Object.keys(properties), ...required.map(String)])];
    const members = names.flatMap((name) => this.#member(name, schema, required.includes(name), place));
    const more = this.#moreMembers(schema, names, place);
    this.#checkCounts(schema, members, more, path);
    return terms.sequence(terms.literal('{'), this.#members(members, more));
  }

  #member(name: string, schema: Schema, isRequired: boolean, { path, depth }: Place): Member[] {
    const terms = this.#terms;
    const properties = propertiesOf(schema, path);
    const patterns = Object.entries(patternsOf(schema, path)).filter(([pattern]) => {
      compileRegex(pattern, terms, { encoding: jsonString, search: true });
      return new RegExp(pattern, 'u').test(name);
    });
    const asked = patterns.map(([, one]) => one);
    if (Object.hasOwn(properties, name)) asked.unshift(properties[name]);
    else if (asked.length === 0) asked.push(schema.additionalProperties ?? true);
    const at = memberPath(`${path}/properties`, name);
    const value = this.#value(asked.length === 1 ? asked[0] : { allOf: asked }, { path: at, depth: depth + 1 });
    if (value.kind === 'empty' && !isRequired) return [];
    if (value.kind === 'empty') throw refusal(path, `requires ${name}, for which no value is valid`);
    return [{ term: terms.sequence(terms.literal(`${JSON.stringify(name)}:`), value), isRequired }];
  }

  /** One member that is not listed by its name; undefined where there are none. */
  #moreMembers(schema: Schema, names: readonly string[], { path, depth }: Place): Term | undefined {
    const terms = this.#terms;
    const patterns = Object.entries(patternsOf(schema, path));
    const member = (key: Term, value: unknown, at: string) => {
      const term = this.#value(value, { path: at, depth: depth + 1 });
      return terms.sequence(terms.literal('"'), key, terms.literal('":'), term);
    };
    const [only] = patterns;
    if (only !== undefined) {
      const [pattern, value] = only;
      const isAlone = patterns.length === 1 && !names.some((name) => new RegExp(pattern, 'u').test(name));
      if (!isAlone) return undefined;
      const key = compileRegex(pattern, terms, { encoding: jsonString, search: true });
      return member(key, value, `${path}/patternProperties`);
    }
    const { additionalProperties } = schema;
    const isFree = names.length === 0 && (additionalProperties === undefined || additionalProperties === true);
    if (!isFree && !isObject(additionalProperties)) return undefined;
    return member(this.#otherKeys(names, 0), isFree ? true : additionalProperties, `${path}/additionalProperties`);
  }

  /** All texts but these, from a place on, which all begin alike before it. */
  #otherKeys(names: readonly string[], at: number): Term {
    const terms = this.#terms;
    if (at > MOST_NESTING)
      throw refusal('#', `has names of more than ${MOST_NESTING} characters beside additionalProperties`);
    const rest = terms.repeat(jsonString(terms, everyCharacter), 0);
    if (names.length === 0) return rest;
    const next = new Map<number, string[]>();
    for (const name of names) {
      const code = [...name][at]?.codePointAt(0);
      if (code !== undefined) next.set(code, [...(next.get(code) ?? []), name]);
    }
    const alternatives = [...next].map(([code, some]) =>
      terms.sequence(jsonString(terms, [[code, code]]), this.#otherKeys(some, at + 1)),
    );
    const others = jsonString(terms, complement([...next.keys()].map((code) => [code, code] as const)));
    const isName = names.some((name) => [...name].length === at);
    return terms.either(...alternatives, terms.sequence(others, rest), isName ? terms.empty : terms.end);
  }

  #checkCounts(schema: Schema, members: readonly Member[], more: Term | undefined, path: string): void {
    const [least, most] = limits(schema, 'minProperties', 'maxProperties', path);
    if (least > members.filter((one) => one.isRequired).length) {
      throw refusal(path, 'uses minProperties beyond what is required, which is not supported');
    }
    if (most < members.length || (more !== undefined && most < Number.POSITIVE_INFINITY)) {
      throw refusal(path, 'uses maxProperties below what may be made, which is not supported');
    }
  }

  /** From the last member to the first: the rest of the object if no member was written before, and if one was. */
  #members(members: readonly Member[], more: Term | undefined): Term {
    const terms = this.#terms;
    const comma = terms.literal(',');
    const end = terms.literal('}');
    let later = more === undefined ? end : terms.sequence(terms.repeat(terms.sequence(comma, more), 0), end);
    let first = more === undefined ? end : terms.either(terms.sequence(more, later), end);
    for (let i = members.length - 1; i >= 0; i--) {
      const { term, isRequired } = members[i] as Member;
      const begun = terms.sequence(term, later);
      const continued = terms.sequence(comma, begun);
      first = isRequired ? begun : terms.either(begun, first);
      later = isRequired ? continued : terms.either(continued, later);
      if (i % MEMBERS_PER_RULE === 0) [first, later] = [this.#named(first), this.#named(later)];
    }
    return first;
  }

  #named(body: Term): Term {
    const rule = { ...this.#terms.rule(), body };
    this.#objectRules.push(rule);
    return this.#terms.reference(rule);
  }
}

function list(terms: Terms, open: string, item: Term, close: string, least: number, most: number): Term {
  const more = terms.repeat(terms.sequence(terms.literal(','), item), Math.max(0, least - 1), most - 1);
  const some = terms.sequence(item, more);
  return terms.sequence(terms.literal(open), least === 0 ? terms.optional(some) : some, terms.literal(close));
}

function patternsOf(schema: Schema, path: string): Schema {
  const { patternProperties = {} } = schema;
  if (!isObject(patternProperties)) throw refusal(path, 'must have an object as patternProperties');
  return patternProperties;
}

/** Whether some finite value matches a term, given the rules for which this is known. */
function isAble(term: Term, able: ReadonlySet<Rule>): boolean {
  let at = term;
  while (at.kind === 'sequence') {
    if (!isAble(at.head, able)) return false;
    at = at.tail;
  }
  if (at.kind === 'rule') return able.has(at.rule);
  if (at.kind === 'either') return at.members.some((member) => isAble(member, able));
  if (at.kind === 'repeat') return at.least === 0 || isAble(at.body, able);
  return at.kind !== 'empty';
}
