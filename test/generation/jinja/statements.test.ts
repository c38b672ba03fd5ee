// Statements: loops, macros, variables and white space, with the scopes that Jinja2 gives them; and what is refused by name.
import { describe, expect, test } from 'vitest';
import { Template } from '../../../src/generation/jinja/template.js';
import { type Case, expectRefusals, expectTexts, render } from './rendering.js';

const variables = {
  l: [3, 1, 2],
  d: { a: 1, b: 2 },
  s: 'ab',
  html: '<b>',
  pairs: [
    [1, 'x'],
    [2, 'y'],
  ],
  deep: [[1, [2, 3]]],
};

test('white space is kept and removed as Jinja2 does with trim_blocks and lstrip_blocks', () => {
  expectTexts(
    [
      ['a\n  {% if 1 %}\nb\n  {% endif %}  \nc', 'a\nb\n  \nc'],
      ['a\n  {%+ if 1 %}b{% endif %}', 'a\n  b'],
      ['a {%- if 1 -%} \n b \n {%- endif -%} c', 'abc'],
      ['a  {% if 1 %}b{% endif %}', 'a  b'],
      ['\t{% if 1 %}b{% endif %}\n\nc', 'b\nc'],
      ['a{# c #}\nb\n  {# c #}\nc {#- d -#} e', 'ab\nc' + 'e'],
      ['{{ 1 }}\n  {{ 2 }} \n', '1\n  2 '],
      ['{{- 1 -}} \n x {{- 2 -}} y', '1x2y'],
      ['a\r\nb\rc\n', 'a\nb\nc'],
      ['a\n\n', 'a\n'],
      ['a\n\n\n{{ 1 }}\n\n', 'a\n\n\n1\n'],
      ['{% if 1 %}a{% endif %}\n\n', 'a'],
      ['', ''],
      ['\n', ''],
      [' {{ "a" }} {+ {- -} +} %} #} }}', ' a {+ {- -} +} %} #} }}'],
      ['{% generation %}\na\n{% endgeneration %}\nb', 'a\nb'],
      ['x {%- generation -%} a {%- endgeneration -%} y', 'xay'],
      ['x\n  {% generation %}a{%endgeneration%}', 'x\na'],
      ['x\n  {%+ generation %}a{%+ endgeneration %}', 'x\n  a'],
    ],
    variables,
  );
});

