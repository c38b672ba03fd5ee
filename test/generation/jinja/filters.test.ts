// Filters of lists and dictionaries, as Jinja2 with the settings of transformers has them.
import { describe, test } from 'vitest';
import { expectRefusals, expectTexts } from './rendering.js';

const variables = {
  l: [3, 1, 2],
  words: ['b', 'A', 'c', 'a'],
  d: { b: 1, A: 2, '<': 0 },
  objs: [{ k: 'b', n: { x: 2 }, '<': 1 }, { k: 'A', n: { x: 1 } }, { k: 'c' }],
  pairs: [
    [2, 'x'],
    [1, 'y'],
  ],
  html: ['<b>', '<a>'],
  f: 2.5,
};

describe('a list', () => {
  test('is sorted, and has its extremes', () => {
    expectTexts(
      [
        [
          '{{ l|sort }}{{ l|sort(true) }}{{ l|sort(reverse=false) }}{{ words|sort }}{{ words|sort(case_sensitive=true) }}{{ words|sort(true) }}',
          "[1, 2, 3][3, 2, 1][1, 2, 3]['A', 'a', 'b', 'c']['A', 'a', 'b', 'c']['c', 'b', 'A', 'a']",
        ],
        [
          "{{ objs|sort(attribute='k')|map(attribute='k')|list }}{{ pairs|sort }}{{ pairs|sort(attribute=1, reverse=true) }}{{ pairs|sort(attribute='0') }}{{ html|sort }}{{ 'cab'|sort }}",
          "['A', 'b', 'c'][[1, 'y'], [2, 'x']][[1, 'y'], [2, 'x']][[1, 'y'], [2, 'x']]['<a>', '<b>']['a', 'b', 'c']",
        ],
        [
          '{{ l|min }}{{ l|max }}{{ words|min }}{{ words|max }}{{ words|min(case_sensitive=true) }}{{ words|max(case_sensitive=true) }}{{ [1, 1.0]|max }}{{ [1.0, 1]|min }}[{{ []|min }}][{{ []|max }}]',
          '13AcAc11.0[][]',
        ],
        [
          "{{ (objs|max(attribute='k')).k }}{{ (objs|min(attribute='k')).k }}{{ d|min }}{{ html|max }}{{ 'hello'|max }}",
          'cA<<b>o',
        ],
        [
          "{{ [1, 2, 1, 1.0, true]|unique|list }}{{ ['a', 'A', 'b']|unique|list }}{{ ['a', 'A']|unique(true)|list }}{{ objs|unique(attribute='k')|list|length }}{{ pairs|unique(attribute=0)|list|length }}",
          "[1, 2]['a', 'b']['a', 'A']32",
        ],
      ],
      variables,
    );
    expectRefusals(
      [
        ["{{ objs|sort(attribute='a,b') }}", 'sorting by several attributes is not supported'],
        ["{{ [1, 'a']|sort }}", 'cannot be ordered'],
        ['{{ [[1]]|unique }}', 'a list cannot be a key'],
        ["{{ objs|sort(attribute='n.x') }}", 'is undefined'],
      ],
      variables,
    );
  });

  test('has its first and last, is reversed, summed and joined', () => {
    expectTexts(
      [
        [
          "{{ l|first }}{{ l|last }}[{{ []|first }}][{{ []|last }}]{{ d|first }}{{ d|last }}{{ (l|map('string'))|first }}{{ {}|first is defined }}",
          '32[][]b<3False',
        ],
        [
          "{{ l|reverse|list }}{{ (1, 2)|reverse|list }}{{ l|map('string')|reverse }}{{ l|length }}{{ d|length }}{{ (1, 2)|count }}{{ range(4)|length }}{{ d.items()|length }}{{ x|length }}",
          "[2, 1, 3][2, 1]['2', '1', '3']332" + '4' + '30',
        ],
        [
          "{{ l|sum }}{{ []|sum }}{{ [1, 2.5]|sum }}{{ l|sum(start=10) }}{{ l|sum(start=0.5) }}{{ objs[:2]|sum(attribute='n.x') }}{{ [true, true]|sum }}{{ [1.5]|sum }}{{ [0.0]|sum }}",
          '603.5166.5321.50.0',
        ],
        [
          "{{ l|join }}|{{ l|join(', ') }}|{{ objs|join('-', attribute='k') }}|{{ []|join('-') }}|{{ html|join('<') }}|{{ 'abc'|join('-') }}|{{ [1, none, x, true]|join(',') }}|{{ d|join(d='+') }}|{{ l|join(7) }}",
          '312|3, 1, 2|b-A-c||<b><<a>|a-b-c|1,None,,True|b+A+<|37172',
        ],
        [
          "{{ l|list }}{{ 'ab'|list }}{{ d|list }}{{ range(2)|list }}{{ x|list }}{{ (1, 0)[:1]|list }}{{ d.items()|list }}",
          "[3, 1, 2]['a', 'b']['b', 'A', '<'][0, 1][][1][('b', 1), ('A', 2), ('<', 0)]",
        ],
      ],
      variables,
    );
    expectRefusals(
      [
        ["{{ l|map('string')|last }}", 'last needs a list'],
        ["{{ l|map('string')|length }}", 'a stream has no length'],
        ['{{ 7|length }}', 'a int has no length'],
        ['{{ none|length }}', 'a None has no length'],
        ["{{ ['a']|sum }}", 'sum needs numbers, not a str'],
        ['{{ [x]|sum }}', 'sum needs numbers, not a undefined'],
        ['{{ 7|list }}', 'a int cannot be iterated'],
        ["{{ [{}]|map(attribute='a' * 70 ~ '.b')|list }}", `'${'a'.repeat(60)}' is undefined`],
        ['{{ l|reverse }}', 'prints a stream'],
      ],
      variables,
    );
  });

  test('is mapped and chosen from', () => {
    expectTexts(
      [
        [
          "{{ words|map('upper')|join }}{{ words|map('replace', 'b', 'x')|join }}{{ objs|map(attribute='k')|join }}{{ objs[:2]|map(attribute='n.x', default=0)|join(',') }}{{ objs|map(attribute='z', default=0)|list }}",
          'BACAxAcabAc2,1[0, 0, 0]',
        ],
        [
          "{{ pairs|map(attribute=0)|list }}{{ pairs|map(attribute='1')|list }}{{ [{'x1': 1, '1x': 2}]|map(attribute='x1')|list }}{{ [{'x1': 1, '1x': 2}]|map(attribute='1x')|list }}{{ ['abcdefghijk']|map(attribute='10')|list }}{{ pairs|map('join', '-')|list }}{{ l|map('round', precision=1)|list }}{{ objs|map(attribute='z')|list }}{{ objs|map(attribute='<')|list }}",
          "[2, 1]['x', 'y'][1][2]['k']['2-x', '1-y'][3, 1, 2][Undefined, Undefined, Undefined][1, Undefined, Undefined]",
        ],
        [
          "{{ [0, 1, '', 'a', none]|select|list }}{{ [0, 1]|reject|list }}{{ l|select('odd')|list }}{{ l|reject('odd')|list }}{{ l|select('gt', 1)|list }}{{ l|reject('in', [1, 3])|list }}",
          "[1, 'a'][0][3, 1][2][3, 2][2]",
        ],
        [
          "{{ objs|selectattr('n')|list|length }}{{ objs|rejectattr('n')|list|length }}{{ objs|selectattr('k', 'eq', 'A')|list|length }}{{ objs|rejectattr('k', 'eq', 'A')|list|length }}{{ objs[:2]|selectattr('n.x', 'defined')|list|length }}{{ pairs|selectattr(0, 'eq', 1)|list }}",
          "21122[[1, 'y']]",
        ],
      ],
      variables,
    );
    expectRefusals(
      [
        ["{{ l|map('upper', 1)|list }}", 'upper() takes at most 0 arguments'],
        ['{{ l|map|list }}', 'map needs the name of a filter, or attribute'],
        ['{{ l|map(1)|list }}', 'map needs the name of a filter, or attribute'],
        ['{{ l|map(words[0])|list }}', 'uses the filter b,'],
        ["{{ l|map('to' ~ 'String')|list }}", 'uses the filter toString,'],
        ["{{ l|select('odd', a=1)|list }}", 'select and reject take no arguments by name'],
        ['{{ l|selectattr|list }}', 'selectattr and rejectattr need the name of an attribute'],
        ['{{ l|select(1)|list }}', 'a test is chosen by its name'],
        ["{{ l|select('odd', 1)|list }}", 'gives the test odd a wrong number of arguments'],
        ["{{ l|select('gt')|list }}", 'gives the test gt a wrong number of arguments'],
        ["{{ l|select('gt', 1, 2)|list }}", 'gives the test gt a wrong number of arguments'],
        ["{{ l|select('to' ~ 'String')|list }}", 'uses the test toString,'],
      ],
      variables,
    );
  });
});

