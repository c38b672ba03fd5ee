// How values become text: as Python's `str`, `repr` and `json.dumps` write them.
import { describe, expect, test } from 'vitest';
import { Runtime } from '../../../src/generation/jinja/runtime.js';
import { Twins } from '../../../src/generation/jinja/twins.js';
import { Dict, Stream, Tuple, type Value } from '../../../src/generation/jinja/values.js';
import { expectRefusals, expectTexts, render } from './rendering.js';

const runtime = new Runtime(new Twins(new Set(), new Set()), 10);
const style = { indent: undefined, ensureAscii: false, itemSeparator: ', ', keySeparator: ': ', sortKeys: false };

test('values are printed', () => {
  expectTexts(
    [
      [
        "{{ [1, 'a', none, true, 1.0, (0, 0)[:0], (1, 0)[:1], (1, 2), {}, {'k': [1], 2: 'v'}, x] }}",
        "[1, 'a', None, True, 1.0, (), (1,), (1, 2), {}, {'k': [1], 2: 'v'}, Undefined]",
      ],
      [
        '{{ none }}{{ true }}{{ false }}{{ x }}{{ [] }}{{ (0, 0)[:0] }}{{ {} }}{{ {1: 2, 3: 4} }}',
        'NoneTrueFalse[](){}{1: 2, 3: 4}',
      ],
      [
        '{{ d.items() }}{{ d.keys() }}{{ d.values() }}{{ {}.items() }}',
        "dict_items([('<a', 1), ('b', [2])])dict_keys(['<a', 'b'])dict_values([1, [2]])dict_items([])",
      ],
      [
        '{{ range(3) }}{{ range(1, 3) }}{{ range(0, 9, 2) }}{{ range(3, 0, -1) }}{{ range(-2) }}',
        'range(0, 3)range(1, 3)range(0, 9, 2)range(3, 0, -1)range(0, -2)',
      ],
      [
        '{{ t }}',
        `['it\\'s "', "it's", '"', '\\\\ \\n \\r \\t \\x00\\x1f\\x7f\\x85\\xa0', '\\u200b\\u2028\\u3000\\ue000', '\\U000e0001 😀é']`,
      ],
    ],
    {
      d: { '<a': 1, b: [2] },
      t: ['it\'s "', "it's", '"', '\\ \n \r \t \0\x1f\x7f\x85\xa0', '\u200b\u2028\u3000\ue000', '\u{e0001} 😀é'],
    },
  );
  expectRefusals([
    ['{{ range }}', 'prints a function'],
    ['{{ namespace() }}', 'prints a namespace'],
    ["{{ [1]|map('string') }}", 'prints a stream'],
    ['{% for i in [1] %}{{ [loop] }}{% endfor %}', 'prints a loop'],
  ]);
});

