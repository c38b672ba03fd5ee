// Holds the whole tree to the house rules, and proves each rule by an example that breaks it: those of
// test/support/architecture.ts, and those that the linter holds by biome.json.
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, posix, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findViolations, ROOMS, type Room, type Rule, roomOf } from './support/architecture.js';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const rooms = Object.keys(ROOMS) as Room[];

describe('the tree', () => {
  test('keeps every rule', () => {
    const files = ['src', 'workers', 'bench', 'test', 'scripts', 'native'].flatMap(listSources);
    expect(files).toContain('src/errors.ts');
    expect(files).toContain('native/core/op.h');
    const violations = files.flatMap((file) => findViolations(file, readFileSync(join(root, file), 'utf8')));
    expect(violations.map(({ file, rule, detail }) => `${file}: ${rule}: ${detail}`)).toEqual([]);
  });

  test('has a row in the table of rooms for every folder of src', () => {
    const folders = readdirSync(join(root, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(folders.map((entry) => entry.name).filter((name) => !rooms.includes(name as Room))).toEqual([]);
  });
});

describe('the checker refuses', () => {
  const comment = '// What it is.\n';
  const broken: [why: string, rule: Rule, file: string, text: string][] = [
    ['an import of a higher room', 'room-order', 'src/tensor/a.ts', "import { x } from '../team/b.js';"],
    ['an export from a higher room', 'room-order', 'src/tensor/a.ts', "export * from '../team/b.js';"],
    ['a type of a higher room', 'room-order', 'src/tensor/a.ts', "import type { X } from '../ops/b.js';"],
    ['an inline type of a higher room', 'room-order', 'src/ops/a.ts', "type X = import('../model/b.js').X;"],
    ['a late import of a higher room', 'room-order', 'src/ops/a.ts', "await import('../engine.js');"],
    ['an import from a deep folder', 'room-order', 'src/model/gguf/a.ts', "import '../../team/b.js';"],
    ['an import of a room without a row', 'room-order', 'src/model/a.ts', "import '../other/b.js';"],
    ['a test imported by the library', 'room-order', 'src/model/a.ts', "import '../../test/support/b.js';"],
    ['a second importer of piscina', 'piscina-in-one-file', 'src/team/a.ts', "import { Piscina } from 'piscina';"],
    ['a deep import of piscina', 'piscina-in-one-file', 'src/team/a.ts', "import 'piscina/dist/main.js';"],
    ['piscina in a test', 'piscina-in-one-file', 'test/a.test.ts', "import 'piscina';"],
    ['a second createRequire', 'addon-in-one-file', 'src/team/a.ts', "import { createRequire } from 'node:module';"],
    ['createRequire of a namespace', 'addon-in-one-file', 'workers/a.ts', 'const r = module.createRequire(u);'],
    ['a dlopen', 'addon-in-one-file', 'src/native/a.ts', "process.dlopen(m, 'x');"],
    ['the name of a binary', 'addon-in-one-file', 'src/team/a.ts', "const file = 'build/Release/tesserae.node';"],
    ['process.env', 'environment-in-one-file', 'src/team/a.ts', 'const x = process.env.X;'],
    ['process.env of globalThis', 'environment-in-one-file', 'bench/a.ts', 'const x = globalThis.process.env;'],
    ["process['env']", 'environment-in-one-file', 'src/cli/a.ts', "const x = process['env'];"],
    ['env taken out of process', 'environment-in-one-file', 'src/ops/a.ts', 'const { env: e } = process;'],
    ['env imported', 'environment-in-one-file', 'workers/a.ts', "import { env as e } from 'node:process';"],
    ['napi.h in a kernel', 'native-includes', 'native/kernels/ref/a.cpp', '#include <napi.h>'],
    ['napi.h in the core', 'native-includes', 'native/core/a.h', '#include "napi.h"'],
    ['node_api.h in a native test', 'native-includes', 'native/test/a_test.cpp', '# include <node_api.h>'],
    ['the executor in a kernel', 'native-includes', 'native/kernels/avx2/a.cpp', '#include "core/executor.h"'],
    ['the binding in the core', 'native-includes', 'native/core/a.cpp', '#include "binding/b.h"'],
    ['the binding in a native test', 'native-includes', 'native/test/a_test.cpp', '#include "binding/b.h"'],
    ['intrinsics in a reference', 'native-includes', 'native/kernels/ref/a.cpp', '#include <immintrin.h>'],
    ['a long TypeScript file', 'file-size', 'src/ops/a.ts', 'f();\n'.repeat(400)],
    ['a long C++ file', 'file-size', 'native/core/a.cpp', 'f();\n'.repeat(500)],
    ['a camelCase file', 'file-name', 'src/ops/matMul.ts', ''],
    ['a snake_case TypeScript file', 'file-name', 'src/ops/mat_mul.ts', ''],
    ['a kebab-case C++ file', 'file-name', 'native/kernels/ref/mat-mul.cpp', ''],
  ];
  test.each(broken)('%s', (_why, rule, file, text) => {
    expect(findViolations(file, comment + text).map((violation) => violation.rule)).toEqual([rule]);
  });

  test('a file without an opening comment, or with a long one', () => {
    for (const text of ['f();\n', '// x\n'.repeat(5)]) {
      expect(findViolations('src/ops/a.ts', text).map((violation) => violation.rule)).toEqual(['opening-comment']);
    }
  });

  test('none of the files that own a rule', () => {
    for (const [file, text] of [
      ['src/team/pool.ts', "import { Piscina } from 'piscina';"],
      ['src/native/load.ts', "import { createRequire } from 'node:module'; f('tesserae.node');"],
      ['src/environment.ts', 'const x = process.env;'],
      ['native/binding/a.cpp', '#include <napi.h>\n#include "core/executor.h"'],
      ['native/kernels/avx2/a.cpp', '#include <immintrin.h>\n#include "kernels/a.h"'],
      ['test/cli/a.test.ts', "spawn('x', { env: { ...process.env } });"],
    ] as const) {
      expect(findViolations(file, comment + text)).toEqual([]);
    }
  });
});

describe('the linter', () => {
  const folders: string[] = [];
  let byRoom: Report;
  let byLine: Report;

  beforeAll(() => {
    byRoom = lint(folders, [...roomFixtures()]);
    byLine = lint(
      folders,
      [...lintFixtures.map(([, file, line]) => [file, line] as const), ...lintExemptions].map(([file, line]) => [
        file,
        [line],
      ]),
    );
  });
  afterAll(() => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });

  test.each(rooms)('lets %s import the same rooms as the checker does', (room) => {
    for (const [file, lines] of roomFixtures()) {
      if (roomOf(file) !== room) continue;
      const refused = rooms.filter(
        (to, index) => to !== room && byRoom.get(file)?.has(`${index + 1} noRestrictedImports`),
      );
      const allowed: readonly Room[] = ROOMS[room];
      expect({ file, refused }).toEqual({ file, refused: rooms.filter((to) => to !== room && !allowed.includes(to)) });
      const text = `// What it is.\n${lines.join('\n')}`;
      expect(findViolations(file, text).filter((violation) => violation.rule === 'room-order')).toHaveLength(
        refused.length,
      );
    }
  });

  const lintFixtures: [rule: string, file: string, line: string][] = [
    ['noRestrictedImports', 'src/a1.ts', "import { Piscina } from 'piscina';"],
    ['noRestrictedImports', 'src/team/a2.ts', "import { Piscina } from 'piscina';"],
    ['noRestrictedImports', 'src/tensor/a3.ts', "import 'piscina/dist/main.js';"],
    ['noRestrictedImports', 'src/program/a4.ts', "await import('piscina');"],
    ['noRestrictedImports', 'src/cli/a5.ts', "import 'piscina';"],
    ['noRestrictedImports', 'workers/a6.ts', "import 'piscina';"],
    ['noRestrictedImports', 'bench/a7.ts', "import 'piscina';"],
    ['noRestrictedImports', 'test/a8.test.ts', "import 'piscina';"],
    ['noRestrictedImports', 'src/team/a9.ts', "import { createRequire } from 'node:module';"],
    ['noRestrictedImports', 'src/native/a10.ts', "import { createRequire } from 'node:module';"],
    ['noRestrictedImports', 'workers/a11.ts', "import { createRequire } from 'node:module';"],
    ['noProcessEnv', 'src/ops/a12.ts', 'export const x = process.env.X;'],
    ['noProcessEnv', 'workers/a13.ts', 'export const x = process.env.X;'],
    ['noProcessEnv', 'bench/a14.ts', 'export const x = process.env.X;'],
    ['noConsole', 'src/model/a15.ts', "console.log('x');"],
    ['noFloatingPromises', 'src/model/a16.ts', 'async function f(): Promise<void> { await g(); }\nf();'],
    ['noFocusedTests', 'test/a17.test.ts', "import { test } from 'vitest';\ntest.only('x', () => {});"],
  ];
  const lintExemptions: [file: string, line: string][] = [
    ['src/team/pool.ts', "import 'piscina';"],
    ['src/native/load.ts', "import { createRequire } from 'node:module';\ncreateRequire('x');"],
    ['src/environment.ts', 'export const x = process.env.X;'],
    ['test/a18.test.ts', 'export const x = process.env.X;'],
    ['src/cli/a19.ts', "console.log('x');"],
  ];
  test.each(lintFixtures)('reports %s in %s', (rule, file) => {
    expect(rulesReported(file)).toEqual([rule]);
  });
  test.each(lintExemptions)('reports nothing in %s', (file) => {
    expect(rulesReported(file)).toEqual([]);
  });

  function rulesReported(file: string): string[] {
    const rules = [...(byLine.get(file) ?? [])].map((entry) => entry.split(' ')[1] ?? '');
    return rules.filter((name) => !name.startsWith('noUnused'));
  }
});

/** For each room a file, and a deep one where the room is a folder, whose line i imports from room i. */
function* roomFixtures(): Generator<readonly [file: string, lines: string[]]> {
  for (const room of rooms) {
    const deep = posix.join(dirname(exampleOf(room)), 'deep/example.ts');
    for (const file of room === roomOf(deep) ? [exampleOf(room), deep] : [exampleOf(room)]) {
      yield [file, rooms.map((to) => `import '${relativeImport(file, exampleOf(to))}';`)];
    }
  }
}

function exampleOf(room: Room): string {
  if (room === 'workers' || room === 'bench') return `${room}/example.ts`;
  return ['errors', 'environment', 'engine', 'index'].includes(room) ? `src/${room}.ts` : `src/${room}/example.ts`;
}

function relativeImport(from: string, to: string): string {
  const path = posix.relative(dirname(from), to).replace(/\.ts$/, '.js');
  return path.startsWith('.') ? path : `./${path}`;
}

/** For each file what the linter reports, as 'line rule'. */
type Report = Map<string, Set<string>>;

/** Runs the linter over files of its own, in a new folder that is added to `folders`. */
function lint(folders: string[], files: (readonly [file: string, lines: string[]])[]): Report {
  const folder = mkdtempSync(join(tmpdir(), 'tesserae-lint-'));
  folders.push(folder);
  copyFileSync(join(root, 'biome.json'), join(folder, 'biome.json'));
  for (const [file, lines] of files) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), `${lines.join('\n')}\n`);
  }
  const biome = join(root, 'node_modules/.bin/biome');
  const args = ['lint', '--reporter=json', '--max-diagnostics=none', '.'];
  let report: string;
  try {
    report = execFileSync(biome, args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch (error) {
    report = (error as { stdout: string }).stdout;
  }
  const { diagnostics } = JSON.parse(report) as {
    diagnostics: { category: string; location: { path: string; start: { line: number } } }[];
  };
  const found: Report = new Map();
  for (const { category, location } of diagnostics) {
    const entries = found.get(location.path) ?? new Set<string>();
    found.set(location.path, entries.add(`${location.start.line} ${category.split('/').at(-1)}`));
  }
  return found;
}

function listSources(folder: string): string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter(
      (file) =>
        /\.(ts|mjs|sh|cpp|h|def)$/.test(file) && !/^(peers|llama|vocabularies)\/(node_modules|dist|build)\//.test(file),
    )
    .map((file) => posix.join(folder, file));
}