test('dictionaries have their methods and filters', () => {
  expectTexts(
    [
      [
        "{{ d.get('b') }}{{ d.get('z') }}{{ d.get('z', 5) }}{{ d.get('<', 5) }}{{ {1: 2}.get(true) }}{{ {'a': none}.get('a', 1) }}",
        '1None502None',
      ],
      [
        '{{ d.keys()|list }}{{ d.values()|list }}{{ d.items()|list }}{{ d|items|list }}{{ x|items|list }}{{ d.copy() }}{{ d.copy() == d }}',
        "['b', 'A', '<'][1, 2, 0][('b', 1), ('A', 2), ('<', 0)][('b', 1), ('A', 2), ('<', 0)][]{'b': 1, 'A': 2, '<': 0}True",
      ],
      [
        "{{ d|dictsort }}{{ d|dictsort(true) }}{{ d|dictsort(by='value') }}{{ d|dictsort(reverse=true) }}{{ {'a': 'x', 'b': 'B'}|dictsort(by='value') }}{{ {'a': 'x', 'b': 'B'}|dictsort(true, 'value', true) }}",
        "[('<', 0), ('A', 2), ('b', 1)][('<', 0), ('A', 2), ('b', 1)][('<', 0), ('b', 1), ('A', 2)][('b', 1), ('A', 2), ('<', 0)][('b', 'B'), ('a', 'x')][('a', 'x'), ('b', 'B')]",
      ],
      [
        "{{ {'b': 1, 'A': 2, 'a': 3}|dictsort(true) }}{{ {'b': 1, 'C': 2}|dictsort(true) }}",
        "[('A', 2), ('a', 3), ('b', 1)][('C', 2), ('b', 1)]",
      ],
      [
        "{{ dict(a=1, b=2) }}{{ dict([('a', 1), ['b', 2]], c=3) }}{{ dict(d, b=5) }}{{ dict() }}{{ dict({1: 2}) }}{{ dict(['xy']) }}",
        "{'a': 1, 'b': 2}{'a': 1, 'b': 2, 'c': 3}{'b': 5, 'A': 2, '<': 0}{}{1: 2}{'x': 'y'}",
      ],
      [
        "{{ {'b': 1, 'C': 2, '_': 3}|dictsort }}{{ {'A': 'a', '_': '_', 'c': 'C'}|dictsort(by='value', reverse=true) }}",
        "[('_', 3), ('b', 1), ('C', 2)][('c', 'C'), ('A', 'a'), ('_', '_')]",
      ],
      [
        "{{ {'a': 1, 'A': 2}|dictsort }}{{ {'a': 1, 'A': 2}|dictsort(reverse=true) }}{{ ['a', '_', 'B']|sort }}{{ ['ß', 'SS']|unique|list }}",
        "[('a', 1), ('A', 2)][('a', 1), ('A', 2)]['_', 'a', 'B']['ß', 'SS']",
      ],
    ],
    variables,
  );
  expectRefusals(
    [
      ['{{ l|items }}', 'items needs a dictionary, not a list'],
      ['{{ l|dictsort }}', 'dictsort needs a dictionary, not a list'],
      ["{{ d|dictsort(by='x') }}", "dictsort sorts by 'key' or by 'value'"],
      ['{{ dict(1, 2) }}', 'dict() takes at most one argument'],
      ['{{ dict([(1, 0)[:1]]) }}', 'dict() needs pairs of a key and a value'],
      ['{{ dict([(1, 2, 3)]) }}', 'dict() needs pairs of a key and a value'],
      ['{{ dict([(0, 0)[:0]]) }}', 'dict() needs pairs of a key and a value'],
      ['{{ dict([([], 1)]) }}', 'a list cannot be a key'],
      ['{{ namespace({1: 2}) }}', 'namespace() needs texts as names'],
      ['{{ namespace(1, 2) }}', 'namespace() takes at most one argument'],
      ['{{ d.get() }}', 'get() needs the argument key'],
    ],
    variables,
  );
});

test.each(
  'abs capitalize count first items last length list lower reverse safe string title upper wordcount'.split(' '),
)('the filter %s takes no arguments', (name) => {
  expectRefusals([[`{{ d|${name}(1) }}`, `${name}() takes at most 0 arguments`]], variables);
});

test('values have defaults', () => {
  expectTexts(
    [
      [
        "{{ x|default('q') }}{{ x|default }}{{ 0|default('q') }}{{ 0|default('q', true) }}{{ none|default('q') }}{{ none|default('q', boolean=true) }}{{ ''|d('q', true) }}{{ x|d('q') }}{{ l|default('q', true) }}{{ x|default(default_value=1) }}",
        'q0qNoneqqq[3, 1, 2]1',
      ],
      ["{{ d.z|default(d.zz)|default('q') }}{{ d.b|d('q') }}", 'q1'],
    ],
    variables,
  );
});

test.each(['copy', 'items', 'keys', 'values'])('the method %s of a dictionary takes no arguments', (name) => {
  expectRefusals([[`{{ d.${name}(1) }}`, `${name}() takes at most 0 arguments`]], variables);
});