describe('a loop', () => {
  test('has its elements, its places and its neighbours', () => {
    const members = ['index', 'index0', 'revindex', 'revindex0', 'first', 'last', 'length', 'depth', 'depth0'];
    const all = members.map((name) => `{{ loop.${name} }}`).join(' ');
    expectTexts(
      [
        [`{% for x in s %}${all};{% endfor %}`, '1 0 2 1 True False 2 1 0;2 1 1 0 False True 2 1 0;'],
        ['{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }};{% endfor %}', '<3>1;3<1>2;1<2>;'],
        [
          "{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{{ loop['index'] }}{{ loop.foo }}{{ loop['foo'] }}{% endfor %}",
          'FalseTrue1TrueTrue2TrueFalse3',
        ],
        ["{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}", 'aba'],
        ['{% for x in [1, 1, 2, 2.0, 1] %}{{ loop.changed(x) }}{% endfor %}', 'TrueFalseTrueFalseTrue'],
        [
          '{% for x in [1, 2] %}{{ loop.changed(1, x) }}{{ loop.changed(1, x) }}{{ loop.changed() }}{% endfor %}',
          'TrueFalseTrueTrueFalseTrue',
        ],
      ],
      variables,
    );
    expectRefusals([['{% for x in l %}{{ loop.cycle() }}{% endfor %}', 'cycle() needs an argument']], variables);
  });

  test('goes over what has elements, chosen by a condition, or else', () => {
    expectTexts(
      [
        [
          '{% for x in l %}{{ x }}{% else %}none{% endfor %}{% for x in [] %}{{ x }}{% else %}none{% endfor %}',
          '312none',
        ],
        ['{% for x in l if x > 1 %}{{ x }}{{ loop.index }}{{ loop.last }}{% else %}none{% endfor %}', '31False22True'],
        ['{% for x in l if x > 5 %}{{ x }}{% else %}none{{ x }}{% endfor %}', 'none'],
        ['{% for a, b in pairs if a == 2 %}{{ a }}{{ b }}{% endfor %}', '2y'],
        [
          '{% for k in d %}{{ k }}{% endfor %}{% for k, v in d.items() %}{{ k }}{{ v }}{% endfor %}{% for c in html %}[{{ c }}]{% endfor %}',
          'aba1b2[<][b][>]',
        ],
        [
          '{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}{% for a, b in ["xy", (1, 2)] %}{{ a }}-{{ b }}{% endfor %}',
          '123x-y1-2',
        ],
        [
          '{% for x in range(2) %}{{ x }}{% endfor %}{% for x in (1, 2) %}{{ x }}{% endfor %}{% for x in l|map("string") %}{{ x }}{% endfor %}{% for x in nothing %}x{% else %}else{% endfor %}',
          '0112312else',
        ],
        ['{% for x in l %}{% for y in l if y > x %}{{ x }}{{ y }};{% endfor %}{% endfor %}', '13;12;23;'],
      ],
      variables,
    );
    expectRefusals(
      [
        ['{% for a, b in [(1, 2, 3)] %}{% endfor %}', 'unpacks 3 values into 2 variables'],
        ['{% for a, b in [(1, 0)[:1]] %}{% endfor %}', 'unpacks 1 values into 2 variables'],
        ['{% for a, b in [1] %}{% endfor %}', 'a int cannot be iterated'],
        ['{% for a, b in [nothing] %}{% endfor %}', "'nothing' is undefined"],
        ['{% for a in 1 %}{% endfor %}', 'a int cannot be iterated'],
      ],
      variables,
    );
  });

  test('is left and continued', () => {
    expectTexts(
      [
        ['{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}', '3'],
        ['{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}', '32'],
        [
          '{% for x in l %}{% for y in l %}{% if y == 1 %}{% break %}{% endif %}{{ x }}{{ y }};{% endfor %}{% endfor %}',
          '33;13;23;',
        ],
        // Jinja2 takes a loop of which no body reaches its end for an empty one.
        ['{% for x in l %}{% break %}{% else %}none{% endfor %}|', 'none|'],
        ['{% set x %}{% for x in range(30000) %}{{ 1 }}{% endfor %}{% endset %}{{ x|length }}', '30000'],
        ['{% for x in l %}{% continue %}{% else %}none{% endfor %}|', 'none|'],
        ['{% for x in l %}{% if x < 3 %}{% break %}{% endif %}{{ x }}{% else %}none{% endfor %}|', '3|'],
        ['{% for x in l %}{% if x < 3 %}{% continue %}{% endif %}{{ x }}{% else %}none{% endfor %}|', '3|'],
      ],
      variables,
    );
  });
});

