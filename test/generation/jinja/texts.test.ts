// Texts: their methods and the filters that make texts, as Python and Jinja2 compute them.
import { describe, expect, test } from 'vitest';
import { expectRefusals, expectTexts, render } from './rendering.js';

const variables = {
  s: 'Hello World',
  html: '<b>[x]</b>',
  spaced: ' \t a  b \n',
  wide: 'héé😀z😀',
  lines: 'a\nb\r\nc\rd\u2028e\n',
  marks: 'a\vb\fc\x1cd\x1ee\x85f\u2029gVh',
  list: 'a,b,,c',
  empty: '',
};

describe('a text', () => {
  test('has its case changed', () => {
    expectTexts(
      [
        [
          "{{ s.upper() }}|{{ s.lower() }}|{{ 'éß'.upper() }}|{{ s|upper }}|{{ s|lower }}",
          'HELLO WORLD|hello world|ÉSS|HELLO WORLD|hello world',
        ],
        [
          "{{ 'hELLO wORLD'.capitalize() }}|{{ 'hELLO wORLD'|capitalize }}|{{ ''|capitalize }}",
          'Hello world|Hello world|',
        ],
        ["{{ 'ab cd-ef_gh ij2kl'.title() }}", 'Ab Cd-Ef_Gh Ij2Kl'],
        ['{{ "they\'re aB".title() }}|{{ "they\'re aB"|title }}', "They'Re Ab|They're Ab"],
        ["{{ 'ab cd-ef(gh[ij{kl<mn_op  qr'|title }}|{{ '-ab- '|title }}", 'Ab Cd-Ef(Gh[Ij{Kl<Mn_op  Qr|-Ab- '],
        ['{{ html|title }}|{{ html|upper }}|{{ html|capitalize }}|{{ 7|upper }}', '<B>[X]</b>|<B>[X]</B>|<b>[x]</b>|7'],
      ],
      variables,
    );
  });

  test('is stripped at its sides', () => {
    expectTexts(
      [
        ['[{{ spaced.strip() }}][{{ spaced.lstrip() }}][{{ spaced.rstrip() }}]', '[a  b][a  b \n][ \t a  b]'],
        ["[{{ spaced|trim }}][{{ '  '|trim }}][{{ ' '.lstrip() }}][{{ ' '.rstrip() }}]", '[a  b][][][]'],
        [
          "{{ html.strip('<>b') }}|{{ html.lstrip('<>b') }}|{{ html.rstrip('<>b') }}|{{ html|trim('<>') }}",
          '[x]</|[x]</b>|<b>[x]</|b>[x]</b',
        ],
        [
          "{{ 'xxaxx'.strip('x') }}|{{ 'xxaxx'.lstrip('x') }}|{{ 'xxaxx'.rstrip('x') }}|{{ 'xx'.strip('x') }}|",
          'a|axx|xxa||',
        ],
        [
          "{{ wide.strip('😀h') }}|{{ wide.rstrip('😀') }}|{{ '😀😀'.strip('😀') }}|{{ '😀a😀'.lstrip('😀') }}",
          'éé😀z|héé😀z||a😀',
        ],
        ["{{ '\u00a0\u2003\u3000a\x1c\x85'.strip() }}|{{ 'a'.strip('') }}|{{ ' a '.strip(none) }}|", 'a|a|a|'],
      ],
      variables,
    );
  });

  test('is split', () => {
    expectTexts(
      [
        [
          "{{ list.split(',') }}{{ list.split(',', 1) }}{{ list.split(',', 0) }}{{ list.split(',', -1) }}{{ list.split(',', maxsplit=2) }}{{ list.split(',', true) }}",
          "['a', 'b', '', 'c']['a', 'b,,c']['a,b,,c']['a', 'b', '', 'c']['a', 'b', ',c']['a', 'b,,c']",
        ],
        [
          "{{ list.rsplit(',') }}{{ list.rsplit(',', 1) }}{{ list.rsplit(',', 2) }}{{ list.rsplit(',', 3) }}{{ list.rsplit(',', 4) }}{{ list.rsplit(',', 0) }}{{ list.rsplit(',', 9) }}",
          "['a', 'b', '', 'c']['a,b,', 'c']['a,b', '', 'c']['a', 'b', '', 'c']['a', 'b', '', 'c']['a,b,,c']['a', 'b', '', 'c']",
        ],
        [
          "{{ spaced.split() }}{{ spaced.rsplit() }}{{ 'a b  c '.split(none, 1) }}{{ ' a b c'.split(none, 2) }}{{ ''.split() }}{{ ' '.split() }}",
          "['a', 'b']['a', 'b']['a', 'b  c ']['a', 'b', 'c'][][]",
        ],
        [
          "{{ 'a b'.split(none, 0) }}{{ ' a b'.split(maxsplit=0) }}{{ 'ab'.split() }}{{ 'a b c'.split(none, -1) }}",
          "['a b']['a b']['ab']['a', 'b', 'c']",
        ],
        [
          "{{ ''.split(',') }}{{ 'abab'.split('ab') }}{{ html.split('<') }}{{ 'aaa'.split('aa') }}",
          "['']['', '', '']['', 'b>[x]', '/b>']['', 'a']",
        ],
        [
          "{{ lines.splitlines() }}{{ lines.splitlines(true) }}{{ marks.splitlines() }}{{ 'a'.splitlines() }}{{ ''.splitlines() }}{{ '\\n'.splitlines() }}{{ 'a\\n\\nb'.splitlines(keepends=true) }}",
          "['a', 'b', 'c', 'd', 'e']['a\\n', 'b\\r\\n', 'c\\r', 'd\\u2028', 'e\\n']['a', 'b', 'c', 'd', 'e', 'f', 'gVh']['a'][]['']['a\\n', '\\n', 'b']",
        ],
        [
          "{{ list.partition(',') }}{{ list.rpartition(',') }}{{ list.partition(';') }}{{ list.rpartition(';') }}{{ ',a'.partition(',') }}{{ 'a,'.rpartition(',') }}",
          "('a', ',', 'b,,c')('a,b,', ',', 'c')('a,b,,c', '', '')('', '', 'a,b,,c')('', ',', 'a')('a', ',', '')",
        ],
        [
          "{{ html.partition('b>') }}{{ html.rpartition('b>') }}{{ 'aXXbXXc'.rpartition('XX') }}",
          "('<', 'b>', '[x]</b>')('<b>[x]</', 'b>', '')('aXXb', 'XX', 'c')",
        ],
      ],
      variables,
    );
  });

  test('has parts replaced', () => {
    expectTexts(
      [
        [
          "{{ list.replace(',', '-') }}|{{ list.replace(',', '-', 1) }}|{{ list.replace(',', '-', 0) }}|{{ list.replace(',', '') }}|{{ list.replace(',', '-', -1) }}",
          'a-b--c|a-b,,c|a,b,,c|abc|a-b--c',
        ],
        [
          "{{ 'ab'.replace('', '-') }}|{{ 'ab'.replace('', '-', 0) }}|{{ 'ab'.replace('', '-', 1) }}|{{ 'ab'.replace('', '-', 2) }}|{{ 'ab'.replace('', '-', 3) }}|{{ 'ab'.replace('', '-', 4) }}|{{ ''.replace('', '-') }}",
          '-a-b-|ab|-ab|-a-b|-a-b-|-a-b-|-',
        ],
        [
          "{{ wide.replace('😀', '!') }}|{{ '😀'.replace('', '-') }}|{{ html|replace('b', 'c') }}|{{ html|replace('<', '(', 1) }}|{{ 77|replace('7', '8', count=1) }}",
          'héé!z!|-😀-|<c>[x]</c>|(b>[x]</b>|87',
        ],
        [
          "{{ s.removeprefix('Hello ') }}|{{ s.removeprefix('World') }}|{{ s.removesuffix('World') }}|{{ s.removesuffix('Hello') }}|{{ s.removesuffix('') }}|{{ s.removeprefix('') }}",
          'World|Hello World|Hello |Hello World|Hello World|Hello World',
        ],
        [
          "{{ html.removeprefix('<b>') }}|{{ html.removesuffix('</b>') }}|{{ html.removesuffix('x') }}",
          '[x]</b>|<b>[x]|<b>[x]</b>',
        ],
      ],
      variables,
    );
  });

  test('is searched', () => {
    expectTexts(
      [
        [
          "{{ s.find('o') }} {{ s.rfind('o') }} {{ s.find('x') }} {{ s.rfind('x') }} {{ s.find('') }} {{ s.rfind('') }} {{ s.find('H') }}",
          '4 7 -1 -1 0 11 0',
        ],
        [
          "{{ wide.find('z') }} {{ wide.rfind('😀') }} {{ wide.find('😀') }} {{ html.find('<') }} {{ html.rfind('<') }}",
          '4 5 3 0 6',
        ],
        [
          "{{ s.count('o') }} {{ s.count('') }} {{ s.count('x') }} {{ 'aaaa'.count('aa') }} {{ wide.count('') }} {{ html.count('b') }} {{ ''.count('') }}",
          '2 12 0 2 7 2 1',
        ],
        [
          "{{ s.startswith('Hell') }} {{ s.startswith('World') }} {{ s.startswith(('x', 'H')) }} {{ s.startswith((0, 0)[:0]) }} {{ s.startswith('') }} {{ html.startswith('<b') }}",
          'True False True False True True',
        ],
        [
          "{{ s.endswith('rld') }} {{ s.endswith('Hello') }} {{ s.endswith(('x', 'd')) }} {{ s.endswith(('x', 'y')) }} {{ html.endswith('b>') }}",
          'True False True False True',
        ],
        [
          "{{ 'ell' in s }} {{ 'x' in s }} {{ 'x' not in s }} {{ '<' in html }} {{ '' in s }}",
          'True False True True True',
        ],
      ],
      variables,
    );
  });

  test('is asked about its characters', () => {
    const asked = ['isalpha', 'isalnum', 'isdigit', 'isdecimal', 'isnumeric', 'isspace', 'isupper', 'islower'];
    const template = asked.map((name) => `{{ '1' if x.${name}() else '0' }}`).join('');
    const answers = [
      'abé',
      'ab1',
      '12',
      '½',
      '٣',
      ' \t\u2003',
      'AB 1',
      'ab 1',
      'Ab',
      '',
      '1 2',
      'ab!',
      'a b',
      'ǅ',
      'A\nB',
      'a\nb',
      'aB',
      ' a',
      'a ',
    ];
    expect(answers.map((x) => `${x}: ${render(template, { x }, ['<', 'a'])}`)).toEqual([
      'abé: 11000001',
      'ab1: 01000001',
      '12: 01111000',
      '½: 01001000',
      '٣: 01111000',
      ' \t\u2003: 00000100',
      'AB 1: 00000010',
      'ab 1: 00000001',
      'Ab: 11000000',
      ': 00000000',
      '1 2: 00000000',
      'ab!: 00000001',
      'a b: 00000001',
      'ǅ: 11000000',
      'A\nB: 00000010',
      'a\nb: 00000001',
      'aB: 11000000',
      ' a: 00000001',
      'a : 00000001',
    ]);
  });

  test('counts a half of a pair of surrogates as a character', () => {
    for (const [x, length] of [
      ['a\ud83db', 3],
      ['\ud83d', 1],
      ['\ud83d\ud83d\ude00\ude00', 3],
      ['\ude00\ud83d', 2],
      ['\ude00a😀', 3],
    ] as const) {
      expect(render('{{ x|length }}', { x })).toBe(String(length));
    }
  });

  test('is joined, filled and counted', () => {
    expectTexts(
      [
        [
          "{{ ', '.join(['a', 'b']) }}|{{ ''.join(list) }}|{{ '-'.join([]) }}|{{ '<'.join(('a', html)) }}|{{ '-'.join({'k': 1}) }}",
          'a, b|a,b,,c||a<<b>[x]</b>|k',
        ],
        [
          "{{ 'ab'.ljust(4) }}|{{ 'ab'.rjust(4) }}|{{ 'ab'.ljust(2) }}|{{ 'ab'.rjust(1) }}|{{ '😀'.ljust(3) }}|{{ '😀'.rjust(3) }}|{{ 'ab'.rjust(-1) }}",
          'ab  |  ab|ab|ab|😀  |  😀|ab',
        ],
        [
          "[{{ 'ab'|center(6) }}][{{ 'ab'|center(5) }}][{{ 'a'|center(4) }}][{{ 'a'|center(3) }}][{{ 'abc'|center(2) }}][{{ 'abc'|center(3) }}][{{ 'a'|center }}]",
          `[  ab  ][  ab ][ a  ][ a ][abc][abc][${' '.repeat(39)}a${' '.repeat(40)}]`,
        ],
        [
          "{{ 'a b, c-d e_f'|wordcount }} {{ ''|wordcount }} {{ html|wordcount }} {{ wide|wordcount }} {{ 7|wordcount }}",
          '5 0 3 2 1',
        ],
        ["{{ s|length }} {{ wide|length }} {{ ''|length }} {{ html|count }} {{ '😀'|length }}", '11 6 0 10 1'],
        [
          '{{ s|reverse }}|{{ wide|reverse }}|{{ s|first }}{{ s|last }}|{{ wide|last }}|{{ s|list|length }}|{{ 7|string ~ 1 }}|{{ html|string }}',
          'dlroW olleH|😀z😀ééh|Hd|😀|11|71|<b>[x]</b>',
        ],
      ],
      variables,
    );
  });

  test('is indented', () => {
    expectTexts(
      [
        [
          "{{ 'a\\nb\\n\\nc'|indent }}|{{ 'a\\nb'|indent(2) }}|{{ 'a\\nb'|indent('> ') }}|{{ 'a\\nb'|indent(width=1) }}|{{ 'a\\nb'|indent(0) }}|{{ 'a\\nb'|indent(-1) }}",
          'a\n    b\n\n    c|a\n  b|a\n> b|a\n b|a\nb|a\nb',
        ],
        [
          "{{ 'a\\n\\nb'|indent(1, true) }}|{{ 'a\\n\\nb'|indent(1, false, true) }}|{{ 'a\\n\\nb'|indent(1, first=true, blank=true) }}|{{ 'a\\n'|indent(2) }}|{{ 'a\\n'|indent(2, blank=true) }}|{{ ''|indent(2, true) }}|",
          ' a\n\n b|a\n \n b| a\n \n b|a\n|a\n  |  |',
        ],
        ["{{ html|indent(2, true) }}|{{ 'a\\r\\nb'|indent(1) }}", '  <b>[x]</b>|a\n b'],
      ],
      variables,
    );
  });

  test('is formatted', () => {
    expectTexts(
      [
        [
          "{{ '{} {}'.format('a', 2) }}|{{ '{1} {0} {1}'.format('a', 'b') }}|{{ '{x}{y}'.format(x=1, y=html) }}|{{ '{{}}{}'.format(none) }}|{{ '{0}{{{1}}}'.format(1, 2) }}|{{ ''.format() }}|{{ '{x1}{1x}{10}'.format(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 'ten', **{'x1': 'a', '1x': 'b'}) }}",
          'a 2|b a b|1<b>[x]</b>|{}None|1{2}||abten',
        ],
        [
          "{{ '%s-%d-%i%%' % ('a', 3, 4) }}|{{ '%s' % html }}|{{ '%s %s' % (1, [2]) }}|{{ 'x' % [1] }}|{{ '%s' % [1, 2] }}|{{ 'x' % {'a': 1} }}|{{ '%s' % {'a': 1} }}|{{ '%%' % (0, 0)[:0] }}",
          "a-3-4%|<b>[x]</b>|1 [2]|x|[1, 2]|x|{'a': 1}|%",
        ],
        ["{{ '%s and %d'|format('a', 1) }}|{{ 'x'|format }}|{{ '%s'|format(html) }}", 'a and 1|x|<b>[x]</b>'],
      ],
      variables,
    );
  });
});

