// `tesserae batch`: a file of requests, one a line, to a file of results. Interrupted anywhere, it goes on with --resume, and
// the output is the same to the byte.
import { realpath } from 'node:fs/promises';
import { addAbortSignal } from 'node:stream';
import { type Command, Option } from 'commander';
import { bundledModelPath } from '../../base/package-files.js';
import type { Model } from '../../index.js';
import type { JobKind } from '../../jobs/index.js';
import { type BatchWriter, openOutput, wellEnding } from '../batch/batch-output.js';
import { enterState, fingerprintOf } from '../batch/batch-state.js';
import { type InputScan, linesOf, openInput, scanInput } from '../batch/input-lines.js';
import { type LineSettings, type LineTools, outputLineOf } from '../batch/line-work.js';
import { OrderedWindow } from '../batch/ordered-window.js';
import { cacheOption } from '../cache-folder.js';
import { jsonOption, type ModelOptions, modelOption, numberBetween, threadsOption, wholeNumber } from '../options.js';
import { type CommandContext, CommandError, exitCodes, runCommand, UsageError } from '../run-command.js';
import { withModel } from '../with-model.js';

interface Options extends ModelOptions {
  readonly output?: string;
  readonly kind?: JobKind;
  readonly text?: boolean;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly seed?: number;
  readonly resume?: boolean;
}

/** Where the lines come from and go to. */
interface Ends {
  /** Undefined for standard input, which cannot be read twice. */
  readonly scan: InputScan | undefined;
  readonly source: AsyncIterable<Uint8Array>;
  readonly writer: BatchWriter;
  readonly seed: number;
}

const defaults = { maxTokens: 128, temperature: 0 };

export function addBatch(program: Command): void {
  program
    .command('batch')
    .description('run a file of requests, one a line, and write a line for each')
    .argument('<input>', 'a JSON Lines file: { custom_id, prompt | text | messages | body }; - for standard input')
    .option('-o, --output <file>', 'the file to append results to (default: standard output)')
    .addOption(modelOption())
    .addOption(cacheOption())
    .addOption(
      new Option('--kind <kind>', 'what all lines ask for (default: what each line has)').choices([
        'generate',
        'embed',
        'chat',
      ]),
    )
    .option('--text', 'each line is a prompt or a text as it is, not JSON')
    .option('--max-tokens <n>', 'tokens to generate at most (default: 128)', wholeNumber(1))
    .option(
      '--temperature <t>',
      '0, the default, takes the most likely token each time',
      numberBetween(0, Number.POSITIVE_INFINITY),
    )
    .option('--seed <n>', 'line i, from 0, samples from the seed n + i', wholeNumber(0))
    .option('--resume', 'go on where an interrupted batch has stopped')
    .addOption(threadsOption())
    .addOption(jsonOption())
    .action((input: string, options: Options) => runCommand((context) => batch(input, options, context)));
}

async function batch(input: string, options: Options, context: CommandContext): Promise<void> {
  checkUse(input, options);
  const ends = await openEnds(input, options, context);
  const { output } = context;
  const { writer, scan } = ends;
  let { errors } = writer;
  const started = performance.now();
  let lines = writer.lines;
  try {
    if (scan !== undefined && writer.lines > scan.lines) {
      throw new CommandError(`${options.output} has more lines than ${input}: it is not the output of this batch`);
    }
    if (scan === undefined || writer.lines < scan.lines) {
      await withModel(options, context, async ({ model }) => {
        const tools = await loadTools(model);
        const work = { model, kind: options.kind, isText: options.text === true, options: samplingOf(options) };
        const settings = { ...work, seed: ends.seed, digest: scan?.digest, signal: context.signal };
        await runLines(ends, settings, tools, (line) => {
          lines++;
          if (!line.endsWith(`${wellEnding}\n`)) errors++;
          output.progress(progressOf(lines, writer.lines, scan?.lines, performance.now() - started));
        });
      });
    }
  } finally {
    await writer.close();
  }
  if (errors > 0) process.exitCode = exitCodes.lineErrors;
  const seconds = (performance.now() - started) / 1000;
  const { output: path = null } = options;
  if (options.json === true) await output.writeJson({ input, output: path, lines, errors, seed: ends.seed, seconds });
  else output.log(`${lines} lines, ${errors} with errors; ${seconds.toFixed(1)} s`);
}