test('variables have the scopes of Jinja2', () => {
  expectTexts(
    [
      ['{% set x = 1 %}{% if 1 %}{% set x = 2 %}{% endif %}{{ x }}', '2'],
      ['{% set x = 1 %}{% for y in l %}{% set x = y %}{{ x }}{% endfor %}{{ x }}{{ y }}', '3121'],
      ['{% set x %}a{{ html }}{% set z = 1 %}{% endset %}{{ x }}{{ z }}{{ x|length }}', 'a<b>4'],
      [
        '{% set a, b = pairs[0] %}{{ a }}{{ b }}{% set a, b = b, a %}{{ a }}{{ b }}{% set (a, b) = (5, 6) %}{{ a }}{{ b }}',
        '1xx156',
      ],
      [
        '{% set n = namespace(x=1) %}{% for y in l %}{% set n.x = n.x + y %}{% endfor %}{{ n.x }}{% set n.z = html %}{{ n.z }}{{ n.y }}',
        '7<b>',
      ],
      ['{% set n = namespace() %}{% set n.x, n.y = 1, 2 %}{{ n.x }}{{ n.y }}', '12'],
      ['{% set n = namespace({"a": 1}, b=2) %}{{ n.a }}{{ n.b }}{{ n["a"] }}', '121'],
      ['{% for loop_x in l %}{{ loop.index }}{% endfor %}{{ loop }}', '123'],
      ['{% set html = 1 %}{{ html }}{% set l = l + [4] %}{{ l }}', '1[3, 1, 2, 4]'],
      ['{{ True }}{{ true }}{{ False }}{{ false }}{{ None }}{{ none }}', 'TrueTrueFalseFalseNoneNone'],
    ],
    variables,
  );
  expectRefusals(
    [
      ['{% set l.x = 1 %}', 'sets a member of what is no namespace'],
      ['{% set a, b = 1 %}', 'a int cannot be iterated'],
      ['{% set a, b = (1, 2, 3) %}', 'unpacks 3 values into 2 variables'],
      ['{% set a, b = x %}', "'x' is undefined"],
    ],
    variables,
  );
});

describe('a macro', () => {
  test('binds its arguments as Python does', () => {
    const macro = '{% macro m(a, b=2, c=a) %}[{{ a }}|{{ b }}|{{ c }}]{% endmacro %}';
    expectTexts(
      [
        [
          `${macro}{{ m(1) }}{{ m(1, 3) }}{{ m(1, c=4) }}{{ m(b=1, a=5) }}{{ m(1, 2, 3) }}{{ m() }}{{ m(none, none) }}`,
          '[1|2|1][1|3|1][1|2|4][5|1|5][1|2|3][|2|][None|None|None]',
        ],
        [
          `${macro}{{ m(*[1, 2]) }}{{ m(**{'a': 1, 'b': html}) }}{{ m(*'xy', **{'c': 3}) }}{{ m(1, *[2], c=3) }}`,
          '[1|2|1][1|<b>|1][x|y|3][1|2|3]',
        ],
        [`${macro}{{ m(x) }}{{ m(1, x) }}`, '[|2|][1||1]'],
        ['{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}{{ m(x) }}{{ m(1) }}', 'FalseFalseTrue'],
        [
          '{% macro m(x) %}{{ x }}{{ y }}{% set z = 1 %}{% endmacro %}{% set y = 2 %}{{ m(1) }}{{ z }}{{ m(html)|length }}{{ m(html)|upper }}',
          '124<B>2',
        ],
        [
          '{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}{% set g = f %}{{ g(1) }}',
          '3211',
        ],
        ['{% macro m() %}a{% for x in [1, 2] %}{{ x }}{% endfor %}{% endmacro %}{{ m() }}{{ m() ~ 1 }}', 'a12a121'],
      ],
      variables,
    );
    const refused: readonly Case[] = [
      [`${macro}{{ m(1, 2, 3, 4) }}`, 'the macro m takes at most 3 arguments'],
      [`${macro}{{ m(1, a=2) }}`, 'the macro m is given a twice'],
      [`${macro}{{ m(1, d=2) }}`, 'the macro m takes no argument d'],
      [`${macro}{{ m(**[1]) }}`, '** needs a dictionary, not a list'],
      [`${macro}{{ m(**{1: 2}) }}`, '** needs texts as keys'],
      [`${macro}{{ m(*1) }}`, 'a int cannot be iterated'],
      ['{% for x in [1] %}{% macro m() %}{{ x }}{% endmacro %}{% endfor %}{{ m() }}', "'m' is undefined"],
    ];
    expectRefusals(refused, variables);
  });

  test('calls what it is called with', () => {
    expectTexts(
      [
        [
          '{% macro m(a) %}<{{ caller(a) }}{{ caller(2) }}>{% endmacro %}{% call(x) m(3) %}c{{ x }}{% endcall %}',
          '<c3c2>',
        ],
        ['{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}{{ html }}{% endcall %}', '<<b>>'],
        [
          '{% macro m(a=1) %}{{ a }}{{ caller(a, b=5) }}{% endmacro %}{% call(x, b=2) m(a=4) %}{{ x }}{{ b }}{% endcall %}',
          '445',
        ],
      ],
      variables,
    );
    expectRefusals([['{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}', "'caller' is undefined"]], variables);
  });
});

