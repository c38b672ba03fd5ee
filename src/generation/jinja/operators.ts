// Operators, members and slices of values, as Python and Jinja compute them. Called by interpreter.ts.
import { methodOf, percentFormatted } from './builtins/methods.js';
import type { Runtime } from './runtime.js';
import {
  Callable,
  Dict,
  Float,
  integer,
  Loop,
  Namespace,
  numberOf,
  orUndefined,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from './values.js';

/** Operators of two values, but for `and` and `or`, which may leave out the second. */
export function binary(operator: string, left: Value, right: Value, runtime: Runtime): Value {
  switch (operator) {
    case '==':
      return runtime.equals(left, right);
    case '!=':
      return !runtime.equals(left, right);
    case '<':
      return runtime.compare(left, right) < 0;
    case '<=':
      return runtime.compare(left, right) <= 0;
    case '>':
      return runtime.compare(left, right) > 0;
    case '>=':
      return runtime.compare(left, right) >= 0;
    case 'in':
      return runtime.contains(right, left);
    case 'not in':
      return !runtime.contains(right, left);
    case '~':
      return runtime.joined([runtime.str(left), runtime.str(right)]);
  }
  for (const one of [left, right]) if (one instanceof Undefined) throw one.error;
  return sequenceOperation(operator, left, right, runtime) ?? arithmetic(operator, left, right);
}

function sequenceOperation(operator: string, left: Value, right: Value, runtime: Runtime): Value | undefined {
  if (operator === '+') {
    if (typeof left === 'string' && typeof right === 'string') return runtime.joined([left, right]);
    const bothLists = Array.isArray(left) && Array.isArray(right);
    const bothTuples = left instanceof Tuple && right instanceof Tuple;
    if (!bothLists && !bothTuples) return undefined;
    const [a, b] = [runtime.iterate(left), runtime.iterate(right)];
    runtime.elements(a.length + b.length);
    return bothLists ? [...a, ...b] : new Tuple([...a, ...b]);
  }
  if (operator === '%' && typeof left === 'string') return percentFormatted(left, right, runtime);
  if (operator !== '*') return undefined;
  const [sequence, count] = typeof left === 'number' ? [right, left] : [left, right];
  if (typeof count !== 'number') return undefined;
  const times = Math.max(count, 0);
  if (typeof sequence === 'string') {
    runtime.units(sequence.length * times);
    return sequence.repeat(times);
  }
  if (!Array.isArray(sequence) && !(sequence instanceof Tuple)) return undefined;
  const items = runtime.iterate(sequence);
  runtime.elements(items.length * times);
  const repeated = Array.from({ length: times }, () => items).flat(1);
  return Array.isArray(sequence) ? repeated : new Tuple(repeated);
}

function arithmetic(operator: string, left: Value, right: Value): Value {
  const [a, b] = [numberOf(left), numberOf(right)];
  if (a === undefined || b === undefined) {
    throw new TemplateError(`cannot compute ${typeName(left)} ${operator} ${typeName(right)}`);
  }
  const isFloat = left instanceof Float || right instanceof Float;
  const result = (value: number) => (isFloat ? new Float(value) : integer(value));
  if (b === 0 && (operator === '/' || operator === '//' || operator === '%'))
    throw new TemplateError('divides by zero');
  switch (operator) {
    case '+':
      return result(a + b);
    case '-':
      return result(a - b);
    case '*':
      return result(a * b);
    case '/':
      return new Float(a / b);
    case '//':
      return result(Math.floor(a / b));
    case '%': {
      // The sign of the divisor, as in Python.
      const rest = a % b;
      if (rest === 0) return isFloat ? new Float(b < 0 ? -0 : 0) : 0;
      return result(rest < 0 !== b < 0 ? rest + b : rest);
    }
    case '**': {
      if (a === 0 && b < 0) throw new TemplateError('divides by zero');
      if (!Number.isInteger(b)) throw new TemplateError('has a power with a fraction, which is not supported');
      const power = a ** b;
      if (!Number.isFinite(power)) throw new TemplateError('a power is too large, or no real number');
      return isFloat || b < 0 ? new Float(power) : integer(power);
    }
  }
  throw new TemplateError(`uses the operator ${operator}, which is not supported`);
}

export function unary(operator: string, value: Value): Value {
  if (value instanceof Undefined) throw value.error;
  const number = numberOf(value);
  if (number === undefined) throw new TemplateError(`cannot compute ${operator} of a ${typeName(value)}`);
  const result = operator === '-' ? -number : number;
  return value instanceof Float ? new Float(result) : integer(result);
}

/** `object.name` of what is defined: an attribute, or else an item. */
export function attribute(object: Value, name: string, runtime: Runtime): Value {
  const own = object instanceof Loop ? loopMember(object, name, runtime) : methodOf(object, name, runtime);
  return orUndefined(own === undefined ? itemOrNothing(object, name, runtime) : own, `'${name}'`);
}

/** `object[key]`: an item, or else an attribute. */
export function item(object: Value, key: Value, runtime: Runtime): Value {
  if (object instanceof Undefined) throw object.error;
  const found = itemOrNothing(object, key, runtime);
  if (found !== undefined) return found;
  if (typeof key !== 'string') return new Undefined('an element');
  const name = runtime.plain(key);
  const own = object instanceof Loop ? loopMember(object, name, runtime) : methodOf(object, name, runtime);
  return orUndefined(own, `'${name.slice(0, 60)}'`);
}

function itemOrNothing(object: Value, key: Value, runtime: Runtime): Value | undefined {
  if (object instanceof Dict) {
    const isKey = !(key instanceof Undefined || Array.isArray(key) || key instanceof Dict);
    return isKey ? object.entries.get(runtime.keyOf(key))?.[1] : undefined;
  }
  if (object instanceof Namespace) return typeof key === 'string' ? object.members.get(runtime.plain(key)) : undefined;
  const index = typeof key === 'boolean' ? Number(key) : key;
  if (typeof index !== 'number') return undefined;
  if (typeof object === 'string') return characterAt(object, index, runtime);
  if (Array.isArray(object)) return object.at(index);
  const isOfPlaces = object instanceof Tuple || (object instanceof View && object.isRange);
  return isOfPlaces ? object.items.at(index) : undefined;
}

function characterAt(text: string, index: number, runtime: Runtime): string | undefined {
  return /[\ud800-\udbff]/.test(text) ? runtime.characters(text).at(index) : text.at(index);
}

function loopMember(loop: Loop, name: string, runtime: Runtime): Value | undefined {
  const { items, index } = loop;
  switch (name) {
    case 'index':
      return index + 1;
    case 'index0':
      return index;
    case 'revindex':
      return items.length - index;
    case 'revindex0':
      return items.length - index - 1;
    case 'first':
      return index === 0;
    case 'last':
      return index === items.length - 1;
    case 'length':
      return items.length;
    case 'depth':
      return 1;
    case 'depth0':
      return 0;
    case 'previtem':
      return orUndefined(items[index - 1], 'the previous element');
    case 'nextitem':
      return orUndefined(items[index + 1], 'the next element');
    case 'cycle':
      return new Callable('cycle', (args) => {
        if (args.length === 0) throw new TemplateError('cycle() needs an argument');
        return args[index % args.length] as Value;
      });
    case 'changed':
      return new Callable('changed', (args) => {
        const isSame = loop.seen !== undefined && runtime.equals([...loop.seen], [...args]);
        loop.seen = args;
        return !isSame;
      });
    default:
      return undefined;
  }
}

/** `object[start:stop:step]`. */
export function slice(object: Value, start: Value, stop: Value, step: Value, runtime: Runtime): Value {
  if (object instanceof Undefined) throw object.error;
  const [from, to, by] = [bound(start), bound(stop), bound(step) ?? 1];
  if (by === 0) throw new TemplateError('a slice has the step 0');
  if (typeof object === 'string') {
    const isSimple = by === 1 && !/[\ud800-\udbff]/.test(object);
    if (isSimple) return object.slice(from, to ?? object.length);
    return sliced(runtime.characters(object), from, to, by).join('');
  }
  if (Array.isArray(object)) return sliced(object, from, to, by);
  if (object instanceof Tuple) return new Tuple(sliced(object.items, from, to, by));
  if (object instanceof View && object.isRange) throw new TemplateError('slices a range, which is not supported');
  throw new TemplateError(`a ${typeName(object)} has no slices`);
}

function bound(value: Value): number | undefined {
  if (value === null) return undefined;
  const number = typeof value === 'boolean' ? Number(value) : value;
  if (typeof number === 'number') return number;
  if (value instanceof Undefined) throw value.error;
  throw new TemplateError(`a slice needs integers, not a ${typeName(value)}`);
}

function sliced<T>(items: readonly T[], from: number | undefined, to: number | undefined, by: number): T[] {
  const size = items.length;
  const [least, most] = by > 0 ? [0, size] : [-1, size - 1];
  const place = (index: number | undefined, fallback: number) => {
    if (index === undefined) return fallback;
    return Math.min(Math.max(index < 0 ? index + size : index, least), most);
  };
  const start = place(from, by > 0 ? least : most);
  const stop = place(to, by > 0 ? most : least);
  const taken: T[] = [];
  for (let at = start; by > 0 ? at < stop : at > stop; at += by) taken.push(items[at] as T);
  return taken;
}
