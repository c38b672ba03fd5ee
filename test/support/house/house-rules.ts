// The house rules that the linter cannot check, or not in every form: which room may import which, circles of imports,
// what single files may do, sizes and names of files and folders. Called by test/architecture.test.ts, which has the
// table of rooms.
import { dirname, posix } from 'node:path';
import ts from 'typescript';

/** One broken rule. */
export interface Violation {
  readonly file: string;
  readonly rule: Rule;
  readonly detail: string;
}

export type Rule =
  | 'room-order'
  | 'command-imports'
  | 'adapter-imports'
  | 'no-room'
  | 'import-circle'
  | 'absent-import'
  | 'folder-size'
  | 'room-size'
  | 'piscina-in-one-file'
  | 'addon-in-one-file'
  | 'environment-in-one-file'
  | 'native-includes'
  | 'file-size'
  | 'file-name'
  | 'opening-comment';

/** For each room the rooms that it may import, besides those that these may import. A room is a folder or a file. */
export type Rooms = Readonly<Record<string, readonly string[]>>;

const SOLE_PISCINA_IMPORTER = 'src/team/worker-pool.ts';
const SOLE_ADDON_LOADER = 'src/native/load.ts';
const SOLE_ENVIRONMENT_READER = 'src/machine/environment.ts';

/** The commands that run benchmarks, and the file that registers all commands. */
const BENCHMARK_COMMANDS = ['src/cli/commands/bench.ts', 'src/cli/commands/demo.ts'];
const COMMAND_ENTRY = 'src/cli/main.ts';

/** Rooms that use the library as its users do. */
const ADAPTERS = ['jobs', 'bullmq', 'openai', 'server', 'ai-sdk', 'langchain'];

const MAX_LINES_TYPESCRIPT = 400;
const MAX_LINES_CPP = 500;
const MAX_OPENING_COMMENT_LINES = 4;

/**
 * The package that measures the peers. It has its own dependencies, Piscina among them, and imports the built library.
 */
const PEERS_PACKAGE = 'bench/peers/';

/** A folder of src, bench or test has at most so many files of its own. */
const MAX_FILES_IN_FOLDER = 15;
/** A folder of src or bench with more lines than this is divided into folders. */
const MAX_LINES_FLAT_FOLDER = 2000;
/** A room has at most this share of the lines of src. */
const MAX_SHARE_OF_SRC = 1 / 5;

/**
 * The room of a file, by its path from the root of the repository: a folder or file of src/, workers/ or bench/.
 * Undefined for tests, scripts and the peers.
 */
export function roomOf(file: string): string | undefined {
  if (file.startsWith(PEERS_PACKAGE)) return undefined;
  const [top, second = ''] = file.split('/');
  if (top === 'workers' || top === 'bench') return top;
  return top === 'src' ? second.replace(/\.ts$/, '') : undefined;
}

/** All rooms that a room may import. */
export function roomsBelow(room: string, rooms: Rooms): Set<string> {
  const below = new Set<string>();
  const visit = (from: string): void => {
    for (const to of rooms[from] ?? []) {
      if (below.has(to)) continue;
      below.add(to);
      visit(to);
    }
  };
  visit(room);
  return below;
}

/** Every rule that a file with this path and text breaks. */
export function findViolations(file: string, text: string, rooms: Rooms): Violation[] {
  const problems: [Rule, string][] = [...checkName(file), ...checkSize(file, text), ...checkOpening(file, text)];
  if (/\.(ts|mjs)$/.test(file)) problems.push(...checkTypeScript(file, text, rooms));
  if (/^native\/.*\.(cpp|h)$/.test(file)) problems.push(...checkIncludes(file, text));
  return problems.map(([rule, detail]) => ({ file, rule, detail }));
}

function* checkName(file: string): Generator<[Rule, string]> {
  const name = posix.basename(file);
  const pattern = file.startsWith('native/') ? /^[a-z0-9]+(_[a-z0-9]+)*\.(cpp|h|def)$/ : /^[a-z0-9]+([-.][a-z0-9]+)*$/;
  if (!pattern.test(name)) yield ['file-name', `${name} is not ${file.startsWith('native/') ? 'snake' : 'kebab'}-case`];
}

function* checkSize(file: string, text: string): Generator<[Rule, string]> {
  const limit = /\.(cpp|h)$/.test(file) ? MAX_LINES_CPP : MAX_LINES_TYPESCRIPT;
  const count = text.replace(/\n$/, '').split('\n').length;
  if (count > limit) yield ['file-size', `${count} lines, over the limit of ${limit}`];
}

