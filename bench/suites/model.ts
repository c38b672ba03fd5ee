// The suite model: how fast a GGUF model computes a prompt (prefill) and continues it (decode), on several worker
// counts in turns. A model whose tokens depend on the worker count gives an error instead of a figure.

import { formatWorkers } from '../../src/base/number-text.js';
import { bundledModelPath } from '../../src/base/package-files.js';
import type { GenerationResult, Model } from '../../src/index.js';
import { isQuantizedType } from '../../src/ops/quantized/quantized-type.js';
import type { BenchContext, Origin } from '../measuring/context.js';
import { integersBelow } from '../measuring/seeded-numbers.js';
import { median } from '../measuring/statistics.js';
import { WrongResultError } from '../measuring/wrong-result.js';

export interface ModelRow extends Origin {
  readonly phase: 'prefill' | 'decode';
  readonly model: string;
  readonly parameters: number;
  readonly weightBytes: number;
  readonly workers: number;
  readonly tokens: number;
  /** Of the whole phase. */
  readonly medianMs: number;
  readonly samples: number;
  readonly tokensPerSecond: number;
  readonly speedup: number;
  /** Prefill: two flops per token and parameter, the embedding table's not counted, of the FMA peak. Decode: null. */
  readonly peakShare: number | null;
  /** Prefill with quantized weights: one product per token and parameter, as above, of the peak of 8-bit products. Else null. */
  readonly dotShare: number | null;
  /**
   * Decode: the weights once per token, as a share of the read bandwidth; above 1 when a cache holds them. Else null.
   */
  readonly readShare: number | null;
}

export interface ModelBenchOptions {
  /** A GGUF file; the bundled model by default. */
  readonly path?: string | undefined;
  readonly promptTokens?: number | undefined;
  readonly maxTokens?: number | undefined;
}

export const defaultPromptTokens = 256;
export const defaultMaxTokens = 64;

export async function benchModel(context: BenchContext, options: ModelBenchOptions = {}): Promise<ModelRow[]> {
  const { path = bundledModelPath(), promptTokens = defaultPromptTokens, maxTokens = defaultMaxTokens } = options;
  const { counts, rounds, signal } = context;
  const models: Model[] = [];
  try {
    for (const workers of counts) {
      context.progress(`loading the model, ${formatWorkers(workers)}`);
      // The same prompt in each round: it must be computed anew.
      models.push(await context.engine(workers).loadModel(path, { signal, serving: { prefixCache: false } }));
    }
    const info = (models[0] as Model).info;
    const isQuantized = Object.keys(info.tensorTypes).some(isQuantizedType);
    const prompt = integersBelow(info.vocabulary, promptTokens, 1);
    const results: GenerationResult[][] = counts.map(() => []);
    // The first round records programs and is not counted.
    for (let round = 0; round <= rounds; round++) {
      for (const [index, model] of models.entries()) {
        context.progress(`model, ${formatWorkers(counts[index] as number)}, round ${round} of ${rounds}`);
        const result = await generate(model, prompt, { maxTokens, signal });
        if (result.tokens.join() !== (results[0]?.[0] ?? result).tokens.join()) throw new WrongResultError(info.path);
        results[index]?.push(result);
      }
    }
    const multiplied = info.parameters - info.vocabulary * info.dim;
    const rows: ModelRow[] = [];
    for (const phase of ['prefill', 'decode'] as const) {
      const times = results.map((own) => median(own.slice(1).map(({ timings }) => timings[`${phase}Ms`])));
      const tokens = phase === 'prefill' ? promptTokens : (results[0]?.[0]?.tokens.length ?? 0) - 1;
      if (tokens < 1) continue;
      for (const [index, workers] of counts.entries()) {
        const medianMs = times[index] as number;
        const perSecond = (tokens / medianMs) * 1000;
        const { fmaGflops, dotGmacs, readGBs } = context.roofline(workers);
        const gmacs = (multiplied * perSecond) / 1e9;
        rows.push({
          phase,
          model: info.path,
          parameters: info.parameters,
          weightBytes: info.weightBytes,
          workers,
          tokens,
          medianMs,
          samples: rounds,
          tokensPerSecond: perSecond,
          speedup: (times[0] as number) / medianMs,
          peakShare: phase === 'prefill' ? (2 * gmacs) / fmaGflops : null,
          dotShare: phase === 'prefill' && isQuantized ? gmacs / dotGmacs : null,
          readShare: phase === 'decode' ? (info.weightBytes * perSecond) / 1e9 / readGBs : null,
          ...context.origin,
        });
      }
    }
    return rows;
  } finally {
    for (const model of models) model.dispose();
  }
}

/** Generates greedily, also after an end token, and returns the whole result. */
export async function generate(
  model: Model,
  prompt: readonly number[],
  options: { maxTokens: number; signal: AbortSignal | undefined },
): Promise<GenerationResult> {
  const pieces = model.generate(prompt, { ...options, temperature: 0, ignoreEos: true });
  for (;;) {
    const step = await pieces.next();
    if (step.done === true) return step.value;
  }
}
