// Python's operations on texts, which look through twins: places are found in the text without twins, and the parts keep
// theirs. Called by methods.ts and filters.ts.
import { lengthOf, type Runtime } from '../runtime.js';
import { TemplateError } from '../values.js';

const space = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const leadingSpace = new RegExp(`^[${space}]+`);
const spaces = new RegExp(`[${space}]+`, 'g');
const isSpace = new RegExp(`^[${space}]$`);
// biome-ignore lint/suspicious/noControlCharactersInRegex: Python counts these as ends of lines.
const lineEnd = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/g;

export type Side = 'left' | 'right' | 'both';

export class Texts {
  readonly #runtime: Runtime;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** Removes white space, or any of the given characters, at the sides. */
  strip(text: string, side: Side, characters?: string): string {
    const plain = this.#runtime.plain(text);
    const set =
      characters === undefined ? undefined : new Set(this.#runtime.characters(this.#runtime.plain(characters)));
    const isStripped = (one: string) => (set === undefined ? isSpace.test(one) : set.has(one));
    let start = 0;
    let end = plain.length;
    while (side !== 'right' && start < end) {
      const one = String.fromCodePoint(plain.codePointAt(start) as number);
      if (!isStripped(one)) break;
      start += one.length;
    }
    while (side !== 'left' && end > start) {
      const one = [...plain.slice(Math.max(end - 2, 0), end)].at(-1) as string;
      if (!isStripped(one)) break;
      end -= one.length;
    }
    return text.slice(start, end);
  }

  /** The parts between separators. Without one: between runs of white space, without empty parts at the ends. */
  split(text: string, separator: string | undefined, most: number): string[] {
    const plain = this.#runtime.plain(text);
    if (separator === undefined) return this.#words(text, plain, most);
    const sought = this.#runtime.plain(separator);
    if (sought === '') throw new TemplateError('split() needs a separator that is not empty');
    const parts: string[] = [];
    let from = 0;
    for (let at = plain.indexOf(sought); at >= 0 && (most < 0 || parts.length < most); ) {
      parts.push(text.slice(from, at));
      this.#runtime.elements(parts.length);
      from = at + sought.length;
      at = plain.indexOf(sought, from);
    }
    parts.push(text.slice(from));
    return parts;
  }

  #words(text: string, plain: string, most: number): string[] {
    const parts: string[] = [];
    let from = leadingSpace.exec(plain)?.[0].length ?? 0;
    for (const { index, 0: gap } of plain.matchAll(spaces)) {
      if (index < from) continue;
      if (parts.length === most) break;
      parts.push(text.slice(from, index));
      this.#runtime.elements(parts.length);
      from = index + gap.length;
    }
    if (from < text.length) parts.push(text.slice(from));
    return parts;
  }

  /** As {@link split}, from the right. */
  splitRight(text: string, separator: string | undefined, most: number): string[] {
    if (most < 0) return this.split(text, separator, most);
    if (separator === undefined) throw new TemplateError('rsplit() with maxsplit needs a separator');
    const parts = this.split(text, separator, -1);
    if (parts.length <= most + 1) return parts;
    return [parts.slice(0, parts.length - most).join(separator), ...parts.slice(parts.length - most)];
  }

  lines(text: string, keepsEnds: boolean): string[] {
    const plain = this.#runtime.plain(text);
    const lines: string[] = [];
    let from = 0;
    for (const { index, 0: ending } of plain.matchAll(lineEnd)) {
      lines.push(text.slice(from, keepsEnds ? index + ending.length : index));
      this.#runtime.elements(lines.length);
      from = index + ending.length;
    }
    if (from < text.length) lines.push(text.slice(from));
    return lines;
  }

  replace(text: string, from: string, to: string, most: number): string {
    const sought = this.#runtime.plain(from);
    if (sought !== '') {
      const parts = this.split(text, from, most);
      return this.#runtime.joined(parts, to);
    }
    const characters = this.#runtime.characters(text);
    const count = most < 0 ? characters.length + 1 : Math.min(most, characters.length + 1);
    this.#runtime.units(text.length + count * to.length);
    return characters.map((one, i) => (i < count ? to + one : one)).join('') + (count > characters.length ? to : '');
  }

  /** The place of a text in code points, or -1. */
  find(text: string, sought: string, isLast = false): number {
    const [plain, one] = [this.#runtime.plain(text), this.#runtime.plain(sought)];
    const at = isLast ? plain.lastIndexOf(one) : plain.indexOf(one);
    return at < 0 ? -1 : lengthOf(plain.slice(0, at));
  }

  count(text: string, sought: string): number {
    if (sought === '') return lengthOf(text) + 1;
    const [plain, one] = [this.#runtime.plain(text), this.#runtime.plain(sought)];
    let count = 0;
    for (let at = plain.indexOf(one); at >= 0; at = plain.indexOf(one, at + one.length)) count += 1;
    return count;
  }

  /** Changes the case of a text. What a twin stands for may have a case of its own; it then stays plain text. */
  cased(text: string, change: (text: string) => string): string {
    const { twins } = this.#runtime;
    this.#runtime.units(text.length);
    return twins.areCaseless ? change(text) : twins.guard(change(twins.plain(text)));
  }

  /** Fills a text up to a width in code points. */
  filled(text: string, width: number, left: (missing: number) => number, filler = ' '): string {
    const missing = width - lengthOf(text);
    if (missing <= 0) return text;
    this.#runtime.units(text.length + missing);
    const before = left(missing);
    return filler.repeat(before) + text + filler.repeat(missing - before);
  }
}

/** Python's `str.capitalize`. */
export function capitalized(text: string): string {
  const [first = ''] = text;
  return first.toUpperCase() + text.slice(first.length).toLowerCase();
}

/** Python's `str.title`: each run of letters begins with a capital. */
export function titled(text: string): string {
  return text.replace(/\p{Cased}+/gu, capitalized);
}

/** Jinja's filter `title`: words begin after white space, a hyphen, or an opening bracket. */
export function titledWords(text: string, texts: Texts, plain: string): string {
  const words: string[] = [];
  let from = 0;
  for (const { index, 0: gap } of plain.matchAll(/[-\s({[<]+/g)) {
    words.push(texts.cased(text.slice(from, index), capitalized), text.slice(index, index + gap.length));
    from = index + gap.length;
  }
  return words.join('') + texts.cased(text.slice(from), capitalized);
}
