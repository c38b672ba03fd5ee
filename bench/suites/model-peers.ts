// The suite model beside llama.cpp: both generate from the same file in turns in one run, llama.cpp with and without
// flash attention. The one that is not measured sleeps. Logits are compared before a figure is given.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { bundledModelPath } from '../../src/base/package-files.js';
import { openGguf } from '../../src/checkpoint/gguf/gguf-file.js';
import type { Roofline } from '../../src/hardware/roofline.js';
import type { Model } from '../../src/index.js';
import { prepareLlama } from '../llama/install.js';
import { LlamaProcess } from '../llama/llama-process.js';
import { differenceOf } from '../measuring/checks.js';
import type { BenchContext, Origin } from '../measuring/context.js';
import { integersBelow } from '../measuring/seeded-numbers.js';
import { median } from '../measuring/statistics.js';
import { WrongResultError } from '../measuring/wrong-result.js';
import { defaultMaxTokens, defaultPromptTokens, generate, type ModelBenchOptions } from './model.js';

export interface ModelPeerRow {
  readonly phase: 'prefill' | 'decode';
  readonly tokens: number;
  /** Tokens a second, from the medians over all rounds. */
  readonly ours: number;
  readonly plain: number;
  readonly flash: number;
  /** Median over the rounds of (the better llama.cpp's time / ours) within a round. */
  readonly ratio: number;
  /**
   * Prefill: two flops per token and weight of the layers, of the FMA peak, also where the kernels multiply integers.
   */
  readonly peakShare: number | null;
  /**
   * Decode: the weights that a token needs, once per token, of the read bandwidth: ours, and the better llama.cpp's.
   */
  readonly readShare: number | null;
  readonly peerReadShare: number | null;
}

export interface ModelPeersReport extends Origin {
  readonly model: string;
  readonly parameters: number;
  readonly fileBytes: number;
  readonly workers: number;
  readonly rounds: number;
  /** Version and CPU features of the peer. */
  readonly about: string;
  /** Normalised mean squared difference between the logits of both. */
  readonly difference: number;
  readonly rows: readonly ModelPeerRow[];
  /** What loading and a first generation added to the resident set: bytes. */
  readonly memory: { readonly ours: number; readonly llama: number };
}

const flavours = ['plain', 'flash'] as const;
type Contender = 'ours' | (typeof flavours)[number];
const contenders: readonly Contender[] = ['ours', ...flavours];

/**
 * Logits may differ by so much: llama.cpp rounds activations to 8 bits for quantized weights, to 16 for F16 and BF16.
 */
const tolerances = { F32: 1e-6, F16: 1e-4, BF16: 1e-3 } as const;
const quantizedTolerance = 1e-2;
const comparedTokens = 8;
/** Before each turn: longer than our workers stay awake after their last program. */
const parkMs = 15;

interface PhaseTimes {
  readonly prefillMs: number;
  readonly decodeMs: number;
}

/** One round: the times of each contender's turn. */
type Round = Readonly<Record<Contender, PhaseTimes>>;

/** What the steps of the suite share. */
interface Setup {
  readonly context: BenchContext;
  readonly llama: LlamaProcess;
  readonly path: string;
  readonly promptTokens: number;
  readonly maxTokens: number;
}

/** Measures both on the file, after their logits were found to agree. @throws MissingPeerError, WrongResultError */
export async function benchModelPeers(
  context: BenchContext,
  options: ModelBenchOptions = {},
): Promise<ModelPeersReport> {
  const { path = bundledModelPath(), promptTokens = defaultPromptTokens, maxTokens = defaultMaxTokens } = options;
  const file = await readWeights(path);
  const llama = await LlamaProcess.open(await prepareLlama((text) => context.progress(text)));
  let model: Model | undefined;
  try {
    const setup = { context, llama, path, promptTokens, maxTokens };
    const theirs = await loadTheirs(setup);
    const ours = await loadOurs(setup, theirs.prompt);
    model = ours.model;
    const got = await model.logits(theirs.prompt.slice(0, comparedTokens), { signal: context.signal });
    const difference = differenceOf(theirs.logits, got);
    if (!(difference <= file.tolerance)) throw new WrongResultError(`${path} (difference ${difference})`);
    const rounds = await takeTurns(setup, model, theirs.prompt);
    const limits = { ...file, ...context.roofline(context.widest.threads) };
    return {
      model: path,
      parameters: model.info.parameters,
      fileBytes: file.bytes,
      workers: context.widest.threads,
      rounds: rounds.length,
      about: llama.about,
      difference,
      rows: [rowOf('prefill', promptTokens, rounds, limits), rowOf('decode', maxTokens, rounds, limits)],
      memory: { ours: ours.bytes, llama: theirs.bytes },
      ...context.origin,
    };
  } finally {
    model?.dispose();
    await llama.close();
  }
}

/** Positions that a prompt, its continuation and one token more take. */
function positionsOf({ promptTokens, maxTokens }: Setup): number {
  return promptTokens + maxTokens + 1;
}

/**
 * Loads the model in llama.cpp with both kinds of attention, takes its logits to compare with, and stops its process.
 */
