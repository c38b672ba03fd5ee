// None is a value: members, arguments and elements that are None are there, and are not undefined.
import { test } from 'vitest';
import { expectTexts } from './rendering.js';

const variables = {
  message: { role: 'assistant', content: null },
  l: [null, 1, null],
  objs: [{ k: null }, { k: 1 }, {}],
};

test('members and elements', () => {
  expectTexts(
    [
      [
        '{{ message.content }}{{ message["content"] }}{{ message.content is none }}{{ message.content is defined }}',
        'NoneNoneTrueTrue',
      ],
      ["{% if message.content is not none %}text{% else %}call{% endif %}{{ message.content or 'no' }}", 'callno'],
      [
        "{{ message.get('content', 1) }}{{ message.get('contents', 1) }}{{ [message.content, message.contents] }}",
        'None1[None, Undefined]',
      ],
      [
        '{{ l[0] }}{{ (none, 1)[0] }}{{ l|first }}{{ l|last }}{{ [none]|max }}{{ [none]|min }}',
        'NoneNoneNoneNoneNoneNone',
      ],
      [
        "{{ objs|map(attribute='k')|list }}{{ objs|map(attribute='k', default=5)|list }}{{ objs|map(attribute='k', default=none)|list }}",
        '[None, 1, Undefined][None, 1, 5][None, 1, Undefined]',
      ],
      [
        '{% for x in l %}{{ loop.previtem }},{{ loop.nextitem }},{{ loop.previtem is defined }};{% endfor %}',
        ',1,False;None,None,True;1,,True;',
      ],
      ["{% set n = namespace(a=none) %}{% set n.b = none %}{{ n.a }}{{ n.b }}{{ n['b'] }}", 'NoneNoneNone'],
    ],
    variables,
  );
});

test('arguments', () => {
  const macro = '{% macro m(a, b=2, c=a) %}[{{ a }}|{{ b }}|{{ c }}{{ a is defined }}]{% endmacro %}';
  expectTexts(
    [
      [
        `${macro}{{ m(none, none) }}{{ m(a=none, b=none) }}{{ m(*l) }}`,
        '[None|None|NoneTrue][None|None|NoneTrue][None|1|NoneTrue]',
      ],
      [
        '{% macro m() %}{{ caller(none) }}{% endmacro %}{% call(x) m() %}{{ x }}{{ x is none }}{% endcall %}',
        'NoneTrue',
      ],
      ['{{ none|default(1) }}{{ none|default(1, true) }}{{ x|default(none) }}', 'None1None'],
    ],
    variables,
  );
});
