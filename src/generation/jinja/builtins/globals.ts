// The functions that a template may call. Called by template.ts.

import type { Runtime } from '../runtime.js';
import {
  Callable,
  Dict,
  integer,
  type Keywords,
  Namespace,
  TemplateError,
  typeName,
  type Value,
  View,
} from '../values.js';
import { Arguments } from './arguments.js';

const longestRange = 100_000;

type Function = (args: readonly Value[], keywords: Keywords, runtime: Runtime) => Value;

const functions: Readonly<Record<string, Function>> = {
  range: (args, keywords) => {
    const numbers = args.map((one) => {
      if (typeof one === 'number') return one;
      throw new TemplateError(`calls range() with a ${typeName(one)}, not an integer`);
    });
    const [first, second, step = 1] = numbers;
    if (first === undefined || numbers.length > 3 || keywords.size > 0 || step === 0) {
      throw new TemplateError('calls range() with wrong arguments');
    }
    const [start, stop] = second === undefined ? [0, first] : [first, second];
    const length = Math.max(Math.ceil((stop - start) / step), 0);
    if (length > longestRange) throw new TemplateError(`asks for a range of ${length}, more than ${longestRange}`);
    const items = Array.from({ length }, (_, i) => integer(start + i * step));
    return new View(items, `range(${start}, ${stop}${step === 1 ? '' : `, ${step}`})`, true);
  },
  dict: (args, keywords, runtime) => {
    const dict = new Dict();
    for (const [key, value] of entriesOf('dict', args, keywords, runtime)) {
      dict.set(runtime.keyOf(key), key, value);
    }
    return dict;
  },
  namespace: (args, keywords, runtime) => {
    const namespace = new Namespace();
    for (const [key, value] of entriesOf('namespace', args, keywords, runtime)) {
      if (typeof key !== 'string') throw new TemplateError('namespace() needs texts as names');
      namespace.members.set(runtime.plain(key), value);
    }
    return namespace;
  },
  raise_exception: (args, keywords, runtime) => {
    const message = new Arguments('raise_exception', ['message!'], args, keywords).value('message');
    throw new TemplateError(`refuses the messages: ${runtime.plain(runtime.str(message))}`);
  },
  strftime_now: (args, keywords, runtime) => {
    const format = new Arguments('strftime_now', ['format!'], args, keywords).text('format') ?? '';
    return runtime.made(formatTime(new Date(), runtime.plain(format)));
  },
};

/** All variables that a template has, whatever it is given. */
export function globalsOf(runtime: Runtime): Map<string, Value> {
  const globals = new Map<string, Value>([
    ['true', true],
    ['True', true],
    ['false', false],
    ['False', false],
    ['none', null],
    ['None', null],
  ]);
  for (const [name, work] of Object.entries(functions)) {
    globals.set(name, new Callable(name, (args, keywords) => work(args, keywords, runtime)));
  }
  return globals;
}

function entriesOf(
  name: string,
  args: readonly Value[],
  keywords: Keywords,
  runtime: Runtime,
): (readonly [Value, Value])[] {
  const [source] = args;
  if (args.length > 1) throw new TemplateError(`${name}() takes at most one argument`);
  const entries: (readonly [Value, Value])[] = [];
  if (source instanceof Dict) entries.push(...source.entries.values());
  else if (source !== undefined) {
    for (const pair of runtime.iterate(source)) {
      const [key, value, more] = runtime.iterate(pair);
      if (value === undefined || more !== undefined) {
        throw new TemplateError(`${name}() needs pairs of a key and a value`);
      }
      entries.push([key as Value, value]);
    }
  }
  return [...entries, ...keywords];
}

/** Formats a time with the codes of strftime that templates use, in English. */
function formatTime(time: Date, format: string): string {
  const english = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat('en-US', options).format(time);
  const padded = (value: number, width = 2) => String(value).padStart(width, '0');
  const newYear = new Date(time.getFullYear(), 0, 1);
  const codes: Readonly<Record<string, () => string>> = {
    Y: () => String(time.getFullYear()),
    y: () => padded(time.getFullYear() % 100),
    m: () => padded(time.getMonth() + 1),
    d: () => padded(time.getDate()),
    e: () => String(time.getDate()).padStart(2, ' '),
    j: () => padded(Math.round((new Date(time).setHours(0, 0, 0, 0) - newYear.getTime()) / 86_400_000) + 1, 3),
    H: () => padded(time.getHours()),
    I: () => padded(time.getHours() % 12 || 12),
    M: () => padded(time.getMinutes()),
    S: () => padded(time.getSeconds()),
    p: () => (time.getHours() < 12 ? 'AM' : 'PM'),
    b: () => english({ month: 'short' }),
    h: () => english({ month: 'short' }),
    B: () => english({ month: 'long' }),
    a: () => english({ weekday: 'short' }),
    A: () => english({ weekday: 'long' }),
    F: () => `${time.getFullYear()}-${padded(time.getMonth() + 1)}-${padded(time.getDate())}`,
    T: () => `${padded(time.getHours())}:${padded(time.getMinutes())}:${padded(time.getSeconds())}`,
    '%': () => '%',
  };
  return format.replace(/%(-?)([A-Za-z%])/g, (code, dash: string, letter: string) => {
    const text = codes[letter]?.();
    if (text === undefined) throw new TemplateError(`uses ${code} in strftime_now, which is not supported`);
    return dash === '-' ? text.replace(/^0+(?=\d)/, '') : text;
  });
}
