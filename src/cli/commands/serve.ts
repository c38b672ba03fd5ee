// `tesserae serve`: models behind OpenAI's API over HTTP, until it is asked to end.
import { readFile } from 'node:fs/promises';
import { createServer as createSocketServer } from 'node:net';
import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import { bundledModelPath } from '../../base/package-files.js';
import type { Model } from '../../index.js';
import { cacheOf, cacheOption } from '../cache-folder.js';
import { type CommonOptions, jsonOption, threadsOption, wholeNumber } from '../options.js';
import { type CommandContext, CommandError, runCommand, UsageError } from '../run-command.js';
import { withModel } from '../with-model.js';

interface Options extends CommonOptions {
  readonly cache?: string;
  readonly model?: readonly string[];
  readonly name?: readonly string[];
  readonly host: string;
  readonly port: number;
  readonly apiKey?: readonly string[];
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
    .description('serve models over HTTP, by OpenAI’s API')
    .option('--model <file>', 'a GGUF file (default: the bundled model); repeatable', collect)
    .option('--name <name>', 'what clients call the model (default: the name of its file); repeatable', collect)
    .option('--host <host>', 'a host that other machines can reach needs --api-key', '127.0.0.1')
    .option('--port <port>', '0 takes any free port', wholeNumber(0, 65_535), 8080)
    .addOption(
      new Option('--api-key <key>', 'clients must have it; repeatable').env('TESSERAE_API_KEY').argParser(collect),
    )
    .option('--chat-template <file>', 'a Jinja template for conversations, in place of the model’s own')
    .option('--max-requests <n>', 'answers that are computed or wait at once (default: 512)', wholeNumber(1))
    .option('--max-tokens <n>', 'tokens of one answer (default: what the context holds)', wholeNumber(1))
    .option('--max-body <bytes>', 'bytes of a request (default: 1048576)', wholeNumber(1))
    .option('--deadline-ms <n>', 'time from a request to its complete answer (default: any)', wholeNumber(1))
    .option('--grace-ms <n>', 'time for what runs when the server is asked to end', wholeNumber(0), 10_000)
    .addOption(cacheOption())
    .addOption(threadsOption())
    .addOption(jsonOption())
    .action((options: Options) => runCommand((context) => serve(options, context), [], { endsWell: true }));
}

async function serve(options: Options, context: CommandContext): Promise<void> {
  const { output, signal } = context;
  const { createServer } = await import('../../server/index.js');
  const { requireKey } = await import('../../server/api-keys.js');
  const { model: paths = [bundledModelPath()], threads, cache, host, port, apiKey: apiKeys, graceMs } = options;
  const { maxRequests, maxTokens, maxBody: maxBodyBytes, deadlineMs } = options;
  const names = namesOf(paths, options.name);
  requireKey(host, apiKeys ?? []);
  await checkFree(host, port);
  const chatTemplate = options.chatTemplate === undefined ? undefined : await readTemplate(options.chatTemplate);
  const shared = { ...(threads && { threads }), ...(cache && { cache }) };
  await withModel({ model: paths[0] as string, ...shared }, context, async ({ engine, model }) => {
    const models: Record<string, Model> = { [names[0] as string]: model };
    for (const [i, path] of paths.entries()) {
      const loading = {
        signal,
        onProgress: output.loading,
        ...(await cacheOf(cache, path, undefined, engine.stats().addon)),
      };
      if (i > 0) models[names[i] as string] = await engine.loadModel(path, loading);
    }
    output.clearProgress();
    const limits = { maxRequests, maxTokens, maxBodyBytes, deadlineMs };
    const server = await createServer({ engine, models, apiKeys, chatTemplate, ...limits });
    for (const one of Object.values(models)) await one.warmup();
    const url = await server.listen({ host, port }).catch((error) => {
      throw listenFailure(error, host, port);
    });
    if (options.json === true) await output.writeJson({ url, models: names });
    output.log(`${names.join(', ')} at ${url}`);
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
    output.log(`closing; what runs may take ${graceMs} ms`);
    await server.close({ graceMs });
  });
}

/** Loading takes long: a port that is taken is reported before it. @throws CommandError */
async function checkFree(host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const socket = createSocketServer();
    socket.once('error', (error) => reject(listenFailure(error, host, port)));
    socket.listen({ host, port }, () => socket.close(() => resolve()));
  });
}

function listenFailure(error: NodeJS.ErrnoException, host: string, port: number): Error {
  return error.syscall === undefined ? error : new CommandError(`cannot listen at ${host}:${port}: ${error.code}`);
}

/** What clients call the models: the names that are given, in the order of the models, or those of their files. */
function namesOf(paths: readonly string[], given: readonly string[] = []): string[] {
  if (given.length > paths.length) throw new UsageError('there are more names than models');
  const names = paths.map((path, i) => given[i] ?? basename(path).replace(/\.gguf$/, ''));
  if (new Set(names).size < names.length) throw new UsageError('two models have one name: give each a --name');
  return names;
}

function collect(value: string, all: readonly string[] = []): readonly string[] {
  return [...all, value];
}

async function readTemplate(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new CommandError(`${file}: ${(error as Error).message}`);
  }
}
