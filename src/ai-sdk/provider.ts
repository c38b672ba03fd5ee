// The provider for the Vercel AI SDK: loaded models by the names that an application gives them.
import type { EmbeddingModelV3, LanguageModelV3 } from '@ai-sdk/provider';
import { TesseraeError } from '../base/errors.js';
import { checkKeys } from '../base/options.js';
import { quote } from '../base/quote.js';
import type { Model } from '../index.js';
import { TesseraeEmbeddingModel } from './embedding-model.js';
import { TesseraeLanguageModel } from './language-model.js';

export interface TesseraeProviderOptions {
  /** Loaded models by their ids. They stay the application's, which disposes them. */
  readonly models: Readonly<Record<string, Model>>;
  /** A Jinja template for conversations, in place of the models' own. */
  readonly chatTemplate?: string | undefined;
}

/** Called with an id it gives a language model, as providers of the SDK do. */
export interface TesseraeProvider {
  (modelId: string): LanguageModelV3;
  readonly specificationVersion: 'v3';
  languageModel(modelId: string): LanguageModelV3;
  embeddingModel(modelId: string): EmbeddingModelV3;
  /** There are none: always throws. */
  imageModel(modelId: string): never;
}

/** @throws TesseraeError ERR_ARGUMENT; later for an id that is not among the models */
export function createTesserae(options: TesseraeProviderOptions): TesseraeProvider {
  const op = 'createTesserae';
  checkKeys(options, ['models', 'chatTemplate'], op);
  const models = new Map(Object.entries(options.models));
  const modelOf = (id: string): Model => {
    const model = models.get(id);
    if (model !== undefined) return model;
    throw new TesseraeError('ERR_ARGUMENT', `there is no model ${quote(id)}`, { op });
  };
  const languageModel = (id: string) => new TesseraeLanguageModel(id, modelOf(id), options.chatTemplate);
  const embeddingModel = (id: string) => new TesseraeEmbeddingModel(id, modelOf(id));
  const imageModel = (id: string): never => {
    throw new TesseraeError('ERR_UNSUPPORTED', `${quote(id)} is no model of images`, { op });
  };
  return Object.assign((id: string) => languageModel(id), {
    specificationVersion: 'v3' as const,
    languageModel,
    embeddingModel,
    imageModel,
  });
}
