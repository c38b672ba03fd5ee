// `tesserae demo`, what `pnpm start` runs: shows the machine and its peaks, MatMul and attention on one worker and on
// all, and the bundled model continuing a prompt.
import { styleText } from 'node:util';
import type { Command } from 'commander';
import type { ThroughputRow } from '../../../bench/index.js';
import { WrongResultError } from '../../../bench/registration.js';
import { formatMs, formatNumber, formatShare, formatSpeedup, formatWorkers } from '../../base/number-text.js';
import { bundledModelPath } from '../../base/package-files.js';
import type { GenerationResult } from '../../index.js';
import { loadLibrary } from '../load-library.js';
import { type CommonOptions, jsonOption, threadsOption } from '../options.js';
import type { Output } from '../output.js';
import { type CommandContext, runCommand } from '../run-command.js';
import { WordWrap } from '../word-wrap.js';
import { collect } from './generate.js';

const prompt = 'The people of the United States';
const generation = { maxTokens: 93, temperature: 0.7, topP: 0.9, seed: 10, ignoreEos: true } as const;
const indent = '  ';
const barColumns = 20;

export function addDemo(program: Command): void {
  program
    .command('demo')
    .description('show in a few seconds how fast this machine is')
    .addOption(threadsOption())
    .addOption(jsonOption())
    .action((options: CommonOptions) => runCommand((context) => demo(options, context), [WrongResultError]));
}

async function demo({ threads, json }: CommonOptions, context: CommandContext): Promise<void> {
  const out = new DemoOutput(context, json === true);
  const measured = await measure(threads, out);
  await out.say('\n');
  const written = await write(threads, out);
  if (json === true) await context.output.writeJson({ ...measured, generation: written });
}

/** What the demonstration prints: text as it goes, nothing of it with `--json`. */
class DemoOutput {
  readonly signal: AbortSignal;
  readonly columns: number;
  readonly #output: Output;
  readonly #isSilent: boolean;

  constructor({ output, signal }: CommandContext, isSilent: boolean) {
    this.signal = signal;
    this.columns = Math.min(output.columns, 80);
    this.#output = output;
    this.#isSilent = isSilent;
  }

  async say(text: string): Promise<void> {
    if (!this.#isSilent) await this.#output.write(text);
  }

  readonly progress = (text: string): void => this.#output.progress(`${indent}${text} …`);

  paint(style: 'bold' | 'dim' | 'cyan', text: string): string {
    return this.#output.hasColors ? styleText(style, text) : text;
  }
}

/** The machine, its peaks, and the throughput of two ops on one worker and on all. */
async function measure(threads: number | undefined, out: DemoOutput) {
  const { BenchContext, benchAttention, benchMatmul } = await import('../../../bench/index.js');
  out.progress('starting the workers');
  const { signal, progress } = out;
  await using bench = await BenchContext.open({ threads, everyCount: true, signal, onProgress: progress });
  const { machine, rooflines, origin } = bench;
  const most = bench.roofline(bench.widest.threads);
  const { isa, fmaGflops, readGBs, workers } = most;
  await out.say(
    `\n${indent}${out.paint('bold', `tesserae ${machine.tesserae}`)}  tensor and transformer compute on all CPU cores\n\n` +
      `${indent}machine  ${machine.cpu}, ${machine.cores} CPUs\n` +
      `${indent}runs     ${origin.isa} kernels on ${formatWorkers(workers)}, Node ${machine.node}\n` +
      `${indent}peak     ${formatNumber(fmaGflops)} GFLOPS of FMA (${isa}), ${formatNumber(readGBs)} GB/s read ` +
      `${out.paint('dim', '(probed just now)')}\n`,
  );
  const matmul = await benchMatmul(bench, ['square_512']);
  await out.say(rowsText('MatMul, 512 × 512 × 512', matmul, out));
  const attention = await benchAttention(bench, ['attention_512']);
  await out.say(rowsText('Attention, 12 heads × 64, 512 tokens', attention, out));
  return { machine, isa: origin.isa, roofline: rooflines, matmul, attention };
}

function rowsText(title: string, rows: readonly ThroughputRow[], out: DemoOutput): string {
  const label = Math.max(...rows.map(({ workers }) => formatWorkers(workers).length));
  const head = `${''.padEnd(label)}${'time'.padStart(10)}${'GFLOPS'.padStart(9)}${'speed-up'.padStart(10)}`;
  const lines = rows.map((row) => {
    const cells = [
      formatWorkers(row.workers).padEnd(label),
      formatMs(row.medianMs).padStart(10),
      formatNumber(row.gflops).padStart(9),
      formatSpeedup(row.speedup).padStart(10),
    ];
    return `${indent}${cells.join('')}   ${out.paint('cyan', bar(row.peakShare))} ${formatShare(row.peakShare)}\n`;
  });
  return `\n${indent}${out.paint('bold', title)}\n${indent}${out.paint('dim', `${head}   of the peak`)}\n${lines.join('')}`;
}

/** The bundled model continues the prompt. */
async function write(threads: number | undefined, out: DemoOutput) {
  const { signal } = out;
  out.progress('loading the model');
  const { Engine } = await loadLibrary();
  await using engine = await Engine.create({ threads });
  const started = performance.now();
  const model = await engine.loadModel(bundledModelPath(), { signal });
  const loadMs = performance.now() - started;
  const { architecture, parameters } = model.info;
  const size = `${(parameters / 1e6).toFixed(1)} M parameters`;
  await out.say(
    `${indent}${out.paint('bold', 'A language model')}, bundled: ${architecture}, ${size}, loaded in ${formatNumber(loadMs)} ms\n` +
      `${indent}${out.paint('dim', `continues “${prompt}”`)}\n\n`,
  );
  const wrap = new WordWrap(out.columns - indent.length, indent);
  await out.say(wrap.push(prompt));
  const result = await collect(model, prompt, { ...generation, signal }, (text) => out.say(wrap.push(text)));
  await out.say(`${wrap.end()}\n${indent}${speedText(result, out)}\n\n`);
  const { text, tokens, seed, timings, tokensPerSecond } = result;
  return { model: model.info.path, prompt, text, tokens, seed, timings, tokensPerSecond };
}

function speedText({ tokens, tokensPerSecond, timings }: GenerationResult, out: DemoOutput): string {
  const speed = out.paint('bold', `${formatNumber(tokensPerSecond.decode ?? 0)} tokens/s`);
  return `${tokens.length} tokens at ${speed}, first one after ${formatMs(timings.prefillMs)}`;
}

/** A bar of the share of the whole, in eighths of a column. */
function bar(share: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * barColumns * 8);
  const partial = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths % 8] as string;
  return ('█'.repeat(Math.floor(eighths / 8)) + partial).padEnd(barColumns, '·');
}