test('conditions and filtered blocks', () => {
  expectTexts(
    [
      [
        '{% if 0 %}a{% elif 1 %}b{% else %}c{% endif %}{% if 0 %}a{% elif 0 %}b{% else %}c{% endif %}{% if x %}a{% endif %}{% if l %}l{% endif %}',
        'bcl',
      ],
      [
        '{{ "a" if 0 else "b" }}{{ "a" if 1 else "b" }}[{{ "a" if 0 }}]{{ "a" if 1 }}{{ ("a" if 0) is defined }}{{ 1 if x else 2 if 1 else 3 }}',
        'ba[]aFalse2',
      ],
      [
        '{% filter upper %}a{{ html }}{% set z = 1 %}{% endfilter %}{% filter replace("a", "b") %}aa{% endfilter %}',
        'A<B>bb',
      ],
      [
        '{{ x is defined }}{{ x is not defined }}{{ l is defined }}{{ not l is defined }}{{ (x|safe) is string }}{{ (x|safe) is not string }}',
        'FalseTrueTrueFalseTrueFalse',
      ],
      [
        '{{ html|safe }}{{ html|safe|safe|tojson }}{{ (html|safe) ~ 1 }}{{ (html|safe) == html }}{{ "x" if html|safe else "y" }}{% if not html|safe %}n{% endif %}',
        '<b>"<b>"<b>1Truex',
      ],
      [
        '{{ 1 }}{{ 1.50 }}{{ "a\\n\\t\\\\\\"" }}{{ \'it"s\' }}{{ [1, [2]] }}{{ (1) }}{{ (1, 0)[:1] }}{{ {"a": {"b": 1}}.a.b }}',
        '11.5a\n\t\\"it"s[1, [2]]1(1,)1',
      ],
    ],
    variables,
  );
  expectRefusals(
    [
      ['{{ (html|safe)|upper }}', 'computes with what the filter safe gives'],
      ['{{ (html|safe) * 2 }}', 'computes with what the filter safe gives'],
      ['{{ -(html|safe) }}', 'computes with what the filter safe gives'],
      ['{{ [1][html|safe] }}', 'computes with what the filter safe gives'],
      ['{{ "a"[html|safe:] }}', 'computes with what the filter safe gives'],
      ['{{ l[0]() }}', 'calls a value, which is a int'],
      ['{{ d.a.b() }}', 'calls b()'],
      ['{{ nothing() }}', "'nothing' is undefined"],
      ['{{ (1)() }}', 'calls a value, which is a int'],
      ['{{ (nothing or x)() }}', 'is undefined'],
      ['{{ (nothing or x).a }}', 'a value is undefined'],
      ['{{ d[s].a }}', 'a value is undefined'],
      ['{{ {}[s].a }}', 'a value is undefined'],
      ['{{ nothing.a }}', "'nothing' is undefined"],
      ['{{ d.nothing.a }}', "'nothing' is undefined"],
      ['{{ d["nothing"].a }}', 'a value is undefined'],
      ['{{ l[9].a }}', 'a value is undefined'],
    ],
    variables,
  );
});

