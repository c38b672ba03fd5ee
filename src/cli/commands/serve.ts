// `tesserae serve`: a model behind OpenAI's API over HTTP, until it is asked to end.
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import { bundledModelPath } from '../../base/package-files.js';
import { jsonOption, type ModelOptions, modelOption, threadsOption, wholeNumber } from '../options.js';
import { type CommandContext, CommandError, runCommand } from '../run-command.js';
import { withModel } from '../with-model.js';

interface Options extends ModelOptions {
  readonly name?: string;
  readonly host: string;
  readonly port: number;
  readonly apiKey?: readonly string[] | string;
  readonly chatTemplate?: string;
  readonly maxRequests?: number;
  readonly maxTokens?: number;
  readonly maxBody?: number;
  readonly deadlineMs?: number;
  readonly graceMs: number;
}

export function addServe(program: Command): void {
  program
    .command('serve')
    .description('serve a model over HTTP, by OpenAI’s API')
    .addOption(modelOption())
    .option('--name <name>', 'what clients call the model (default: the name of its file)')
    .option('--host <host>', 'a host that other machines can reach needs --api-key', '127.0.0.1')
    .option('--port <port>', '0 takes any free port', wholeNumber(0), 8080)
    .addOption(
      new Option('--api-key <key>', 'clients must have it; repeatable')
        .env('TESSERAE_API_KEY')
        .argParser((key, all: readonly string[] | undefined) => [...(all ?? []), key]),
    )
    .option('--chat-template <file>', 'a Jinja template for conversations, in place of the model’s own')
    .option('--max-requests <n>', 'answers that are computed or wait at once (default: 512)', wholeNumber(1))
    .option('--max-tokens <n>', 'tokens of one answer (default: what the context holds)', wholeNumber(1))
    .option('--max-body <bytes>', 'bytes of a request (default: 1048576)', wholeNumber(1))
    .option('--deadline-ms <n>', 'time from a request to its complete answer (default: any)', wholeNumber(1))
    .option('--grace-ms <n>', 'time for what runs when the server is asked to end', wholeNumber(0), 10_000)
    .addOption(threadsOption())
    .addOption(jsonOption())
    .action((options: Options) => runCommand((context) => serve(options, context), [], { endsWell: true }));
}

async function serve(options: Options, context: CommandContext): Promise<void> {
  const { output, signal } = context;
  const { createServer } = await import('../../server/index.js');
  const { model: path = bundledModelPath(), host, port, apiKey, graceMs } = options;
  const { maxRequests, maxTokens, maxBody: maxBodyBytes, deadlineMs } = options;
  const name = options.name ?? basename(path).replace(/\.gguf$/, '');
  const chatTemplate = options.chatTemplate === undefined ? undefined : await readTemplate(options.chatTemplate);
  const apiKeys = typeof apiKey === 'string' ? [apiKey] : apiKey;
  await withModel(options, context, async ({ engine, model }) => {
    const limits = { maxRequests, maxTokens, maxBodyBytes, deadlineMs };
    const server = await createServer({ engine, models: { [name]: model }, apiKeys, chatTemplate, ...limits });
    await model.warmup();
    const url = await server.listen({ host, port }).catch((error: NodeJS.ErrnoException) => {
      throw error.syscall === undefined ? error : new CommandError(`cannot listen at ${host}:${port}: ${error.code}`);
    });
    if (options.json === true) await output.writeJson({ url, model: name });
    output.log(`${name} at ${url}`);
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
    output.log(`closing; what runs may take ${graceMs} ms`);
    await server.close({ graceMs });
  });
}

async function readTemplate(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new CommandError(`${file}: ${(error as Error).message}`);
  }
}
