// `tesserae bench`: the benchmark suites, as a table or as JSON.
import { open, readFile, writeFile } from 'node:fs/promises';
import { Argument, type Command } from 'commander';
import {
  attentionShapes,
  formatReport,
  matmulShapes,
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
  readonly peers?: string;
}

const matmulNames = matmulShapes.map(({ name }) => name);
const attentionNames = attentionShapes.map(({ name }) => name);

/** The shapes that a suite knows; undefined for suites without shapes. */
const shapesOf: Readonly<Partial<Record<SuiteName, readonly string[]>>> = {
  matmul: matmulNames,
  attention: attentionNames,
  scaling: [...matmulNames, ...attentionNames],
};

export function addBench(program: Command): void {
  program
    .command('bench')
    .description('measure what the cores give; without a suite, a short selection')
    .addArgument(new Argument('[suite]', 'what to measure').choices(suiteNames))
    .option('--shape <names...>', 'for matmul, attention and scaling: only these shapes')
    .option('--rounds <n>', 'turns that each worker count takes (default: 5)', wholeNumber(1))
    .addOption(modelOption())
    .option('--prompt-tokens <n>', 'for model: tokens of the prompt (default: 256)', wholeNumber(1))
    .option('--max-tokens <n>', 'for model: tokens to generate (default: 64)', wholeNumber(1))
    .option('--report <file>', 'write an HTML page with plots too; without a suite of all that it can show')
    .option('--peers <file>', 'for --report: what `pnpm bench:peers --json` printed')
    .addOption(threadsOption())
    .addOption(jsonOption())
    .addHelpText('after', `\nShapes: ${matmulNames.join(' ')}\n${attentionNames.join(' ')}`)
    .action((suite: SuiteName | undefined, options: Options) =>
      runCommand((context) => bench(suite, options, context)),
    );
}

async function bench(suite: SuiteName | undefined, options: Options, context: CommandContext): Promise<void> {
  checkOptions(suite, options);
  const { output, signal } = context;
  const { threads, rounds, shape, model, promptTokens, maxTokens } = options;
  const common = { threads, rounds, signal, onProgress: (text: string) => output.progress(text) };
  // What cannot be read or written is better known before the measurements than after.
  const peers = options.peers === undefined ? undefined : await readPeers(options.peers);
  if (options.report !== undefined) await checkWritable(options.report);
  let measured: Omit<ReportData, 'peers'>;
  if (suite === undefined && options.report !== undefined) measured = await runForPage(common);
  else if (suite === undefined) measured = { report: await runSelection(common), timeline: undefined };
  else {
    const own = { ...common, shapes: shape, model: { path: model, promptTokens, maxTokens } };
    measured = { report: await runSuite(suite, own), timeline: undefined };
  }
  const { report } = measured;
  if (options.report !== undefined) await writeFile(options.report, renderPage({ ...measured, peers }, new Date()));
  if (options.json === true) await output.writeJson(report);
  else await output.write(formatReport(report));
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
  if (options.peers !== undefined && options.report === undefined) throw new UsageError('--peers goes with --report');
  if (options.rounds !== undefined && suite === 'allocations') throw new UsageError('allocations has no --rounds');
  for (const [flag, value] of [
    ['--model', options.model],
    ['--prompt-tokens', options.promptTokens],
    ['--max-tokens', options.maxTokens],
  ]) {
    if (value !== undefined && suite !== 'model') throw new UsageError(`${flag} goes with the suite model`);
  }
}