describe('is refused when it is loaded', () => {
  const refused: readonly Case[] = [
    ['{{ cycler(1) }}', 'uses cycler'],
    ['{{ joiner() }}', 'uses joiner'],
    ['{{ lipsum() }}', 'uses lipsum'],
    ['{% macro f() %}{{ kwargs }}{% endmacro %}', 'uses kwargs'],
    ['{{ self.x }}', 'uses self'],
    ['{{ super() }}', 'uses super'],
    ['{{ x[self] }}', 'uses self'],
    ['{{ f(a=self) }}', 'uses self'],
    ['{{ f(*self) }}', 'uses self'],
    ['{{ x|default(self) }}', 'uses self'],
    ['{{ self|default(1) }}', 'uses self'],
    ['{{ self is defined }}', 'uses self'],
    ['{% filter default(self) %}{% endfilter %}', 'uses self'],
    ['{% filter upper %}{{ self }}{% endfilter %}', 'uses self'],
    ['{% macro f(a=self) %}{% endmacro %}', 'uses self'],
    ['{% macro f() %}{{ self }}{% endmacro %}', 'uses self'],
    ['{% for x in self %}{% endfor %}', 'uses self'],
    ['{% for x in l if self %}{% endfor %}', 'uses self'],
    ['{% if a %}{% elif self %}{% endif %}', 'uses self'],
    ['{% set a = self %}', 'uses self'],
    ['{% call f() %}{{ self }}{% endcall %}', 'uses self'],
    ['{{ {1: self} }}', 'uses self'],
    ['{{ {self: 1} }}', 'uses self'],
    ['{{ [1, (2, self)] }}', 'uses self'],
    ['{{ a[1:self] }}', 'uses self'],
    ['{{ a if self else b }}', 'uses self'],
    ['{{ not self }}', 'uses self'],
    ['{{ a ~ self }}', 'uses self'],
    ['{{ x|e }}', 'uses the filter of HTML e,'],
    ['{{ x|forceescape }}', 'the filter of HTML forceescape'],
    ['{{ x|striptags }}', 'the filter of HTML striptags'],
    ['{{ x|xmlattr }}', 'the filter of HTML xmlattr'],
    ['{{ x|urlize }}', 'the filter of HTML urlize'],
    ['{{ x|urlencode }}', 'the filter of HTML urlencode'],
    ['{{ x|escape(1) }}', 'the filter of HTML escape'],
    ['{{ x|random }}', 'uses the filter random'],
    ['{{ x|random(1) }}', 'uses the filter random'],
    ['{% filter random %}{% endfilter %}', 'uses the filter random'],
    ['{% filter random(1) %}{% endfilter %}', 'uses the filter random'],
    ['{{ x|toString }}', 'uses the filter toString'],
    ['{{ x is divisible }}', 'uses the test divisible'],
    ['{{ x is equalto }}', 'uses the test equalto'],
    ['{{ x|select("foo") }}', 'uses foo in the filter select'],
    ['{{ x|reject("foo") }}', 'uses foo in the filter reject'],
    ['{{ x|select("upper")|map("odd") }}', 'uses odd in the filter map'],
    ['{{ x|selectattr("a", "foo") }}', 'uses foo in the filter selectattr'],
    ['{{ x|rejectattr("a", "foo") }}', 'uses foo in the filter rejectattr'],
    ['{{ x.foo(1) }}', 'calls foo()'],
    ['{{ x[0].foo(1) }}', 'calls foo()'],
    ['{{ loops.foo(1) }}', 'calls foo()'],
    ["{{ 'loop'.foo(1) }}", 'calls foo()'],
    ['{{ x.loop.foo() }}', 'calls foo()'],
    ['{% set x[0] = 1 %}', 'sets what is no variable'],
    ['{% set a, x[0] = 1, 2 %}', 'sets what is no variable'],
    ['{% set f() = 1 %}', 'sets what is no variable'],
    ['{{ 1 < 2 < 3 }}', 'compares a comparison'],
    ['{{ 1 == 2 != 3 }}', 'compares a comparison'],
    ["{{ 1 < 'and' < 3 }}", 'compares a comparison'],
    ['{{ 1 < (2 < 3) < 4 }}', 'compares a comparison'],
    ['{{ a == b not in c }}', 'compares a comparison'],
    ['{{ a in b in c }}', 'compares a comparison'],
    ['{{ a in b == c }}', 'compares a comparison'],
    ['{{ a not in b == c }}', 'compares a comparison'],
    ['{{ (1 < 2 < 3) }}', 'compares a comparison'],
    ['{{ [1, 1 < 2 < 3] }}', 'compares a comparison'],
    ['{{ f(1 < 2 < 3) }}', 'compares a comparison'],
    ['{{ a[1 < 2 < 3] }}', 'compares a comparison'],
    ['{{ {1: 1 < 2 < 3} }}', 'compares a comparison'],
    ['{% if 1 < 2 < 3 %}{% endif %}', 'compares a comparison'],
    ['{% for x in l if 1 < x < 3 %}{% endfor %}', 'compares a comparison'],
    ['{% for x in a in b in c %}{% endfor %}', 'compares a comparison'],
    ['{{ 1 < (2) < 3 }}', 'compares a comparison'],
    ['{{ 1 < f(2) < 3 }}', 'compares a comparison'],
    ['{{ 1 < x.in < 3 }}', 'compares a comparison'],
    ['{{ 1 < x.and < 3 }}', 'compares a comparison'],
  ];
  test.each(refused)('%s', (template, message) => {
    expect(() => new Template(template)).toThrow(message);
  });

  test('a template that is too long, or too deep', () => {
    expect(new Template('a'.repeat(1 << 18))).toBeInstanceOf(Template);
    expect(() => new Template('a'.repeat((1 << 18) + 1))).toThrow('is 262145 characters long, more than 262144');
    const nested = (levels: number) => `{{ ${'['.repeat(levels)}${']'.repeat(levels)} }}`;
    expect(render(nested(200))).toBe('['.repeat(200) + ']'.repeat(200));
    expect(() => new Template(nested(260))).toThrow('is nested more than 500 deep');
    const dict = `{{ ${'{ 1: '.repeat(170)}1${'}'.repeat(170)} }}`;
    expect(() => new Template(dict)).toThrow('is nested more than 500 deep');
    const negated = (levels: number) => `{{ ${'not '.repeat(levels)}x }}`;
    expect(new Template(negated(498))).toBeInstanceOf(Template);
    expect(() => new Template(negated(499))).toThrow('is nested more than 500 deep');
  });
});

