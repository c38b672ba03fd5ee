// Jinja's tests: what a value is, by itself and beside another one.
import { test } from 'vitest';
import { type Case, expectRefusals, expectTexts } from './rendering.js';

const variables = { l: [3, 1, 2], html: ['<b>', '<a>'] };

test('tests say what a value is', () => {
  const values = [
    'x',
    'none',
    'true',
    'false',
    '0',
    '3',
    '2.0',
    "'a'",
    "'A'",
    "'Aa'",
    "''",
    "'<'",
    '[]',
    '(0, 0)[:0]',
    '{}',
    'range(1)',
    '{}.items()',
    "[]|map('string')",
    'range',
    'namespace()',
  ];
  const column = (name: string) => values.map((one) => `{{ '1' if ${one} is ${name} else '0' }}`).join('');
  const answers: readonly Case[] = [
    ['defined', '01111111111111111111'],
    ['undefined', '10000000000000000000'],
    ['none', '01000000000000000000'],
    ['boolean', '00110000000000000000'],
    ['true', '00100000000000000000'],
    ['false', '00010000000000000000'],
    ['integer', '00001100000000000000'],
    ['float', '00000010000000000000'],
    ['number', '00111110000000000000'],
    ['string', '00000001111100000000'],
    ['mapping', '00000000000000100000'],
    ['sequence', '10000001111111110000'],
    ['iterable', '10000001111111111100'],
    ['callable', '10000000000000000010'],
  ];
  expectTexts(answers.map(([name, answer]) => [column(name), answer]));
  expectTexts(
    [
      [
        "{{ 'a1' is lower }}{{ 'aB' is lower }}{{ '1' is lower }}{{ 'A1' is upper }}{{ 'aB' is upper }}{{ '' is upper }}{{ none is lower }}{{ x is lower }}{{ 'ǅ' is upper }}{{ 'ǅ' is lower }}",
        'TrueFalseFalseTrueFalseFalseFalseFalseFalseFalse',
      ],
      [
        '{{ 3 is odd }}{{ 2 is odd }}{{ -3 is odd }}{{ 2 is even }}{{ 3 is even }}{{ 0 is even }}{{ true is odd }}{{ 2.0 is even }}{{ 2.5 is even }}{{ 2.5 is odd }}',
        'TrueFalseTrueTrueFalseTrueTrueTrueFalseFalse',
      ],
      [
        "{{ [1, 2, 3]|select('eq', 2)|list }}{{ [1, 2]|select('equalto', 1)|list }}{{ [1, 2]|select('==', 1)|list }}{{ [1, 2]|select('ne', 1)|list }}{{ [1, 2]|select('!=', 1)|list }}",
        '[2][1][1][2][2]',
      ],
      [
        "{{ l|select('lt', 2)|list }}{{ l|select('lessthan', 2)|list }}{{ l|select('<', 2)|list }}{{ l|select('le', 2)|list }}{{ l|select('<=', 2)|list }}",
        '[1][1][1][1, 2][1, 2]',
      ],
      [
        "{{ l|select('gt', 2)|list }}{{ l|select('greaterthan', 2)|list }}{{ l|select('>', 2)|list }}{{ l|select('ge', 2)|list }}{{ l|select('>=', 2)|list }}",
        '[3][3][3][3, 2][3, 2]',
      ],
      [
        "{{ l|select('in', [1, 5])|list }}{{ [6, 7, 9]|select('divisibleby', 3)|list }}{{ html|select('in', '<b>')|list }}{{ ['<b>']|select('eq', html[0])|list }}",
        "[1][6, 9]['<b>']['<b>']",
      ],
    ],
    variables,
  );
  expectRefusals(
    [
      ['{{ x is odd }}', "'x' is undefined"],
      ["{{ 'a' is even }}", 'a str is no number'],
      ["{{ [1]|select('divisibleby', 0)|list }}", 'divides by zero'],
    ],
    variables,
  );
});
