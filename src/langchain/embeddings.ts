// A model as embeddings of LangChain. The texts of a call are computed together.
import { Embeddings, type EmbeddingsParams } from '@langchain/core/embeddings';
import type { EmbedOptions, Model, TurnOptions } from '../index.js';

export interface TesseraeEmbeddingsInput extends EmbeddingsParams {
  /** A loaded model. It stays the application's, which disposes it. */
  readonly model: Model;
  /** Options of `model.embed` for all calls. */
  readonly options?: EmbedOptions & TurnOptions;
}

export class TesseraeEmbeddings extends Embeddings {
  readonly #model: Model;
  readonly #options: EmbedOptions & TurnOptions;

  constructor({ model, options = {}, ...rest }: TesseraeEmbeddingsInput) {
    super(rest);
    this.#model = model;
    this.#options = options;
  }

  override async embedDocuments(documents: string[]): Promise<number[][]> {
    const vectors = await this.#model.embed(documents, this.#options);
    return vectors.map((vector) => Array.from(vector));
  }

  override async embedQuery(document: string): Promise<number[]> {
    return Array.from(await this.#model.embed(document, this.#options));
  }
}
