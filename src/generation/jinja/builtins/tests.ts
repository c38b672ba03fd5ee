// Jinja's tests, as in `x is defined` and `selectattr('role', 'equalto', 'user')`. Called by interpreter.ts and filters.ts.
import type { Runtime } from '../runtime.js';
import {
  Callable,
  Dict,
  Float,
  numberOf,
  Stream,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from '../values.js';

export type Test = (value: Value, runtime: Runtime, args: readonly Value[]) => boolean;

const isSequence = (value: Value) =>
  typeof value === 'string' || Array.isArray(value) || value instanceof Tuple || value instanceof Dict;

const plainTests: Readonly<Record<string, Test>> = {
  defined: (value) => !(value instanceof Undefined),
  undefined: (value) => value instanceof Undefined,
  none: (value) => value === null,
  boolean: (value) => typeof value === 'boolean',
  true: (value) => value === true,
  false: (value) => value === false,
  integer: (value) => typeof value === 'number',
  float: (value) => value instanceof Float,
  number: (value) => numberOf(value) !== undefined,
  string: (value) => typeof value === 'string',
  mapping: (value) => value instanceof Dict,
  sequence: (value) => isSequence(value) || value instanceof Undefined || (value instanceof View && value.isRange),
  iterable: (value) => isSequence(value) || [Undefined, View, Stream].some((kind) => value instanceof kind),
  callable: (value) => value instanceof Callable || value instanceof Undefined,
  lower: (value, runtime) => isCased(runtime.plain(runtime.str(value)), /[\p{Lu}\p{Lt}]/u),
  upper: (value, runtime) => isCased(runtime.plain(runtime.str(value)), /[\p{Ll}\p{Lt}]/u),
  odd: (value) => Math.abs(remainderOf(value)) === 1,
  even: (value) => remainderOf(value) === 0,
};

const equal: Test = (value, runtime, [other]) => runtime.equals(value, other as Value);
const notEqual: Test = (value, runtime, [other]) => !runtime.equals(value, other as Value);
const less: Test = (value, runtime, [other]) => runtime.compare(value, other as Value) < 0;
const lessOrEqual: Test = (value, runtime, [other]) => runtime.compare(value, other as Value) <= 0;
const greater: Test = (value, runtime, [other]) => runtime.compare(value, other as Value) > 0;
const greaterOrEqual: Test = (value, runtime, [other]) => runtime.compare(value, other as Value) >= 0;

/** Tests with an argument. The parser knows them only as arguments of `select` and its like. */
const testsOfTwo: Readonly<Record<string, Test>> = {
  equalto: equal,
  eq: equal,
  '==': equal,
  ne: notEqual,
  '!=': notEqual,
  lt: less,
  lessthan: less,
  '<': less,
  le: lessOrEqual,
  '<=': lessOrEqual,
  gt: greater,
  greaterthan: greater,
  '>': greater,
  ge: greaterOrEqual,
  '>=': greaterOrEqual,
  in: (value, runtime, [other]) => runtime.contains(other as Value, value),
  divisibleby: (value, _, [other]) => remainderOf(value, numberOf(other as Value)) === 0,
};

/** The tests that an expression can use by `is`. */
export const testNames: ReadonlySet<string> = new Set(Object.keys(plainTests));
export const testsOfTwoNames: ReadonlySet<string> = new Set(Object.keys(testsOfTwo));

/** @throws TemplateError for a test that is not supported, or is given the wrong number of arguments */
export function testNamed(name: string, argumentCount: number): Test {
  const isOfTwo = Object.hasOwn(testsOfTwo, name);
  const test = isOfTwo ? testsOfTwo[name] : Object.hasOwn(plainTests, name) ? plainTests[name] : undefined;
  if (test === undefined) throw new TemplateError(`uses the test ${name}, which is not supported`);
  if (argumentCount !== (isOfTwo ? 1 : 0))
    throw new TemplateError(`gives the test ${name} a wrong number of arguments`);
  return test;
}

function isCased(text: string, other: RegExp): boolean {
  return /[\p{Lu}\p{Ll}\p{Lt}]/u.test(text) && !other.test(text);
}

function remainderOf(value: Value, divisor = 2): number {
  const number = numberOf(value);
  if (value instanceof Undefined) throw value.error;
  if (number === undefined) throw new TemplateError(`a ${typeName(value)} is no number`);
  if (divisor === 0) throw new TemplateError('divides by zero');
  return number % divisor;
}
