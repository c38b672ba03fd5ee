// The values of a template as Python has them: a string, a boolean and null (None) are JavaScript's; a number is an integer;
// the rest are the classes below. Lists are arrays. The other files of this folder compute with them.

export type Value =
  | string
  | number
  | boolean
  | null
  | Value[]
  | Float
  | Undefined
  | Tuple
  | Dict
  | View
  | Stream
  | Namespace
  | Callable
  | Loop;

/** An error of a template, whose message is shown to the caller. */
export class TemplateError extends Error {}

export class Float {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** What a name or a member that does not exist gives: prints nothing, and most operations on it fail. */
export class Undefined {
  readonly what: string;
  constructor(what: string) {
    this.what = what;
  }
  get error(): TemplateError {
    return new TemplateError(`${this.what} is undefined`);
  }
}

/** A value that was found; otherwise one that is undefined. None is a value. */
export function orUndefined(value: Value | undefined, what: string): Value {
  return value === undefined ? new Undefined(what) : value;
}

export class Tuple {
  readonly items: readonly Value[];
  constructor(items: readonly Value[]) {
    this.items = items;
  }
}

/** A dictionary. Keys are found by {@link keyOf}, which the runtime makes. */
export class Dict {
  readonly entries = new Map<unknown, readonly [key: Value, value: Value]>();

  /** As in Python, a key that is equal to one before, such as `true` to 1, keeps that one. */
  set(identity: unknown, key: Value, value: Value): void {
    const [first] = this.entries.get(identity) ?? [key];
    this.entries.set(identity, [first, value]);
  }
}

/** What `range` and the methods of dictionaries give: it can be iterated again and again, but is no list. */
export class View {
  readonly items: readonly Value[];
  /** What it prints before its elements; a range prints only this. */
  readonly name: string;
  readonly isRange: boolean;
  constructor(items: readonly Value[], name: string, isRange = false) {
    this.items = items;
    this.name = name;
    this.isRange = isRange;
  }
}

/** What `map`, `select` and their like give: it can be iterated once, and has neither a length nor places. */
export class Stream {
  #items: readonly Value[];
  constructor(items: readonly Value[]) {
    this.#items = items;
  }
  take(count = Number.POSITIVE_INFINITY): readonly Value[] {
    const taken = this.#items.slice(0, count);
    this.#items = this.#items.slice(count);
    return taken;
  }
}

export class Namespace {
  readonly members = new Map<string, Value>();
}

export type Keywords = ReadonlyMap<string, Value>;

export class Callable {
  readonly name: string;
  readonly call: (args: readonly Value[], keywords: Keywords) => Value;
  constructor(name: string, call: (args: readonly Value[], keywords: Keywords) => Value) {
    this.name = name;
    this.call = call;
  }
}

/** The variable `loop` within a loop. */
export class Loop {
  readonly items: readonly Value[];
  index = 0;
  /** What `changed` was called with last. */
  seen: readonly Value[] | undefined;
  constructor(items: readonly Value[]) {
    this.items = items;
  }
}

export function typeName(value: Value): string {
  if (value === null) return 'None';
  if (typeof value === 'string') return 'str';
  if (typeof value === 'number') return 'int';
  if (typeof value === 'boolean') return 'bool';
  if (Array.isArray(value)) return 'list';
  if (value instanceof View) return value.name;
  return value instanceof Callable ? 'function' : value.constructor.name.toLowerCase();
}

export function isTrue(value: Value): boolean {
  if (typeof value !== 'object' || value === null) return Boolean(value);
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Float) return value.value !== 0;
  if (value instanceof Tuple || value instanceof View) return value.items.length > 0;
  if (value instanceof Dict) return value.entries.size > 0;
  return !(value instanceof Undefined);
}

/** The number of an integer, a float or a boolean, which Python counts as an integer. */
export function numberOf(value: Value): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  return value instanceof Float ? value.value : undefined;
}

/** @throws TemplateError for an integer that float64 does not hold exactly */
export function integer(value: number): number {
  if (!Number.isSafeInteger(value)) throw new TemplateError('an integer is too large');
  return value === 0 ? 0 : value;
}

/** A float as Python prints it. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (Object.is(value, -0)) return '-0.0';
  const [digits = '', power = '0'] = value.toExponential().split('e');
  const exponent = Number(power);
  if (exponent >= -4 && exponent < 16) {
    const text = String(value);
    return text.includes('.') ? text : `${text}.0`;
  }
  return `${digits}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
}