test('values become JSON', () => {
  const variables = {
    l: [1, [2, []], { a: {}, '<b': null }],
    d: { b: 1, a: [true, false] },
    s: '"\\\n\r\t\f\b\x00\x1f\x7f/é😀<\u2028',
  };
  expectTexts(
    [
      ['{{ l|tojson }}', '[1, [2, []], {"a": {}, "<b": null}]'],
      ['{{ {true: 1, false: 2}|tojson }}', '{"true": 1, "false": 2}'],
      ['{{ l|tojson(indent=2) }}', '[\n  1,\n  [\n    2,\n    []\n  ],\n  {\n    "a": {},\n    "<b": null\n  }\n]'],
      [
        "{{ d|tojson(indent='> ') }}|{{ d|tojson(indent=0) }}|{{ [1]|tojson(indent=-1) }}|{{ d|tojson(indent=none) }}",
        '{\n> "b": 1,\n> "a": [\n> > true,\n> > false\n> ]\n}|{\n"b": 1,\n"a": [\ntrue,\nfalse\n]\n}|[\n1\n]|{"b": 1, "a": [true, false]}',
      ],
      [
        "{{ d|tojson(separators=(',', ':')) }}|{{ d|tojson(separators=('; ', ' = '), indent=1) }}|{{ d|tojson(separators=none) }}",
        '{"b":1,"a":[true,false]}|{\n "b" = 1; \n "a" = [\n  true; \n  false\n ]\n}|{"b": 1, "a": [true, false]}',
      ],
      [
        '{{ d|tojson(sort_keys=true) }}|{{ d|tojson(sort_keys=false) }}|{{ d|tojson(false, 1) }}',
        '{"a": [true, false], "b": 1}|{"b": 1, "a": [true, false]}|{\n "b": 1,\n "a": [\n  true,\n  false\n ]\n}',
      ],
      ['{{ s|tojson }}', '"\\"\\\\\\n\\r\\t\\f\\b\\u0000\\u001f\x7f/é😀<\u2028"'],
      [
        '{{ s|tojson(ensure_ascii=true) }}',
        '"\\"\\\\\\n\\r\\t\\f\\b\\u0000\\u001f\\u007f/\\u00e9\\ud83d\\ude00<\\u2028"',
      ],
      [
        "{{ {1: 2, none: 3, true: 4, 1.5: 5, 'k': 6}|tojson }}|{{ (1, (2, 0)[:1])|tojson }}|{{ 1.0|tojson }}|{{ none|tojson }}|{{ true|tojson }}",
        '{"1": 4, "null": 3, "1.5": 5, "k": 6}|[1, [2]]|1.0|null|true',
      ],
      [
        "{{ {1.5: 1, 'nan'|float: 2}|tojson }}|{{ ''|tojson }}|{{ {}|tojson(indent=1) }}{{ []|tojson(indent=1) }}",
        '{"1.5": 1, "NaN": 2}|""|{}[]',
      ],
    ],
    variables,
  );
  expectRefusals(
    [
      ['{{ x|tojson }}', 'tojson takes no undefined'],
      ['{{ range(3)|tojson }}', 'tojson takes no range(0, 3)'],
      ['{{ [range]|tojson }}', 'tojson takes no function'],
      ['{{ {(1, 0)[:1]: 1}|tojson }}', 'tojson takes no tuple as a key'],
      ["{{ d|tojson(separators=(',', ',')[:1]) }}", 'tojson needs two separators'],
      ["{{ d|tojson(separators=(',', ':', ';')) }}", 'tojson needs two separators'],
      ['{{ d|tojson(separators=(1, 2)[:0]) }}', 'tojson needs two separators'],
      ['{{ d|tojson(separators=7) }}', 'tojson() needs a text or a tuple of texts as separators, not a int'],
      ['{{ d|tojson(indent=65) }}', 'tojson indents by at most 64'],
      ['{{ d|tojson(indent=1.5) }}', 'tojson() needs an integer as indent, not a float'],
      ["{{ {1: 1, 'a': 2}|tojson(sort_keys=true) }}", 'cannot be ordered'],
    ],
    variables,
  );
  expect(render('{{ [1]|tojson(indent=64) }}')).toBe(`[\n${' '.repeat(64)}1\n]`);
});

test('long texts become JSON in parts', () => {
  for (const length of [(1 << 16) - 1, 1 << 16, (1 << 16) + 1, 3 << 16]) {
    const text = `${'a'.repeat(length - 1)}"😀\n`;
    expect(runtime.json(text, style) === JSON.stringify(text)).toBe(true);
    const ascii = runtime.json(text, { ...style, ensureAscii: true });
    expect(ascii === `"${'a'.repeat(length - 1)}\\"\\ud83d\\ude00\\n"`).toBe(true);
  }
});

