// Bodies of completions and embeddings as the server answers them: besides what a batch computes, with many prompts, choices
// and streams.
import type { GenerateOptions, Prompt } from '../index.js';
import { BodyFields, wrong } from './body-fields.js';
import { type Delivery, deliveryOf, turnOf } from './delivery.js';
import { type EmbeddingRequest, promptsOf, readEmbedding } from './requests.js';
import { samplingOf } from './sampling-fields.js';

export interface CompletionRequest extends Delivery {
  readonly prompts: readonly Prompt[];
  /** The texts begin with their prompts. */
  readonly echoes: boolean;
  readonly options: GenerateOptions;
}

const mostPrompts = 128;
const mostAlternatives = 5;
/** What OpenAI's API has where a body has none. */
const defaults = { maxTokens: 16, temperature: 1 };

/** @throws TesseraeError ERR_ARGUMENT */
export function readCompletionRequest(body: unknown): CompletionRequest {
  const fields = new BodyFields(body);
  const { prompts, echoes } = promptsOf(fields, mostPrompts);
  const delivery = deliveryOf(fields);
  const logprobs = fields.integer('logprobs', 0, mostAlternatives);
  if (echoes && logprobs !== undefined) throw wrong('logprobs', 'cannot be combined with echo');
  const options = { ...defaults, ...samplingOf(fields), ...turnOf(fields) };
  fields.only('best_of', delivery.n);
  fields.only('suffix', '');
  fields.end();
  return { ...delivery, prompts, echoes, options: logprobs === undefined ? options : { ...options, logprobs } };
}

/** @throws TesseraeError ERR_ARGUMENT */
export function readEmbeddingRequest(body: unknown): EmbeddingRequest {
  return readEmbedding(new BodyFields(body));
}
