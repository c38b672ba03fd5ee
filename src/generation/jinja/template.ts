// A parsed chat template, and its rendering: data from outside with twins for the beginnings of control tokens, and twins back
// to what they were. Runs in a worker of its own (workers/text.ts), since a model file's template is untrusted.
import { type Block, parseTemplate } from './ast.js';
import { globalsOf } from './builtins/globals.js';
import { checkProgram } from './check.js';
import { Interpreter } from './interpreter.js';
import { Runtime } from './runtime.js';
import { collectPrivateUse, Twins } from './twins.js';
import { Dict, Float, TemplateError, type Value } from './values.js';

/** The longest template. Real ones are shorter than 50 kB. */
const mostTemplateUnits = 1 << 18;

export interface TemplateInput {
  /** The characters with which control tokens begin. */
  readonly firsts: readonly string[];
  /** JSON of the variables from outside. */
  readonly json: string;
  /** Variables of the model itself, which may be control tokens. */
  readonly trusted: Readonly<Record<string, string | boolean>>;
}

export interface Rendered {
  readonly text: string;
  /** Where characters from outside are with which a control token may begin, in order: none begins there. */
  readonly places: Int32Array<ArrayBuffer>;
}

export class Template {
  readonly #program: Block;
  readonly #units: number;
  /** The private-use characters that the template writes. */
  readonly #privateUse = new Set<string>();

  /** @throws Error for a template that is too long, not valid, or not supported */
  constructor(source: string) {
    if (source.length > mostTemplateUnits) {
      throw new TemplateError(`is ${source.length} characters long, more than ${mostTemplateUnits}`);
    }
    this.#program = parseTemplate(source);
    checkProgram(this.#program);
    this.#units = source.length;
    collectLiterals(this.#program, this.#privateUse);
  }

  /** @throws Error when it refuses its variables, or fails */
  render({ firsts, json, trusted }: TemplateInput): Rendered {
    const taken = new Set(this.#privateUse);
    collectPrivateUse(json, taken);
    for (const value of Object.values(trusted)) if (typeof value === 'string') collectPrivateUse(value, taken);
    const runtime = new Runtime(new Twins(new Set(firsts), taken), this.#units + json.length);
    const given = fromJson(JSON.parse(json), runtime) as Dict;
    const variables = globalsOf(runtime);
    for (const [key, value] of given.entries.values()) variables.set(runtime.plain(key as string), value);
    for (const [name, value] of Object.entries(trusted)) variables.set(name, value);
    const text = new Interpreter(runtime).render(this.#program, variables);
    return { text: runtime.plain(text), places: placesIn(text, runtime.twins) };
  }
}

/** A value of parsed JSON. Numbers that are no safe integers are floats. */
function fromJson(data: unknown, runtime: Runtime): Value {
  if (typeof data === 'string') return runtime.twins.guard(data);
  if (typeof data === 'number') return Number.isSafeInteger(data) ? data : new Float(data);
  if (typeof data !== 'object' || data === null) return data as boolean | null;
  if (Array.isArray(data)) return data.map((one) => fromJson(one, runtime));
  const dict = new Dict();
  for (const [key, member] of Object.entries(data)) {
    const guarded = runtime.twins.guard(key);
    dict.set(runtime.keyOf(guarded), guarded, fromJson(member, runtime));
  }
  return dict;
}

function placesIn(text: string, twins: Twins): Int32Array<ArrayBuffer> {
  let places = new Int32Array(64);
  let count = 0;
  for (const place of twins.placesIn(text)) {
    if (count === places.length) {
      const grown = new Int32Array(2 * count);
      grown.set(places);
      places = grown;
    }
    places[count++] = place;
  }
  return places.slice(0, count);
}

function collectLiterals(node: unknown, into: Set<string>): void {
  if (typeof node === 'string') collectPrivateUse(node, into);
  else if (Array.isArray(node) || node instanceof Map) for (const one of node) collectLiterals(one, into);
  else if (typeof node === 'object' && node !== null) collectLiterals(Object.values(node), into);
}
