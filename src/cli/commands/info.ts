// `tesserae info`: describes the machine, and a model file.
import type { Command } from 'commander';
import { formatBytes, formatNumber, formatWorkers } from '../../base/number-text.js';
import type { BlockSizes, KeyValueType, Machine, ModelInspection, Roofline } from '../../index.js';
import { loadLibrary } from '../load-library.js';
import { type CommonOptions, jsonOption, threadsOption } from '../options.js';
import { type CommandContext, runCommand } from '../run-command.js';

interface Options extends CommonOptions {
  readonly probe?: boolean;
}

export function addInfo(program: Command): void {
  program
    .command('info')
    .description('describe this machine, and a model file')
    .argument('[model]', 'a GGUF file, or a Hugging Face folder')
    .option('--probe', 'measure the peaks of FMAs and of 8-bit products, and the read bandwidth')
    .addOption(threadsOption())
    .addOption(jsonOption())
    .action((model: string | undefined, options: Options) => runCommand((context) => info(model, options, context)));
}

async function info(path: string | undefined, options: Options, context: CommandContext): Promise<void> {
  const { output, signal } = context;
  const { describeMachine, probeRoofline } = await loadLibrary();
  const machine = await describeMachine();
  const { team, inspection } = await inspect(path, options.threads, signal);
  const counts = [...new Set([1, team.threads])];
  const roofline =
    options.probe === true
      ? await probeRoofline(counts, { signal, onProgress: (what) => output.progress(`probing ${what}`) })
      : null;
  const model = inspection === undefined ? null : describeModel(inspection);
  if (options.json === true) await output.writeJson({ machine, ...team, roofline, model });
  else await output.write(formatInfo(machine, team, roofline, model));
}

interface TeamInfo {
  readonly addon: 'native' | 'wasm';
  readonly isa: string;
  readonly threads: number;
  readonly memoryBudgetBytes: number;
  /** How matrix products are cut, in elements. */
  readonly blockSizes: BlockSizes;
}

async function inspect(
  path: string | undefined,
  threads: number | undefined,
  signal: AbortSignal,
): Promise<{ team: TeamInfo; inspection: ModelInspection | undefined }> {
  const { Engine } = await loadLibrary();
  await using engine = await Engine.create({ threads });
  const { addon, isa, pool } = engine.stats();
  const team = {
    addon,
    isa,
    threads: engine.threads,
    memoryBudgetBytes: pool.budgetBytes,
    blockSizes: engine.blockSizes,
  };
  return { team, inspection: path === undefined ? undefined : await engine.inspect(path, { signal }) };
}

/** With null for what a model lacks, which JSON would leave out otherwise. */
function describeModel({ name, tokenizer, kvBytesPerToken, ...rest }: ModelInspection) {
  const keyValues = Object.entries(kvBytesPerToken).map(([type, bytes]) => [type, bytes ?? null]);
  return {
    ...rest,
    name: name ?? null,
    tokenizer: { ...tokenizer, bosId: tokenizer.bosId ?? null, eosId: tokenizer.eosId ?? null },
    kvBytesPerToken: Object.fromEntries(keyValues) as Record<KeyValueType, number | null>,
  };
}

type ModelDescription = ReturnType<typeof describeModel>;

function formatInfo(
  machine: Machine,
  { addon, isa, threads, memoryBudgetBytes, blockSizes }: TeamInfo,
  roofline: readonly Roofline[] | null,
  model: ModelDescription | null,
): string {
  const commit = machine.commit === null ? '' : `, commit ${machine.commit}`;
  const lines: [string, string][] = [
    ['tesserae', `${machine.tesserae}${commit}`],
    ['node', `${machine.node} on ${machine.platform}`],
    ['cpu', `${machine.cpu}, ${machine.cores} CPUs`],
    ...cacheLines(machine),
    ['memory', `${formatBytes(machine.memoryBytes)}, of which tensors may take ${formatBytes(memoryBudgetBytes)}`],
    [
      'kernels',
      `${isa}${addon === 'wasm' ? ' in WebAssembly' : ''} (this machine runs ${machine.kernelSets.join(', ')})`,
    ],
    ['blocks', describeBlocks(blockSizes)],
    ['threads', String(threads)],
  ];
  for (const { workers, isa: set, fmaGflops, dotGmacs, readGBs } of roofline ?? []) {
    lines.push([
      formatWorkers(workers),
      `${formatNumber(fmaGflops)} GFLOPS of FMA (${set}), ${formatNumber(dotGmacs)} GMAC/s of 8-bit products, ` +
        `${formatNumber(readGBs)} GB/s read`,
    ]);
  }
  if (model !== null) lines.push(...modelLines(model));
  const width = Math.max(...lines.map(([label]) => label.length));
  return lines.map(([label, value]) => `${label.padEnd(width)}  ${value}\n`).join('');
}

/** One line with the caches of a core; none where the system does not report them. */
function cacheLines({ caches }: Machine): [string, string][] {
  const texts = caches
    .filter(({ kind }) => kind !== 'instruction')
    .map((cache) => {
      const shared = cache.sharedBy > 1 ? ` shared by ${cache.sharedBy} CPUs` : '';
      return `${cache.name} ${formatBytes(cache.sizeBytes)}${shared}`;
    });
  return texts.length === 0 ? [] : [['caches', texts.join(', ')]];
}

function describeBlocks({ kc, nc, mc }: BlockSizes): string {
  return `matmul kc ${kc}, nc ${nc}, mc ${mc}`;
}

function modelLines(model: ModelDescription): [string, string][] {
  const { tokenizer } = model;
  const types = Object.entries(model.tensorTypes).map(([type, count]) => `${count} in ${type}`);
  const tokens = [
    tokenizer.bosId === null ? '' : `, BOS ${tokenizer.bosId}`,
    tokenizer.eosId === null ? '' : `, EOS ${tokenizer.eosId}`,
  ];
  return [
    ['model', `${model.name ?? 'without a name'}, ${model.path}`],
    ['architecture', `${model.architecture}, ${model.layers} layers, ${model.dim} wide`],
    ['attention', `${model.heads} heads of ${model.headDim}, ${model.kvHeads} KV heads`],
    ['parameters', `${model.parameters.toLocaleString('en-US')} in ${formatBytes(model.weightBytes)}`],
    ['tensors', types.join(', ')],
    ['context', `${model.contextLength} tokens, ${model.sessionCapacity} by default`],
    ['tokenizer', `${tokenizer.kind}, ${tokenizer.vocabularySize} tokens${tokens.join('')}`],
    ['loading', `takes ${formatBytes(model.loadBytes)} of memory`],
    ...keyValueLines(model.kvBytesPerToken),
  ];
}

/** One line with what a token's keys and values take; none for an encoder, which keeps none. */
function keyValueLines(bytesOf: ModelDescription['kvBytesPerToken']): [string, string][] {
  const texts = Object.entries(bytesOf)
    .filter(([, bytes]) => bytes !== null && bytes > 0)
    .map(([type, bytes]) => `${formatBytes(bytes as number)} in ${type}`);
  return texts.length === 0 ? [] : [['each token', `keys and values of ${texts.join(', ')}`]];
}
