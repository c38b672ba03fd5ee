// Starts the generations of a request in places of the server, and reads them as a whole or as they come. Called by the
// endpoints that generate.
import type { ChatMessage, ChatOptions, GenerateOptions, Generation, TurnOptions } from '../../index.js';
import type { RatedToken, ToolCall, ToolUse } from '../../openai/index.js';
import type { EndpointContext } from '../endpoints/context.js';
import { RequestError } from '../error-replies.js';
import type { ServedModel } from '../served-models.js';
import { type AnswerEnd, type AnswerOptions, answersOf, type NumberedPart } from './answer.js';
import { leavesReasoning } from './reasoning.js';

/** The most that the server's limits leave of a request's options. @throws RequestError 400 */
export function limited<T extends GenerateOptions>(options: T, context: EndpointContext, mostTokens: number): T {
  const { settings, signal } = context;
  const limit = settings.maxTokens ?? Infinity;
  if (options.maxTokens !== undefined && options.maxTokens > limit) {
    throw new RequestError(400, 'max_tokens', `max_tokens may be ${limit} at most on this server`);
  }
  const maxTokens = options.maxTokens ?? Math.min(limit, mostTokens);
  return { ...options, maxTokens, ...turnLimits(options, context), signal };
}

/** When a request has its turn: the server's deadline, and the client as tenant. */
export function turnLimits({ deadlineMs }: TurnOptions, { settings, tenant }: EndpointContext): TurnOptions {
  const deadline = Math.min(deadlineMs ?? Infinity, settings.deadlineMs ?? Infinity);
  return {
    ...(deadline === Infinity ? {} : { deadlineMs: deadline }),
    ...(tenant === undefined ? {} : { tenant }),
  };
}

const seeds = 2n ** 53n;

/** The seed of one of several answers: consecutive ones, as `model.complete` has them. */
export function seedOf(seed: number | undefined, index: number): { readonly seed?: number } {
  return seed === undefined ? {} : { seed: Number((BigInt(seed) + BigInt(index)) % seeds) };
}

/** The parts of all answers as they come. The places are given back at the end, or when the client goes away. */
export async function* partsOf(
  count: number,
  context: EndpointContext,
  options: AnswerOptions,
  start: (index: number) => Generation | Promise<Generation>,
): AsyncGenerator<NumberedPart, void, void> {
  const release = context.places.take(count, context.signal);
  try {
    const generations = await Promise.all(Array.from({ length: count }, (_, index) => start(index)));
    yield* answersOf(generations, options);
  } finally {
    release();
  }
}

/** A conversation to be answered, as bodies of two endpoints ask for it. */
export interface ChatWish {
  readonly messages: readonly ChatMessage[];
  readonly options: ChatOptions;
  readonly toolUse: ToolUse | undefined;
  readonly n: number;
}

/** The parts of the answers to a conversation. @throws RequestError 400 */
export async function answerToChat(
  { messages, options: given, toolUse, n }: ChatWish,
  served: ServedModel,
  context: EndpointContext,
): Promise<AsyncGenerator<NumberedPart, void, void>> {
  const { tokenizer, info } = served.model;
  const options = limited(given, context, info.sessionCapacity);
  const mayReason = leavesReasoning(options.format);
  const isOpen = mayReason && (await served.opensReasoning(options.variables));
  const reasoning = !mayReason ? 'none' : isOpen ? 'open' : 'closed';
  const start = (index: number) => served.chat(messages, { ...options, ...seedOf(options.seed, index) });
  return partsOf(n, context, { tokenizer, toolUse, reasoning }, start);
}

/** An answer as a whole. */
export interface WholeAnswer {
  readonly content: string;
  readonly reasoning: string;
  readonly calls: readonly ToolCall[];
  readonly rated: readonly RatedToken[];
  readonly end: AnswerEnd;
}

export async function wholeAnswers(count: number, parts: AsyncIterable<NumberedPart>): Promise<WholeAnswer[]> {
  const answers = Array.from({ length: count }, () => ({
    content: '',
    reasoning: '',
    calls: [] as ToolCall[],
    rated: [] as RatedToken[],
    end: undefined as AnswerEnd | undefined,
  }));
  for await (const item of parts) {
    const answer = answers[item.index] as (typeof answers)[number];
    if ('end' in item) {
      answer.end = item.end;
      continue;
    }
    answer.content += item.part.content;
    answer.reasoning += item.part.reasoning;
    answer.calls.push(...item.part.calls);
    answer.rated.push(...item.part.rated);
  }
  return answers as WholeAnswer[];
}

/** The usage of a request. The `n` answers to one prompt count it once. */
export function usageOf(ends: readonly AnswerEnd[], n: number): object {
  const sum = (of: (end: AnswerEnd, index: number) => number) =>
    ends.reduce((total, end, index) => total + of(end, index), 0);
  const prompt = sum((end, index) => (index % n === 0 ? end.promptTokens : 0));
  const completion = sum((end) => end.tokens);
  const reasoning = sum((end) => end.reasoningTokens);
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    ...(reasoning === 0 ? {} : { completion_tokens_details: { reasoning_tokens: reasoning } }),
  };
}
