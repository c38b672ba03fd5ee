// What is true, equal, before another value, or in one: as Python has it.
import { describe, test } from 'vitest';
import { type Case, expectRefusals, expectTexts, ordinaryValues as variables } from './rendering.js';

describe('values', () => {
  const truths = [
    '0',
    '1',
    '-1',
    '0.0',
    '0.1',
    "''",
    "'a'",
    '[]',
    '[0]',
    '(0, 0)[:0]',
    '(0, 0)[:1]',
    '{}',
    '{0: 0}',
    'none',
    'true',
    'false',
    'x',
    'range(0)',
    'range(1)',
    '{}.items()',
    'd.items()',
    'range',
    'namespace()',
    "[]|map('string')",
  ];

  test('are true or not', () => {
    const template = truths.map((one) => `{{ 'y' if ${one} else 'n' }}`).join('');
    expectTexts(
      [
        [template, 'nyynynynynynynynnnynyyyy'],
        [truths.map((one) => `{{ 'n' if not (${one}) else 'y' }}`).join(''), 'nyynynynynynynynnnynyyyy'],
        [
          "{{ 0 or 'a' }}{{ 1 or 'a' }}{{ 0 and 'a' }}{{ 1 and 'a' }}{{ '' or [] or none }}{{ 1 and 2 and 3 }}{{ not 0 and 1 }}",
          'a10aNone31',
        ],
      ],
      variables,
    );
  });

  test('are equal or not', () => {
    const equal = [
      '1 == 1.0',
      '1 == true',
      '0 == false',
      '[1, [2]] == [1.0, [2]]',
      '(1, 2) == (1, 2)',
      "{'a': [1]} == {'a': [1]}",
      "{1: 'a'} == {1.0: 'a'}",
      'none == none',
      'x == y',
      'range(3) == range(3)',
      'range(0, 3, 2) == range(0, 4, 2)',
      'html == "<b>"',
      '{} == {}',
      "{'a': 1, 'b': 2} == {'b': 2, 'a': 1}",
      "'nan'|float != 'nan'|float",
    ];
    const unequal = [
      '1 == 2',
      "1 == '1'",
      "'1' == 1",
      '1 == none',
      'none == 0',
      '[1] == (1, 0)[:1]',
      '(1, 0)[:1] == [1]',
      '[1] == [1, 2]',
      '[1, 2] == [1, 3]',
      '(1, 2) == (1, 3)',
      '{} == none',
      'none == {}',
      '{} == x',
      '[1, 2] == [1]',
      '[1] == [2]',
      '(1, 0)[:1] == (2, 0)[:1]',
      "{'a': 1} == {'a': 2}",
      "{'a': 1} == {'b': 1}",
      "{'a': 1} == {'a': 1, 'b': 2}",
      "{'a': 1} == {}",
      '{} == []',
      '[] == {}',
      '[] == none',
      'x == none',
      'none == x',
      "x == ''",
      "'' == x",
      'range(3) == [0, 1, 2]',
      '[0, 1, 2] == range(3)',
      'range(3) == range(4)',
      'd.items() == range(0)',
      'range(0) == d.items()',
      'range == dict',
      "html == '<c>'",
      "'a' == []",
      '1.5 == []',
    ];
    const ask = (all: readonly string[]) => all.map((one) => `{{ ${one} }}`).join('');
    expectTexts(
      [
        [ask(equal), 'True'.repeat(equal.length)],
        [ask(unequal), 'False'.repeat(unequal.length)],
        [ask(unequal.map((one) => one.replace('==', '!='))), 'True'.repeat(unequal.length)],
      ],
      variables,
    );
  });

  test('have an order', () => {
    const yes = [
      '1 < 2',
      '1 <= 1',
      '2 > 1.5',
      '2.0 >= 2',
      'false < true',
      'true < 2',
      "'a' < 'b'",
      "'a' < 'ab'",
      "'B' < 'a'",
      "'é' > 'z'",
      "'\uffff' < '😀'",
      "'😀' > '\uffff'",
      "'😀' < '😁'",
      "'' < 'a'",
      '[1, 2] < [1, 3]',
      '[1] < [1, 0]',
      '[1] < [1, none]',
      '[1] < [1, x]',
      '[2] > [1, 5]',
      '[] < [0]',
      '(1, 2) < (2, 0)[:1]',
      '(1, 0)[:1] <= (1, 0)[:1]',
      '[1, "a"] < [2, 3]',
      '[[1]] < [[2]]',
      "html < '='",
      '[1, 2] <= [1, 2]',
      '[1, 0] > [1]',
    ];
    const no = [
      '1 < 1',
      '2 <= 1',
      '1 > 1',
      '1 >= 2',
      "'a' > 'a'",
      "'a' < 'a'",
      "'b' < 'ab'",
      '[1] < [1]',
      '[1, 2] < [1]',
      '(2, 0)[:1] < (1, 9)',
      '[1] > [1]',
      "'ab' < 'a'",
      "'😀' < '\ue000'",
    ];
    const ask = (all: readonly string[]) => all.map((one) => `{{ ${one} }}`).join('');
    expectTexts(
      [
        [ask(yes), 'True'.repeat(yes.length)],
        [ask(no), 'False'.repeat(no.length)],
      ],
      variables,
    );
    const refused: readonly Case[] = [
      ["{{ 1 < 'a' }}", 'int and str cannot be ordered'],
      ["{{ 'a' < 1 }}", 'str and int cannot be ordered'],
      ['{{ none < 1 }}', 'None and int cannot be ordered'],
      ['{{ [1] < (1, 0)[:1] }}', 'list and tuple cannot be ordered'],
      ['{{ (1, 0)[:1] < [1] }}', 'tuple and list cannot be ordered'],
      ['{{ [1] < 1 }}', 'list and int cannot be ordered'],
      ['{{ 1 < [1] }}', 'int and list cannot be ordered'],
      ['{{ (1, 0)[:1] > none }}', 'tuple and None cannot be ordered'],
      ['{{ none > (1, 0)[:1] }}', 'None and tuple cannot be ordered'],
      ["{{ [1] < ['a'] }}", 'int and str cannot be ordered'],
      ['{{ {} < {} }}', 'dict and dict cannot be ordered'],
      ['{{ x < 1 }}', "'x' is undefined"],
      ['{{ 1 < x }}', "'x' is undefined"],
    ];
    expectRefusals(refused, variables);
  });

  test('are in others or not', () => {
    expectTexts(
      [
        [
          "{{ 1 in l }}{{ 9 in l }}{{ 9 not in l }}{{ 'a' in d }}{{ 'b' in d }}{{ '<k' in d }}{{ 1.0 in l }}{{ [1] in [[1]] }}{{ 1 in (1, 0)[:1] }}{{ 1 in x }}{{ 1 in range(3) }}{{ 5 in range(3) }}{{ 1 in d.values() }}",
          'TrueFalseTrueTrueFalseTrueTrueTrueTrueFalseTrueFalseTrue',
        ],
        ["{{ '1' in (l|map('string')) }}{{ none in d }}{{ (1, 2) in {(1, 2): 3} }}", 'TrueFalseTrue'],
      ],
      variables,
    );
    expectRefusals(
      [
        ['{{ 1 in 1 }}', 'a int cannot be iterated'],
        ['{{ 1 in none }}', 'a None cannot be iterated'],
        ['{{ [] in d }}', 'a list cannot be a key'],
        ["{{ none in 'a' }}", "'in' needs a text on its left, not a None"],
      ],
      variables,
    );
  });
});
