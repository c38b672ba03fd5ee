// The result of a job as a response body of OpenAI's API, without times. Called by `tesserae batch`.
import type { Tokenizer, TokenLogprobs } from '../index.js';
import type { EmbedJobResult, GenerateJobResult } from '../jobs/index.js';
import { encodeVector } from '../jobs/job-work.js';
import type { BodyRequest, FloatEncoding } from './requests.js';

export interface ResponseContext {
  /** Part of the body's id. */
  readonly id: string;
  /** The model's name, as the body is to give it. */
  readonly model: string;
  readonly tokenizer: Tokenizer;
}

/** The body for a request and the result of its job. */
export async function bodyOf(request: BodyRequest, result: object, context: ResponseContext): Promise<object> {
  if (request.kind === 'embed') return embeddingBody(request, result as EmbedJobResult, context);
  const generated = result as GenerateJobResult;
  return request.kind === 'chat' ? chatBody(generated, context) : completionBody(generated, request.echo, context);
}

function chatBody(result: GenerateJobResult, { id, model, tokenizer }: ResponseContext): object {
  const { tokens, logprobs } = result;
  const content = logprobs?.map((place, i) => logprobOf(tokens[i] as number, place, tokenizer));
  const choice = {
    index: 0,
    message: { role: 'assistant', content: result.text, refusal: null },
    logprobs: content === undefined ? null : { content, refusal: null },
    finish_reason: finishReasonOf(result),
  };
  return {
    id: `chatcmpl-${id}`,
    object: 'chat.completion',
    created: 0,
    model,
    choices: [choice],
    usage: usageOf(result),
  };
}

function completionBody(result: GenerateJobResult, echo: string, { id, model }: ResponseContext): object {
  const choice = { text: echo + result.text, index: 0, logprobs: null, finish_reason: finishReasonOf(result) };
  return { id: `cmpl-${id}`, object: 'text_completion', created: 0, model, choices: [choice], usage: usageOf(result) };
}

async function embeddingBody(
  { job, encoding }: BodyRequest & { kind: 'embed' },
  { vectors = [] }: EmbedJobResult,
  { model, tokenizer }: ResponseContext,
): Promise<object> {
  let tokens = 0;
  for (const text of job.texts) {
    const { addsBos, addsEos } = tokenizer;
    const ids = typeof text === 'string' ? tokenizer.encodeAsync(text, { addBos: addsBos, addEos: addsEos }) : text;
    tokens += (await ids).length;
  }
  const data = vectors.map((vector, index) => embeddingItem(vector as readonly number[], index, encoding));
  return { object: 'list', data, model, usage: { prompt_tokens: tokens, total_tokens: tokens } };
}

/** A vector as an embedding of a body. */
export function embeddingItem(vector: ArrayLike<number>, index: number, encoding: FloatEncoding): object {
  return { object: 'embedding', index, embedding: encodeVector(vector, encoding === 'float' ? 'numbers' : 'base64') };
}

function finishReasonOf({ stopReason }: GenerateJobResult): 'stop' | 'length' {
  return stopReason === 'eos' || stopReason === 'stop' ? 'stop' : 'length';
}

function usageOf({ promptTokens, tokens }: GenerateJobResult): object {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: tokens.length,
    total_tokens: promptTokens + tokens.length,
  };
}

/** A token as bodies spell it, with the logarithm of its probability. */
export interface SpelledToken {
  readonly token: string;
  readonly bytes: readonly number[];
  readonly logprob: number;
}

/** What a body of chat completions says of one token. */
export interface RatedToken extends SpelledToken {
  readonly top_logprobs: readonly SpelledToken[];
}

export function logprobOf(id: number, { logprob, top }: TokenLogprobs, tokenizer: Tokenizer): RatedToken {
  const alternatives = top.map((one) => ({ ...spellingOf(one.id, tokenizer), logprob: one.logprob }));
  return { ...spellingOf(id, tokenizer), logprob, top_logprobs: alternatives };
}

/** As part of a text: with the space that it may begin with. */
function spellingOf(id: number, tokenizer: Tokenizer): { token: string; bytes: number[] } {
  const token = tokenizer.decode([id], { special: true, continues: true });
  return { token, bytes: Array.from(tokenizer.tokenBytes(id)) };
}
