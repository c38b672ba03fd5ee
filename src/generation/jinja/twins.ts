// Keeps text from outside from becoming control tokens: each character with which a control token begins is replaced by a twin,
// a private-use character of the same length, until the template is rendered. No slice, join or filter can then make a control
// token of it, and comparisons look through twins (runtime.ts, builtins/text.ts). Called by template.ts.
import { TemplateError } from './values.js';

/** The private-use characters, for characters of one and of two code units. */
const spaces = [
  { first: 0xe000, last: 0xf8ff },
  { first: 0xf0000, last: 0xffffd },
] as const;
/** So many characters are replaced one after the other, which is faster than all at once. */
const mostReplacedSingly = 8;
/** Code units that are replaced at once. */
const replaceStep = 1 << 16;

export class Twins {
  readonly #twinOf = new Map<string, string>();
  readonly #plainOf = new Map<string, string>();
  readonly #firsts: RegExp | undefined;
  readonly #twins: RegExp | undefined;
  /** Whether upper and lower case change none of the replaced characters. */
  readonly areCaseless: boolean;

  /**
   * @param firsts the characters with which control tokens begin
   * @param taken the private-use characters that the template and the strings from outside contain, which keep them
   */
  constructor(firsts: ReadonlySet<string>, taken: ReadonlySet<string>) {
    const next: number[] = spaces.map(({ first }) => first);
    for (const character of firsts) {
      const at = character.length - 1;
      while (taken.has(String.fromCodePoint(next[at] as number))) next[at] = (next[at] as number) + 1;
      const code = next[at] as number;
      if (code > (spaces[at] as { last: number }).last) {
        throw new TemplateError('cannot be rendered: too many private-use characters are in use');
      }
      next[at] = code + 1;
      const twin = String.fromCodePoint(code);
      this.#twinOf.set(character, twin);
      this.#plainOf.set(twin, character);
    }
    this.areCaseless = [...firsts].every((one) => one.toLowerCase() === one && one.toUpperCase() === one);
    if (firsts.size === 0) return;
    this.#firsts = oneOf(this.#twinOf.keys());
    this.#twins = oneOf(this.#plainOf.keys());
  }

  /** The text with twins for all characters with which a control token may begin. */
  guard(text: string): string {
    return replaced(text, this.#twinOf, this.#firsts);
  }

  /** The text without twins. All places in it are those of the text with twins. */
  plain(text: string): string {
    return replaced(text, this.#plainOf, this.#twins);
  }

  /** The places of all twins. */
  *placesIn(text: string): Generator<number> {
    if (this.#twins === undefined) return;
    for (const { index } of text.matchAll(this.#twins)) yield index;
  }
}

function replaced(text: string, by: ReadonlyMap<string, string>, pattern: RegExp | undefined): string {
  if (pattern === undefined) return text;
  // What is replaced at once takes several times its memory meanwhile.
  const parts: string[] = [];
  for (let at = 0; at < text.length; ) {
    let end = at + replaceStep;
    if (/[\udc00-\udfff]/.test(text[end] ?? '')) end -= 1;
    parts.push(replacedAtOnce(text.slice(at, end), by, pattern));
    at = end;
  }
  return parts.join('');
}

function replacedAtOnce(text: string, by: ReadonlyMap<string, string>, pattern: RegExp): string {
  if (by.size > mostReplacedSingly) return text.replace(pattern, (character) => by.get(character) as string);
  let result = text;
  // Not replaceAll, which makes a tree of all parts.
  for (const [character, other] of by) result = result.split(character).join(other);
  return result;
}

const privateUse = /[\ue000-\uf8ff]|[\u{f0000}-\u{ffffd}]/gu;

/** Adds the private-use characters of a text to a set. */
export function collectPrivateUse(text: string, into: Set<string>): void {
  for (const [character] of text.matchAll(privateUse)) into.add(character);
}

function oneOf(characters: Iterable<string>): RegExp {
  const codes = Array.from(characters, (one) => `\\u{${(one.codePointAt(0) as number).toString(16)}}`);
  return new RegExp(`[${codes.join('')}]`, 'gu');
}
