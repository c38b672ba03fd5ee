// Jinja's filters of numbers: `int`, `float`, `round` and `abs`, as Python computes them. Called by filters.ts.

import type { Runtime } from '../runtime.js';
import { Float, integer, numberOf, TemplateError, typeName, Undefined, type Value } from '../values.js';
import type { Arguments } from './arguments.js';

export function changed(operand: Value, change: (value: number) => number): Value {
  const number = numberOf(operand);
  if (number === undefined) throw new TemplateError(`a ${typeName(operand)} is no number`);
  return operand instanceof Float ? new Float(change(number)) : integer(change(number));
}

export function toInteger(operand: Value, given: Arguments, runtime: Runtime): Value {
  const base = given.integer('base', 10);
  if (typeof operand === 'string') {
    const text = runtime.plain(operand).trim();
    const parsed = integerOf(text, base);
    if (parsed !== undefined) return integer(parsed);
    return truncated(floatOf(text), given);
  }
  if (operand instanceof Undefined) throw operand.error;
  return truncated(numberOf(operand), given);
}

function truncated(number: number | undefined, given: Arguments): Value {
  return Number.isFinite(number) ? integer(Math.trunc(number as number)) : given.value('default', 0);
}

/** Python's `int` of a text; undefined where it fails. What begins with 0 fails there without a base; as a float it is the same. */
function integerOf(text: string, base: number): number | undefined {
  if (base > 36) return undefined;
  const [, sign = '', prefix = '', digits = ''] = /^([+-]?)(0[xX]_?|0[oO]_?|0[bB]_?)?(\w+)$/.exec(text) ?? [];
  const prefixBase = { x: 16, o: 8, b: 2 }[prefix[1]?.toLowerCase() ?? ''];
  const all = prefixBase !== base && base !== 0 ? prefix + digits : digits;
  const actual = base === 0 ? (prefixBase ?? 10) : base;
  if (!/^[0-9a-zA-Z]+(_[0-9a-zA-Z]+)*$/.test(all)) return undefined;
  let value = 0;
  for (const character of all.replaceAll('_', '')) {
    const digit = Number.parseInt(character, 36);
    if (digit >= actual) return undefined;
    value = value * actual + digit;
  }
  return sign === '-' ? -value : value;
}

/** Python's `float` of a text; undefined where it fails. */
function floatOf(text: string): number | undefined {
  if (/^[+-]?(inf|infinity)$/i.test(text))
    return text.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  if (/^[+-]?nan$/i.test(text)) return Number.NaN;
  const digits = '\\d+(?:_\\d+)*';
  const pattern = new RegExp(`^[+-]?(?:${digits}\\.?(?:${digits})?|\\.${digits})(?:[eE][+-]?${digits})?$`);
  return pattern.test(text) ? Number(text.replaceAll('_', '')) : undefined;
}

export function toFloat(operand: Value, given: Arguments, runtime: Runtime): Value {
  if (operand instanceof Undefined) throw operand.error;
  const number = typeof operand === 'string' ? floatOf(runtime.plain(operand).trim()) : numberOf(operand);
  return number === undefined ? given.value('default', new Float(0)) : new Float(number);
}

/** Rounds half to even, as Python does, on the exact value of the float. */
export function rounded(operand: Value, given: Arguments): Value {
  const precision = given.integer('precision', 0);
  const method = given.text('method') ?? 'common';
  if (!['common', 'ceil', 'floor'].includes(method)) throw new TemplateError('round knows common, ceil and floor');
  const number = numberOf(operand);
  if (number === undefined) throw new TemplateError(`round needs a number, not a ${typeName(operand)}`);
  if (precision < 0 || precision > 15) throw new TemplateError('round supports a precision of 0 to 15');
  if (method !== 'common') {
    const scaled = number * 10 ** precision;
    if (!Number.isFinite(scaled)) throw new TemplateError('round makes no integer of a number that is not finite');
    // What is rounded is an integer of Python, which has no -0.
    return new Float(((method === 'ceil' ? Math.ceil(scaled) : Math.floor(scaled)) + 0) / 10 ** precision);
  }
  if (!(operand instanceof Float)) return integer(number);
  if (!Number.isFinite(number) || Math.abs(number) >= 1e15) return operand;
  const exact = Math.abs(number).toFixed(100);
  const kept = exact.slice(0, exact.indexOf('.') + 1 + precision);
  const rest = exact.slice(kept.length);
  const isTie = /^50*$/.test(rest);
  const lastDigit = Number(kept.replace('.', '').at(-1));
  const isUp = isTie ? lastDigit % 2 === 1 : rest >= '5';
  const value = Number(kept) + (isUp ? 10 ** -precision : 0);
  return new Float(Math.sign(number) * Number(value.toFixed(precision)));
}
