// What a template's operations need of one rendering: text of values, comparisons that look through twins, and limits on
// what a single operation may make, since a worker's heap limit cannot hold a single large allocation. Made by template.ts.
import type { Twins } from './twins.js';
import {
  Dict,
  Float,
  floatText,
  numberOf,
  Stream,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from './values.js';

/** A list, a dictionary or a range may have so many elements. */
export const mostElements = 200_000;
/** A text may have so many code units more than all that was given. */
const freeUnits = 1 << 20;
const mostNesting = 200;
/** So many code units are escaped at once. */
const jsonStep = 1 << 16;

export interface JsonStyle {
  readonly indent: string | undefined;
  readonly ensureAscii: boolean;
  readonly itemSeparator: string;
  readonly keySeparator: string;
  readonly sortKeys: boolean;
}

export class Runtime {
  readonly twins: Twins;
  readonly #mostUnits: number;

  /** @param inputUnits the code units of the template and of all that is given to it */
  constructor(twins: Twins, inputUnits: number) {
    this.twins = twins;
    this.#mostUnits = freeUnits + 2 * inputUnits;
  }

  /** @returns the length. @throws TemplateError for a text that would be too long */
  units(length: number): number {
    if (length > this.#mostUnits) throw new TemplateError(`makes a text of more than ${this.#mostUnits} characters`);
    return length;
  }

  /** @returns the count. @throws TemplateError for a list that would be too long */
  elements(count: number): number {
    if (count > mostElements) throw new TemplateError(`makes a list of more than ${mostElements} elements`);
    return count;
  }

  /** Texts one after the other. */
  joined(parts: readonly string[], separator = ''): string {
    let length = separator.length * Math.max(parts.length - 1, 0);
    for (const part of parts) length += part.length;
    this.units(length);
    return parts.join(separator);
  }

  plain(text: string): string {
    return this.twins.plain(text);
  }

  /** Text that is made of values is plain text: no control token begins in it. */
  made(text: string): string {
    return this.twins.guard(text);
  }

  /** Python's `str`. */
  str(value: Value): string {
    if (typeof value === 'string') return value;
    if (value instanceof Undefined) return '';
    return this.repr(value);
  }

  /** Python's `repr`. */
  repr(value: Value): string {
    const parts: string[] = [];
    this.#repr(value, parts, 0);
    return this.made(this.joined(parts));
  }

  #repr(value: Value, parts: string[], depth: number): void {
    checkDepth(depth);
    const list = (open: string, items: readonly Value[], close: string) => {
      parts.push(open);
      items.forEach((item, i) => {
        if (i > 0) parts.push(', ');
        this.#repr(item, parts, depth + 1);
      });
      parts.push(close);
    };
    if (typeof value === 'string') parts.push(quoted(this.plain(value)));
    else if (value === null) parts.push('None');
    else if (typeof value === 'boolean') parts.push(value ? 'True' : 'False');
    else if (typeof value === 'number') parts.push(String(value));
    else if (value instanceof Float) parts.push(floatText(value.value));
    else if (Array.isArray(value)) list('[', value, ']');
    else if (value instanceof Tuple) list('(', value.items, value.items.length === 1 ? ',)' : ')');
    else if (value instanceof Undefined) parts.push('Undefined');
    else if (value instanceof View) {
      parts.push(value.name);
      if (!value.isRange) list('([', value.items, '])');
    } else if (value instanceof Dict) {
      parts.push('{');
      let isFirst = true;
      for (const [key, member] of value.entries.values()) {
        if (!isFirst) parts.push(', ');
        isFirst = false;
        this.#repr(key, parts, depth + 1);
        parts.push(': ');
        this.#repr(member, parts, depth + 1);
      }
      parts.push('}');
    } else throw new TemplateError(`prints a ${typeName(value)}, which has no text`);
    this.elements(parts.length / 8);
  }

  /** Python's `json.dumps`. */
  json(value: Value, style: JsonStyle): string {
    const parts: string[] = [];
    this.#json(value, style, parts, 0);
    return this.made(this.joined(parts));
  }

  #json(value: Value, style: JsonStyle, parts: string[], depth: number): void {
    checkDepth(depth);
    this.elements(parts.length / 8);
    if (value === null || typeof value === 'boolean') parts.push(String(value));
    else if (typeof value === 'number') parts.push(String(value));
    else if (value instanceof Float) parts.push(jsonFloat(value.value));
    else if (typeof value === 'string') parts.push(this.#jsonText(value, style));
    else if (Array.isArray(value) || value instanceof Tuple) {
      const items = Array.isArray(value) ? value : value.items;
      this.#jsonList('[', items, ']', style, parts, depth, (item) => this.#json(item, style, parts, depth + 1));
    } else if (value instanceof Dict) {
      let entries = [...value.entries.values()];
      if (style.sortKeys) entries = entries.sort(([a], [b]) => this.compare(a, b));
      this.#jsonList('{', entries, '}', style, parts, depth, ([key, member]) => {
        parts.push(this.#jsonText(jsonKey(key), style), style.keySeparator);
        this.#json(member, style, parts, depth + 1);
      });
    } else throw new TemplateError(`tojson takes no ${typeName(value)}`);
  }

  #jsonList<T>(
    open: string,
    items: readonly T[],
    close: string,
    { indent, itemSeparator }: JsonStyle,
    parts: string[],
    depth: number,
    write: (item: T) => void,
  ): void {
    parts.push(open);
    const line = (levels: number) => {
      if (indent === undefined) return;
      this.units(indent.length * levels);
      parts.push('\n', indent.repeat(levels));
    };
    items.forEach((item, i) => {
      if (i > 0) parts.push(itemSeparator);
      line(depth + 1);
      write(item);
    });
    if (items.length > 0) line(depth);
    parts.push(close);
  }

  #jsonText(text: string, { ensureAscii }: JsonStyle): string {
    const plain = this.plain(text);
    const parts: string[] = [];
    let length = 0;
    for (let at = 0; at < plain.length; at += jsonStep) {
      const part = plain.slice(at, at + jsonStep);
      const escaped = part.replace(jsonSpecial, (one) => jsonEscapes[one] ?? unicodeEscape(one));
      parts.push(ensureAscii ? escaped.replace(/[^\0-\x7e]/g, unicodeEscape) : escaped);
      length = this.units(length + (parts.at(-1) as string).length);
    }
    return `"${parts.join('')}"`;
  }

  /** What identifies a key of a dictionary. @throws TemplateError for what cannot be a key */
  keyOf(key: Value): unknown {
    if (typeof key === 'string') return `s${this.plain(key)}`;
    if (key === null) return null;
    const number = numberOf(key);
    if (number !== undefined) return number;
    if (key instanceof Tuple) return `t${key.items.map((item) => String(this.keyOf(item))).join('\0')}`;
    throw new TemplateError(`a ${typeName(key)} cannot be a key`);
  }

  /** Python's `==`. */
  equals(a: Value, b: Value, depth = 0): boolean {
    checkDepth(depth);
    if (a === b) return true;
    if (typeof a === 'string' && typeof b === 'string') return this.plain(a) === this.plain(b);
    const x = numberOf(a);
    if (x !== undefined) return x === numberOf(b);
    if (a instanceof Undefined) return b instanceof Undefined;
    if (Array.isArray(a)) return Array.isArray(b) && this.#areEqual(a, b, depth);
    if (a instanceof View && a.isRange)
      return b instanceof View && b.isRange && this.#areEqual(a.items, b.items, depth);
    if (a instanceof Tuple) return b instanceof Tuple && this.#areEqual(a.items, b.items, depth);
    if (!(a instanceof Dict && b instanceof Dict) || a.entries.size !== b.entries.size) return false;
    for (const [key, [, member]] of a.entries) {
      const other = b.entries.get(key);
      if (other === undefined || !this.equals(member, other[1], depth + 1)) return false;
    }
    return true;
  }

  #areEqual(a: readonly Value[], b: readonly Value[], depth: number): boolean {
    return a.length === b.length && a.every((one, i) => this.equals(one, b[i] as Value, depth + 1));
  }

  /** The order of two values: negative, 0 or positive. @throws TemplateError where Python has none */
  compare(a: Value, b: Value, depth = 0): number {
    checkDepth(depth);
    if (typeof a === 'string' && typeof b === 'string') return orderOf(this.plain(a), this.plain(b));
    const [x, y] = [numberOf(a), numberOf(b)];
    if (x !== undefined && y !== undefined) return x - y;
    if ((Array.isArray(a) && Array.isArray(b)) || (a instanceof Tuple && b instanceof Tuple)) {
      const [first, second] = [this.iterate(a), this.iterate(b)];
      // Nothing is equal to what is behind the end of the second one.
      const at = first.findIndex((one, i) => !this.equals(one, second[i] as Value));
      if (at < 0 || at >= second.length) return first.length - second.length;
      return this.compare(first[at] as Value, second[at] as Value, depth + 1);
    }
    for (const one of [a, b]) if (one instanceof Undefined) throw one.error;
    throw new TemplateError(`${typeName(a)} and ${typeName(b)} cannot be ordered`);
  }

  /** The elements of a value. @throws TemplateError for what has none */
  iterate(value: Value): readonly Value[] {
    if (Array.isArray(value)) return value;
    if (value instanceof Tuple || value instanceof View) return value.items;
    if (value instanceof Stream) return value.take();
    if (value instanceof Undefined) return [];
    if (value instanceof Dict) return Array.from(value.entries.values(), ([key]) => key);
    if (typeof value === 'string') return this.characters(value);
    throw new TemplateError(`a ${typeName(value)} cannot be iterated`);
  }

  /** The characters of a text, which are its code points. */
  characters(text: string): string[] {
    this.elements(text.length / 2);
    return [...text];
  }

  /** Python's `in`. */
  contains(container: Value, value: Value): boolean {
    if (typeof container === 'string') {
      if (typeof value !== 'string') throw new TemplateError(`'in' needs a text on its left, not a ${typeName(value)}`);
      return this.plain(container).includes(this.plain(value));
    }
    if (container instanceof Dict) return container.entries.has(this.keyOf(value));
    return this.iterate(container).some((item) => this.equals(item, value));
  }
}

