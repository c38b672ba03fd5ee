// `tesserae bench`: runs the benchmark suites and prints them as tables or as JSON. This command and `demo` are the
// only ones that use bench/.
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Argument, type Command, Option } from 'commander';
import type { PeerData, ReportData } from '../../../bench/index.js';
import {
  attentionShapes,
  MissingPeerError,
  type ModelShapeName,
  type ModelTypeName,
  matmulShapes,
  modelShapeNames,
  modelTypeNames,
  type SuiteName,
  suiteNames,
  WrongResultError,
} from '../../../bench/registration.js';
import { jsonOption, type ModelOptions, modelOption, threadsOption, wholeNumber } from '../options.js';
import { type CommandContext, CommandError, runCommand, UsageError } from '../run-command.js';

interface Options extends ModelOptions {
  readonly shape?: string[];
  readonly rounds?: number;
  readonly promptTokens?: number;
  readonly maxTokens?: number;
  readonly report?: string;
  /** True without a file: the suite model beside llama.cpp. */
  readonly peers?: string | true;
  readonly profile?: boolean;
  readonly type?: ModelTypeName;
  readonly folder?: string;
  readonly concurrency?: number[];
  readonly quick?: boolean;
}

const matmulNames = matmulShapes.map(({ name }) => name);
const attentionNames = attentionShapes.map(({ name }) => name);

/** The names that `--shape` takes for each suite that has shapes. */
const shapesOf: Readonly<Partial<Record<SuiteName, readonly string[]>>> = {
  matmul: matmulNames,
  attention: attentionNames,
  scaling: [...matmulNames, ...attentionNames],
  model: modelShapeNames,
  serving: modelShapeNames,
  http: modelShapeNames,
};

export function addBench(program: Command): void {
  program
    .command('bench')
    .description('run benchmarks; without a suite, a short selection')
    .addArgument(new Argument('[suite]', 'what to measure').choices(suiteNames))
    .option(
      '--shape <names...>',
      'for matmul, attention, scaling: only these shapes; for model, serving and http: random weights in this shape',
    )
    .option(
      '--rounds <n>',
      'turns that each worker count takes (default: 5; for http 3; for serving 3, or 2 with --quick)',
      wholeNumber(1),
    )
    .addOption(modelOption())
    .addOption(
      new Option('--type <type>', 'for random weights: the tensor type (default: q8_0)').choices(modelTypeNames),
    )
    .option(
      '--folder <folder>',
      'for random weights: keep the files in this folder (default: they are removed afterwards)',
    )
    .option(
      '--concurrency <n...>',
      'for serving and http: how many requests at once (default: 1 2 4 … 256, and … 128 for http)',
      (text: string, before?: number[]) => [...(before ?? []), wholeNumber(1)(text)],
    )
    .option('--quick', 'for serving: a first look, in less time')
    .option('--prompt-tokens <n>', 'for model and many-cores: tokens of the prompt (default: 256)', wholeNumber(1))
    .option('--max-tokens <n>', 'for model: tokens to generate (default: 64)', wholeNumber(1))
    .option('--profile', 'for model: the time of each op, for a prompt and for a token')
    .option('--report <file>', 'also write an HTML page with plots; without a suite, of every suite that it can show')
    .option(
      '--peers [file]',
      'for model: compare with llama.cpp; for serving: install it where it is missing; with --report: a file that ' +
        '`pnpm bench:peers --json` printed',
    )
    .addOption(threadsOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `\nShapes: ${matmulNames.join(' ')}\n${attentionNames.join(' ')}\n${modelShapeNames.join(' ')}`,
    )
    .action((suite: SuiteName | undefined, options: Options) =>
      runCommand((context) => bench(suite, options, context), [WrongResultError, MissingPeerError]),
    );
}

/** Loaded when the command runs, like the library. */
const loadBenchmarks = () => import('../../../bench/index.js');
type Benchmarks = Awaited<ReturnType<typeof loadBenchmarks>>;

async function bench(suite: SuiteName | undefined, options: Options, context: CommandContext): Promise<void> {
  checkOptions(suite, options);
  const benchmarks = await loadBenchmarks();
  // Files that cannot be read or written fail before anything is measured.
  const peers = typeof options.peers === 'string' ? await readPeers(options.peers, benchmarks) : undefined;
  if (options.report !== undefined) await checkWritable(options.report);
  const measured = await measure(suite, options, context, benchmarks);
  if (options.report !== undefined) {
    await writeFile(options.report, benchmarks.renderPage({ ...measured, peers }, new Date()));
  }
  if (options.json === true) await context.output.writeJson(measured.report);
  else await context.output.write(benchmarks.formatReport(measured.report));
}

/** Runs the suite, or without one a selection, or all that the HTML page shows. */
async function measure(
  suite: SuiteName | undefined,
  options: Options,
  context: CommandContext,
  benchmarks: Benchmarks,
): Promise<Omit<ReportData, 'peers'>> {
  const { threads, rounds, shape: shapes, profile, promptTokens, maxTokens } = options;
  const { output, signal } = context;
  const common = { threads, rounds, signal, onProgress: (text: string) => output.progress(text) };
  if (suite === undefined && options.report !== undefined) {
    const serving = (folder: string | undefined) => ({ ...servingOf(options, folder), quick: true });
    return withFolder('serving', options, (folder) => benchmarks.runForPage({ ...common, serving: serving(folder) }));
  }
  if (suite === undefined) return { report: await benchmarks.runSelection(common), timeline: undefined };
  const peers = options.peers === true;
  const report = await withFolder(suite, options, async (folder) => {
    if (suite === 'serving') return benchmarks.runSuite(suite, { ...common, serving: servingOf(options, folder) });
    const path = await modelOf(folder, options, context, benchmarks);
    if (suite === 'http')
      return benchmarks.runSuite(suite, { ...common, http: { path, clients: options.concurrency } });
    const model = { path, promptTokens, maxTokens };
    return benchmarks.runSuite(suite, { ...common, shapes, peers, profile, model });
  });
  return { report, timeline: undefined };
}

