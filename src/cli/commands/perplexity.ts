// `tesserae perplexity`: measures how well a model predicts a text.
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { cacheOption } from '../cache-folder.js';
import { jsonOption, type ModelOptions, modelOption, threadsOption, wholeNumber } from '../options.js';
import { type CommandContext, CommandError, oneLine, runCommand } from '../run-command.js';
import { withModel } from '../with-model.js';

interface Options extends ModelOptions {
  readonly window?: number;
}

export function addPerplexity(program: Command): void {
  program
    .command('perplexity')
    .description('measure how well a model predicts a text')
    .argument('<file>', 'the text, in UTF-8')
    .addOption(modelOption())
    .addOption(cacheOption())
    .option('--window <n>', "positions per window (default: 256, or the model's context)", wholeNumber(2))
    .addOption(threadsOption())
    .addOption(jsonOption())
    .action((file: string, options: Options) => runCommand((context) => measure(file, options, context)));
}

async function measure(file: string, options: Options, context: CommandContext): Promise<void> {
  const { output, signal } = context;
  const text = await readText(file, signal);
  await withModel(options, context, async ({ model }) => {
    const started = performance.now();
    const { perplexity, nll, tokens } = await model.perplexity(text, {
      window: options.window,
      signal,
      onProgress: ({ tokens: done, totalTokens }) => output.progress(`perplexity: ${done} of ${totalTokens} tokens`),
    });
    const tokensPerSecond = (tokens / (performance.now() - started)) * 1000;
    if (options.json === true) {
      await output.writeJson({ model: model.info.path, file, perplexity, nll, tokens, tokensPerSecond });
    } else {
      await output.write(
        `perplexity ${perplexity.toFixed(4)} over ${tokens} tokens (${nll.toFixed(5)} nats per token)\n`,
      );
      output.log(`${tokensPerSecond.toFixed(0)} tokens/s`);
    }
  });
}

async function readText(file: string, signal: AbortSignal): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw new CommandError(
      `${file}: cannot be read: ${oneLine(error instanceof Error ? error.message : String(error))}`,
    );
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new CommandError(`${file}: is not valid UTF-8`);
  }
}
