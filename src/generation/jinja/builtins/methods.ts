// The methods of texts, lists and dictionaries. Those of Python that change a value are refused by Jinja's sandbox, too.
// Called by interpreter.ts.

import type { Runtime } from '../runtime.js';
import {
  Callable,
  Dict,
  type Keywords,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from '../values.js';
import { Arguments } from './arguments.js';
import { capitalized, Texts, titled } from './text.js';

type Method<T> = (self: T, given: Arguments, runtime: Runtime, texts: Texts) => Value;
type Methods<T> = Readonly<Record<string, readonly [parameters: readonly string[], method: Method<T>]>>;

function classTest(pattern: RegExp): readonly [readonly string[], Method<string>] {
  return [[], (text, _, runtime) => pattern.test(runtime.plain(text))];
}

const ofText: Methods<string> = {
  upper: [[], (text, _, __, texts) => texts.cased(text, (one) => one.toUpperCase())],
  lower: [[], (text, _, __, texts) => texts.cased(text, (one) => one.toLowerCase())],
  title: [[], (text, _, __, texts) => texts.cased(text, titled)],
  capitalize: [[], (text, _, __, texts) => texts.cased(text, capitalized)],
  strip: [['chars'], (text, given, _, texts) => texts.strip(text, 'both', given.text('chars'))],
  lstrip: [['chars'], (text, given, _, texts) => texts.strip(text, 'left', given.text('chars'))],
  rstrip: [['chars'], (text, given, _, texts) => texts.strip(text, 'right', given.text('chars'))],
  split: [
    ['sep', 'maxsplit'],
    (text, given, _, texts) => texts.split(text, given.text('sep'), given.integer('maxsplit', -1)),
  ],
  rsplit: [
    ['sep', 'maxsplit'],
    (text, given, _, texts) => texts.splitRight(text, given.text('sep'), given.integer('maxsplit', -1)),
  ],
  splitlines: [['keepends'], (text, given, _, texts) => texts.lines(text, given.value('keepends', false) === true)],
  partition: [['sep!'], (text, given, _, texts) => parted(text, given.text('sep') ?? '', texts, false)],
  rpartition: [['sep!'], (text, given, _, texts) => parted(text, given.text('sep') ?? '', texts, true)],
  replace: [
    ['old!', 'new!', 'count'],
    (text, given, _, texts) =>
      texts.replace(text, given.text('old') ?? '', given.text('new') ?? '', given.integer('count', -1)),
  ],
  startswith: [
    ['prefix!'],
    (text, given, runtime) => {
      const plain = runtime.plain(text);
      return given.texts('prefix').some((one) => plain.startsWith(runtime.plain(one)));
    },
  ],
  endswith: [
    ['suffix!'],
    (text, given, runtime) => {
      const plain = runtime.plain(text);
      return given.texts('suffix').some((one) => plain.endsWith(runtime.plain(one)));
    },
  ],
  removeprefix: [
    ['prefix!'],
    (text, given, runtime) => {
      const prefix = given.text('prefix') ?? '';
      return runtime.plain(text).startsWith(runtime.plain(prefix)) ? text.slice(prefix.length) : text;
    },
  ],
  removesuffix: [
    ['suffix!'],
    (text, given, runtime) => {
      const suffix = given.text('suffix') ?? '';
      return runtime.plain(text).endsWith(runtime.plain(suffix)) ? text.slice(0, text.length - suffix.length) : text;
    },
  ],
  find: [['sub!'], (text, given, _, texts) => texts.find(text, given.text('sub') ?? '')],
  rfind: [['sub!'], (text, given, _, texts) => texts.find(text, given.text('sub') ?? '', true)],
  count: [['sub!'], (text, given, _, texts) => texts.count(text, given.text('sub') ?? '')],
  join: [
    ['iterable!'],
    (text, given, runtime) => {
      const parts = runtime.iterate(given.value('iterable')).map((one) => {
        if (typeof one !== 'string') throw new TemplateError(`join() needs texts, not a ${typeName(one)}`);
        return one;
      });
      return runtime.joined(parts, text);
    },
  ],
  ljust: [['width!'], (text, given, _, texts) => texts.filled(text, given.integer('width', 0), () => 0)],
  rjust: [['width!'], (text, given, _, texts) => texts.filled(text, given.integer('width', 0), (missing) => missing)],
  isalpha: classTest(/^\p{L}+$/u),
  isalnum: classTest(/^[\p{L}\p{N}]+$/u),
  isdigit: classTest(/^\p{Nd}+$/u),
  isdecimal: classTest(/^\p{Nd}+$/u),
  isnumeric: classTest(/^\p{N}+$/u),
  // biome-ignore lint/suspicious/noControlCharactersInRegex: Python counts these as white space.
  isspace: classTest(/^[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$/),
  isupper: classTest(/^(?=.*[\p{Lu}])[^\p{Ll}\p{Lt}]*$/su),
  islower: classTest(/^(?=.*[\p{Ll}])[^\p{Lu}\p{Lt}]*$/su),
};

const ofList: Methods<readonly Value[]> = {
  count: [['value!'], (list, given, runtime) => list.filter((one) => runtime.equals(one, given.value('value'))).length],
  index: [
    ['value!'],
    (list, given, runtime) => {
      const at = list.findIndex((one) => runtime.equals(one, given.value('value')));
      if (at < 0) throw new TemplateError('index() does not find its value in the list');
      return at;
    },
  ],
};

const ofDict: Methods<Dict> = {
  get: [
    ['key!', 'default'],
    (dict, given, runtime) => {
      const entry = dict.entries.get(runtime.keyOf(given.value('key')));
      return entry === undefined ? given.value('default') : entry[1];
    },
  ],
  items: [[], (dict) => new View(itemsOf(dict), 'dict_items')],
  keys: [
    [],
    (dict) =>
      new View(
        Array.from(dict.entries.values(), ([key]) => key),
        'dict_keys',
      ),
  ],
  values: [
    [],
    (dict) =>
      new View(
        Array.from(dict.entries.values(), ([, value]) => value),
        'dict_values',
      ),
  ],
  copy: [
    [],
    (dict) => {
      const copy = new Dict();
      for (const [key, entry] of dict.entries) copy.entries.set(key, entry);
      return copy;
    },
  ],
};

/** Methods that change a value, by the kinds of value that have them. */
const changing = {
  dict: ['clear', 'pop', 'popitem', 'setdefault', 'update'],
  list: ['append', 'clear', 'extend', 'insert', 'pop', 'remove', 'reverse', 'sort'],
};

/** The names of all methods that exist. That of a text named `format` takes any arguments, by any names. */
export const methodNames: ReadonlySet<string> = new Set([
  'format',
  ...[ofText, ofList, ofDict].flatMap((methods) => Object.keys(methods)),
]);

/** The method of a value, or undefined. @throws TemplateError for one that would change the value */
export function methodOf(value: Value, name: string, runtime: Runtime): Callable | undefined {
  if (typeof value === 'string') {
    if (name === 'format') return new Callable(name, (args, keywords) => formatted(value, args, keywords, runtime));
    return bound(ofText, name, value, runtime);
  }
  if (value instanceof Dict) {
    if (changing.dict.includes(name))
      throw new TemplateError(`changes a dictionary by ${name}(), which is not allowed`);
    return bound(ofDict, name, value, runtime);
  }
  const isList = Array.isArray(value);
  if (isList && changing.list.includes(name)) {
    throw new TemplateError(`changes a list by ${name}(), which is not allowed`);
  }
  return isList || value instanceof Tuple ? bound(ofList, name, isList ? value : value.items, runtime) : undefined;
}

function bound<T>(methods: Methods<T>, name: string, self: T, runtime: Runtime): Callable | undefined {
  const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
  if (method === undefined) return undefined;
  const [parameters, work] = method;
  return new Callable(name, (args, keywords) =>
    work(self, new Arguments(name, parameters, args, keywords), runtime, new Texts(runtime)),
  );
}

export function itemsOf(dict: Dict): Value[] {
  return Array.from(dict.entries.values(), ([key, value]) => new Tuple([key, value]));
}

function parted(text: string, separator: string, texts: Texts, isLast: boolean): Tuple {
  const [before = '', after] = isLast ? texts.splitRight(text, separator, 1) : texts.split(text, separator, 1);
  if (after !== undefined) return new Tuple([before, text.slice(before.length, text.length - after.length), after]);
  return new Tuple(isLast ? ['', '', text] : [text, '', '']);
}

/** Python's `str.format`, of fields without a conversion or a format of their own. */
function formatted(text: string, args: readonly Value[], keywords: Keywords, runtime: Runtime): string {
  let next = 0;
  let length = 0;
  const result = text.replace(/\{\{|\}\}|\{([^{}]*)\}|[{}]/g, (whole, field: string | undefined) => {
    if (whole === '{{' || whole === '}}') return whole[0] as string;
    if (field === undefined || !/^\w*$/.test(field)) {
      throw new TemplateError(`format() supports only the fields {}, {0} and {name}, not ${JSON.stringify(whole)}`);
    }
    const value = field === '' ? args[next++] : /^\d+$/.test(field) ? args[Number(field)] : keywords.get(field);
    if (value === undefined) throw new TemplateError(`format() is not given {${field}}`);
    if (value instanceof Undefined) throw value.error;
    const part = runtime.str(value);
    length = runtime.units(length + part.length);
    return part;
  });
  return result;
}

/** Python's `%` of a text, for the conversions %s, %d and %%. */
export function percentFormatted(text: string, given: Value, runtime: Runtime): string {
  const values = given instanceof Tuple ? given.items : [given];
  let next = 0;
  let length = 0;
  const result = text.replace(/%(.|$)/gsu, (whole, letter: string) => {
    if (letter === '%') return '%';
    const value = values[next++];
    if (value === undefined) throw new TemplateError('% is given too few values');
    if (letter === 's') {
      const part = runtime.str(value);
      length = runtime.units(length + part.length);
      return part;
    }
    if ((letter === 'd' || letter === 'i') && typeof value === 'number') return runtime.made(String(value));
    throw new TemplateError(`% supports only %s and %d of a text, not ${whole}`);
  });
  const mayBeLeft = Array.isArray(given) || given instanceof Dict;
  if (!mayBeLeft && next < values.length) throw new TemplateError('% is given too many values');
  return result;
}
