// `tesserae embed`: one vector per text.
import { type Command, Option } from 'commander';
import { cacheOption } from '../cache-folder.js';
import { jsonOption, type ModelOptions, modelOption, threadsOption } from '../options.js';
import { type CommandContext, runCommand, UsageError } from '../run-command.js';
import { readStandardInput } from '../standard-input.js';
import { withModel } from '../with-model.js';

interface Options extends ModelOptions {
  readonly pooling?: 'mean' | 'last' | 'first';
  readonly normalize: boolean;
}

export function addEmbed(program: Command): void {
  program
    .command('embed')
    .description('turn texts into vectors')
    .argument('[texts...]', 'the texts; without them each line of standard input is one')
    .addOption(modelOption())
    .addOption(cacheOption())
    .addOption(
      new Option('--pooling <kind>', 'how the tokens become one vector (default: as the model was made)').choices([
        'mean',
        'last',
        'first',
      ]),
    )
    .option('--no-normalize', 'leave the vectors at their own length')
    .addOption(threadsOption())
    .addOption(jsonOption())
    .action((texts: string[], options: Options) => runCommand((context) => embed(texts, options, context)));
}

async function embed(given: readonly string[], options: Options, context: CommandContext): Promise<void> {
  const { output, signal } = context;
  const texts = given.length > 0 ? given : linesOf(await readStandardInput(signal));
  if (texts.length === 0) throw new UsageError('there is no text to embed');
  await withModel(options, context, async ({ model }) => {
    const { pooling = model.info.pooling, normalize } = options;
    const vectors = await model.embed(texts, {
      pooling,
      normalize,
      signal,
      onProgress: ({ done, total }) => output.progress(`embedding: ${done} of ${total}`),
    });
    if (options.json === true) {
      const embeddings = vectors.map((vector, index) => ({ text: texts[index], vector: Array.from(vector) }));
      await output.writeJson({ model: model.info.path, dim: model.info.dim, pooling, normalize, embeddings });
    } else {
      // One line of numbers for each text.
      for (const vector of vectors) await output.write(`${vector.join(' ')}\n`);
    }
  });
}

function linesOf(text: string): string[] {
  return text.split(/\r?\n/).filter((line) => line !== '');
}