/** The length of a text in code points. */
export function lengthOf(text: string): number {
  let length = text.length;
  if (!/[\ud800-\udbff]/.test(text)) return length;
  for (let at = 0; at < text.length - 1; at++) {
    if ((text.charCodeAt(at) & 0xfc00) === 0xd800 && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00) length -= 1;
  }
  return length;
}

/** The order of texts by code points. */
function orderOf(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  for (let at = 0; at < most; at++) {
    const [x, y] = [a.charCodeAt(at), b.charCodeAt(at)];
    if (x === y) continue;
    // Surrogates are of characters above all others.
    const isHigh = (unit: number) => (unit & 0xf800) === 0xd800;
    return isHigh(x) === isHigh(y) ? x - y : isHigh(x) ? 1 : -1;
  }
  return a.length - b.length;
}

function checkDepth(depth: number): void {
  if (depth > mostNesting) throw new TemplateError(`has values that are nested more than ${mostNesting} deep`);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON escapes these.
const jsonSpecial = /["\\\u0000-\u001f]/g;
const jsonEscapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\f': '\\f',
  '\b': '\\b',
};

function unicodeEscape(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function jsonFloat(value: number): string {
  if (Number.isFinite(value)) return floatText(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';
}

function jsonKey(key: Value): string {
  if (typeof key === 'string') return key;
  if (key === null || typeof key === 'boolean' || typeof key === 'number') return String(key);
  if (key instanceof Float) return jsonFloat(key.value);
  throw new TemplateError(`tojson takes no ${typeName(key)} as a key`);
}

/** A text as Python's `repr` writes it. */
function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replace(/[\\\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\p{Zl}\p{Zp}\p{Zs}]/gu, (one) => {
    if (one === ' ') return one;
    if (one === '\\') return '\\\\';
    const short = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }[one];
    if (short !== undefined) return short;
    const code = one.codePointAt(0) as number;
    const [letter, digits] = code < 0x100 ? ['x', 2] : code < 0x10000 ? ['u', 4] : ['U', 8];
    return `\\${letter}${code.toString(16).padStart(digits as number, '0')}`;
  });
  return quote + escaped.replaceAll(quote, `\\${quote}`) + quote;
}