function servingOf({ model: path, shape, type, concurrency, quick, peers }: Options, folder: string | undefined) {
  const [name] = (shape ?? []) as ModelShapeName[];
  const peer = peers === true ? ('installed first' as const) : ('where installed' as const);
  return { folder: folder as string, path, shape: name, type, concurrency, quick, peer };
}

/** The model to measure: the given file, or with a folder one of random weights, written first. */
async function modelOf(
  folder: string | undefined,
  { model, shape, type = 'q8_0' }: Options,
  { output, signal }: CommandContext,
  { modelFile }: Benchmarks,
): Promise<string | undefined> {
  if (folder === undefined) return model;
  const name = shape?.[0] as ModelShapeName;
  output.progress(`random weights: ${name} in ${type}`);
  return modelFile(folder, name, type, signal);
}

/** Calls `use` with a folder for random weights where the suite has some. It is removed afterwards, unless it is to be kept. */
async function withFolder<T>(
  suite: SuiteName,
  { shape, folder: kept }: Options,
  use: (folder: string | undefined) => Promise<T>,
): Promise<T> {
  const hasShape = (suite === 'model' || suite === 'http') && shape !== undefined;
  if (suite !== 'serving' && !hasShape) return use(undefined);
  const folder = kept ?? (await mkdtemp(join(tmpdir(), 'tesserae-bench-')));
  try {
    await mkdir(folder, { recursive: true });
    return await use(folder);
  } finally {
    if (kept === undefined) await rm(folder, { recursive: true, force: true });
  }
}

async function readPeers(file: string, { parsePeers }: Benchmarks): Promise<PeerData> {
  try {
    return parsePeers(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    throw new CommandError(`${file}: ${(error as Error).message}`);
  }
}

async function checkWritable(file: string): Promise<void> {
  try {
    await (await open(file, 'a')).close();
  } catch (error) {
    throw new CommandError(`${file}: ${(error as Error).message}`);
  }
}

/** Refuses options that the suite would ignore. */
function checkOptions(suite: SuiteName | undefined, options: Options): void {
  const known = suite === undefined ? undefined : shapesOf[suite];
  for (const name of options.shape ?? []) {
    if (known === undefined) throw new UsageError(`--shape goes with ${Object.keys(shapesOf).join(', ')}`);
    if (!known.includes(name)) throw new UsageError(`${suite} has no shape '${name}'; see tesserae bench --help`);
  }
  if (typeof options.peers === 'string' && options.report === undefined) {
    throw new UsageError('--peers with a file goes with --report');
  }
  const takesRandom = suite === 'model' || suite === 'serving' || suite === 'http';
  if (options.peers === true && (!takesRandom || suite === 'http'))
    throw new UsageError('--peers without a file goes with the suite model or serving');
  if (options.profile === true && suite !== 'model') throw new UsageError('--profile goes with the suite model');
  if (options.profile === true && options.peers === true)
    throw new UsageError('--profile and --peers exclude each other');
  if (takesRandom && options.shape !== undefined) {
    if (options.model !== undefined) throw new UsageError('--shape and --model exclude each other');
    if (options.shape.length > 1) throw new UsageError(`${suite} takes one --shape at a time`);
  }
  if (suite === 'serving' && options.model !== undefined && options.type !== undefined)
    throw new UsageError('--type and --model exclude each other');
  const takesModel = takesRandom || suite === 'many-cores';
  const hasRandom = suite === 'serving' || (takesRandom && options.shape !== undefined);
  if (options.rounds !== undefined && (suite === 'allocations' || suite === 'many-cores'))
    throw new UsageError(`${suite} has no --rounds`);
  refuse(!hasRandom, 'goes with the suite model and --shape, http and --shape, or serving', {
    '--type': options.type,
    '--folder': options.folder,
  });
  refuse(!takesModel, 'goes with the suite model, many-cores, serving or http', { '--model': options.model });
  refuse(suite !== 'model' && suite !== 'many-cores', 'goes with the suite model or many-cores', {
    '--prompt-tokens': options.promptTokens,
  });
  refuse(suite !== 'model', 'goes with the suite model', { '--max-tokens': options.maxTokens });
  refuse(suite !== 'serving', 'goes with the suite serving', { '--quick': options.quick });
  refuse(suite !== 'serving' && suite !== 'http', 'goes with the suite serving or http', {
    '--concurrency': options.concurrency,
  });
}

/** Refuses the options that are given. */
function refuse(isOutOfPlace: boolean, why: string, options: Readonly<Record<string, unknown>>): void {
  for (const [flag, value] of Object.entries(options)) {
    if (isOutOfPlace && value !== undefined) throw new UsageError(`${flag} ${why}`);
  }
}
