// `tesserae bench`: the benchmark suites, as a table or as JSON.
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Argument, type Command, Option } from 'commander';
import {
  attentionShapes,
  formatReport,
  type ModelShapeName,
  type ModelTypeName,
  matmulShapes,
  modelFile,
  modelShapeNames,
  modelTypeNames,
  type PeerData,
  parsePeers,
  type ReportData,
  renderPage,
  runForPage,
  runSelection,
  runSuite,
  type SuiteName,
  suiteNames,
} from '../../../bench/index.js';
import { type CommandContext, CommandError, runCommand, UsageError } from '../context.js';
import { jsonOption, type ModelOptions, modelOption, threadsOption, wholeNumber } from '../options.js';

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
}

const matmulNames = matmulShapes.map(({ name }) => name);
const attentionNames = attentionShapes.map(({ name }) => name);

/** The shapes that a suite knows; undefined for suites without shapes. */
const shapesOf: Readonly<Partial<Record<SuiteName, readonly string[]>>> = {
  matmul: matmulNames,
  attention: attentionNames,
  scaling: [...matmulNames, ...attentionNames],
  model: modelShapeNames,
};

export function addBench(program: Command): void {
  program
    .command('bench')
    .description('measure what the cores give; without a suite, a short selection')
    .addArgument(new Argument('[suite]', 'what to measure').choices(suiteNames))
    .option('--shape <names...>', 'for matmul, attention and scaling: only these shapes; for model: random weights')
    .option('--rounds <n>', 'turns that each worker count takes (default: 5)', wholeNumber(1))
    .addOption(modelOption())
    .addOption(
      new Option('--type <type>', 'for model --shape: the tensor type (default: q8_0)').choices(modelTypeNames),
    )
    .option('--folder <folder>', 'for model --shape: where the file is kept (default: removed afterwards)')
    .option('--prompt-tokens <n>', 'for model: tokens of the prompt (default: 256)', wholeNumber(1))
    .option('--max-tokens <n>', 'for model: tokens to generate (default: 64)', wholeNumber(1))
    .option('--profile', 'for model: op by op, what a prompt and a token spend their time on')
    .option('--report <file>', 'write an HTML page with plots too; without a suite of all that it can show')
    .option('--peers [file]', 'model beside llama.cpp; for --report, what `pnpm bench:peers --json` printed')
    .addOption(threadsOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `\nShapes: ${matmulNames.join(' ')}\n${attentionNames.join(' ')}\n${modelShapeNames.join(' ')}`,
    )
    .action((suite: SuiteName | undefined, options: Options) =>
      runCommand((context) => bench(suite, options, context)),
    );
}

async function bench(suite: SuiteName | undefined, options: Options, context: CommandContext): Promise<void> {
  checkOptions(suite, options);
  const { output, signal } = context;
  const { threads, rounds, shape } = options;
  const common = { threads, rounds, signal, onProgress: (text: string) => output.progress(text) };
  // What cannot be read or written is better known before the measurements than after.
  const peers = typeof options.peers === 'string' ? await readPeers(options.peers) : undefined;
  if (options.report !== undefined) await checkWritable(options.report);
  let measured: Omit<ReportData, 'peers'>;
  if (suite === undefined && options.report !== undefined) measured = await runForPage(common);
  else if (suite === undefined) measured = { report: await runSelection(common), timeline: undefined };
  else {
    const report = await withModelFile(suite, options, context, (path) => {
      const { promptTokens, maxTokens } = options;
      const own = {
        shapes: shape,
        peers: options.peers === true,
        profile: options.profile,
        model: { path, promptTokens, maxTokens },
      };
      return runSuite(suite, { ...common, ...own });
    });
    measured = { report, timeline: undefined };
  }
  const { report } = measured;
  if (options.report !== undefined) await writeFile(options.report, renderPage({ ...measured, peers }, new Date()));
  if (options.json === true) await output.writeJson(report);
  else await output.write(formatReport(report));
}

/** Calls `use` with the model that is asked for: a file, or one of random weights in a shape that is written first. */
async function withModelFile<T>(
  suite: SuiteName,
  { model, shape, type = 'q8_0', folder: kept }: Options,
  { output, signal }: CommandContext,
  use: (path: string | undefined) => Promise<T>,
): Promise<T> {
  const name = suite === 'model' ? (shape?.[0] as ModelShapeName | undefined) : undefined;
  if (name === undefined) return use(model);
  const folder = kept ?? (await mkdtemp(join(tmpdir(), 'tesserae-bench-')));
  try {
    await mkdir(folder, { recursive: true });
    output.progress(`random weights: ${name} in ${type}`);
    return await use(await modelFile(folder, name, type, signal));
  } finally {
    if (kept === undefined) await rm(folder, { recursive: true, force: true });
  }
}

async function readPeers(file: string): Promise<PeerData> {
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

/** An option that a suite would ignore is refused. */
function checkOptions(suite: SuiteName | undefined, options: Options): void {
  const known = suite === undefined ? undefined : shapesOf[suite];
  for (const name of options.shape ?? []) {
    if (known === undefined) throw new UsageError(`--shape goes with ${Object.keys(shapesOf).join(', ')}`);
    if (!known.includes(name)) throw new UsageError(`${suite} has no shape '${name}'; see tesserae bench --help`);
  }
  if (typeof options.peers === 'string' && options.report === undefined) {
    throw new UsageError('--peers with a file goes with --report');
  }
  if (options.peers === true && suite !== 'model')
    throw new UsageError('--peers without a file goes with the suite model');
  if (options.profile === true && suite !== 'model') throw new UsageError('--profile goes with the suite model');
  if (options.profile === true && options.peers === true)
    throw new UsageError('--profile and --peers exclude each other');
  if (suite === 'model' && options.shape !== undefined) {
    if (options.model !== undefined) throw new UsageError('--shape and --model exclude each other');
    if (options.shape.length > 1) throw new UsageError('model takes one --shape at a time');
  }
  for (const [flag, value] of [
    ['--type', options.type],
    ['--folder', options.folder],
  ]) {
    const isShape = suite === 'model' && options.shape !== undefined;
    if (value !== undefined && !isShape) throw new UsageError(`${flag} goes with the suite model and --shape`);
  }
  if (options.rounds !== undefined && suite === 'allocations') throw new UsageError('allocations has no --rounds');
  for (const [flag, value] of [
    ['--model', options.model],
    ['--prompt-tokens', options.promptTokens],
    ['--max-tokens', options.maxTokens],
  ]) {
    if (value !== undefined && suite !== 'model') throw new UsageError(`${flag} goes with the suite model`);
  }
}
