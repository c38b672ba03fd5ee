// The table of docs/ERRORS.md has every code, with the class that jobFailureOf gives it.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { jobFailureOf } from '../../src/jobs/index.js';

const root = resolve(import.meta.dirname, '../..');

test('docs/ERRORS.md has all codes and their classes', () => {
  const text = readFileSync(resolve(root, 'docs/ERRORS.md'), 'utf8');
  const rows = [...text.matchAll(/^\| `(ERR_\w+)` \| `(\w+)` \|/gm)].map(
    ([, code, failure]) => [code, failure] as const,
  );
  const source = readFileSync(resolve(root, 'src/base/errors.ts'), 'utf8');
  const codes = [...source.matchAll(/^ {2}\| '(ERR_\w+)'/gm)].map(([, code]) => code);
  expect(codes.length).toBeGreaterThan(20);
  expect(rows.map(([code]) => code).sort()).toEqual(codes.sort());
  for (const [code, failure] of rows) expect({ code, failure }).toEqual({ code, failure: jobFailureOf({ code }) });
});