function* checkOpening(file: string, text: string): Generator<[Rule, string]> {
  const lines = text.replace(/^#!.*\n/, '').split('\n');
  const mark = /\.sh$/.test(file) ? '#' : '//';
  const first = lines.findIndex((line) => !line.startsWith(mark));
  const count = first === -1 ? lines.length : first;
  if (count < 1 || count > MAX_OPENING_COMMENT_LINES) {
    yield ['opening-comment', `opens with ${count} lines of comment instead of 1 to ${MAX_OPENING_COMMENT_LINES}`];
  }
}

function* checkTypeScript(file: string, text: string, rooms: Rooms): Generator<[Rule, string]> {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  for (const specifier of importsOf(source)) {
    yield* checkRoomOrder(file, specifier, rooms);
    yield* checkCommandImports(file, specifier);
    yield* checkAdapterImports(file, specifier);
    const mayImport = file === SOLE_PISCINA_IMPORTER || file.startsWith(PEERS_PACKAGE);
    if (/^piscina(\/|$)/.test(specifier) && !mayImport) {
      yield ['piscina-in-one-file', `only ${SOLE_PISCINA_IMPORTER} may import ${specifier}`];
    }
  }
  // Scripts and tests are no part of the library: they build it, and start it with other environment variables.
  if (roomOf(file) === undefined) return;
  const used = namesUsed(source);
  if (file !== SOLE_ADDON_LOADER && ['createRequire', 'dlopen', '.node'].some((name) => used.has(name))) {
    yield ['addon-in-one-file', `only ${SOLE_ADDON_LOADER} may load the addon`];
  }
  if (file !== SOLE_ENVIRONMENT_READER && used.has('env')) {
    yield ['environment-in-one-file', `only ${SOLE_ENVIRONMENT_READER} may read the environment`];
  }
}

function* checkRoomOrder(file: string, specifier: string, rooms: Rooms): Generator<[Rule, string]> {
  const from = roomOf(file);
  if (from === undefined || !specifier.startsWith('.')) return;
  const target = targetOf(file, specifier);
  const to = roomOf(target);
  if (to === from || (to !== undefined && roomsBelow(from, rooms).has(to))) return;
  yield ['room-order', `${from} may not import ${target}`];
}

/**
 * The command uses the library by its public names. Two of its commands run benchmarks; no other file reaches bench/,
 * neither directly nor through one of those two.
 */
function* checkCommandImports(file: string, specifier: string): Generator<[Rule, string]> {
  if (!file.startsWith('src/cli/') || !specifier.startsWith('.')) return;
  const target = targetOf(file, specifier);
  const isOfLibrary = target.startsWith('src/') && !target.startsWith('src/cli/');
  const isAllowed = target.startsWith('src/base/') || ADAPTERS.includes(roomOf(target) ?? '');
  if (isOfLibrary && target !== 'src/index.ts' && !isAllowed) {
    yield ['command-imports', `the command may import src/index.ts, src/base and adapters, not ${target}`];
  }
  if (target.startsWith('bench/') && !BENCHMARK_COMMANDS.includes(file)) {
    yield ['command-imports', `only ${BENCHMARK_COMMANDS.join(' and ')} may import ${target}`];
  }
  if (BENCHMARK_COMMANDS.includes(target) && file !== COMMAND_ENTRY) {
    yield ['command-imports', `only ${COMMAND_ENTRY} may import ${target}`];
  }
}

function* checkAdapterImports(file: string, specifier: string): Generator<[Rule, string]> {
  if (!ADAPTERS.includes(roomOf(file) ?? '') || !specifier.startsWith('.')) return;
  const target = targetOf(file, specifier);
  const to = roomOf(target) ?? '';
  if (target === 'src/index.ts' || to === 'base' || ADAPTERS.includes(to) || !target.startsWith('src/')) return;
  // What no adapter may import at all is another rule's.
  yield ['adapter-imports', `an adapter may import src/index.ts, src/base and adapters, not ${target}`];
}

function targetOf(file: string, specifier: string): string {
  return posix.join(dirname(file), specifier).replace(/\.js$/, '.ts');
}

/** Circles of imports among the files, imports of types included. Each is found once. */
export function findCircles(files: ReadonlyMap<string, string>): Violation[] {
  const edges = new Map<string, string[]>();
  for (const [file, text] of files) {
    const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
    const targets = importsOf(source).filter((specifier) => specifier.startsWith('.'));
    edges.set(
      file,
      targets.map((specifier) => targetOf(file, specifier)).filter((target) => files.has(target)),
    );
  }
  const found: Violation[] = [];
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file);
    if (at >= 0) {
      const circle = path.slice(at);
      found.push({ file, rule: 'import-circle', detail: [...circle, file].join(' → ') });
      return;
    }
    if (done.has(file)) return;
    for (const target of edges.get(file) ?? []) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of edges.keys()) visit(file, []);
  return found;
}

/**
 * Imports of the peers' package that name no file of the tree. The gate does not compile that package, since its
 * dependencies are large.
 */
