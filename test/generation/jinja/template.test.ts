// Templates render what Jinja2 renders; what is not computed as Jinja2 does is refused by name.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Template } from '../../../src/generation/jinja/template.js';

interface Golden {
  readonly variables: Readonly<Record<string, unknown>>;
  readonly cases: readonly (readonly [template: string, text: string])[];
}
const path = new URL('../../fixtures/jinja2-cases.json', import.meta.url);
const golden = JSON.parse(readFileSync(path, 'utf8')) as Golden;

function render(template: string, variables: Readonly<Record<string, unknown>> = {}, firsts: readonly string[] = []) {
  const input = { firsts, json: JSON.stringify(variables), trusted: {} };
  return new Template(template).render(input).text;
}

test.each([
  ['without twins', []],
  ['with twins for the usual beginnings', ['<', '[']],
  ['with twins for letters, digits and signs', ['<', 'a', 'H', '1', "'", '{', '|', '😀', 'é']],
])('texts are those of Jinja2, %s', (_, firsts) => {
  for (const [template, text] of golden.cases) {
    expect({ template, text: render(template, golden.variables, firsts) }).toEqual({ template, text });
  }
});

describe('is refused by name', () => {
  test.each([
    ['{{ x | groupby("a") }}', 'the filter groupby'],
    ['{{ x | escape }}', 'the filter of HTML escape'],
    ['{{ x is foo }}', 'the test foo'],
    ['{{ x.foo() }}', 'calls foo()'],
    ['{{ x | map("foo") | list }}', 'uses foo in the filter map'],
    ['{{ 1 < x < 3 }}', 'compares a comparison'],
    ['{{ a in b == c }}', 'compares a comparison'],
    ['{% set j = joiner() %}', 'uses joiner'],
    ['{% macro f() %}{{ varargs }}{% endmacro %}', 'uses varargs'],
    ['{% set x[0] = 1 %}', 'sets what is no variable'],
    ['{% include "x" %}', 'Unknown statement type: include'],
    ['{% raw %}{% endraw %}', 'Unknown statement type: raw'],
  ])('%s', (template, message) => {
    expect(() => new Template(template)).toThrow(message);
  });

  test('what only rendering shows', () => {
    expect(() => render('{{ [1].append(2) }}')).toThrow('calls append()');
    expect(() => render('{{ x|map("upper") }}', { x: ['a'] })).toThrow('prints a stream');
    for (const template of [
      '{{ (x | safe) + "<" }}',
      '{{ "%s" % (x | safe) }}',
      '{% set y = x | safe %}{{ y + "<" }}',
      '{% set y = x | safe %}{{ y | upper }}',
      '{% set y = x | safe %}{{ y.upper() }}',
      '{% set y = x | safe %}{{ y[0] }}',
      '{% set y = x | safe %}{{ [y] }}',
      '{% set n = namespace() %}{% set n.y = x | safe %}',
      '{% macro f(y) %}{{ y }}{% endmacro %}{{ f(x | safe) }}',
      '{% for y in x | safe %}{{ y }}{% endfor %}',
    ])
      expect(() => render(template, { x: 'a' })).toThrow('computes with what the filter safe gives');
    expect(() => render('{{ "a" + 1 }}')).toThrow('cannot compute str + int');
    expect(() => render('{{ 2 ** 60 }}')).toThrow('too large');
    expect(() => render('{{ strftime_now("%Q") }}')).toThrow('uses %Q');
    expect(() => render('{{ raise_exception("no: " ~ x) }}', { x: '<b>' }, ['<'])).toThrow(
      'refuses the messages: no: <b>',
    );
  });
});

test('what the filter safe gives is printed, asked about, chosen and kept in a variable', () => {
  const template = `{% for k, v in x.items() %}{% set v = v if v is string else v | tojson | safe %}{{ v }};{% endfor %}`;
  expect(render(template, { x: { a: '<b>', c: ['<d>'] } }, ['<'])).toBe('<b>;["<d>"];');
  const asked =
    '{% set y = x | safe %}{{ y is string }}{{ not y }}{{ y or 1 }}{{ y and 1 }}{{ y | tojson }}{% if y %}{{ y|safe }}{% endif %}';
  expect(render(asked, { x: '<' }, ['<'])).toBe('TrueFalse<1"<"<');
  expect(render(asked, { x: '' })).toBe('TrueTrue1""');
  expect(render('{{ "<" ~ (x | safe) ~ "&" }}{{ (x|safe) == "<" }}{{ "<" in x|safe }}', { x: '<' })).toBe(
    '<<&TrueTrue',
  );
  expect(render('{% filter safe %}{{ x }}{% endfilter %}', { x: '<' })).toBe('<');
});

test('comparisons in parentheses, and the `in` of loops, are no comparisons of comparisons', () => {
  expect(render('{{ (1 == 1) != (2 == 3) }}')).toBe('True');
  expect(render('{{ 1 == 1 and 2 in [2] or 3 not in [4] }}')).toBe('True');
  expect(render('{% for a, b in [(1, 2)] if a in [1] and b == 2 %}{{ a }}{% endfor %}')).toBe('1');
  expect(render('{{ [1 == 1, 2 < 3] }}{{ {"a": 1 < 2} }}')).toBe("[True, True]{'a': True}");
});