describe('what one operation makes is limited', () => {
  const most = 2 ** 20 + 2 * 10;
  const deep = (levels: number, wrap: (inner: Value) => Value, innermost = 1): Value => {
    let value: Value = innermost;
    for (let level = 0; level < levels; level++) value = wrap(value);
    return value;
  };
  const dictOf = (member: Value): Dict => {
    const dict = new Dict();
    dict.entries.set('sa', ['a', member]);
    return dict;
  };
  const wraps: readonly (readonly [string, (inner: Value) => Value])[] = [
    ['lists', (inner) => [inner]],
    ['tuples', (inner) => new Tuple([inner])],
    ['dictionaries', dictOf],
  ];

  test('to a million characters, and twice those that were given', () => {
    expect(runtime.units(most)).toBe(most);
    expect(() => runtime.units(most + 1)).toThrow(`more than ${most} characters`);
    expect(runtime.joined(['a'.repeat(most - 5), 'bc'], '---').length).toBe(most);
    expect(() => runtime.joined(['a'.repeat(most - 5), 'bcd'], '---')).toThrow('makes a text of more than');
    expect(() => runtime.joined(['a'.repeat(most), ''], '-')).toThrow('makes a text of more than');
    expect(runtime.joined(['a'.repeat(most)], '-----').length).toBe(most);
    expect(runtime.joined([], '-'.repeat(most + 1))).toBe('');
    expect(() => runtime.json('\0'.repeat(most / 4), style)).toThrow('makes a text of more than');
    expect(() => runtime.json([[1]], { ...style, indent: ' '.repeat(most / 2 + 1) })).toThrow('makes a text of more');
  });

  test('to 200,000 elements, or as many texts of two units, or eight parts each', () => {
    expect(runtime.elements(200_000)).toBe(200_000);
    expect(() => runtime.elements(200_001)).toThrow('more than 200000 elements');
    expect(runtime.characters('a'.repeat(400_000)).length).toBe(400_000);
    expect(() => runtime.characters('a'.repeat(400_001))).toThrow('more than 200000 elements');
    const many = Array.from({ length: 200_000 }, () => new Array<Value>(4).fill(1));
    expect(() => runtime.repr(many)).toThrow('makes a list of more than');
    expect(() => runtime.json(many, style)).toThrow('makes a list of more than');
    const fewer = many.slice(0, 130_000);
    expect(() => runtime.repr(fewer)).toThrow('makes a text of more than');
    expect(() => runtime.json(fewer, style)).toThrow('makes a text of more than');
  });

  test.each(wraps)('to 200 levels of %s', (_, wrap) => {
    const [fits, tooDeep] = [deep(200, wrap), deep(201, wrap)];
    const message = 'nested more than 200 deep';
    expect(runtime.repr(fits)).toContain('1');
    expect(() => runtime.repr(tooDeep)).toThrow(message);
    expect(runtime.json(fits, style)).toContain('1');
    expect(() => runtime.json(tooDeep, style)).toThrow(message);
    expect(runtime.equals(fits, deep(200, wrap))).toBe(true);
    expect(() => runtime.equals(tooDeep, deep(201, wrap))).toThrow(message);
  });

  test('to 200 levels of keys', () => {
    const keyed = (levels: number): Dict => {
      const dict = new Dict();
      dict.set(
        '',
        deep(levels, (inner) => new Tuple([inner])),
        1,
      );
      return dict;
    };
    expect(runtime.repr(keyed(199))).toContain('1');
    expect(() => runtime.repr(keyed(200))).toThrow('nested more than 200 deep');
  });

  test('to 200 levels of lists that are ordered', () => {
    const [, wrap] = wraps[0] as (typeof wraps)[number];
    expect(runtime.compare(deep(200, wrap), deep(200, wrap, 2))).toBe(-1);
    expect(() => runtime.compare(deep(201, wrap), deep(201, wrap, 2))).toThrow('nested more than 200 deep');
  });
});

test('the elements of a stream are taken once', () => {
  const stream = new Stream([1, 2, 3]);
  expect(stream.take(1)).toEqual([1]);
  expect(stream.take()).toEqual([2, 3]);
  expect(stream.take()).toEqual([]);
});