export function findAbsentImports(files: ReadonlyMap<string, string>): Violation[] {
  const found: Violation[] = [];
  for (const [file, text] of files) {
    if (!file.startsWith(PEERS_PACKAGE)) continue;
    const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
    for (const specifier of importsOf(source).filter((name) => name.startsWith('.'))) {
      // The package uses the library as it is built.
      const target = targetOf(file, specifier).replace(/^dist\//, '');
      if (!files.has(target)) found.push({ file, rule: 'absent-import', detail: `there is no ${target}` });
    }
  }
  return found;
}

/** Files in no room, folders and rooms that are too large: rules that need the whole tree. */
export function findShapeViolations(files: ReadonlyMap<string, string>, rooms: Rooms): Violation[] {
  const found: Violation[] = [];
  const folders = new Map<string, { files: number; lines: number }>();
  const lines = new Map<string, number>();
  let all = 0;
  for (const [file, text] of files) {
    if (!/^(src|bench|test)\//.test(file)) continue;
    const count = text.split('\n').length - 1;
    const folder = folders.get(dirname(file)) ?? { files: 0, lines: 0 };
    folders.set(dirname(file), { files: folder.files + 1, lines: folder.lines + count });
    if (!file.startsWith('src/')) continue;
    const room = roomOf(file) as string;
    if (!Object.hasOwn(rooms, room)) {
      found.push({ file, rule: 'no-room', detail: `${room} is not in the table of rooms` });
    }
    lines.set(room, (lines.get(room) ?? 0) + count);
    all += count;
  }
  for (const [folder, size] of folders) {
    const isTooLong = size.lines > MAX_LINES_FLAT_FOLDER && !folder.startsWith('test/');
    if (size.files <= MAX_FILES_IN_FOLDER && !isTooLong) continue;
    found.push({
      file: folder,
      rule: 'folder-size',
      detail: `${size.files} files of ${size.lines} lines in one folder`,
    });
  }
  for (const [room, count] of lines) {
    if (count <= all * MAX_SHARE_OF_SRC) continue;
    found.push({ file: `src/${room}`, rule: 'room-size', detail: `${count} of ${all} lines` });
  }
  return found;
}

/** Every module that a file imports: by import, export … from, import type, import() as value or type, require(). */
function importsOf(source: ts.SourceFile): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    let specifier: ts.Node | undefined;
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) specifier = node.moduleSpecifier;
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) specifier = node.argument.literal;
    else if (ts.isCallExpression(node) && /^(import|require)$/.test(node.expression.getText())) {
      specifier = node.arguments[0];
    }
    if (specifier !== undefined && ts.isStringLiteralLike(specifier)) found.push(specifier.text);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/**
 * Which of `env`, `createRequire`, `dlopen` and `.node` a file uses. It finds `process.env`, `process['env']`,
 * `const { env } = process` and `import { env } from 'node:process'`; a string that ends in `.node` names a binary.
 */
function namesUsed(source: ts.SourceFile): Set<string> {
  const used = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAccessExpression(node)) addMember(node.expression, node.name.text);
    else if (ts.isElementAccessExpression(node) && ts.isStringLiteralLike(node.argumentExpression)) {
      addMember(node.expression, node.argumentExpression.text);
    } else if (ts.isVariableDeclaration(node) && ts.isObjectBindingPattern(node.name) && node.initializer) {
      for (const element of node.name.elements) addMember(node.initializer, nameOf(element));
    } else if (ts.isImportDeclaration(node) && node.importClause?.namedBindings) {
      const { namedBindings } = node.importClause;
      if (ts.isNamedImports(namedBindings) && /^(node:)?(process|module)$/.test(textOf(node.moduleSpecifier))) {
        for (const element of namedBindings.elements) used.add(nameOf(element));
      }
    } else if (ts.isStringLiteralLike(node) && node.text.endsWith('.node')) {
      used.add('.node');
    }
    ts.forEachChild(node, visit);
  };
  const addMember = (object: ts.Expression, name: string): void => {
    if (name === 'createRequire' || name === 'dlopen' || /(^|\.)process$/.test(object.getText())) used.add(name);
  };
  visit(source);
  return used;
}

function nameOf(element: ts.BindingElement | ts.ImportSpecifier): string {
  return textOf(element.propertyName ?? element.name);
}

function textOf(node: ts.Node): string {
  return ts.isStringLiteralLike(node) || ts.isIdentifier(node) ? node.text : node.getText();
}

/** The files that a native folder may include, besides those of the system. */
const NATIVE_INCLUDES: Record<string, RegExp> = {
  kernels: /^(core\/op\.h|kernels\/.+)$/,
  core: /^(core|kernels)\/.+$/,
  binding: /^(core|kernels|binding)\/.+$/,
  wasm: /^(core|kernels)\/.+$/,
  test: /^(?!binding\/)/,
};

function* checkIncludes(file: string, text: string): Generator<[Rule, string]> {
  const folder = file.split('/')[1] ?? '';
  for (const [, mark, header = ''] of text.matchAll(/^\s*#\s*include\s*([<"])([^>"]+)[>"]/gm)) {
    const ofNode = /^(napi|node_api|js_native_api|uv|v8|node)[^/]*\.h$/.test(header);
    if (ofNode && folder !== 'binding') yield ['native-includes', `native/${folder} may not include ${header}`];
    else if (!ofNode && mark === '"' && !NATIVE_INCLUDES[folder]?.test(header)) {
      yield ['native-includes', `native/${folder} may not include ${header}`];
    } else if (/^(immintrin|arm_neon)\.h$/.test(header) && /^native\/kernels\/(?!vec\/|avx)/.test(file)) {
      yield [
        'native-includes',
        `${file} may not include ${header}: intrinsics belong in kernels/vec and the folders of instruction sets`,
      ];
    }
  }
}
