// What rendering gives beside text: the places of characters from outside; variables of the model, private-use characters, and
// the job that the thread for untrusted text takes.
import { expect, test } from 'vitest';
import { renderTemplate } from '../../../src/generation/jinja/job.js';
import { Template } from '../../../src/generation/jinja/template.js';
import { TemplateError } from '../../../src/generation/jinja/values.js';

const input = (variables: unknown, firsts = ['<'], trusted: Readonly<Record<string, string | boolean>> = {}) => ({
  firsts,
  json: JSON.stringify(variables),
  trusted,
});

function placesOf(template: string, variables: unknown): number[] {
  return [...new Template(template).render(input(variables)).places];
}

test('the places are those of characters from outside, and not of the template or the model', () => {
  expect(placesOf('<{{ a }}<{{ b }}', { a: '<x<', b: 'y<' })).toEqual([1, 3, 6]);
  expect(placesOf('{{ a }}', { a: 'x' })).toEqual([]);
  expect(placesOf("{{ '<' ~ a[1:] ~ a|upper }}", { a: 'x<' })).toEqual([1, 3]);
  const { text, places } = new Template('{{ bos }}{{ a }}{{ flag }}').render(
    input({ a: '<' }, ['<'], { bos: '<s>', flag: true }),
  );
  expect([text, [...places]]).toEqual(['<s><True', [3]]);
});

test('there may be any number of places', () => {
  for (const count of [1, 63, 64, 65, 128, 129, 1000]) {
    const expected = Array.from({ length: count }, (_, i) => i);
    expect(placesOf('{{ a }}', { a: '<'.repeat(count) })).toEqual(expected);
  }
});

test("the model's variables come before those from outside, and these before functions", () => {
  const render = (template: string) =>
    new Template(template).render(input({ bos: 'outside', range: 'r', '<k': 1 }, ['<', 'b'], { bos: 'model' })).text;
  expect(render('{{ bos }}{{ range }}{{ true }}')).toBe('modelrTrue');
});

test('numbers from outside are integers where they are safe, and floats', () => {
  const { text } = new Template('{{ a }}').render(
    input({ a: [1, -0, 1.5, 9007199254740991, 9007199254740992, null, true, ['x'], { k: 'v' }] }),
  );
  expect(text).toBe("[1, 0, 1.5, 9007199254740991, 9007199254740992.0, None, True, ['x'], {'k': 'v'}]");
});

test('private-use characters stay what they are, wherever they are written', () => {
  const templates = [
    '\ue000{{ a }}',
    "{{ '\ue000' ~ a }}",
    "{% if true %}{% for x in [['\ue000']] %}{{ x[0] ~ a }}{% endfor %}{% endif %}",
    "{{ {'k': '\ue000'}.k ~ a }}",
    "{{ {'\ue000': 1}.keys()|join ~ a }}",
    "{% macro m(x='\ue000') %}{{ x }}{% endmacro %}{{ m() ~ a }}",
    "{{ ''|default('\ue000', true) ~ a }}",
    '{{ x ~ a }}',
    '{{ bos ~ a }}',
    '{{ k.keys()|join ~ a }}',
  ];
  for (const template of templates) {
    const { text, places } = new Template(template).render(
      input({ a: '<', x: '\ue000', k: { '\ue000': 1 } }, ['<'], { bos: '\ue000', flag: false }),
    );
    expect({ template, text, places: [...places] }).toEqual({ template, text: '\ue000<', places: [1] });
  }
});

test("private-use characters of the model's variables stay what they are, too", () => {
  const { text, places } = new Template('{{ bos ~ a }}').render(
    input({ a: '<' }, ['<'], { bos: '\ue000', flag: true }),
  );
  expect([text, [...places]]).toEqual(['\ue000<', [1]]);
});

test('a template renders again and again', () => {
  const template = new Template("{{ '\ue000' }}{{ a }}");
  expect(template.render(input({ a: '<\ue001' })).text).toBe('\ue000<\ue001');
  expect(template.render(input({ a: '<' })).text).toBe('\ue000<');
});

test('the limits of a text grow with what is given', () => {
  const double = new Template('{{ a ~ a }}{{ a|length }}');
  const a = 'x'.repeat(2 ** 20);
  expect(double.render(input({ a })).text.length).toBe(2 ** 21 + 7);
  expect(() => new Template('{{ a ~ a ~ a ~ a }}').render(input({ a }))).toThrow('makes a text of more than');
  const written = new Template(`{{ '${'x'.repeat(200_000)}' * 7 }}`);
  expect(written.render(input({})).text.length).toBe(1_400_000);
});

test('a job renders a template, and hands over its places', () => {
  const job = { kind: 'template', source: '<{{ a }}', input: input({ a: '<' }) } as const;
  for (const _ of [1, 2]) {
    const { value, transfer } = renderTemplate(job);
    expect(value).toEqual({ text: '<<', places: Int32Array.of(1) });
    expect(transfer).toEqual([(value as { places: Int32Array }).places.buffer]);
  }
});

test("a job fails with the template's own error, or with one that says that it fails", () => {
  const errorOf = (source: string): unknown => {
    try {
      return renderTemplate({ kind: 'template', source, input: input({}) });
    } catch (error) {
      return error;
    }
  };
  expect(errorOf('{{ 1 / 0 }}')).toBeInstanceOf(TemplateError);
  expect(errorOf('{{ 1 / 0 }}')).toMatchObject({ message: 'divides by zero' });
  expect(errorOf('{% if %}')).toBeInstanceOf(TemplateError);
  expect(errorOf('{% if %}')).toMatchObject({ message: expect.stringMatching(/^fails: ./) });
});