function checkUse(input: string, { output, resume, json, kind, maxTokens, temperature, seed }: Options): void {
  const toFile = output !== undefined && output !== '-';
  if (resume === true && (!toFile || input === '-')) throw new UsageError('--resume needs a file as input and as -o');
  if (json === true && !toFile) throw new UsageError('--json needs -o: its document goes to standard output');
  if (kind !== 'embed') return;
  const [useless] = Object.entries({ maxTokens, temperature, seed }).find(([, value]) => value !== undefined) ?? [];
  if (useless !== undefined)
    throw new UsageError('--max-tokens, --temperature and --seed have no effect on --kind embed');
}

async function openEnds(input: string, options: Options, { output, signal }: CommandContext): Promise<Ends> {
  const { output: path = '-', resume = false, kind = null, text = false, model = bundledModelPath() } = options;
  const isFile = input !== '-';
  if (isFile && path !== '-' && (await isSameFile(input, path))) throw new UsageError('the output is the input');
  const scan = isFile ? await scanInput(input, signal) : undefined;
  const source = isFile ? openInput(input, signal) : standardInput(signal);
  const seed = options.seed ?? 0;
  if (path === '-') {
    const writer = { lines: 0, errors: 0, append: (line: string) => output.write(line), close: async () => {} };
    return { scan, source, writer, seed };
  }
  const writer = await openOutput(path, resume);
  if (scan === undefined) return { scan, source, writer, seed };
  try {
    const fingerprint = await fingerprintOf(model).catch((error: Error) => {
      throw new CommandError(`${model}: ${error.message}`);
    });
    const given = { input: scan.digest, model: fingerprint, kind, text, ...samplingOf(options), seed };
    await enterState(path, given, writer.lines);
    return { scan, source, writer, seed };
  } catch (error) {
    await writer.close();
    throw error;
  }
}

async function isSameFile(a: string, b: string): Promise<boolean> {
  const [first, second] = await Promise.all([a, b].map((path) => realpath(path).catch(() => undefined)));
  return first !== undefined && first === second;
}

function standardInput(signal: AbortSignal): AsyncIterable<Uint8Array> {
  return addAbortSignal(signal, process.stdin);
}

function samplingOf({ maxTokens = defaults.maxTokens, temperature = defaults.temperature }: Options) {
  return { maxTokens, temperature };
}

async function loadTools(model: Model): Promise<LineTools> {
  const [{ createJobRunner, jobFailureOf }, openai] = await Promise.all([
    import('../../jobs/index.js'),
    import('../../openai/index.js'),
  ]);
  const runnerOf = (kind: JobKind) => createJobRunner(model, { kind });
  const runners = { embed: runnerOf('embed'), generate: runnerOf('generate'), chat: runnerOf('chat') };
  return { runners, jobFailureOf, ...openai };
}

/** Computes the lines that the output does not have yet, and appends theirs. */
async function runLines(
  { source, writer }: Ends,
  settings: LineSettings,
  tools: LineTools,
  onWritten: (line: string) => void,
): Promise<void> {
  // Ends what is computed when a line fails for good, or the output cannot be written.
  const stop = new AbortController();
  const signal = AbortSignal.any([settings.signal, stop.signal]);
  const window = new OrderedWindow(async (line) => {
    await writer.append(line);
    onWritten(line);
  });
  try {
    let index = 0;
    for await (const line of linesOf(source)) {
      const place = index++;
      if (place < writer.lines) continue;
      const bytes = 'text' in line ? line.text.length : 0;
      await window.add(() => outputLineOf(line, place, { ...settings, signal }, tools), bytes);
    }
    await window.end();
  } catch (error) {
    stop.abort();
    await window.settle();
    throw error;
  }
}

function progressOf(done: number, before: number, total: number | undefined, ms: number): string {
  const rate = (1000 * (done - before)) / ms;
  if (total === undefined) return `batch: ${done} lines, ${rate.toFixed(1)} lines/s`;
  const columns = Math.round((20 * done) / total);
  const bar = '#'.repeat(columns).padEnd(20, '.');
  const left = formatSeconds((total - done) / rate);
  return `batch: [${bar}] ${done} of ${total} lines, ${rate.toFixed(1)} lines/s, ${left} left`;
}

function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
