// `tesserae demo`, what `pnpm start` runs: the machine and its peaks, MatMul and attention on one worker and on all, and
// the bundled model continuing a prompt.
import { styleText } from 'node:util';
import type { Command } from 'commander';
import {
  BenchContext,
  benchAttention,
  benchMatmul,
  bundledModelPath,
  formatMs,
  formatNumber,
  formatShare,
  formatSpeedup,
  type ThroughputRow,
  workersText,
} from '../../../bench/index.js';
import { Engine } from '../../index.js';
import { type CommandContext, runCommand } from '../context.js';
import { type CommonOptions, jsonOption, threadsOption } from '../options.js';
import type { Output } from '../output.js';
import { WordWrap } from '../word-wrap.js';
import { collect } from './generate.js';

const prompt = 'The people of the United States';
const generation = { maxTokens: 93, temperature: 0.7, topP: 0.9, seed: 10, ignoreEos: true } as const;
const indent = '  ';
const barColumns = 20;

export function addDemo(program: Command): void {
  program
    .command('demo')
    .description('show in a few seconds what this machine does')
    .addOption(threadsOption())
    .addOption(jsonOption())
    .action((options: CommonOptions) => runCommand((context) => demo(options, context)));
}

async function demo({ threads, json }: CommonOptions, context: CommandContext): Promise<void> {
  const { output, signal } = context;
  const say = (text: string) => (json === true ? Promise.resolve() : output.write(text));
  const bold = (text: string) => paint(output, 'bold', text);
  const dim = (text: string) => paint(output, 'dim', text);

  const onProgress = (text: string) => output.progress(`${indent}${text} …`);
  const measured = await measure();
  await say('\n');
  const written = await write();
  if (json === true) await output.writeJson({ ...measured, generation: written });

  async function measure() {
    onProgress('starting the workers');
    await using bench = await BenchContext.open({ threads, everyCount: true, signal, onProgress });
    const { machine, rooflines, origin } = bench;
    const most = bench.roofline(bench.widest.threads);
    await say(
      `\n${indent}${bold(`tesserae ${machine.tesserae}`)}  tensor and transformer compute on all CPU cores\n\n` +
        `${indent}machine  ${machine.cpu}, ${machine.cores} CPUs\n` +
        `${indent}runs     ${origin.isa} kernels on ${workersText(most.workers)}, Node ${machine.node}\n` +
        `${indent}peak     ${formatNumber(most.fmaGflops)} GFLOPS of FMA (${most.isa}), ${formatNumber(most.readGBs)} GB/s read ` +
        `${dim('(probed just now)')}\n`,
    );
    const matmul = await benchMatmul(bench, ['square_512']);
    await say(figures('MatMul, 512 × 512 × 512', matmul));
    const attention = await benchAttention(bench, ['attention_512']);
    await say(figures('Attention, 12 heads × 64, 512 tokens', attention));
    return { machine, isa: origin.isa, roofline: rooflines, matmul, attention };
  }

  function figures(title: string, rows: readonly ThroughputRow[]): string {
    const label = Math.max(...rows.map(({ workers }) => workersText(workers).length));
    const head = `${''.padEnd(label)}${'time'.padStart(10)}${'GFLOPS'.padStart(9)}${'speed-up'.padStart(10)}`;
    const lines = rows.map((row) => {
      const cells = [
        workersText(row.workers).padEnd(label),
        formatMs(row.medianMs).padStart(10),
        formatNumber(row.gflops).padStart(9),
        formatSpeedup(row.speedup).padStart(10),
      ];
      return `${indent}${cells.join('')}   ${paint(output, 'cyan', bar(row.peakShare))} ${formatShare(row.peakShare)}\n`;
    });
    return `\n${indent}${bold(title)}\n${indent}${dim(`${head}   of the peak`)}\n${lines.join('')}`;
  }

  async function write() {
    onProgress('loading the model');
    await using engine = await Engine.create({ threads });
    const started = performance.now();
    const model = await engine.loadModel(bundledModelPath(), { signal });
    const loadMs = performance.now() - started;
    const { architecture, parameters } = model.info;
    const size = `${(parameters / 1e6).toFixed(1)} M parameters`;
    await say(
      `${indent}${bold('A language model')}, bundled: ${architecture}, ${size}, loaded in ${formatNumber(loadMs)} ms\n` +
        `${indent}${dim(`continues “${prompt}”`)}\n\n`,
    );
    const wrap = new WordWrap(Math.min(output.columns, 80) - indent.length, indent);
    await say(wrap.push(prompt));
    const result = await collect(model, prompt, { ...generation, signal }, (text) => say(wrap.push(text)));
    const { tokensPerSecond } = result;
    await say(
      `${wrap.end()}\n${indent}${result.tokens.length} tokens at ${bold(`${formatNumber(tokensPerSecond.decode ?? 0)} tokens/s`)}, ` +
        `first one after ${formatMs(result.timings.prefillMs)}\n\n`,
    );
    const { text, tokens, seed, timings } = result;
    return {
      model: model.info.path,
      prompt,
      text,
      tokens,
      seed,
      timings,
      tokensPerSecond,
    };
  }
}

/** A bar of the share of the whole, in eighths of a column. */
function bar(share: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * barColumns * 8);
  const partial = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths % 8] as string;
  return ('█'.repeat(Math.floor(eighths / 8)) + partial).padEnd(barColumns, '·');
}

function paint(output: Output, style: 'bold' | 'dim' | 'cyan', text: string): string {
  return output.hasColors ? styleText(style, text) : text;
}
