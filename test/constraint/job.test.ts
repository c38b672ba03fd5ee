// Formats as the thread for untrusted text compiles them: each kind, what is sent, and how much.
import { describe, expect, test } from 'vitest';
import { TimeSlice } from '../../src/base/time-slice.js';
import { compileFormat } from '../../src/constraint/compile/job.js';
import { readTerms } from '../../src/constraint/compiled-terms.js';
import type { Format } from '../../src/constraint/format.js';
import { Terms } from '../../src/constraint/term.js';
import { takenOf } from '../support/constraint-texts.js';

const compile = (format: Format) => compileFormat({ kind: 'format', json: JSON.stringify(format) });

describe('each kind of format is compiled', () => {
  const samples = [
    'é',
    'ab',
    '"ab"',
    '1',
    '2',
    '{"a":[1e5,true,null,false,"\\u00e9",{}]}',
    '[1,]',
    '1 ',
    '<1',
    '<3',
    '-0.5',
  ];
  const json = ['"ab"', '1', '2', '{"a":[1e5,true,null,false,"\\u00e9",{}]}', '-0.5'];
  test.each<[Format, string[]]>([
    [{ regex: 'ab|é' }, ['é', 'ab']],
    [{ jsonSchema: { enum: [1, 3] } }, ['1']],
    [{ json: true }, json],
    [{ tags: [{ begin: '<', jsonSchema: { const: 1 } }], triggers: ['<'] }, samples.filter((text) => text !== '<3')],
  ])('%j', async (format, taken) => {
    const { value, transfer } = compile(format);
    expect(transfer).toEqual([value.words.buffer, value.sets.buffer]);
    const terms = new Terms();
    const term = await readTerms(value, terms, new TimeSlice());
    expect(takenOf({ terms, term }, samples)).toEqual(taken);
  });
});

test('a format that no text matches is refused, and one of too many terms', () => {
  const refusal = (message: string) => expect.objectContaining({ code: 'ERR_FORMAT', message });
  expect(() => compile({ regex: '[]' })).toThrow(refusal('no text matches this format'));
  const words = Array.from({ length: 3000 }, (_, i) => `${i} ${'x'.repeat(140)} ${i}`);
  expect(() => compile({ jsonSchema: { enum: words } })).toThrow(
    refusal('the format is too complex: it has more than 400000 parts'),
  );
});
