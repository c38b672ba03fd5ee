// The suite model beside llama.cpp: both generate from the same file in turns in one run, llama.cpp with and without flash
// attention, and whoever is not measured sleeps. Results are compared before a figure is given.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { bundledModelPath } from '../../src/base/package-files.js';
import { openGguf } from '../../src/checkpoint/gguf/gguf-file.js';
import type { Model } from '../../src/index.js';
import { prepareLlama } from '../llama/install.js';
import { LlamaProcess } from '../llama/llama-process.js';
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
  /** Prefill: two flops per token and weight of the layers, of the FMA peak, also where the kernels multiply integers. */
  readonly peakShare: number | null;
  /** Decode: the weights that a token needs, once per token, of the read bandwidth: ours, and the better llama.cpp's. */
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

/** Logits may differ by so much: llama.cpp rounds activations to 8 bits for quantized weights, to 16 for F16 and BF16. */
const tolerances = { F32: 1e-6, F16: 1e-4, BF16: 1e-3 } as const;
const quantizedTolerance = 1e-2;
const comparedTokens = 8;
/** Longer than our team lingers. */
const parkMs = 15;

export async function benchModelPeers(
  context: BenchContext,
  options: ModelBenchOptions = {},
): Promise<ModelPeersReport> {
  const { path = bundledModelPath(), promptTokens = defaultPromptTokens, maxTokens = defaultMaxTokens } = options;
  const { widest: engine, rounds, signal } = context;
  const file = await readWeights(path);
  const llama = await LlamaProcess.open(await prepareLlama((text) => context.progress(text)));
  let model: Model | undefined;
  try {
    const positions = promptTokens + maxTokens + 1;
    const contextOptions = { positions, threads: engine.threads };
    context.progress('loading the model in llama.cpp');
    const before = residentBytes(llama.pid);
    const { vocabulary } = await llama.load(path);
    await llama.context('plain', { ...contextOptions, cacheType: 'f16' });
    const prompt = integersBelow(vocabulary, promptTokens, 1);
    await llama.generate('plain', prompt, 1);
    const llamaBytes = residentBytes(llama.pid) - before;
    await llama.context('check', contextOptions);
    const some = prompt.slice(0, comparedTokens);
    const expected = await llama.logits('check', some);
    await llama.closeContext('check');
    await llama.context('flash', { ...contextOptions, cacheType: 'f16', flash: true });
    await llama.stop();

    context.progress('loading the model');
    const ownBefore = residentBytes(process.pid);
    model = await engine.loadModel(path, { contextLength: positions, signal });
    const ours = model;
    await generate(ours, prompt, { maxTokens: 2, signal });
    const ownBytes = residentBytes(process.pid) - ownBefore;
    const difference = differenceOf(expected, await ours.logits(some, { signal }));
    if (!(difference <= file.tolerance)) throw new WrongResultError(`${path} (difference ${difference})`);

    const turns: Record<Contender, () => Promise<{ readonly prefillMs: number; readonly decodeMs: number }>> = {
      ours: async () => (await generate(ours, prompt, { maxTokens: maxTokens + 1, signal })).timings,
      plain: () => llama.awake(() => llama.generate('plain', prompt, maxTokens)),
      flash: () => llama.awake(() => llama.generate('flash', prompt, maxTokens)),
    };
    const times: Record<'prefillMs' | 'decodeMs', Record<Contender, number>>[] = [];
    // The first round records programs and fills caches, and is not counted.
    for (let round = 0; round <= rounds; round++) {
      const taken = { prefillMs: { ours: 0, plain: 0, flash: 0 }, decodeMs: { ours: 0, plain: 0, flash: 0 } };
      for (const name of ['ours', ...flavours] as const) {
        signal?.throwIfAborted();
        context.progress(`model, ${name === 'ours' ? 'tesserae' : `llama.cpp ${name}`}, round ${round} of ${rounds}`);
        await sleep(parkMs);
        const { prefillMs, decodeMs } = await turns[name]();
        taken.prefillMs[name] = prefillMs;
        taken.decodeMs[name] = decodeMs;
      }
      if (round > 0) times.push(taken);
    }
    const { fmaGflops, readGBs } = context.roofline(engine.threads);
    const rows = (['prefill', 'decode'] as const).map((phase): ModelPeerRow => {
      const tokens = phase === 'prefill' ? promptTokens : maxTokens;
      const of = (name: Contender) => times.map((round) => round[`${phase}Ms`][name]);
      const speed = (name: Contender) => (tokens / median(of(name))) * 1000;
      const ratios = flavours.map((flavour) => {
        const own = of('ours');
        return median(of(flavour).map((ms, round) => ms / (own[round] as number)));
      });
      const [ownSpeed, plain, flash] = [speed('ours'), speed('plain'), speed('flash')];
      const readShare = (perSecond: number) =>
        phase === 'decode' ? (file.decodeBytes * perSecond) / 1e9 / readGBs : null;
      return {
        phase,
        tokens,
        ours: ownSpeed,
        plain,
        flash,
        ratio: Math.min(...ratios),
        peakShare: phase === 'prefill' ? (2 * file.multiplied * ownSpeed) / 1e9 / fmaGflops : null,
        readShare: readShare(ownSpeed),
        peerReadShare: readShare(Math.max(plain, flash)),
      };
    });
    return {
      model: path,
      parameters: ours.info.parameters,
      fileBytes: file.bytes,
      workers: engine.threads,
      rounds,
      about: llama.about,
      difference,
      rows,
      memory: { ours: ownBytes, llama: llamaBytes },
      ...context.origin,
    };
  } finally {
    model?.dispose();
    await llama.close();
  }
}

interface FileWeights {
  readonly bytes: number;
  /** Weights that a token of a prompt is multiplied with: all matrices but the embedding and the output. */
  readonly multiplied: number;
  /** Their bytes in the file, and those of the vectors. */
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

/** ‖got - expected‖² / ‖expected‖². */
function differenceOf(expected: Float32Array, got: Float32Array): number {
  let error = expected.length === got.length ? 0 : Number.POSITIVE_INFINITY;
  let power = 0;
  for (let i = 0; i < expected.length; i++) {
    const value = expected[i] as number;
    error += ((got[i] as number) - value) ** 2;
    power += value ** 2;
  }
  return error / power;
}
