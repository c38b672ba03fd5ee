// The suite model op by op: the time of each kernel in one forward pass of a prompt and in one of the token after it, or in one
// of an encoder's texts, and its share of the machine's peaks.

import { bundledModelPath } from '../../src/base/package-files.js';
import type { Roofline } from '../../src/hardware/roofline.js';
import type { Model, ProgramProfile } from '../../src/index.js';
import type { BenchContext } from '../measuring/context.js';
import { integersBelow } from '../measuring/seeded-numbers.js';
import { defaultPromptTokens, type ModelBenchOptions } from './model.js';

export interface ModelProfileRow {
  /** The kernel; `hand-over` is the time in which no tile was computed. */
  readonly kernel: string;
  readonly steps: number;
  readonly ms: number;
  /** Of the pass's wall time. */
  readonly wallShare: number;
  /** Null for the ops of attention: how many keys there are is not known when a program is recorded. */
  readonly gflops: number | null;
  /** Of the FMA peak, or of that of 8-bit products where the kernel multiplies integers. */
  readonly peakShare: number | null;
  readonly gbs: number | null;
  /** Bytes read and written, each operand once, as a share of the read bandwidth; above 1 when caches hold them. */
  readonly readShare: number | null;
}

export interface ModelProfile {
  readonly phase: 'prefill' | 'decode' | 'texts';
  /** Tokens of the prompt: computed in this pass (prefill), or before it (decode). Of all texts together. */
  readonly tokens: number;
  readonly model: string;
  readonly workers: number;
  readonly ms: number;
  /** The longest first. */
  readonly rows: readonly ModelProfileRow[];
}

/** Where the work is not known. */
const nothing = { gflops: null, peakShare: null, gbs: null, readShare: null };
/** A longer prompt is computed by several programs. */
const mostPromptTokens = 256;
const runs = 11;
/** Tokens of the texts of an encoder that are computed together. */
const groupTokens = 512;

export async function profileModel(context: BenchContext, options: ModelBenchOptions = {}): Promise<ModelProfile[]> {
  const { path = bundledModelPath(), promptTokens = defaultPromptTokens } = options;
  const { widest: engine, signal } = context;
  const tokens = Math.min(promptTokens, mostPromptTokens);
  const roofline = context.roofline(engine.threads);
  context.progress('loading the model');
  using model = await engine.loadModel(path, { signal });
  const common = { tokens, model: path, workers: engine.threads };
  if (model.info.kvType === undefined) return [await profileTexts(model, { common, roofline, signal })];
  using session = model.session();
  const prompt = integersBelow(model.info.vocabulary, tokens, 1);
  context.progress('profiling the prompt');
  const prefill = await session.profile(prompt, { runs, signal });
  await session.append(prompt, { signal });
  context.progress('profiling a token');
  const decode = await session.profile(prompt.slice(0, 1), { runs, signal });
  return [
    { phase: 'prefill', ...common, ms: prefill.wallNs / 1e6, rows: rowsOf(prefill, roofline) },
    { phase: 'decode', ...common, ms: decode.wallNs / 1e6, rows: rowsOf(decode, roofline) },
  ];
}

interface TextsRun {
  readonly common: Pick<ModelProfile, 'tokens' | 'model' | 'workers'>;
  readonly roofline: Roofline;
  readonly signal: AbortSignal | undefined;
}

/** One group of an encoder: texts of the prompt's length, as many as one program takes. */
async function profileTexts(model: Model, { common, roofline, signal }: TextsRun): Promise<ModelProfile> {
  const length = Math.min(common.tokens, model.info.sessionCapacity);
  const count = Math.max(1, Math.floor(groupTokens / length));
  const texts = Array.from({ length: count }, (_, text) => [...integersBelow(model.info.vocabulary, length, text)]);
  const profile = await model.profileTexts(texts, { runs, signal });
  const rows = rowsOf(profile, roofline);
  return { phase: 'texts', ...common, tokens: count * length, ms: profile.wallNs / 1e6, rows };
}

function rowsOf(
  { steps, wallNs, idleNs }: ProgramProfile,
  { fmaGflops, dotGmacs, readGBs }: Roofline,
): ModelProfileRow[] {
  const sums = new Map<string, { steps: number; wallNs: number; flops: number; bytes: number }>();
  for (const step of steps) {
    const sum = sums.get(step.kernel) ?? { steps: 0, wallNs: 0, flops: 0, bytes: 0 };
    sum.steps++;
    sum.wallNs += step.wallNs;
    sum.flops += step.flops;
    // The profile counts the whole table of an embedding, which reads only as many bytes as it writes.
    const isTable = step.kernel.includes('embedding');
    sum.bytes += (isTable ? step.bytesWritten : step.bytesRead) + step.bytesWritten;
    sums.set(step.kernel, sum);
  }
  const rows = [...sums].map(([kernel, sum]): ModelProfileRow => {
    const [gflops, gbs] = [sum.flops / sum.wallNs, sum.bytes / sum.wallNs];
    const peak = kernel === 'matmul_quantized' ? 2 * dotGmacs : fmaGflops;
    const speeds = { gflops, peakShare: gflops / peak, gbs, readShare: gbs / readGBs };
    const times = { steps: sum.steps, ms: sum.wallNs / 1e6, wallShare: sum.wallNs / wallNs };
    return { kernel, ...times, ...(kernel.includes('attention') ? nothing : speeds) };
  });
  rows.push({ kernel: 'hand-over', steps: steps.length, ms: idleNs / 1e6, wallShare: idleNs / wallNs, ...nothing });
  return rows.sort((a, b) => b.ms - a.ms);
}
