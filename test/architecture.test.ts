// Checks the whole tree against the house rules of test/support/house/house-rules.ts, and shows for each of them, and
// for those that the linter checks by biome.json, that an example that breaks it is found.
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
import {
  findAbsentImports,
  findCircles,
  findShapeViolations,
  findViolations as findViolationsOf,
  type Rooms,
  type Rule,
  roomsBelow,
} from './support/house/house-rules.js';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/**
 * The rooms of src, with workers and bench. Each room may import the rooms that it lists, and those that these may
 * import. The text wing, from generation down to metadata, must not import tensors.
 */
const ROOMS: Rooms = {
  base: [],
  machine: ['base'],
  native: ['machine', 'base'],
  tensor: ['machine', 'base'],
  metrics: ['base'],
  team: ['tensor', 'native', 'metrics'],
  program: ['team'],
  ops: ['program'],
  metadata: ['base'],
  tokenizer: ['metadata'],
  sampling: ['tokenizer'],
  constraint: ['tokenizer'],
  generation: ['sampling', 'constraint'],
  architectures: ['ops', 'metadata'],
  checkpoint: ['architectures', 'tokenizer'],
  forward: ['architectures'],
  serving: ['forward', 'generation'],
  model: ['serving', 'checkpoint'],
  engine: ['model'],
  // What the machine is, and its peaks; probed through engines.
  hardware: ['engine'],
  index: ['hardware'],
  // Adapters. The rule `adapter-imports` limits them to the public names, base, and each other.
  jobs: ['index'],
  bullmq: ['jobs'],
  openai: ['jobs'],
  server: ['openai'],
  'ai-sdk': ['server'],
  langchain: ['server'],
  // The package's models, by their paths.
  models: ['base'],
  // The benchmarks measure the parts as well as the whole, so they may import every room.
  bench: ['server'],
  // The commands `bench` and `demo` run benchmarks. The rule `command-imports` keeps bench/ out of every other file of
  // the command, and limits all of them to the public names and base.
  cli: ['server', 'bench'],
  workers: ['native', 'generation'],
};

const findViolations = (file: string, text: string) => findViolationsOf(file, text, ROOMS);

describe('the tree', () => {
  const files = new Map(
    ['src', 'workers', 'bench', 'test', 'scripts', 'native']
      .flatMap(listSources)
      .map((file) => [file, readFileSync(join(root, file), 'utf8')]),
  );

  test('keeps every rule for single files', () => {
    expect(files.has('src/base/errors.ts') && files.has('native/core/op.h')).toBe(true);
    expect([...files].flatMap(([file, text]) => findViolations(file, text)).map(lineOf)).toEqual([]);
  });

  test('has a room for every file, and no folder or room that is too large', () => {
    expect(findShapeViolations(files, ROOMS).map(lineOf)).toEqual([]);
  });

  test('has no circle of imports', () => {
    const library = [...files].filter(([file]) => /^(src|workers|bench)\/.*\.ts$/.test(file));
    expect(findCircles(new Map(library)).map(lineOf)).toEqual([]);
  });

  test('has every file that the peers import', () => {
    expect(findAbsentImports(files).map(lineOf)).toEqual([]);
  });

  test('has every room of the table', () => {
    const isThere = (room: string) =>
      [`src/${room}`, `src/${room}.ts`, room].some((path) => existsSync(join(root, path)));
    expect(Object.keys(ROOMS).filter((room) => !isThere(room))).toEqual([]);
    expect(
      Object.values(ROOMS)
        .flat()
        .filter((room) => !Object.hasOwn(ROOMS, room)),
    ).toEqual([]);
  });

  test('has the rooms of the table in docs/ARCHITECTURE.md', () => {
    const text = readFileSync(join(root, 'docs/ARCHITECTURE.md'), 'utf8');
    const table = text.split('| room | holds | may import |')[1]?.split('\n\n')[0] ?? '';
    const rows = [...table.matchAll(/^\| `([\w-]+)` \|.*\|(.*)\|$/gm)].map(([, room, imports]) => {
      return [
        room as string,
        [...(imports as string).matchAll(/`([\w-]+)`/g)].map(([, name]) => name as string),
      ] as const;
    });
    expect(Object.fromEntries(rows)).toEqual(ROOMS);
  });

  test('has no import of tensors in the text wing', () => {
    for (const room of ['metadata', 'tokenizer', 'sampling', 'constraint', 'generation']) {
      expect(roomsBelow(room, ROOMS)).not.toContain('tensor');
    }
  });
});

