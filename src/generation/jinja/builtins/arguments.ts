// The arguments of a filter, a method or a function: by place or by name, as Python binds them. Called by filters.ts,
// methods.ts and globals.ts.
import { type Keywords, TemplateError, Tuple, typeName, type Value } from '../values.js';

export class Arguments {
  readonly #name: string;
  readonly #values: ReadonlyMap<string, Value>;

  /**
   * @param names the parameters in order; one that ends with `!` must be given
   * @throws TemplateError for an argument that is missing, unknown or given twice
   */
  constructor(name: string, names: readonly string[], args: readonly Value[], keywords: Keywords) {
    this.#name = name;
    const values = new Map<string, Value>();
    const plainNames = names.map((one) => one.replace('!', ''));
    if (args.length > names.length) throw new TemplateError(`${name}() takes at most ${names.length} arguments`);
    for (const [i, value] of args.entries()) values.set(plainNames[i] as string, value);
    for (const [key, value] of keywords) {
      if (!plainNames.includes(key)) throw new TemplateError(`${name}() takes no argument ${key}`);
      if (values.has(key)) throw new TemplateError(`${name}() is given ${key} twice`);
      values.set(key, value);
    }
    for (const one of names) {
      if (one.endsWith('!') && !values.has(one.slice(0, -1))) {
        throw new TemplateError(`${name}() needs the argument ${one.slice(0, -1)}`);
      }
    }
    this.#values = values;
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  value(name: string, fallback: Value = null): Value {
    const value = this.#values.get(name);
    return value === undefined ? fallback : value;
  }

  /** A text; undefined where it is not given, or None. */
  text(name: string): string | undefined {
    const value = this.value(name);
    if (value === null) return undefined;
    return typeof value === 'string' ? value : this.#mismatch(name, 'a text', value);
  }

  integer(name: string, fallback: number): number {
    const value = this.value(name, fallback);
    if (typeof value === 'number') return value;
    return typeof value === 'boolean' ? Number(value) : this.#mismatch(name, 'an integer', value);
  }

  /** A list or a tuple of texts, or one text. */
  texts(name: string): readonly string[] {
    const value = this.value(name);
    const all = typeof value === 'string' ? [value] : value instanceof Tuple ? value.items : [];
    const texts = all.filter((one): one is string => typeof one === 'string');
    return texts.length === all.length && (all.length > 0 || value instanceof Tuple)
      ? texts
      : this.#mismatch(name, 'a text or a tuple of texts', value);
  }

  #mismatch(name: string, expected: string, value: Value): never {
    throw new TemplateError(`${this.#name}() needs ${expected} as ${name}, not a ${typeName(value)}`);
  }
}
