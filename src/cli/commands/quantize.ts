// `tesserae quantize`: writes a GGUF file with quantized weights from one without.
import { type Command, Option } from 'commander';
import { formatBytes } from '../../base/number-text.js';
import type { QuantizeType } from '../../index.js';
import { loadLibrary } from '../load-library.js';
import { type CommonOptions, jsonOption, threadsOption } from '../options.js';
import { type CommandContext, runCommand } from '../run-command.js';

interface Options extends CommonOptions {
  readonly type: QuantizeType;
  readonly force?: boolean;
}

export function addQuantize(program: Command): void {
  program
    .command('quantize')
    .description('write a model with quantized weights')
    .argument('<input>', 'a GGUF file of F32, F16 or BF16 weights')
    .argument('<output>', 'the GGUF file to write')
    .addOption(
      new Option('--type <type>', 'the type of most weights')
        .choices(['q8_0', 'q6_k', 'q4_k', 'q4_0'])
        .makeOptionMandatory(),
    )
    .option('--force', 'replace the output if it exists')
    .addOption(threadsOption())
    .addOption(jsonOption())
    .action((input: string, output: string, options: Options) =>
      runCommand((context) => quantize(input, output, options, context)),
    );
}

async function quantize(
  input: string,
  outputPath: string,
  { type, force, threads, json }: Options,
  { output, signal }: CommandContext,
): Promise<void> {
  const { Engine } = await loadLibrary();
  await using engine = await Engine.create({ threads });
  const started = performance.now();
  const result = await engine.quantizeModel(input, outputPath, {
    type,
    force,
    signal,
    onProgress: ({ doneBytes, totalBytes }) => {
      output.progress(`quantizing: ${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`);
    },
  });
  const seconds = (performance.now() - started) / 1000;
  if (json === true) {
    await output.writeJson({ input, type, seconds, ...result });
    return;
  }
  const types = Object.entries(result.tensorTypes).map(([name, count]) => `${count} ${name}`);
  const sizes = `${formatBytes(result.inputBytes)} to ${formatBytes(result.outputBytes)}`;
  await output.write(`${outputPath}: ${sizes}; tensors: ${types.join(', ')}\n`);
  output.log(`${seconds.toFixed(1)} s`);
}
