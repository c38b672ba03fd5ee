// Documents and comments name files of this repository: each of these files must exist.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { findStaleNames } from './support/house/stale-names.js';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
/** Installed and built: not the repository's. */
const otherFolders = /^(\.git|node_modules|dist|prebuilds|build|build-.*)$/;
const withText = /\.(md|ts|mjs|h|cpp|def)$/;

function listFiles(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name);
    if (!entry.isDirectory()) return [path];
    return otherFolders.test(entry.name) ? [] : listFiles(path);
  });
}

test('documents and comments name files that exist', () => {
  const files = listFiles('.').map((file) => {
    return [file, withText.test(file) ? readFileSync(join(root, file), 'utf8') : ''] as const;
  });
  expect(files.length).toBeGreaterThan(500);
  // This file has examples of stale names.
  const stale = findStaleNames(new Map(files)).filter(({ file }) => file !== 'test/docs.test.ts');
  expect(stale.map(({ file, name }) => `${file} names ${name}, which does not exist`)).toEqual([]);
});

test.each([
  ['a path from the root', 'README.md', 'See `src/ops/gone.ts`.', ['src/ops/gone.ts']],
  ['a folder', 'README.md', 'See `src/gone`.', ['src/gone']],
  ['a link', 'src/ops/README.md', '[x](../gone)', ['../gone']],
  ['a link from the wrong folder', 'README.md', '[x](op.ts)', ['op.ts']],
  ['a bare name', 'src/ops/README.md', '`gone.ts` is called by `op.ts`.', ['gone.ts']],
  ['a name with a folder', 'src/ops/README.md', '`ops/gone.ts`', ['ops/gone.ts']],
  ['a comment at the end of a line', 'src/ops/op.ts', 'f(); // see ops/gone.ts', ['ops/gone.ts']],
  ['a docstring', 'src/ops/op.ts', '/**\n * See gone.ts.\n */', ['gone.ts']],
  ['nothing in names that exist', 'src/ops/README.md', '`op.ts`, src/ops, ../../native/core/op.h, [x](op.ts)', []],
  ['nothing in code', 'src/ops/op.ts', "import './gone.ts';", []],
])('finds %s', (_what, file, text, names) => {
  const tree = new Map([
    ['README.md', ''],
    ['src/ops/README.md', ''],
    ['src/ops/op.ts', ''],
    ['native/core/op.h', ''],
  ]);
  tree.set(file, text);
  expect(findStaleNames(tree)).toEqual(names.map((name) => ({ file, name })));
});
