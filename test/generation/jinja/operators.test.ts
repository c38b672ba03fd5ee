// Operators, members and slices: as Python computes them, with integers apart from floats.
import { describe, expect, test } from 'vitest';
import { expectRefusals, expectTexts, render, ordinaryValues as variables } from './rendering.js';

describe('numbers', () => {
  test('are computed as integers and floats', () => {
    expectTexts([
      [
        '{{ 7 + 2 }} {{ 7 - 9 }} {{ 7 * 2 }} {{ 7 / 2 }} {{ 4 / 2 }} {{ 7 // 2 }} {{ 7 % 2 }} {{ 2 ** 10 }}',
        '9 -2 14 3.5 2.0 3 1 1024',
      ],
      [
        '{{ 1.5 + 2 }} {{ 1.5 - 0.5 }} {{ 2 * 1.5 }} {{ 3 / 1.5 }} {{ 7.5 // 2 }} {{ 7.5 % 2 }} {{ 2.0 ** 2 }} {{ 2 ** 2.0 }}',
        '3.5 1.0 3.0 2.0 3.0 1.5 4.0 4.0',
      ],
      [
        '{{ -7 // 2 }} {{ 7 // -2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ -7 % -3 }} {{ 6 % -3 }} {{ -6 % 3 }} {{ 0 % 5 }} {{ -7.5 % 2 }} {{ 7.5 % -2 }}',
        '-4 -4 2 -2 -1 0 0 0 0.5 -0.5',
      ],
      [
        '{{ 4.0 % -2 }} {{ 4.0 % 2 }} {{ -4 % 2.0 }} {{ 2 ** -1 }} {{ 0 ** 0 }} {{ 0.0 ** 2 }} {{ (-2) ** 3 }} {{ 1 / 3 }}',
        '-0.0 0.0 0.0 0.5 1 0.0 -8 0.3333333333333333',
      ],
      [
        '{{ true + true }} {{ true * 3 }} {{ 5 - false }} {{ true / 2 }} {{ true + 0.5 }} {{ -true }} {{ +true }} {{ -false }}',
        '2 3 5 0.5 1.5 -1 1 0',
      ],
      [
        '{{ 0 * -1 }} {{ (0 * -1) * 1.5 }} {{ -0 }} {{ -0.0 }} {{ 0.0 * -1 }} {{ -2.5 }} {{ +2.5 }} {{ -(3) }} {{ +7 }} {{ - 1 - -1 }}',
        '0 0.0 0 -0.0 -0.0 -2.5 2.5 -3 7 0',
      ],
    ]);
  });

  test('are printed as Python prints them', () => {
    const printed: readonly (readonly [number, string])[] = [
      [2.5, '2.5'],
      [1e15, '1000000000000000'],
      [1e16, '1e+16'],
      [9007199254740991, '9007199254740991'],
      [9007199254740992, '9007199254740992.0'],
      [12345678901234567000, '1.2345678901234567e+19'],
      [-1.5e300, '-1.5e+300'],
      [1e100, '1e+100'],
      [0.1, '0.1'],
      [0.0001, '0.0001'],
      [0.00012345, '0.00012345'],
      [0.00001, '1e-05'],
      [0.000012345, '1.2345e-05'],
      [1e-7, '1e-07'],
      [-1.5e-10, '-1.5e-10'],
      [5e-324, '5e-324'],
    ];
    expect(printed.map(([number]) => render('{{ x }}', { x: number }))).toEqual(printed.map(([, text]) => text));
    expect(printed.map(([number]) => render('{{ x|tojson }}', { x: number }))).toEqual(printed.map(([, text]) => text));
    expectTexts([
      [
        '{{ 1000000000000000.0 + 0 }} {{ x }} {{ 1.0 }} {{ 100.0 }} {{ 123456.789 }}',
        '1000000000000000.0  1.0 100.0 123456.789',
      ],
      [
        "{{ 'nan'|float }} {{ 'inf'|float }} {{ '-inf'|float }} {{ 'nan'|float|tojson }} {{ 'inf'|float|tojson }} {{ '-inf'|float|tojson }}",
        'nan inf -inf NaN Infinity -Infinity',
      ],
    ]);
  });

  test('are refused where Python refuses them, or has integers without an end', () => {
    expectRefusals(
      [
        ['{{ 1 / 0 }}', 'divides by zero'],
        ['{{ 1 // 0 }}', 'divides by zero'],
        ['{{ 1 % 0 }}', 'divides by zero'],
        ['{{ 1.5 / 0.0 }}', 'divides by zero'],
        ['{{ 0 ** -1 }}', 'divides by zero'],
        ['{{ 2 ** 0.5 }}', 'a power with a fraction'],
        ['{{ 10.0 ** 400 }}', 'a power is too large'],
        ['{{ 2 ** 53 }}', 'an integer is too large'],
        ['{{ 9007199254740991 + 1 }}', 'an integer is too large'],
        ['{{ -9007199254740991 - 1 }}', 'an integer is too large'],
        ['{{ 9007199254740993 }}', 'an integer is too large'],
        ["{{ 'a' + 1 }}", 'cannot compute str + int'],
        ['{{ 1 - none }}', 'cannot compute int - None'],
        ['{{ [] + (0, 0)[:0] }}', 'cannot compute list + tuple'],
        ['{{ (0, 0)[:0] + [] }}', 'cannot compute tuple + list'],
        ["{{ [] + 'a' }}", 'cannot compute list + str'],
        ["{{ 'a' + [] }}", 'cannot compute str + list'],
        ['{{ {} * 2 }}', 'cannot compute dict * int'],
        ['{{ 2 * {} }}', 'cannot compute int * dict'],
        ["{{ 'a' * 1.5 }}", 'cannot compute str * float'],
        ["{{ 'a' * 'b' }}", 'cannot compute str * str'],
        ["{{ 'a' - 'b' }}", 'cannot compute str - str'],
        ["{{ 'a' - 1 }}", 'cannot compute str - int'],
        ['{{ [1] - 1 }}', 'cannot compute list - int'],
        ['{{ (range(100000)|list + range(100000)|list + [1])|length }}', 'makes a list of more than 200000'],
        ['{{ d.items() + 1 }}', 'cannot compute dict_items + int'],
        ['{{ range(3) + 1 }}', 'cannot compute range(0, 3) + int'],
        ['{{ range + true }}', 'cannot compute function + bool'],
        ['{{ true + none }}', 'cannot compute bool + None'],
        ['{{ namespace() + 1 }}', 'cannot compute namespace + int'],
        ["{{ (l|map('string')) + 1 }}", 'cannot compute stream + int'],
        ['{% for i in l %}{{ loop + 1 }}{% endfor %}', 'cannot compute loop + int'],
        ['{{ x + 1 }}', "'x' is undefined"],
        ['{{ 1 + x }}', "'x' is undefined"],
        ["{{ 'a' * x }}", "'x' is undefined"],
        ['{{ -x }}', "'x' is undefined"],
        ["{{ -'a' }}", 'cannot compute - of a str'],
        ['{{ +[] }}', 'cannot compute + of a list'],
      ],
      variables,
    );
  });
});

