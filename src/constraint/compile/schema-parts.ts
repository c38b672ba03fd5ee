// JSON schemas before they become terms: references are followed, and what several schemas ask of one value (`allOf`, keywords
// beside `$ref` or `anyOf`) is merged into one schema. Called by json-schema.ts.
import { TesseraeError } from '../../base/errors.js';
import { isObject } from '../../base/json-view.js';

export type Schema = Readonly<Record<string, unknown>>;

/** Keywords that may forbid a value and are not supported. All other unknown keywords are annotations. */
const unsupported = [
  'not',
  'if',
  'then',
  'else',
  'contains',
  'minContains',
  'maxContains',
  'propertyNames',
  'dependencies',
  'dependentRequired',
  'dependentSchemas',
  'unevaluatedItems',
  'prefixItems',
  'additionalItems',
  '$dynamicRef',
  '$recursiveRef',
] as const;
/** Keywords that ask something of a value, by the type to which they apply. */
export const keywords = {
  object: ['properties', 'required', 'additionalProperties', 'patternProperties', 'minProperties', 'maxProperties'],
  array: ['items', 'minItems', 'maxItems', 'uniqueItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
} as const;
const anyType = ['type', 'enum', 'const'];
const asserting: readonly string[] = [...anyType, ...Object.values(keywords).flat()];
const combining = ['$ref', 'allOf', 'anyOf', 'oneOf'];
const MOST_BRANCHES = 64;
const MOST_NESTING = 100;

export class SchemaParts {
  readonly #root: unknown;
  /** Where the references are: what one asks may be merged into another schema, at another place. */
  #places: ReadonlyMap<object, string> | undefined;

  constructor(root: unknown) {
    this.#root = root;
  }

  /** The schema at a reference. @throws TesseraeError ERR_FORMAT */
  find(path: string, from: string): unknown {
    const schemas = this.#schemasOn(path);
    if (schemas.length <= partsOf(path).length) throw refusal(from, `refers to ${path}, which does not exist`);
    return schemas.at(-1);
  }

  /**
   * A reference as a path within the schema, such as `#/$defs/x`. It leads into the innermost schema around it that has an
   * `$id`, or from the root where that has nothing at this path.
   * @throws TesseraeError ERR_FORMAT
   */
  pathOf(schema: { readonly $ref?: unknown }, from: string): string {
    const { $ref: reference } = schema;
    if (typeof reference !== 'string') throw refusal(from, 'has a $ref that is no text');
    this.#places ??= placesOfReferences(this.#root);
    for (const { id, path } of this.#documentsAround(this.#places.get(schema) ?? from)) {
      const inner = reference.startsWith(`${id}#`) ? reference.slice(id.length) : reference;
      if (inner !== '#' && !inner.startsWith('#/')) continue;
      const target = path + decoded(inner.slice(1), reference, from);
      if (path === '#' || this.#schemasOn(target).length > partsOf(target).length) return target;
    }
    throw refusal(from, `refers to ${reference}, which is not within the schema`);
  }

  /** The schemas with an `$id` on a path, the innermost first; the root is the last one, with or without it. */
  #documentsAround(path: string): { readonly id: string; readonly path: string }[] {
    const parts = partsOf(path);
    const documents = this.#schemasOn(path).map((schema, depth) => {
      const id = isObject(schema) && typeof schema.$id === 'string' ? schema.$id.replace(/#$/, '') : '';
      return { id, path: ['#', ...parts.slice(0, depth)].join('/') };
    });
    return documents.filter((one) => one.path === '#' || (one.id !== '' && !one.id.startsWith('#'))).reverse();
  }

  /** What is at each part of a path, from the root on, as far as there is something. */
  #schemasOn(path: string): unknown[] {
    const schemas = [this.#root];
    for (const part of partsOf(path)) {
      const at = schemas.at(-1);
      const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
      if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) break;
      schemas.push((at as Schema)[name]);
    }
    return schemas;
  }

  /**
   * The schemas, without references and combinations, of which a value must match one.
   * @throws TesseraeError ERR_FORMAT
   */
  alternatives(schema: unknown, path: string, depth = 0): Schema[] {
    if (depth > MOST_NESTING) throw refusal(path, `nests deeper than ${MOST_NESTING}`);
    if (schema === true) return [{}];
    if (schema === false) return [];
    const given = checkSchema(schema, path);
    const own = Object.fromEntries(Object.entries(given).filter(([key]) => asserting.includes(key)));
    let found: Schema[] = [own];
    if (given.$ref !== undefined) {
      const target = this.pathOf(given, path);
      found = this.#merged(found, this.alternatives(this.find(target, path), target, depth + 1), path);
    }
    for (const [i, part] of listOf(given, 'allOf', path).entries()) {
      found = this.#merged(found, this.alternatives(part, `${path}/allOf/${i}`, depth + 1), path);
    }
    for (const word of ['anyOf', 'oneOf'] as const) {
      if (given[word] === undefined) continue;
      const branches = listOf(given, word, path).map((one, i) =>
        this.alternatives(one, `${path}/${word}/${i}`, depth + 1),
      );
      const made = this.#mergedEach(found, branches, path);
      if (word === 'oneOf') this.checkExclusive(made, branches, path);
      found = made.flat();
    }
    return found;
  }

  #merged(a: readonly Schema[], b: readonly Schema[], path: string): Schema[] {
    return this.#mergedEach(a, [b], path).flat();
  }

  /** What each branch asks, together with what is asked beside the branches. */
  #mergedEach(beside: readonly Schema[], branches: readonly (readonly Schema[])[], path: string): Schema[][] {
    const count = branches.flat().length;
    if (beside.length * count > Math.max(MOST_BRANCHES, beside.length, count)) {
      throw refusal(path, `combines more than ${MOST_BRANCHES} alternatives`);
    }
    return branches.map((branch) =>
      beside.flatMap((one) => branch.map((other) => merge(one, other, path)).filter((both) => both !== undefined)),
    );
  }

  /**
   * @param made what is made for each branch, with what is asked beside the oneOf
   * @throws TesseraeError ERR_FORMAT unless a value that is made for one branch never matches another
   */
  checkExclusive(made: readonly (readonly Schema[])[], branches: readonly (readonly Schema[])[], path: string): void {
    for (const [i, branch] of made.entries()) {
      for (const [j, other] of branches.entries()) {
        if (i === j || branch.every((a) => other.every((b) => this.#excludes(a, b, path, 0)))) continue;
        throw refusal(
          path,
          `has a oneOf whose branches ${i} and ${j} may match the same value, which is not supported`,
        );
      }
    }
  }

  /** Whether no value that is made for `made` matches `other`. Made objects have the listed properties only. */
  #excludes(made: Schema, other: Schema, path: string, depth: number): boolean {
    const [mine, theirs] = [valuesOf(made), valuesOf(other)];
    if (mine !== undefined && theirs !== undefined)
      return mine.every((value) => !theirs.some((one) => isSame(value, one)));
    if (mine !== undefined) return mine.every((value) => !typesOf(other, true).some((type) => isOfType(value, type)));
    if (theirs !== undefined)
      return theirs.every((value) => !typesOf(made, false).some((type) => isOfType(value, type)));
    const common = typesOf(made, false).filter((a) => typesOf(other, true).some((b) => a === b || isNumbers(a, b)));
    if (common.length === 0) return true;
    if (common.some((type) => type !== 'object') || depth > 3) return false;
    const [myProperties, theirProperties] = [propertiesOf(made, path), propertiesOf(other, path)];
    const isOpen = made.additionalProperties !== undefined || made.patternProperties !== undefined;
    const isFree = isOpen || (Object.keys(myProperties).length === 0 && made.required === undefined);
    const names = (schema: Schema) => (Array.isArray(schema.required) ? schema.required.map(String) : []);
    if (!isFree && names(other).some((name) => !Object.hasOwn(myProperties, name) && !names(made).includes(name)))
      return true;
    return names(made).some((name) => {
      if (!Object.hasOwn(theirProperties, name)) {
        return other.additionalProperties === false && other.patternProperties === undefined;
      }
      const mineOf = this.alternatives(myProperties[name] ?? true, path, 1);
      const theirsOf = this.alternatives(theirProperties[name], path, 1);
      return mineOf.every((a) => theirsOf.every((b) => this.#excludes(a, b, path, depth + 1)));
    });
  }
}

function checkSchema(schema: unknown, path: string): Schema {
  if (!isObject(schema)) throw refusal(path, 'is neither an object nor a boolean');
  for (const key of unsupported) {
    if (key === 'propertyNames' && allowsAnyName(schema[key])) continue;
    if (schema[key] !== undefined) throw refusal(path, `uses ${key}, which is not supported`);
  }
  return schema;
}

/** Whether the schema of names, which are texts, asks nothing of them. */
function allowsAnyName(schema: unknown): boolean {
  if (schema === true) return true;
  if (!isObject(schema) || (schema.type !== undefined && schema.type !== 'string')) return false;
  const asking = [...asserting, ...combining, ...unsupported];
  return Object.keys(schema).every((key) => key === 'type' || !asking.includes(key));
}

/** Whether a schema only refers to another one. */
export function isReference(schema: unknown): schema is { readonly $ref: unknown } {
  if (!isObject(schema) || schema.$ref === undefined) return false;
  return !Object.keys(schema).some(
    (key) => key !== '$ref' && [...asserting, ...combining, ...unsupported].includes(key as never),
  );
}

function placesOfReferences(root: unknown): Map<object, string> {
  const places = new Map<object, string>();
  const visit = (value: unknown, path: string) => {
    if (typeof value !== 'object' || value === null) return;
    if (Object.hasOwn(value, '$ref')) places.set(value, path);
    for (const [key, part] of Object.entries(value)) visit(part, memberPath(path, key));
  };
  visit(root, '#');
  return places;
}

/** The path of a member of what is at a path. */
export function memberPath(path: string, key: string): string {
  return `${path}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

function partsOf(path: string): string[] {
  return path.split('/').slice(1);
}

function decoded(path: string, reference: string, from: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw refusal(from, `refers to ${reference}, which is not encoded correctly`);
  }
}

/** One schema for what two ask; undefined where no value can match both. @throws TesseraeError ERR_FORMAT */
function merge(a: Schema, b: Schema, path: string): Schema | undefined {
  const merged: Record<string, unknown> = { ...a, ...b };
  const both = (key: string) => a[key] !== undefined && b[key] !== undefined;
  if (both('type')) {
    const types = [a.type].flat().flatMap((one) => [b.type].flat().flatMap((two) => narrower(one, two) ?? []));
    if (types.length === 0) return undefined;
    merged.type = types;
  }
  const [mine, theirs] = [valuesOf(a), valuesOf(b)];
  if (mine !== undefined && theirs !== undefined) {
    delete merged.const;
    merged.enum = mine.filter((value) => theirs.some((one) => isSame(value, one)));
    if ((merged.enum as unknown[]).length === 0) return undefined;
  }
  if ([a, b].some((one) => typeof one.exclusiveMinimum === 'boolean' || typeof one.exclusiveMaximum === 'boolean')) {
    throw refusal(path, 'combines a bound that is exclusive by a boolean, which is not supported');
  }
  for (const key of ['minItems', 'minLength', 'minimum', 'exclusiveMinimum', 'minProperties']) {
    if (both(key)) merged[key] = Math.max(a[key] as number, b[key] as number);
  }
  for (const key of ['maxItems', 'maxLength', 'maximum', 'exclusiveMaximum', 'maxProperties']) {
    if (both(key)) merged[key] = Math.min(a[key] as number, b[key] as number);
  }
  for (const key of ['pattern', 'format', 'multipleOf', 'uniqueItems']) {
    if (both(key) && a[key] !== b[key]) throw refusal(path, `combines two of ${key}, which is not supported`);
  }
  if (both('items')) merged.items = { allOf: [a.items, b.items] };
  if (both('required')) merged.required = [...new Set([a.required, b.required].flat() as unknown[])];
  mergeProperties(a, b, merged, path);
  return merged;
}

function mergeProperties(a: Schema, b: Schema, merged: Record<string, unknown>, path: string): void {
  const restricts = (schema: Schema) => schema.properties !== undefined || schema.additionalProperties !== undefined;
  const hasPatterns = (schema: Schema) => schema.patternProperties !== undefined;
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    if (!hasPatterns(one) || !(hasPatterns(other) || restricts(other))) continue;
    throw refusal(path, 'combines patternProperties, which is not supported');
  }
  if (!restricts(a) || !restricts(b)) return;
  const [mine, theirs] = [propertiesOf(a, path), propertiesOf(b, path)];
  const properties: Record<string, unknown> = Object.create(null);
  for (const name of new Set([...Object.keys(mine), ...Object.keys(theirs)])) {
    const parts = [a, b].map((one, i) => {
      const own = i === 0 ? mine : theirs;
      return Object.hasOwn(own, name) ? own[name] : (one.additionalProperties ?? true);
    });
    properties[name] = allOf(parts);
  }
  merged.properties = properties;
  const additional = [a, b].map((one) => one.additionalProperties).filter((one) => one !== undefined);
  if (additional.length > 0) merged.additionalProperties = additional.includes(false) ? false : allOf(additional);
}

/** One schema for what several ask. */
function allOf(schemas: readonly unknown[]): unknown {
  const asking = schemas.filter((one) => one !== true);
  if (asking.length === 0) return true;
  return asking.length === 1 ? asking[0] : { allOf: asking };
}

export function propertiesOf(schema: Schema, path: string): Schema {
  const { properties = {} } = schema;
  if (!isObject(properties)) throw refusal(path, 'must have an object as properties');
  return properties;
}

function narrower(a: unknown, b: unknown): unknown {
  if (a === b) return a;
  return isNumbers(a, b) ? 'integer' : undefined;
}

function isNumbers(a: unknown, b: unknown): boolean {
  return (a === 'integer' && b === 'number') || (a === 'number' && b === 'integer');
}

/** The values of `const` or `enum`. */
export function valuesOf(schema: Schema): readonly unknown[] | undefined {
  const choices = Array.isArray(schema.enum) ? (schema.enum as unknown[]) : undefined;
  if (!Object.hasOwn(schema, 'const')) return choices;
  return choices === undefined || choices.some((one) => isSame(one, schema.const)) ? [schema.const] : [];
}

const allTypes = ['object', 'array', 'string', 'number', 'boolean', 'null'];

/**
 * The types of a schema that has neither `enum` nor `const`. Where it has no `type`, values are made for the types that its keywords
 * belong to, and values of all types are allowed.
 * @param allowed whether the types that it allows are wanted, rather than those that values are made for
 */
export function typesOf(schema: Schema, allowed: boolean): string[] {
  if (schema.type !== undefined) return [schema.type].flat().map(String);
  const implied = Object.entries(keywords).filter(([, words]) => words.some((word) => schema[word] !== undefined));
  return allowed || implied.length === 0 ? allTypes : implied.map(([type]) => type);
}

export function isOfType(value: unknown, type: unknown): boolean {
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isObject(value);
  return type === 'integer' ? Number.isInteger(value) : typeof value === type;
}

function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((one, i) => isSame(one, b[i]));
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && isSame(a[key], b[key]));
}

function listOf(schema: Schema, word: string, path: string): readonly unknown[] {
  const list = schema[word];
  if (list === undefined) return [];
  if (!Array.isArray(list) || list.length === 0) throw refusal(path, `must have a non-empty list as ${word}`);
  return list;
}

export function refusal(path: string, problem: string): TesseraeError {
  return new TesseraeError('ERR_FORMAT', `the JSON schema at ${path} ${problem}`);
}