test.each(
  'capitalize isalnum isalpha isdecimal isdigit islower isnumeric isspace isupper lower title upper'.split(' '),
)('the method %s takes no arguments', (name) => {
  expectRefusals([[`{{ s.${name}(1) }}`, `${name}() takes at most 0 arguments`]], variables);
});

test('the message of a missing argument names it', () => {
  expect(() => render('{{ s.find() }}', variables)).toThrow(/^find\(\) needs the argument sub$/);
});

test('what is formatted, replaced or filled has a limit as a whole', () => {
  const x = 'a'.repeat(300_000);
  const given = 'x, x, x, x, x, x, x, x';
  const message = 'makes a text of more than';
  expectRefusals(
    [
      [`{{ '${'{}'.repeat(8)}'.format(${given})|length }}`, message],
      [`{{ ('${'%s'.repeat(8)}' % (${given}))|length }}`, message],
      ["{{ ('a' * 1000).replace('', 'b' * 3000)|length }}", message],
      ["{{ 'a'.ljust(3000000)|length }}", message],
    ],
    { x },
  );
  expect(
    render(
      "{{ ('a' * 1000).replace('', 'b' * 900)|length }} {{ '{}{}'.format(x, x)|length }}{{ ('%s%s' % (x, x))|length }}",
      { x },
    ),
  ).toBe('901900 600000600000');
});

