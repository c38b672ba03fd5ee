// `tesserae generate`: continues a prompt, once and streamed piece by piece, or several times.
import { readFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import type { GenerateOptions, GenerationResult, Model } from '../../index.js';
import { cacheOption } from '../cache-folder.js';
import { jsonOption, type ModelOptions, modelOption, threadsOption, wholeNumber } from '../options.js';
import type { Output } from '../output.js';
import { type CommandContext, CommandError, runCommand, UsageError } from '../run-command.js';
import { addSamplingFlags, generateOptionsOf, type SamplingFlags } from '../sampling-options.js';
import { readStandardInput } from '../standard-input.js';
import { withModel } from '../with-model.js';

interface Options extends ModelOptions, SamplingFlags {
  readonly n?: number;
  readonly jsonSchema?: string;
}

export function addGenerate(program: Command): void {
  const command = program
    .command('generate')
    .description('continue a prompt')
    .argument(
      '[prompt]',
      'the text to continue; - reads it from standard input; without it the model starts a text of its own',
    )
    .addOption(modelOption())
    .addOption(cacheOption());
  addSamplingFlags(command)
    .option('--n <n>', 'continue it n times, from consecutive seeds', wholeNumber(1))
    .addOption(new Option('--json-schema <file>', 'hold the text to a JSON schema').conflicts(['regex', 'jsonValue']))
    .addOption(threadsOption())
    .addOption(jsonOption())
    .action((prompt: string | undefined, options: Options) =>
      runCommand((context) => generate(prompt ?? '', options, context)),
    );
}

async function generate(prompt: string, options: Options, context: CommandContext): Promise<void> {
  const { output, signal } = context;
  const { json = false, n } = options;
  if (options.logprobs !== undefined && !json) throw new UsageError('--logprobs goes with --json');
  const text = prompt === '-' ? (await readStandardInput(signal)).replace(/\r?\n$/, '') : prompt;
  const { jsonSchema } = options;
  const format = jsonSchema === undefined ? {} : { format: { jsonSchema: await readSchema(jsonSchema) } };
  await withModel(options, context, async ({ model }) => {
    const given = { ...generateOptionsOf(options), ...format, signal };
    if (n !== undefined) {
      const onProgress = ({ done, total }: { done: number; total: number }) => output.progress(`${done} of ${total}`);
      const results = await model.complete(text, { ...given, n, onProgress });
      if (json) await output.writeJson({ model: model.info.path, prompt: text, results });
      else for (const [index, result] of results.entries()) await writeNumbered(output, index, result);
      return;
    }
    const onText = json ? undefined : (piece: string) => output.write(piece);
    const result = await collect(model, text, given, onText);
    if (json) {
      await output.writeJson({ model: model.info.path, prompt: text, ...result });
    } else {
      await output.write('\n');
      output.log(summaryOf(result));
    }
  });
}

async function readSchema(file: string): Promise<Record<string, unknown>> {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new CommandError(`${file}: cannot be read as JSON: ${(error as Error).message}`);
  }
}

async function writeNumbered(output: Output, index: number, result: GenerationResult): Promise<void> {
  await output.write(`[${index + 1}] ${result.text}\n`);
  output.log(`seed ${result.seed}; ${summaryOf(result)}`);
}

function summaryOf({ promptTokens, tokens, tokensPerSecond, stopReason, stopSequence }: GenerationResult): string {
  const { prefill, decode } = tokensPerSecond;
  const [prefillRate, decodeRate] = [prefill, decode].map((rate) => (rate === null ? '-' : rate.toFixed(0)));
  const by = stopSequence === undefined ? stopReason : `${stopReason} ${JSON.stringify(stopSequence)}`;
  return (
    `prompt: ${promptTokens} tokens at ${prefillRate} tokens/s; ` +
    `generated: ${tokens.length} at ${decodeRate} tokens/s; ended by ${by}`
  );
}

/** Runs a generation to its end and passes each piece of its text to `onText`. */
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
