// Terms of the texts and numbers of a JSON schema: lengths, patterns, formats and bounds. Called by json-schema.ts.
import type { Term, Terms } from '../term.js';
import { digitRanges, jsonString, utf8 } from './characters.js';
import { jsonInteger, jsonNumber, jsonText } from './json-value.js';
import { compileRegex } from './regex.js';
import { refusal, type Schema } from './schema-parts.js';

const day = '(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)';
const date = `[12][0-9]{3}-${day}`;
const time = '(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])';
const label = '[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?';
const host = `${label}(?:\\.${label}){0,4}`;
const octet = '(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])';
/** Patterns of texts that are valid in a format; not of all of them. Other formats are annotations. */
const formats: Readonly<Record<string, string>> = {
  date,
  time,
  'date-time': `${date}T${time}`,
  uuid: '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}',
  email: `[a-z0-9]+(?:[._-][a-z0-9]+){0,4}@${label}(?:\\.${label}){0,2}\\.[a-z]{2,10}`,
  hostname: host,
  ipv4: `(?:${octet}\\.){3}${octet}`,
  ipv6: '(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}',
  uri: `https?://${host}(?::[1-9][0-9]{0,3})?(?:/[A-Za-z0-9._~-]+){0,16}/?(?:\\?[A-Za-z0-9._~=&-]+)?(?:#[A-Za-z0-9._~-]+)?`,
};
/** The lengths of what the patterns match; at least 1 where there is none. */
const lengths: Readonly<Record<string, readonly [number, number]>> = {
  date: [10, 10],
  time: [9, 21],
  'date-time': [20, 32],
  uuid: [36, 36],
  ipv4: [7, 15],
  ipv6: [15, 39],
};
/** Integers have so many digits, which float64 holds exactly. */
const DIGITS = 15;
const LARGEST = 10 ** DIGITS - 1;
/** A bounded number with a fraction is smaller than this, so that it is not rounded to its bound. */
const LARGEST_WITH_FRACTION = 10 ** 9;

/** A text, with its quotes. */
export function textTerm(schema: Schema, path: string, terms: Terms): Term {
  const { pattern, format } = schema;
  const [least, most] = limits(schema, 'minLength', 'maxLength', path);
  const known = typeof format === 'string' && Object.hasOwn(formats, format) ? (formats[format] as string) : undefined;
  if (pattern === undefined && known === undefined) return jsonText(terms, least, most);
  const what = pattern === undefined ? `the format ${String(format)}` : 'pattern';
  const [shortest, longest] = pattern === undefined ? (lengths[String(format)] ?? [1]) : [0];
  if (least > (shortest as number) || most < (longest ?? Number.POSITIVE_INFINITY)) {
    throw refusal(path, `uses ${what} together with minLength or maxLength, which is not supported`);
  }
  if (pattern !== undefined && known !== undefined) {
    throw refusal(path, `uses pattern together with the format ${String(format)}, which is not supported`);
  }
  const text =
    known === undefined
      ? compileRegex(String(pattern), terms, { encoding: jsonString, search: true })
      : compileRegex(known, terms, { encoding: utf8 });
  return terms.sequence(terms.literal('"'), text, terms.literal('"'));
}

/** An integer, or a number, within its bounds. */
export function numberTerm(schema: Schema, path: string, terms: Terms, isInteger: boolean): Term {
  const { multipleOf } = schema;
  if (multipleOf !== undefined && !(isInteger && multipleOf === 1)) {
    throw refusal(path, 'uses multipleOf, which is not supported');
  }
  const { lows, highs } = boundsOf(schema, path);
  const [low] = lows.sort((a, b) => b.value - a.value);
  const [high] = highs.sort((a, b) => a.value - b.value);
  if (low === undefined && high === undefined) return isInteger ? jsonInteger(terms) : jsonNumber(terms);
  const from = low === undefined ? -LARGEST : low.isOpen ? Math.floor(low.value) + 1 : Math.ceil(low.value);
  const to = high === undefined ? LARGEST : high.isOpen ? Math.ceil(high.value) - 1 : Math.floor(high.value);
  const integers = integersBetween(Math.max(from, -LARGEST), Math.min(to, LARGEST), terms);
  if (isInteger) return integers;
  // n.f lies between n and n + 1, and -n.f between -n - 1 and -n.
  const highest =
    Math.min(high === undefined ? LARGEST_WITH_FRACTION : Math.floor(high.value), LARGEST_WITH_FRACTION) - 1;
  const lowest =
    Math.max(low === undefined ? -LARGEST_WITH_FRACTION : Math.ceil(low.value), -LARGEST_WITH_FRACTION) + 1;
  const fraction = terms.sequence(terms.literal('.'), terms.repeat(terms.bytes([0x30, 0x39]), 1, 5));
  const positive = integersBetween(Math.max(from, 0), highest, terms);
  const negative = integersBetween(Math.max(-to, 0), -lowest, terms);
  return terms.either(
    integers,
    terms.sequence(positive, fraction),
    terms.sequence(terms.literal('-'), negative, fraction),
  );
}

