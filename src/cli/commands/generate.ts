// `tesserae generate`: continues a prompt, streamed as it comes.
import type { Command } from 'commander';
import type { GenerateOptions, GenerationResult, Model } from '../../index.js';
import { type CommandContext, runCommand } from '../context.js';
import { readStandardInput } from '../input.js';
import { jsonOption, type ModelOptions, modelOption, numberBetween, threadsOption, wholeNumber } from '../options.js';
import { withModel } from '../with-model.js';

interface Options extends ModelOptions {
  readonly maxTokens: number;
  readonly temperature: number;
  readonly seed?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly ignoreEos?: boolean;
}

export function addGenerate(program: Command): void {
  program
    .command('generate')
    .description('continue a prompt')
    .argument('[prompt]', 'the text to continue; - reads it from standard input; without it the model begins by itself')
    .addOption(modelOption())
    .option('--max-tokens <n>', 'tokens to generate at most', wholeNumber(1), 128)
    .option('--temperature <t>', '0 takes the likeliest token each time', numberBetween(0, Number.POSITIVE_INFINITY), 0)
    .option('--seed <n>', 'makes sampling repeatable', wholeNumber(0))
    .option('--top-k <n>', 'sample among the n likeliest tokens', wholeNumber(1))
    .option('--top-p <p>', 'sample among the likeliest tokens that add up to p', numberBetween(0, 1))
    .option('--ignore-eos', "go on after the model's end token")
    .addOption(threadsOption())
    .addOption(jsonOption())
    .action((prompt: string | undefined, options: Options) =>
      runCommand((context) => generate(prompt ?? '', options, context)),
    );
}

async function generate(prompt: string, options: Options, context: CommandContext): Promise<void> {
  const { output, signal } = context;
  const text = prompt === '-' ? (await readStandardInput(signal)).replace(/\r?\n$/, '') : prompt;
  await withModel(options, context, async ({ model, loadMs }) => {
    const { json, model: _model, threads: _threads, ...sampling } = options;
    const onText = json === true ? undefined : (piece: string) => output.write(piece);
    const result = await collect(model, text, { ...sampling, signal }, onText);
    if (json === true) {
      const { text: generated, tokens, promptTokens, stopReason, seed: usedSeed, timings } = result;
      await output.writeJson({
        model: model.info.path,
        prompt: text,
        text: generated,
        tokens,
        promptTokens,
        stopReason,
        seed: usedSeed,
        timings: { loadMs, ...timings },
        tokensPerSecond: ratesOf(result),
      });
    } else {
      await output.write('\n');
      const { prefill, decode } = ratesOf(result);
      const rates = [prefill, decode].map((rate) => (rate === null ? '-' : rate.toFixed(0)));
      output.log(
        `prompt: ${result.promptTokens} tokens at ${rates[0]} tokens/s; ` +
          `generated: ${result.tokens.length} at ${rates[1]} tokens/s; ended by ${result.stopReason}`,
      );
    }
  });
}

/** Runs a generation to its end, handing on each text. */
export async function collect(
  model: Model,
  prompt: string,
  options: GenerateOptions,
  onText: ((text: string) => Promise<void>) | undefined,
): Promise<GenerationResult> {
  const pieces = model.generate(prompt, options);
  for (;;) {
    const step = await pieces.next();
    if (step.done === true) return step.value;
    await onText?.(step.value.text);
  }
}

/** Tokens a second; null where there were too few to tell. The first generated token is the prefill's. */
export function ratesOf({ promptTokens, tokens, timings }: GenerationResult): {
  prefill: number;
  decode: number | null;
} {
  return {
    prefill: (promptTokens / timings.prefillMs) * 1000,
    decode: tokens.length > 1 ? ((tokens.length - 1) / timings.decodeMs) * 1000 : null,
  };
}
