// Compiles regular expressions to terms: JavaScript's syntax with the flag u. Lookaround, backreferences, word
// boundaries, \p and flags are refused by name. Lazy quantifiers match the same texts as greedy ones. Called by
// constraint-compiler.ts, json-value.ts and json-schema.ts.
import { TesseraeError } from '../../base/errors.js';
import type { Term, Terms } from '../term.js';
import { type CharacterSet, complement, type Encoding, everyCharacter } from './characters.js';

const digits: CharacterSet = [[0x30, 0x39]];
const word: CharacterSet = [...digits, [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]];
const blank: CharacterSet = [
  [9, 13],
  [32, 32],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const lineEnds: CharacterSet = [
  [10, 10],
  [13, 13],
  [0x2028, 0x2029],
];
const classes: Readonly<Record<string, CharacterSet>> = {
  d: digits,
  w: word,
  s: blank,
  D: complement(digits),
  W: complement(word),
  S: complement(blank),
};
const controls: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, 0: 0 };
const MOST_NESTING = 200;
const MOST_REPEATS = 1_000_000;

export interface RegexOptions {
  readonly encoding: Encoding;
  /** Match anywhere in the text unless anchored by ^ and $, as in a JSON schema. By default, match the whole text. */
  readonly search?: boolean;
}

/** @throws TesseraeError ERR_FORMAT for what is malformed or not supported */
export function compileRegex(source: string, terms: Terms, options: RegexOptions): Term {
  return new RegexCompiler(source, terms, options).compile();
}

class RegexCompiler {
  readonly #source: string;
  readonly #characters: readonly string[];
  readonly #terms: Terms;
  readonly #options: RegexOptions;
  #at = 0;

  constructor(source: string, terms: Terms, options: RegexOptions) {
    this.#source = source;
    this.#characters = [...source];
    this.#terms = terms;
    this.#options = options;
  }

  compile(): Term {
    const term = this.#alternatives(0);
    if (this.#at < this.#characters.length) throw this.#error('has a ) without its (');
    return term;
  }

  #error(problem: string): TesseraeError {
    const shown = this.#source.length > 60 ? `${this.#source.slice(0, 60)}…` : this.#source;
    return new TesseraeError('ERR_FORMAT', `the regular expression /${shown}/ ${problem}`);
  }