interface Bound {
  readonly value: number;
  /** Whether the value itself is outside. */
  readonly isOpen: boolean;
}

/** Of a bound that is given in both ways, the open one comes first. */
function boundsOf(schema: Schema, path: string): { lows: Bound[]; highs: Bound[] } {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema;
  // In draft 4, the exclusive bounds are booleans beside the others.
  return {
    lows: [...bound(exclusiveMinimum, true, path), ...bound(minimum, exclusiveMinimum === true, path)],
    highs: [...bound(exclusiveMaximum, true, path), ...bound(maximum, exclusiveMaximum === true, path)],
  };
}

function bound(value: unknown, isOpen: boolean, path: string): Bound[] {
  if (value === undefined || typeof value === 'boolean') return [];
  if (typeof value !== 'number') throw refusal(path, 'has a bound that is no number');
  return [{ value, isOpen }];
}

/** The integers from `from` to `to`, without leading zeros; nothing where there are none. */
function integersBetween(from: number, to: number, terms: Terms): Term {
  const negative = terms.sequence(terms.literal('-'), naturals(Math.max(1, -to), -from, terms));
  return terms.either(negative, naturals(Math.max(from, 0), to, terms));
}

/** The integers from `from`, which is not negative, to `to`; nothing where there are none. */
function naturals(from: number, to: number, terms: Terms): Term {
  const alternatives: Term[] = [];
  for (let digits = 1; digits <= DIGITS; digits++) {
    const least = Math.max(from, digits === 1 ? 0 : 10 ** (digits - 1));
    const most = Math.min(to, 10 ** digits - 1);
    if (least > most) continue;
    for (const ranges of digitRanges(least, most, new Array<number>(digits).fill(10))) {
      alternatives.push(terms.sequence(...ranges.map(([a, b]) => terms.bytes([0x30 + a, 0x30 + b]))));
    }
  }
  return terms.either(...alternatives);
}

export function limits(schema: Schema, least: string, most: string, path: string): [number, number] {
  const { [least]: low = 0, [most]: high = Number.POSITIVE_INFINITY } = schema as Record<string, number | undefined>;
  const isCount = (value: number) => Number.isSafeInteger(value) && value >= 0;
  if (!isCount(low) || !(isCount(high) || high === Number.POSITIVE_INFINITY)) {
    throw refusal(path, `has an invalid ${least} or ${most}`);
  }
  return [low, high];
}

/** Whether a text or a number of `enum` is what the other keywords of its schema ask. */
export function isScalarValid(value: unknown, schema: Schema, path: string): boolean {
  if (typeof value === 'string') {
    const [least, most] = limits(schema, 'minLength', 'maxLength', path);
    const length = [...value].length;
    if (length < least || length > most) return false;
    return schema.pattern === undefined || new RegExp(String(schema.pattern), 'u').test(value);
  }
  if (typeof value !== 'number') return true;
  const { lows, highs } = boundsOf(schema, path);
  if (schema.multipleOf !== undefined)
    throw refusal(path, 'uses multipleOf beside enum or const, which is not supported');
  const isAbove = lows.every((low) => (low.isOpen ? value > low.value : value >= low.value));
  return isAbove && highs.every((high) => (high.isOpen ? value < high.value : value <= high.value));
}