async function loadTheirs(setup: Setup) {
  const { context, llama, path, promptTokens } = setup;
  context.progress('loading the model in llama.cpp');
  const options = { positions: positionsOf(setup), threads: context.widest.threads };
  const before = residentBytes(llama.pid);
  const { vocabulary } = await llama.load(path);
  await llama.context('plain', { ...options, cacheType: 'f16' });
  const prompt = integersBelow(vocabulary, promptTokens, 1);
  await llama.generate('plain', prompt, 1);
  const bytes = residentBytes(llama.pid) - before;
  await llama.context('check', options);
  const logits = await llama.logits('check', prompt.slice(0, comparedTokens));
  await llama.closeContext('check');
  await llama.context('flash', { ...options, cacheType: 'f16', flash: true });
  await llama.stop();
  return { prompt, logits, bytes };
}

async function loadOurs(setup: Setup, prompt: readonly number[]) {
  const { context, path } = setup;
  const { widest: engine, signal } = context;
  context.progress('loading the model');
  const before = residentBytes(process.pid);
  // The same prompt in each round: it must be computed anew, as llama.cpp does.
  const serving = { prefixCache: false };
  const model = await engine.loadModel(path, { contextLength: positionsOf(setup), serving, signal });
  await generate(model, prompt, { maxTokens: 2, signal });
  return { model, bytes: residentBytes(process.pid) - before };
}

/** Generates in turns: ours, llama.cpp plain, llama.cpp with flash attention. */
async function takeTurns(setup: Setup, model: Model, prompt: readonly number[]): Promise<Round[]> {
  const { context, llama, maxTokens } = setup;
  const { rounds, signal } = context;
  const turns: Record<Contender, () => Promise<PhaseTimes>> = {
    ours: async () => (await generate(model, prompt, { maxTokens: maxTokens + 1, signal })).timings,
    plain: () => llama.awake(() => llama.generate('plain', prompt, maxTokens)),
    flash: () => llama.awake(() => llama.generate('flash', prompt, maxTokens)),
  };
  const times: Round[] = [];
  // The first round records programs and fills caches, and is not counted.
  for (let round = 0; round <= rounds; round++) {
    const taken: Partial<Record<Contender, PhaseTimes>> = {};
    for (const name of contenders) {
      signal?.throwIfAborted();
      context.progress(`model, ${name === 'ours' ? 'tesserae' : `llama.cpp ${name}`}, round ${round} of ${rounds}`);
      await sleep(parkMs);
      taken[name] = await turns[name]();
    }
    if (round > 0) times.push(taken as Round);
  }
  return times;
}

function rowOf(
  phase: ModelPeerRow['phase'],
  tokens: number,
  rounds: readonly Round[],
  { decodeBytes, multiplied, fmaGflops, readGBs }: FileWeights & Roofline,
): ModelPeerRow {
  const times = (name: Contender) => rounds.map((round) => round[name][`${phase}Ms`]);
  const speed = (name: Contender) => (tokens / median(times(name))) * 1000;
  const own = times('ours');
  const ratios = flavours.map((flavour) => median(times(flavour).map((ms, round) => ms / (own[round] as number))));
  const [ours, plain, flash] = [speed('ours'), speed('plain'), speed('flash')];
  const readShare = (perSecond: number) => (phase === 'decode' ? (decodeBytes * perSecond) / 1e9 / readGBs : null);
  return {
    phase,
    tokens,
    ours,
    plain,
    flash,
    ratio: Math.min(...ratios),
    peakShare: phase === 'prefill' ? (2 * multiplied * ours) / 1e9 / fmaGflops : null,
    readShare: readShare(ours),
    peerReadShare: readShare(Math.max(plain, flash)),
  };
}

interface FileWeights {
  readonly bytes: number;
  /** How many weights a token of a prompt is multiplied by: those of all matrices but the embedding and the output. */
  readonly multiplied: number;
  /** Bytes in the file that a decoded token reads: all but an embedding that is not also the output. */
  readonly decodeBytes: number;
  readonly tolerance: number;
}

async function readWeights(path: string): Promise<FileWeights> {
  await using file = await openGguf(path);
  const { tensors } = file;
  const isTied = !tensors.has('output.weight');
  let [bytes, multiplied, decodeBytes, tolerance] = [0, 0, 0, 0];
  for (const { name, shape, type, sizeBytes } of tensors.values()) {
    bytes += sizeBytes;
    const own = type in tolerances ? tolerances[type as keyof typeof tolerances] : quantizedTolerance;
    tolerance = Math.max(tolerance, own);
    if (name === 'token_embd.weight' && !isTied) continue;
    decodeBytes += sizeBytes;
    const isVocabulary = name === 'token_embd.weight' || name === 'output.weight';
    if (shape.length > 1 && !isVocabulary) multiplied += shape.reduce((product, size) => product * size, 1);
  }
  return { bytes, multiplied, decodeBytes, tolerance };
}

function residentBytes(pid: number): number {
  const kilobytes = /VmRSS:\s*(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes) * 1024;
}
