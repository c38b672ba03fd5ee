// Jinja's filters, as transformers sets them up. Those that are missing here are refused by name when a template is loaded
// (check.ts). Called by interpreter.ts.

import { type JsonStyle, lengthOf, type Runtime } from '../runtime.js';
import {
  Dict,
  Float,
  integer,
  isTrue,
  type Keywords,
  numberOf,
  orUndefined,
  Stream,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from '../values.js';
import { Arguments } from './arguments.js';
import { itemsOf, percentFormatted } from './methods.js';
import { changed, rounded, toFloat, toInteger } from './numbers.js';
import { type Test, testNamed } from './tests.js';
import { capitalized, Texts, titledWords } from './text.js';

/** What filters need of the interpreter. */
export interface FilterContext {
  readonly runtime: Runtime;
  /** `object[key]` of Jinja. */
  item(object: Value, key: Value): Value;
}

type Work = (operand: Value, given: Arguments, context: FilterContext) => Value;
type Filter = readonly [parameters: readonly string[], work: Work];

/** A filter of the operand's text, which is `str` of a value that is none. */
function ofText(parameters: readonly string[], work: (text: string, given: Arguments, texts: Texts) => Value): Filter {
  return [parameters, (operand, given, { runtime }) => work(runtime.str(operand), given, new Texts(runtime))];
}

const filters: Readonly<Record<string, Filter>> = {
  // Their text is not escaped, since templates of conversations are not HTML. The interpreter refuses `safe` where it matters.
  safe: [[], (operand, _, { runtime }) => runtime.str(operand)],
  string: [[], (operand, _, { runtime }) => runtime.str(operand)],
  upper: ofText([], (text, _, texts) => texts.cased(text, (one) => one.toUpperCase())),
  lower: ofText([], (text, _, texts) => texts.cased(text, (one) => one.toLowerCase())),
  title: [
    [],
    (operand, _, { runtime }) => {
      const text = runtime.str(operand);
      return titledWords(text, new Texts(runtime), runtime.plain(text));
    },
  ],
  capitalize: ofText([], (text, _, texts) => texts.cased(text, capitalized)),
  trim: ofText(['chars'], (text, given, texts) => texts.strip(text, 'both', given.text('chars'))),
  replace: ofText(['old!', 'new!', 'count'], (text, given, texts) =>
    texts.replace(text, given.text('old') ?? '', given.text('new') ?? '', given.integer('count', -1)),
  ),
  center: ofText(['width'], (text, given, texts) => {
    const width = given.integer('width', 80);
    return texts.filled(text, width, (missing) => Math.floor(missing / 2) + (missing & width & 1));
  }),
  indent: [['width', 'first', 'blank'], (operand, given, { runtime }) => indented(operand, given, runtime)],
  wordcount: [
    [],
    (operand, _, { runtime }) => (runtime.plain(runtime.str(operand)).match(/[\p{L}\p{N}_]+/gu) ?? []).length,
  ],
  tojson: [
    ['ensure_ascii', 'indent', 'separators', 'sort_keys'],
    (operand, given, { runtime }) => runtime.json(operand, jsonStyleOf(given)),
  ],
  length: [[], (operand, _, { runtime }) => sizeOf(operand, runtime)],
  count: [[], (operand, _, { runtime }) => sizeOf(operand, runtime)],
  default: [['default_value', 'boolean'], (operand, given) => defaulted(operand, given)],
  d: [['default_value', 'boolean'], (operand, given) => defaulted(operand, given)],
  abs: [[], (operand) => changed(operand, Math.abs)],
  int: [['default', 'base'], (operand, given, { runtime }) => toInteger(operand, given, runtime)],
  float: [['default'], (operand, given, { runtime }) => toFloat(operand, given, runtime)],
  round: [['precision', 'method'], (operand, given) => rounded(operand, given)],
  list: [[], (operand, _, { runtime }) => [...runtime.iterate(operand)]],
  first: [
    [],
    (operand, _, { runtime }) => {
      const items = operand instanceof Stream ? operand.take(1) : runtime.iterate(operand);
      return orUndefined(items[0], 'the first element');
    },
  ],
  last: [
    [],
    (operand, _, { runtime }) => {
      if (operand instanceof Stream) throw new TemplateError('last needs a list, and not an iterator');
      return orUndefined(runtime.iterate(operand).at(-1), 'the last element');
    },
  ],
  reverse: [
    [],
    (operand, _, { runtime }) => {
      const reversed = [...runtime.iterate(operand)].reverse();
      if (typeof operand === 'string') return reversed.join('');
      return operand instanceof Stream ? reversed : new Stream(reversed);
    },
  ],
  items: [
    [],
    (operand) => {
      if (operand instanceof Undefined) return new Stream([]);
      if (operand instanceof Dict) return new Stream(itemsOf(operand));
      throw new TemplateError(`items needs a dictionary, not a ${typeName(operand)}`);
    },
  ],
  dictsort: [['case_sensitive', 'by', 'reverse'], (operand, given, { runtime }) => dictSorted(operand, given, runtime)],
  join: [
    ['d', 'attribute'],
    (operand, given, context) => {
      const { runtime } = context;
      const attribute = given.value('attribute');
      const parts = runtime.iterate(operand).map((one) => {
        return runtime.str(attribute === null ? one : attributeOf(one, attribute, context));
      });
      return runtime.joined(parts, runtime.str(given.value('d', '')));
    },
  ],
  sort: [
    ['reverse', 'case_sensitive', 'attribute'],
    (operand, given, context) => {
      const keyOf = sortKey(given, context);
      const sorted = [...context.runtime.iterate(operand)].sort((a, b) => context.runtime.compare(keyOf(a), keyOf(b)));
      if (!isTrue(given.value('reverse', false))) return sorted;
      // Python keeps the order of equals in reverse, too.
      return [...context.runtime.iterate(operand)].sort((a, b) => context.runtime.compare(keyOf(b), keyOf(a)));
    },
  ],
  min: extreme(-1),
  max: extreme(1),
  unique: [
    ['case_sensitive', 'attribute'],
    (operand, given, context) => {
      const keyOf = sortKey(given, context);
      const seen = new Set<unknown>();
      const first = context.runtime.iterate(operand).filter((one) => {
        const key = context.runtime.keyOf(keyOf(one));
        return !seen.has(key) && seen.add(key);
      });
      return new Stream(first);
    },
  ],
  sum: [
    ['attribute', 'start'],
    (operand, given, context) => {
      const attribute = given.value('attribute');
      const values = context.runtime.iterate(operand).map((one) => {
        return attribute === null ? one : attributeOf(one, attribute, context);
      });
      let sum = 0;
      let isFloat = false;
      for (const value of [given.value('start', 0), ...values]) {
        const number = numberOf(value);
        if (number === undefined) throw new TemplateError(`sum needs numbers, not a ${typeName(value)}`);
        isFloat ||= value instanceof Float;
        sum += number;
      }
      return isFloat ? new Float(sum) : integer(sum);
    },
  ],
};

/** Filters whose arguments name another filter or test: they take all arguments as they are given. */
const choosing: Readonly<
  Record<string, (operand: Value, args: readonly Value[], keywords: Keywords, context: FilterContext) => Value>
> = {
  map: mapped,
  select: (operand, args, keywords, context) =>
    chosen(operand, args, keywords, context, { keeps: true, byAttribute: false }),
  reject: (operand, args, keywords, context) =>
    chosen(operand, args, keywords, context, { keeps: false, byAttribute: false }),
  selectattr: (operand, args, keywords, context) =>
    chosen(operand, args, keywords, context, { keeps: true, byAttribute: true }),
  rejectattr: (operand, args, keywords, context) =>
    chosen(operand, args, keywords, context, { keeps: false, byAttribute: true }),
  format: (operand, args, keywords, { runtime }) => {
    if (keywords.size > 0) throw new TemplateError('format takes no arguments by name');
    return percentFormatted(runtime.str(operand), new Tuple(args), runtime);
  },
};

export const filterNames: ReadonlySet<string> = new Set([...Object.keys(filters), ...Object.keys(choosing)]);

export function applyFilter(
  name: string,
  operand: Value,
  args: readonly Value[],
  keywords: Keywords,
  context: FilterContext,
): Value {
  const choose = Object.hasOwn(choosing, name) ? choosing[name] : undefined;
  if (choose !== undefined) return choose(operand, args, keywords, context);
  const filter = Object.hasOwn(filters, name) ? filters[name] : undefined;
  if (filter === undefined) throw new TemplateError(`uses the filter ${name}, which is not supported`);
  const [parameters, work] = filter;
  return work(operand, new Arguments(name, parameters, args, keywords), context);
}

function mapped(operand: Value, args: readonly Value[], keywords: Keywords, context: FilterContext): Value {
  const items = context.runtime.iterate(operand);
  const attribute = keywords.get('attribute');
  if (attribute !== undefined) {
    const fallback = keywords.get('default') ?? new Undefined('an attribute');
    const values = items.map((one) => {
      const value = attributeOf(one, attribute, context);
      return value instanceof Undefined ? fallback : value;
    });
    return new Stream(values);
  }
  const [name, ...rest] = args;
  if (typeof name !== 'string') throw new TemplateError('map needs the name of a filter, or attribute');
  return new Stream(items.map((one) => applyFilter(name, one, rest, keywords, context)));
}

function chosen(
  operand: Value,
  args: readonly Value[],
  keywords: Keywords,
  context: FilterContext,
  { keeps, byAttribute }: { readonly keeps: boolean; readonly byAttribute: boolean },
): Value {
  if (keywords.size > 0) throw new TemplateError('select and reject take no arguments by name');
  const [attribute, ...others] = byAttribute ? args : [null, ...args];
  const [name, ...rest] = others;
  if (attribute === undefined) throw new TemplateError('selectattr and rejectattr need the name of an attribute');
  if (name !== undefined && typeof name !== 'string') throw new TemplateError('a test is chosen by its name');
  const test: Test = name === undefined ? (value) => isTrue(value) : testNamed(name, rest.length);
  const kept = context.runtime.iterate(operand).filter((one) => {
    const value = byAttribute ? attributeOf(one, attribute, context) : one;
    return test(value, context.runtime, rest) === keeps;
  });
  return new Stream(kept);
}

/** A path of attributes, as filters take it: `a.b.0`. */
function attributeOf(item: Value, attribute: Value, context: FilterContext): Value {
  const parts = typeof attribute === 'string' ? context.runtime.plain(attribute).split('.') : [attribute];
  return parts.reduce((at: Value, part) => {
    return context.item(at, typeof part === 'string' && /^\d+$/.test(part) ? Number(part) : part);
  }, item);
}

function sortKey(given: Arguments, context: FilterContext): (value: Value) => Value {
  const attribute = given.value('attribute');
  const isCaseSensitive = isTrue(given.value('case_sensitive', false));
  if (typeof attribute === 'string' && attribute.includes(',')) {
    throw new TemplateError('sorting by several attributes is not supported');
  }
  return (one) => {
    const value = attribute === null ? one : attributeOf(one, attribute, context);
    return typeof value === 'string' && !isCaseSensitive ? context.runtime.plain(value).toLowerCase() : value;
  };
}

function extreme(sign: number): Filter {
  return [
    ['case_sensitive', 'attribute'],
    (operand, given, context) => {
      const keyOf = sortKey(given, context);
      const [first, ...others] = context.runtime.iterate(operand);
      let best = first;
      for (const one of others) {
        if (sign * context.runtime.compare(keyOf(one), keyOf(best as Value)) > 0) best = one;
      }
      return orUndefined(best, 'an element of an empty list');
    },
  ];
}

function dictSorted(operand: Value, given: Arguments, runtime: Runtime): Value {
  if (!(operand instanceof Dict)) throw new TemplateError(`dictsort needs a dictionary, not a ${typeName(operand)}`);
  const by = given.text('by') ?? 'key';
  if (by !== 'key' && by !== 'value') throw new TemplateError("dictsort sorts by 'key' or by 'value'");
  const isCaseSensitive = isTrue(given.value('case_sensitive', false));
  const keyOf = (entry: readonly [Value, Value]) => {
    const value = entry[by === 'key' ? 0 : 1];
    return typeof value === 'string' && !isCaseSensitive ? runtime.plain(value).toLowerCase() : value;
  };
  const sign = isTrue(given.value('reverse', false)) ? -1 : 1;
  const entries = [...operand.entries.values()].sort((a, b) => sign * runtime.compare(keyOf(a), keyOf(b)));
  return entries.map((entry) => new Tuple(entry));
}

export function sizeOf(operand: Value, runtime: Runtime): number {
  if (typeof operand === 'string') return lengthOf(operand);
  if (operand instanceof Dict) return operand.entries.size;
  const isSized = Array.isArray(operand) || [Tuple, View, Undefined].some((kind) => operand instanceof kind);
  if (!isSized) {
    throw new TemplateError(`a ${typeName(operand)} has no length`);
  }
  return runtime.iterate(operand).length;
}

function defaulted(operand: Value, given: Arguments): Value {
  const isMissing = operand instanceof Undefined || (isTrue(given.value('boolean', false)) && !isTrue(operand));
  return isMissing ? given.value('default_value', '') : operand;
}

function indented(operand: Value, given: Arguments, runtime: Runtime): string {
  if (typeof operand !== 'string') throw new TemplateError(`indent needs a text, not a ${typeName(operand)}`);
  const width = given.value('width', 4);
  const by = typeof width === 'string' ? width : ' '.repeat(runtime.units(Math.max(given.integer('width', 4), 0)));
  const lines = new Texts(runtime).lines(`${operand}\n`, false);
  const [first = '', ...rest] = lines;
  const isBlankToo = isTrue(given.value('blank', false));
  // Jinja appends a line break first, so the last line may be an empty one.
  const written = rest.map((line) => (line === '' && !isBlankToo ? line : by + line));
  const text = runtime.joined([first, ...written], '\n');
  return isTrue(given.value('first', false)) ? by + text : text;
}

function jsonStyleOf(given: Arguments): JsonStyle {
  const indent = given.value('indent');
  const separators =
    given.has('separators') && given.value('separators') !== null ? given.texts('separators') : undefined;
  if (separators !== undefined && separators.length !== 2) throw new TemplateError('tojson needs two separators');
  return {
    indent: indent === null ? undefined : typeof indent === 'string' ? indent : blanks(given.integer('indent', 0)),
    ensureAscii: isTrue(given.value('ensure_ascii', false)),
    itemSeparator: separators?.[0] ?? (indent === null ? ', ' : ','),
    keySeparator: separators?.[1] ?? ': ',
    sortKeys: isTrue(given.value('sort_keys', false)),
  };
}

function blanks(count: number): string {
  if (count > 64) throw new TemplateError('tojson indents by at most 64');
  return ' '.repeat(Math.max(count, 0));
}