describe('lists and texts', () => {
  test('are added and repeated', () => {
    expectTexts(
      [
        [
          "{{ 'a' + html }}{{ [1] + [2, 3] }}{{ (1, 0)[:1] + (2, 0)[:1] }}{{ (0, 0)[:0] + (0, 0)[:0] }}{{ [] + [] }}",
          'a<b>[1, 2, 3](1, 2)()[]',
        ],
        [
          "{{ 'ab' * 2 }}{{ 2 * 'ab' }}{{ 'ab' * 0 }}{{ 'ab' * -1 }}{{ [1, [2]] * 2 }}{{ 2 * [1] }}{{ (1, 2) * 2 }}{{ 2 * (1, 0)[:1] }}{{ [1] * 0 }}{{ (1, 0)[:1] * -1 }}",
          'ababab' + 'ab' + '[1, [2], 1, [2]][1, 1](1, 2, 1, 2)(1, 1)[]()',
        ],
        ['{{ (range(100000)|list + range(100000)|list)|length }}', '200000'],
        ["{{ 1 ~ 'a' ~ none ~ x ~ [1] ~ 1.0 ~ html ~ true }}", '1aNone[1]1.0<b>True'],
      ],
      variables,
    );
  });

  test('have elements and members', () => {
    expectTexts(
      [
        [
          '{{ l[0] }}{{ l[-1] }}[{{ l[9] }}][{{ l[-4] }}]{{ l[true] }}{{ l[false] }}{{ (1, 2)[1] }}{{ (1, 2)[-2] }}[{{ (1, 2)[2] }}]{{ range(5, 9)[1] }}{{ range(5)[-1] }}',
          '32[][]1321[]64',
        ],
        [
          '{{ s[0] }}{{ s[-1] }}[{{ s[11] }}]{{ wide[3] }}{{ wide[-2] }}{{ wide[4] }}{{ wide[true] }}{{ html[0] }}',
          'Hd[]😀😀zé<',
        ],
        [
          "{{ d.a }}{{ d['a'] }}{{ d['<k'].b[0] }}[{{ d.b }}][{{ d[1] }}][{{ d[none] }}][{{ d[l] }}][{{ d[d] }}][{{ d[x] }}]",
          '112[][][][][][]',
        ],
        [
          "{{ {1: 'i', true: 'b', 2.5: 'f', none: 'n', (1, 2): 't'}[1] }}{{ {2.5: 'f'}[f] }}{{ {none: 'n'}[none] }}{{ {(1, 'a'): 't'}[(1, 'a')] }}{{ {1: 'a'}[1.0] }}{{ {'1': 'a'}[1] }}",
          'bfnta',
        ],
        [
          "{{ {(1, 2): 'a'}[(1, '2')] }}|{{ {('a', 0)[:1]: 'b'}[('a', 'b')] }}|{{ {('', ''): 1}[('', 0)[:1]] }}|",
          '|||',
        ],
        [
          "{{ l['count'](1) }}{{ l.count(3) }}{{ s['upper']() }}{{ {'upper': 1}.upper }}{{ {'items': 1}['items'] }}[{{ l.foo }}][{{ s.foo }}][{{ none.foo }}][{{ 1.5.foo }}][{{ l['foo'] }}]",
          '11HELLO WORLD11[][][][][]',
        ],
        [
          "[{{ d.items()[0] }}][{{ 1[0] }}][{{ none[0] }}][{{ namespace(a=1)['a'] }}][{{ namespace(a=1)[0] }}][{{ namespace(a=1).b }}]",
          '[][][][1][][]',
        ],
        [
          "{{ l.index(3) }}{{ l.index(1) }}{{ (1, 2).index(2) }}{{ (1, 1).count(1) }}{{ [1, true, 1.0, '1'].count(1) }}",
          '01123',
        ],
      ],
      variables,
    );
  });

  test('have slices', () => {
    expectTexts(
      [
        [
          '{{ l[1:] }}{{ l[:1] }}{{ l[:] }}{{ l[-1:] }}{{ l[:-1] }}{{ l[5:] }}{{ l[:9] }}{{ l[-9:2] }}{{ l[2:1] }}{{ l[none:none] }}',
          '[1, 2][3][3, 1, 2][2][3, 1][][3, 1, 2][3, 1][][3, 1, 2]',
        ],
        [
          '{{ l[::-1] }}{{ l[::2] }}{{ l[1::2] }}{{ l[2:0:-1] }}{{ l[1::-1] }}{{ l[:1:-1] }}{{ l[9:-9:-1] }}{{ l[-1:-3:-1] }}{{ l[9::-2] }}{{ l[-9::-1] }}{{ l[:-9:-1] }}',
          '[2, 1, 3][3, 2][1][2, 1][1, 3][2][2, 1, 3][2, 1][2, 3][][2, 1, 3]',
        ],
        [
          '{{ (1, 2, 3)[1:] }}{{ (1, 2, 3)[::-1] }}{{ (1, 0)[:1][1:] }}{{ l[true:] }}{{ l[:true] }}{{ l[false::true] }}',
          '(2, 3)(3, 2, 1)()[1, 2][3][3, 1, 2]',
        ],
        [
          '{{ s[1:3] }}|{{ s[:-6] }}|{{ s[-5:] }}|{{ s[::-1] }}|{{ s[::3] }}|{{ s[20:] }}|{{ s[3:1] }}|{{ s[:] }}|{{ s[:0] }}|{{ s[-3:-1] }}',
          'el|Hello|World|dlroW olleH|Hlwl|||Hello World||rl'.replace('Hlwl', 'HlWl'),
        ],
        [
          '{{ wide[1:4] }}|{{ wide[3:] }}|{{ wide[:-1] }}|{{ wide[::-1] }}|{{ wide[-2:] }}|{{ html[:2] }}|{{ html[::-1] }}',
          'éé😀|😀z|héé😀|z😀ééh|😀z|<b|>b<',
        ],
      ],
      variables,
    );
    expectRefusals(
      [
        ['{{ l[::0] }}', 'a slice has the step 0'],
        ["{{ l['a':] }}", 'a slice needs integers, not a str'],
        ['{{ l[:1.5] }}', 'a slice needs integers, not a float'],
        ['{{ l[x:] }}', "'x' is undefined"],
        ['{{ x[1:] }}', "'x' is undefined"],
        ['{{ none[1:] }}', 'a None has no slices'],
        ['{{ d[1:] }}', 'a dict has no slices'],
        ['{{ d.items()[1:] }}', 'a dict_items has no slices'],
        ['{{ range(3)[1:] }}', 'slices a range'],
        ['{{ x.a }}', "'x' is undefined"],
        ["{{ x['a'] }}", "'x' is undefined"],
        ['{{ d.x.y }}', "'x' is undefined"],
        ["{{ d['x'].y }}", 'a value is undefined'],
        ['{{ d.b.upper() }}', "'b' is undefined"],
        ['{{ d.a() }}', 'calls a()'],
        ['{{ l[9].a }}', 'a value is undefined'],
        ["{{ d['a']() }}", 'calls a value, which is a int'],
        ['{{ l() }}', "calls 'l', which is a list"],
        ['{{ l.index(9) }}', 'index() does not find its value'],
        ['{{ d.pop("a") }}', 'calls pop()'],
        ['{{ d["update"]({}) }}', 'changes a dictionary by update()'],
        ['{{ l["append"](1) }}', 'changes a list by append()'],
        ['{{ {[1]: 2} }}', 'a list cannot be a key'],
        ['{{ { {}: 2} }}', 'a dict cannot be a key'],
        ['{{ d.get([]) }}', 'a list cannot be a key'],
      ],
      variables,
    );
  });
});
