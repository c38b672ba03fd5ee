// The filters of numbers, ranges, and the time.
import { afterEach, describe, expect, test, vi } from 'vitest';
import { expectRefusals, expectTexts, render } from './rendering.js';

const variables = { l: [3, 1, 2] };

describe('numbers', () => {
  test('are made of texts and other values', () => {
    const texts = [
      '12',
      ' 12 ',
      '-7',
      '+7',
      '1_000',
      '1__0',
      '_1',
      '1_',
      '012',
      '0',
      '1.9',
      '-1.9',
      '1e3',
      '.5',
      '5.',
      '1_0.5',
      'a',
      '',
      '0x1f',
      '1 2',
      'inf',
      'nan',
      '1e',
      '٣',
    ];
    const ints = texts.map((x) => render('{{ x|int }}', { x }));
    expect(Object.fromEntries(texts.map((x, i) => [x, ints[i]]))).toEqual({
      '12': '12',
      ' 12 ': '12',
      '-7': '-7',
      '+7': '7',
      '1_000': '1000',
      '1__0': '0',
      _1: '0',
      '1_': '0',
      '012': '12',
      '0': '0',
      '1.9': '1',
      '-1.9': '-1',
      '1e3': '1000',
      '.5': '0',
      '5.': '5',
      '1_0.5': '10',
      a: '0',
      '': '0',
      '0x1f': '0',
      '1 2': '0',
      inf: '0',
      nan: '0',
      '1e': '0',
      '٣': '0',
    });
    const floats = texts.map((x) => render('{{ x|float }}', { x }));
    expect(Object.fromEntries(texts.map((x, i) => [x, floats[i]]))).toEqual({
      '12': '12.0',
      ' 12 ': '12.0',
      '-7': '-7.0',
      '+7': '7.0',
      '1_000': '1000.0',
      '1__0': '0.0',
      _1: '0.0',
      '1_': '0.0',
      '012': '12.0',
      '0': '0.0',
      '1.9': '1.9',
      '-1.9': '-1.9',
      '1e3': '1000.0',
      '.5': '0.5',
      '5.': '5.0',
      '1_0.5': '10.5',
      a: '0.0',
      '': '0.0',
      '0x1f': '0.0',
      '1 2': '0.0',
      inf: 'inf',
      nan: 'nan',
      '1e': '0.0',
      '٣': '0.0',
    });
  });

  test('are read in other bases, and have a default', () => {
    expectTexts(
      [
        [
          "{{ '1f'|int(base=16) }} {{ '0x1F'|int(base=16) }} {{ '0X_1f'|int(base=16) }} {{ '0b101'|int(base=2) }} {{ '0o17'|int(base=8) }} {{ 'zz'|int(base=36) }} {{ '12'|int(base=2) }} {{ '-0xf'|int(0, 16) }} {{ '8'|int(base=8) }}",
          '31 31 31 5 15 1295 12 -15 8',
        ],
        [
          "{{ '0x1f'|int(base=0) }} {{ '0b11'|int(base=0) }} {{ '0o7'|int(base=0) }} {{ '12'|int(base=0) }} {{ '012'|int(base=0) }} {{ '00'|int(base=0) }} {{ '0_0'|int(base=0) }} {{ '0b11'|int(base=16) }} {{ '0b1'|int(base=12) }}",
          '31 3 7 12 12 0 0 2833 133',
        ],
        [
          "{{ 'a'|int(5) }} {{ 'a'|int(default=none) }} {{ none|int }} {{ none|int(5) }} {{ []|int }} {{ 2.9|int }} {{ -2.9|int }} {{ true|int }} {{ 'a'|float(1.5) }} {{ none|float }} {{ []|float(none) }} {{ true|float }} {{ '7'|float(1) }}",
          '5 None 0 5 0 2 -2 1 1.5 0.0 None 1.0 7.0',
        ],
        [
          "{{ '+inf'|float }} {{ '-Infinity'|float }} {{ 'INF'|float }} {{ '-nan'|float }} {{ '1e5'|float }} {{ '1E+5'|float }} {{ '1e-5'|float }} {{ '1_0e1_0'|float }} {{ '.'|float }} {{ 'infx'|float }} {{ 'xinf'|float }} {{ 'nanx'|float }} {{ 'xnan'|float }}",
          'inf -inf inf nan 100000.0 100000.0 1e-05 100000000000.0 0.0 0.0 0.0 0.0 0.0',
        ],
        [
          "{{ 'x1'|int }} {{ '1x'|int }} {{ '1.5x'|float }} {{ 'x1.5'|float }} {{ '1'|int(base=1) }} {{ '1'|int(base=37) }} {{ '10'|int(base=2) }} {{ '10'|int(base=36) }} {{ 'a'|int(base=37) }} {{ '1_ff'|int(base=16) }} {{ '1_ff_0'|int(base=16) }}",
          '0 0 0.0 0.0 1 1 2 36 0 511 8176',
        ],
      ],
      variables,
    );
    expectRefusals(
      [
        ['{{ x|int }}', "'x' is undefined"],
        ['{{ x|float }}', "'x' is undefined"],
        ["{{ '99999999999999999'|int }}", 'an integer is too large'],
        ["{{ '1e300'|float|int }}", 'an integer is too large'],
        ["{{ '1'|int(base='a') }}", 'int() needs an integer as base, not a str'],
      ],
      variables,
    );
  });

  test('are rounded, and have no sign', () => {
    expectTexts(
      [
        [
          '{{ 2.5|round }} {{ 3.5|round }} {{ -2.5|round }} {{ 2.4|round }} {{ 2.6|round }} {{ 0.5|round }} {{ 1.5|round }} {{ -0.5|round }} {{ 2|round }} {{ true|round }} {{ -7.6|round }}',
          '2.0 4.0 -2.0 2.0 3.0 0.0 2.0 -0.0 2 1 -8.0',
        ],
        [
          '{{ 2.345|round(2) }} {{ 2.355|round(2) }} {{ 0.125|round(2) }} {{ 0.375|round(2) }} {{ 42.55|round(1) }} {{ 9.995|round(2) }} {{ 1.005|round(2) }} {{ 123.456|round(precision=1) }} {{ 7|round(2) }} {{ 9.99|round(1) }}',
          '2.35 2.35 0.12 0.38 42.5 9.99 1.0 123.5 7 10.0',
        ],
        [
          "{{ 2.1|round(method='ceil') }} {{ 2.9|round(method='floor') }} {{ -2.1|round(0, 'ceil') }} {{ -2.1|round(0, 'floor') }} {{ 2.11|round(1, 'ceil') }} {{ 2.19|round(1, 'floor') }} {{ 7|round(0, 'ceil') }} {{ 2.5|round(0, 'common') }} {{ -0.5|round(0, 'ceil') }}",
          '3.0 2.0 -2.0 -3.0 2.2 2.1 7.0 2.0 0.0',
        ],
        [
          "{{ '1e15'|float|round }} {{ 123456789012345.6|round }} {{ '1e300'|float|round(3) }} {{ 'inf'|float|round }} {{ 'nan'|float|round }} {{ 999999999999999.5|round }} {{ 0.1|round(15) }}",
          '1000000000000000.0 123456789012346.0 1e+300 inf nan 1000000000000000.0 0.1',
        ],
        ['{{ -5|abs }} {{ 5|abs }} {{ -2.5|abs }} {{ true|abs }} {{ -0.0|abs }}', '5 5 2.5 1 0.0'],
      ],
      variables,
    );
    expectRefusals(
      [
        ["{{ 2.5|round(0, 'up') }}", 'round knows common, ceil and floor'],
        ["{{ 'a'|round }}", 'round needs a number, not a str'],
        ['{{ x|round }}', 'round needs a number, not a undefined'],
        ['{{ 2.5|round(-1) }}', 'round supports a precision of 0 to 15'],
        ['{{ 2.5|round(16) }}', 'round supports a precision of 0 to 15'],
        ["{{ 'a'|abs }}", 'a str is no number'],
        ["{{ 'inf'|float|round(0, 'ceil') }}", 'a number that is not finite'],
        ["{{ 'nan'|float|round(method='floor') }}", 'a number that is not finite'],
      ],
      variables,
    );
  });
});