  #peek(): string | undefined {
    return this.#characters[this.#at];
  }

  #take(text: string): boolean {
    if (this.#characters.slice(this.#at, this.#at + text.length).join('') !== text) return false;
    this.#at += text.length;
    return true;
  }

  #alternatives(depth: number): Term {
    if (depth > MOST_NESTING) throw this.#error(`nests deeper than ${MOST_NESTING}`);
    const found = [this.#sequence(depth)];
    while (this.#take('|')) found.push(this.#sequence(depth));
    return this.#terms.either(...found);
  }

  #sequence(depth: number): Term {
    const terms = this.#terms;
    const isSearch = depth === 0 && this.#options.search === true;
    const anything = isSearch ? terms.repeat(this.#options.encoding(terms, everyCharacter), 0) : terms.end;
    const begins = depth === 0 && this.#take('^');
    const parts: Term[] = begins ? [] : [anything];
    let ends = false;
    for (let next = this.#peek(); next !== undefined && next !== '|' && next !== ')'; next = this.#peek()) {
      if (ends) throw this.#error('has a $ that is not at the end');
      if (next === '$' && depth === 0) {
        this.#at += 1;
        ends = true;
        continue;
      }
      parts.push(this.#quantified(depth));
    }
    return terms.sequence(...parts, ends ? terms.end : anything);
  }

  #quantified(depth: number): Term {
    const atom = this.#atom(depth);
    const limits = this.#quantifier();
    if (limits === undefined) return atom;
    // A lazy quantifier matches the same texts.
    this.#take('?');
    if (this.#quantifier() !== undefined) throw this.#error('repeats a quantifier');
    return this.#terms.repeat(atom, ...limits);
  }

  #quantifier(): [number, number] | undefined {
    if (this.#take('*')) return [0, Number.POSITIVE_INFINITY];
    if (this.#take('+')) return [1, Number.POSITIVE_INFINITY];
    if (this.#take('?')) return [0, 1];
    if (this.#peek() !== '{') return undefined;
    const rest = this.#characters.slice(this.#at, this.#at + 24).join('');
    const [whole, low, comma, high] = /^\{([0-9]+)(,([0-9]*))?\}/.exec(rest) ?? [];
    if (whole === undefined) throw this.#error('has a { that does not begin a quantifier: write \\{');
    this.#at += whole.length;
    const least = Number(low);
    const most = comma === undefined ? least : high ? Number(high) : Number.POSITIVE_INFINITY;
    if (most < least) throw this.#error(`has the limits ${whole} out of order`);
    if (least > MOST_REPEATS || (most > MOST_REPEATS && most !== Number.POSITIVE_INFINITY)) {
      throw this.#error(`repeats more than ${MOST_REPEATS} times`);
    }
    return [least, most];
  }

  #atom(depth: number): Term {
    const character = this.#characters[this.#at++] as string;
    if (character === '(') return this.#group(depth);
    if (character === '[') return this.#encode(this.#set());
    if (character === '.') return this.#encode(complement(lineEnds));
    if (character === '\\') return this.#encode(this.#escape(false));
    if (character === '^' || character === '$') {
      throw this.#error(
        `has a ${character} within: an anchor may only begin or end the whole or one of its alternatives`,
      );
    }
    if ('*+?{}]'.includes(character)) throw this.#error(`has a ${character} out of place: write \\${character}`);
    return this.#encode([[character.codePointAt(0)!, character.codePointAt(0)!]]);
  }

  #encode(set: CharacterSet): Term {
    return this.#options.encoding(this.#terms, set);
  }

  #group(depth: number): Term {
    if (this.#take('?')) {
      for (const look of ['=', '!', '<=', '<!'])
        if (this.#take(look)) throw this.#error('uses lookaround, which is not supported');
      if (this.#take('<')) while (this.#peek() !== undefined && !this.#take('>')) this.#at += 1;
      else if (!this.#take(':')) throw this.#error('uses inline flags, which are not supported');
    }
    const term = this.#alternatives(depth + 1);
    if (!this.#take(')')) throw this.#error('has a ( without its )');
    return term;
  }

  /** The characters of an escape, after its backslash. */
  #escape(isInSet: boolean): CharacterSet {
    const character = this.#characters[this.#at++];
    if (character === undefined) throw this.#error('ends with a backslash');
    const known = classes[character];
    if (known !== undefined) return known;
    if (character === 'b' && isInSet) return [[8, 8]];
    if (character === 'b' || character === 'B') throw this.#error('uses word boundaries, which are not supported');
    if (character === 'p' || character === 'P') throw this.#error(`uses \\${character}, which is not supported`);
    if (character === 'k' || /[1-9]/.test(character)) throw this.#error('uses backreferences, which are not supported');
    const control = controls[character];
    if (control !== undefined) return [[control, control]];
    if (character === 'x' || character === 'u') return this.#coded(character);
    if (character === 'c') {
      const letter = this.#characters[this.#at++] ?? '';
      if (!/[A-Za-z]/.test(letter)) throw this.#error('has a \\c without a letter');
      return [[letter.charCodeAt(0) % 32, letter.charCodeAt(0) % 32]];
    }
    if (/[A-Za-z0-9]/.test(character)) throw this.#error(`has the unknown escape \\${character}`);
    return [[character.codePointAt(0)!, character.codePointAt(0)!]];
  }

  #coded(kind: 'x' | 'u'): CharacterSet {
    const rest = this.#characters.slice(this.#at, this.#at + 12).join('');
    const pattern = kind === 'x' ? /^([0-9a-f]{2})/i : /^(?:([0-9a-f]{4})|\{([0-9a-f]{1,6})\})/i;
    const match = pattern.exec(rest);
    const code = Number.parseInt(match?.[1] ?? match?.[2] ?? '', 16);
    if (match === null || code > 0x10ffff) throw this.#error(`has a \\${kind} without its digits`);
    this.#at += match[0].length;
    const low = /^\\u(d[c-f][0-9a-f]{2})/i.exec(this.#characters.slice(this.#at, this.#at + 6).join(''));
    if (code >= 0xd800 && code <= 0xdbff && low !== null) {
      this.#at += 6;
      const whole = 0x10000 + (code - 0xd800) * 1024 + Number.parseInt(low[1] as string, 16) - 0xdc00;
      return [[whole, whole]];
    }
    return [[code, code]];
  }

  #set(): CharacterSet {
    const isNegated = this.#take('^');
    const found: (readonly [number, number])[] = [];
    while (!this.#take(']')) {
      const from = this.#setMember();
      const isRange = this.#peek() === '-' && (this.#characters[this.#at + 1] ?? ']') !== ']';
      if (!isRange) {
        found.push(...from);
        continue;
      }
      this.#at += 1;
      const to = this.#setMember();
      const [first, last] = [from[0]?.[0] as number, to[0]?.[0] as number];
      const isClass = [from, to].some((set) => set.length !== 1 || set[0]?.[0] !== set[0]?.[1]);
      if (isClass || last < first) throw this.#error('has a range that is out of order, or that has a class as an end');
      found.push([first, last]);
    }
    return isNegated ? complement(found) : found;
  }

  #setMember(): CharacterSet {
    const character = this.#characters[this.#at++];
    if (character === undefined) throw this.#error('has a [ without its ]');
    if (character === '\\') return this.#escape(true);
    return [[character.codePointAt(0)!, character.codePointAt(0)!]];
  }
}
