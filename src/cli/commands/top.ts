// `tesserae top`: what a server does, live in a terminal; or one sample of it.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { messageOf } from '../../base/describe.js';
import { jsonOption, numberBetween } from '../options.js';
import type { Output } from '../output.js';
import { type CommandContext, CommandError, runCommand } from '../run-command.js';
import { figuresOf, type Metrics, readMetrics, since } from '../top/read-metrics.js';
import { type View, viewLines } from '../top/view.js';

interface Options {
  readonly interval: number;
  readonly apiKey?: string;
  readonly json?: boolean;
}

/** An answer takes so long at most, and has so many bytes. */
const timeoutMs = 5000;
const mostBytes = 4 << 20;
/** The terminal's second screen without a cursor, and back. */
const [enterScreen, leaveScreen] = ['\x1b[?1049h\x1b[?25l', '\x1b[?25h\x1b[?1049l'];

export function addTop(program: Command): void {
  program
    .command('top')
    .description('show live what a server does')
    .argument('<url>', 'of the server, or of its metrics', parseUrl)
    .option('--interval <seconds>', 'time between two samples', numberBetween(0.1, 3600), 1)
    .addOption(new Option('--api-key <key>', 'the key of the server').env('TESSERAE_API_KEY'))
    .addOption(jsonOption())
    .action((url: URL, options: Options) =>
      runCommand((context) => top(url, options, context), [], { endsWell: true }),
    );
}

/** On a terminal until it is interrupted; elsewhere, and with `--json`, one sample. */
async function top(url: URL, options: Options, { output, signal }: CommandContext): Promise<void> {
  const first = await sample(url, options.apiKey, signal);
  const all = figuresOf(first);
  if (options.json === true) return output.writeJson({ url: url.href, ...all });
  if (!output.isTerminal) return output.write(`${viewLines({ url: url.href, all }).join('\n')}\n`);
  await output.write(enterScreen);
  try {
    await show(output, { url: url.href, all });
    await watch(url, first, options, { output, signal });
  } finally {
    await output.write(leaveScreen);
  }
}

async function watch(url: URL, first: Metrics, options: Options, { output, signal }: CommandContext): Promise<void> {
  let before = first;
  let at = performance.now();
  for (;;) {
    await sleep(1000 * options.interval, undefined, { signal });
    const now = await sample(url, options.apiKey, signal).catch((error: unknown) => {
      if (error instanceof CommandError) return error;
      throw error;
    });
    if (now instanceof CommandError) {
      await show(output, { url: url.href, all: figuresOf(before), problem: now.message });
      continue;
    }
    const seconds = (performance.now() - at) / 1000;
    const lately = { figures: figuresOf(since(before, now)), seconds };
    await show(output, { url: url.href, all: figuresOf(now), lately });
    before = now;
    at = performance.now();
  }
}

async function show(output: Output, view: View): Promise<void> {
  const lines = viewLines(view).map((line) => line.slice(0, output.columns - 1));
  await output.write(`\x1b[H\x1b[2J${lines.join('\n')}\n`);
}

/** @throws CommandError where there are no metrics of ours; AbortError */
async function sample(url: URL, key: string | undefined, signal: AbortSignal): Promise<Metrics> {
  const headers: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` };
  let text: string;
  try {
    const response = await fetch(url, { headers, signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) });
    if (!response.ok) throw new CommandError(`${url.href} answers ${response.status} ${response.statusText}`);
    text = await textOf(response);
  } catch (error) {
    if (signal.aborted || error instanceof CommandError) throw error;
    const { cause } = error as Error;
    throw new CommandError(`${url.href} cannot be read: ${messageOf(cause ?? error)}`);
  }
  const metrics = readMetrics(text);
  if (metrics.size === 0) throw new CommandError(`${url.href} gives no metrics of tesserae`);
  return metrics;
}

/** @throws CommandError for a text that is too long */
async function textOf(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.byteLength;
    if (bytes > mostBytes) throw new CommandError(`${response.url} gives more than ${mostBytes} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** @throws InvalidArgumentError */
function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new InvalidArgumentError('It must be a URL such as http://127.0.0.1:8080.');
  }
  if (url.pathname === '/') url.pathname = '/metrics';
  return url;
}