test('what Python does not do, or is not supported, is refused', () => {
  expectRefusals(
    [
      ["{{ s.split('') }}", 'a separator that is not empty'],
      ['{{ s.rsplit(none, 1) }}', 'rsplit() with maxsplit needs a separator'],
      ['{{ s.rsplit(none, 0) }}', 'rsplit() with maxsplit needs a separator'],
      ["{{ s.partition('') }}", 'a separator that is not empty'],
      ["{{ ''.join([1]) }}", 'join() needs texts, not a int'],
      ["{{ '{}'.format() }}", 'format() is not given {}'],
      ["{{ '{1}'.format(1) }}", 'format() is not given {1}'],
      ["{{ '{x}'.format(1) }}", 'format() is not given {x}'],
      ["{{ '{:d}'.format(1) }}", 'supports only the fields'],
      ["{{ '{'.format(1) }}", 'supports only the fields'],
      ["{{ '}'.format(1) }}", 'supports only the fields'],
      ["{{ '{x y}'.format(1) }}", 'supports only the fields'],
      ["{{ '{a!}'.format(1) }}", 'supports only the fields'],
      ["{{ '{}'.format(x) }}", "'x' is undefined"],
      ["{{ '%s %s' % 'a' }}", '% is given too few values'],
      ["{{ '%s' % (1, 2) }}", '% is given too many values'],
      ["{{ 'x' % 1 }}", '% is given too many values'],
      ["{{ '%d' % 'a' }}", '% supports only %s and %d of a text, not %d'],
      ["{{ '%x' % 1 }}", 'not %x'],
      ["{{ '%' % 1 }}", 'not %'],
      ["{{ '%s'|format(x=1) }}", 'format takes no arguments by name'],
      ['{{ 7|indent }}', 'indent needs a text, not a int'],
      ['{{ s.startswith(7) }}', 'startswith() needs a text or a tuple of texts as prefix, not a int'],
      ["{{ s.startswith((1, 'a')) }}", 'needs a text or a tuple of texts as prefix, not a tuple'],
      ["{{ s.startswith(['a']) }}", 'needs a text or a tuple of texts as prefix, not a list'],
      ['{{ s.strip(7) }}', 'strip() needs a text as chars, not a int'],
      ["{{ s.split(',', 'a') }}", 'split() needs an integer as maxsplit, not a str'],
      ['{{ s.find() }}', 'find() needs the argument sub'],
      ["{{ s.upper('a') }}", 'upper() takes at most 0 arguments'],
      ["{{ s.strip(charz='a') }}", 'strip() takes no argument charz'],
      ["{{ s.split(',', sep=',') }}", 'split() is given sep twice'],
      ['{{ 1 in s }}', "'in' needs a text on its left, not a int"],
    ],
    variables,
  );
});