test('ranges', () => {
  expectTexts([
    [
      '{{ range(3)|list }}{{ range(1, 3)|list }}{{ range(0, 5, 2)|list }}{{ range(3, 0, -1)|list }}{{ range(0)|list }}{{ range(3, 1)|list }}{{ range(1, 6, 3)|list }}{{ range(5, 0, -2)|list }}',
      '[0, 1, 2][1, 2][0, 2, 4][3, 2, 1][][][1, 4][5, 3, 1]',
    ],
    ['{{ range(100000)|length }}{{ range(0, -100000, -1)[-1] }}', '100000-99999'],
  ]);
  expectRefusals([
    ['{{ range(100001) }}', 'asks for a range of 100001, more than 100000'],
    ['{{ range() }}', 'calls range() with wrong arguments'],
    ['{{ range(1, 2, 3, 4) }}', 'calls range() with wrong arguments'],
    ['{{ range(1, 2, 0) }}', 'calls range() with wrong arguments'],
    ['{{ range(1, stop=2) }}', 'calls range() with wrong arguments'],
    ["{{ range('a') }}", 'calls range() with a str, not an integer'],
    ['{{ range(1.5) }}', 'calls range() with a float, not an integer'],
    ["{{ raise_exception('no ' ~ 1) }}", 'refuses the messages: no 1'],
    ['{{ raise_exception() }}', 'raise_exception() needs the argument message'],
    ['{{ raise_exception(message=[1]) }}', 'refuses the messages: [1]'],
    ['{{ strftime_now() }}', 'strftime_now() needs the argument format'],
    ["{{ strftime_now('%Q') }}", 'uses %Q in strftime_now'],
    ["{{ strftime_now('%-Q') }}", 'uses %-Q in strftime_now'],
  ]);
});

describe('the time', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  const codes = '%Y %y %m %d %e %j %H %I %M %S %p %b %h %B %a %A %F %T %% %-d %-m %-j %-H %-I %-M %-S %-y %-Y';
  test.each([
    [
      new Date(2005, 2, 7, 0, 4, 9),
      '2005 05 03 07  7 066 00 12 04 09 AM Mar Mar March Mon Monday 2005-03-07 00:04:09 % 7 3 66 0 12 4 9 5 2005',
    ],
    [
      new Date(2024, 11, 31, 23, 59, 58),
      '2024 24 12 31 31 366 23 11 59 58 PM Dec Dec December Tue Tuesday 2024-12-31 23:59:58 % 31 12 366 23 11 59 58 24 2024',
    ],
    [
      new Date(2000, 0, 1, 12, 0, 0),
      '2000 00 01 01  1 001 12 12 00 00 PM Jan Jan January Sat Saturday 2000-01-01 12:00:00 % 1 1 1 12 12 0 0 0 2000',
    ],
  ])('is written as strftime writes it: %s', (time, text) => {
    vi.useFakeTimers({ now: time, toFake: ['Date'] });
    expect(render(`{{ strftime_now('${codes}') }}`)).toBe(text);
    expect(render("{{ strftime_now(format='100% %Y') }}{{ strftime_now('') }}", {}, ['0', '1'])).toBe(
      `100% ${time.getFullYear()}`,
    );
  });
});
