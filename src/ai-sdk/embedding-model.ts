// A model as an embedding model of the Vercel AI SDK. Made by provider.ts.
import type { EmbeddingModelV3, EmbeddingModelV3CallOptions, EmbeddingModelV3Result } from '@ai-sdk/provider';
import type { EmbedOptions, Model, TurnOptions } from '../index.js';

export class TesseraeEmbeddingModel implements EmbeddingModelV3 {
  readonly specificationVersion = 'v3';
  readonly provider = 'tesserae';
  readonly modelId: string;
  /** Any number of texts is one call, whose texts are computed together. */
  readonly maxEmbeddingsPerCall = undefined;
  readonly supportsParallelCalls = true;
  // `ai` 7 wraps models in proxies, which do not reach members named with #.
  private readonly model: Model;

  constructor(modelId: string, model: Model) {
    this.modelId = modelId;
    this.model = model;
  }

  async doEmbed({
    values,
    abortSignal,
    providerOptions,
  }: EmbeddingModelV3CallOptions): Promise<EmbeddingModelV3Result> {
    const { tokenizer } = this.model;
    const signal = abortSignal === undefined ? {} : { signal: abortSignal };
    const ends = { addBos: tokenizer.addsBos, addEos: tokenizer.addsEos, ...signal };
    const texts: number[][] = [];
    for (const value of values) texts.push(await tokenizer.encodeAsync(value, ends));
    const options = providerOptions?.tesserae as (EmbedOptions & TurnOptions) | undefined;
    const vectors = await this.model.embed(texts, { ...options, ...signal });
    return {
      embeddings: vectors.map((vector) => Array.from(vector)),
      usage: { tokens: texts.reduce((sum, { length }) => sum + length, 0) },
      warnings: [],
    };
  }
}