test('what looks like something that is refused is not', () => {
  const templates = [
    '{{ x.self }}',
    '{% macro self() %}{% endmacro %}',
    '{{ f(self=1) }}',
    '{{ x.loop }}',
    '{% for x in l %}{{ loop.cycle(1) }}{% endfor %}',
    '{{ x|select("odd")|reject("eq", 1)|selectattr("a", "in", [1])|rejectattr("a")|selectattr("foo")|map("upper") }}',
    '{{ x|default("foo")|join("foo")|map(attribute="foo")|select(y)|selectattr("a", y) }}',
    '{{ x["foo"]() }}{{ x.in }}{{ x.and == x.or }}',
    "{{ 1 < 2 ~ 'in' }}{{ ((1 < 2 and 3)) < 4 }}{{ ((1 < 2)) < 3 }}",
    '{{ 1 < 2 and 2 < 3 or 3 < 4 }}{{ not 1 < 2 }}{{ 1 < 2 if 2 < 3 else 3 < 4 }}',
    '{{ [1 < 2, 2 < 3] }}{{ {1 < 2: 2 < 3} }}{{ f(1 < 2, a=2 < 3) }}{{ (1 < 2) < 3 }}{{ 1 < (2 < 3) }}{{ a[1 < 2] < 3 }}',
    '{% if 1 < 2 %}{% elif 2 < 3 %}{% endif %}{% for a, (b, c) in l if a in b %}{% endfor %}{% for x in l if x < 2 %}{% endfor %}',
    '{% set x = 1 < 2 %}{{ 1 < 2 }}{{ 2 < 3 }}{{ 1 in x }}{{ 1 not in x and 1 in x }}',
    '{% set a.b = 1 %}{% set a, b.c = 1, 2 %}{% for a in b if c in d %}{% endfor %}',
  ];
  for (const template of templates) expect(new Template(template), template).toBeInstanceOf(Template);
});
