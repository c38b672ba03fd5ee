// The formats of `tesserae generate`: a regular expression, a JSON schema from a file, and mistakes in them.
import { writeFileSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { temporaryFolder } from '../support/temporary-folder.js';
import { runCli, runJson } from './run-cli.js';

const folder = temporaryFolder();
afterAll(() => folder.remove());

test('constrain the text, and mistakes in them are refused', async () => {
  const file = folder.file('schema.json');
  writeFileSync(file, JSON.stringify({ type: 'object', properties: { a: { type: 'boolean' } }, required: ['a'] }));
  const byRegex = await runJson(['generate', 'Once', '--regex', '[0-9]{3}']);
  expect(byRegex).toMatchObject({ text: expect.stringMatching(/^[0-9]{3}$/), stopReason: 'eos', formatComplete: true });
  const { text } = await runJson(['generate', 'Once', '--json-schema', file]);
  expect(JSON.parse(text)).toEqual({ a: expect.any(Boolean) });
  expect((await runCli(['generate', 'Once', '--regex', '('])).code).toBe(2);
  expect((await runCli(['generate', 'Once', '--json-schema', folder.file('absent')])).code).toBe(1);
});