function lineOf({ file, rule, detail }: { file: string; rule: string; detail: string }): string {
  return `${file}: ${rule}: ${detail}`;
}

describe('the checker refuses', () => {
  const comment = '// What it is.\n';
  const broken: [why: string, rule: Rule, file: string, text: string][] = [
    ['an import of a higher room', 'room-order', 'src/tensor/a.ts', "import { x } from '../team/b.js';"],
    ['an export from a higher room', 'room-order', 'src/tensor/a.ts', "export * from '../team/b.js';"],
    ['a type of a higher room', 'room-order', 'src/tensor/a.ts', "import type { X } from '../ops/b.js';"],
    ['an inline type of a higher room', 'room-order', 'src/ops/a.ts', "type X = import('../model/b.js').X;"],
    ['a late import of a higher room', 'room-order', 'src/ops/a.ts', "await import('../engine.js');"],
    ['an import from a deep folder', 'room-order', 'src/tokenizer/bpe/a.ts', "import '../../team/b.js';"],
    ['an import of a room without a row', 'room-order', 'src/model/a.ts', "import '../other/b.js';"],
    ['a test imported by the library', 'room-order', 'src/model/a.ts', "import '../../test/support/b.js';"],
    ['a tensor in the text wing', 'room-order', 'src/generation/a.ts', "import '../tensor/tensor.js';"],
    ['an internal of the library in a command', 'command-imports', 'src/cli/a.ts', "import '../ops/op.js';"],
    ['an internal of the library in an adapter', 'adapter-imports', 'src/jobs/a.ts', "import '../model/model.js';"],
    [
      'a type of an internal in an adapter',
      'adapter-imports',
      'src/bullmq/a.ts',
      "import type { X } from '../engine.js';",
    ],
    ['an adapter in the library', 'room-order', 'src/model/a.ts', "import '../jobs/index.js';"],
    ['a benchmark in generate', 'command-imports', 'src/cli/commands/generate.ts', "import '../../../bench/index.js';"],
    [
      'a type of a benchmark in embed',
      'command-imports',
      'src/cli/commands/embed.ts',
      "type X = import('../../../bench/a.js').X;",
    ],
    [
      'a benchmark in what commands share',
      'command-imports',
      'src/cli/output.ts',
      "await import('../../bench/index.js');",
    ],
    ['a benchmark by way of demo', 'command-imports', 'src/cli/commands/info.ts', "import './demo.js';"],
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
    ['the executor in a kernel', 'native-includes', 'native/kernels/simd/a.cpp', '#include "core/executor.h"'],
    ['the binding in the core', 'native-includes', 'native/core/a.cpp', '#include "binding/b.h"'],
    ['the binding in a native test', 'native-includes', 'native/test/a_test.cpp', '#include "binding/b.h"'],
    ['intrinsics in a reference', 'native-includes', 'native/kernels/ref/a.cpp', '#include <immintrin.h>'],
    ['intrinsics in a vector kernel', 'native-includes', 'native/kernels/simd/a.cpp', '#include <arm_neon.h>'],
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

  test('circles of imports, of types too', () => {
    const circle = new Map([
      ['src/ops/a.ts', "import type { B } from './b.js';"],
      ['src/ops/b.ts', "export * from './c.js';"],
      ['src/ops/c.ts', "import '../ops/a.js';"],
      ['src/ops/d.ts', "import './a.js';"],
    ]);
    expect(findCircles(circle).map(({ detail }) => detail)).toEqual([
      'src/ops/a.ts → src/ops/b.ts → src/ops/c.ts → src/ops/a.ts',
    ]);
    circle.set('src/ops/c.ts', '');
    expect(findCircles(circle)).toEqual([]);
  });

  test('imports of the peers that name no file', () => {
    const tree = new Map([
      ['src/index.ts', ''],
      ['bench/peers/src/rows/a.ts', "import '../../../../dist/src/index.js'; import './b.js';"],
      [
        'bench/peers/src/rows/b.ts',
        "import '../a.js'; import '../../../../dist/src/half.js'; import 'onnxruntime-node';",
      ],
    ]);
    expect(findAbsentImports(tree).map(({ detail }) => detail)).toEqual([
      'there is no bench/peers/src/a.ts',
      'there is no src/half.ts',
    ]);
  });

  test('files in no room, full folders and large rooms', () => {
    const rules = (tree: [string, string][]) => {
      const filler = ['base', 'machine', 'native', 'tensor', 'team'].map((room) => [
        `src/${room}/x.ts`,
        '\n'.repeat(500),
      ]);
      return findShapeViolations(new Map([...filler, ...tree] as [string, string][]), ROOMS).map(({ rule }) => rule);
    };
    expect(rules([])).toEqual([]);
    expect(rules([['src/other/a.ts', '']])).toEqual(['no-room']);
    expect(rules([['src/other.ts', '']])).toEqual(['no-room']);
    expect(rules(Array.from({ length: 16 }, (_, i) => [`src/ops/a${i}.ts`, '\n']))).toEqual(['folder-size']);
    for (const folder of ['bench/suites', 'bench/peers/src', 'test/model']) {
      expect(rules(Array.from({ length: 16 }, (_, i) => [`${folder}/a${i}.ts`, '\n']))).toEqual(['folder-size']);
    }
    expect(rules([['src/ops/a.ts', '\n'.repeat(700)]])).toEqual(['room-size']);
    expect(rules([['bench/a.ts', '\n'.repeat(2001)]])).toEqual(['folder-size']);
    expect(rules([['src/ops/a.ts', '\n'.repeat(2001)]])).toEqual(['folder-size', 'room-size']);
  });

  test('none of the files that own a rule', () => {
    for (const [file, text] of [
      ['src/team/worker-pool.ts', "import { Piscina } from 'piscina';"],
      ['src/native/load.ts', "import { createRequire } from 'node:module'; f('tesserae.node');"],
      ['src/machine/environment.ts', 'const x = process.env;'],
      [
        'src/cli/commands/bench.ts',
        "import '../../../bench/index.js'; import '../../base/a.js'; import '../output.js';",
      ],
      ['src/cli/commands/demo.ts', "import '../../../bench/index.js'; import { Engine } from '../../index.js';"],
      ['src/bullmq/a.ts', "import '../index.js'; import '../base/a.js'; import '../jobs/index.js'; import './b.js';"],
      ['src/cli/main.ts', "import './commands/bench.js'; import './commands/demo.js';"],
      ['native/binding/a.cpp', '#include <napi.h>\n#include "core/executor.h"'],
      ['native/kernels/vec/a.h', '#include <immintrin.h>\n#include "kernels/a.h"'],
      ['test/cli/a.test.ts', "spawn('x', { env: { ...process.env } });"],
    ] as const) {
      expect(findViolations(file, comment + text)).toEqual([]);
    }
  });
});

describe('the linter', () => {
  const folders: string[] = [];
  let byLine: Report;

  beforeAll(() => {
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
    ['src/team/worker-pool.ts', "import 'piscina';"],
    ['src/native/load.ts', "import { createRequire } from 'node:module';\ncreateRequire('x');"],
    ['src/machine/environment.ts', 'export const x = process.env.X;'],
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
