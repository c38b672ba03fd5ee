// POST /v1/chat/completions: a conversation is answered, as a whole or as a stream.
import { randomUUID } from 'node:crypto';
import { type RatedToken, readChatRequest } from '../../openai/index.js';
import type { AnswerEnd, AnswerPart, NumberedPart } from '../answers/answer.js';
import { answerToChat, usageOf, type WholeAnswer, wholeAnswers } from '../answers/start-answers.js';
import { eventOf, streamReply } from '../event-stream.js';
import { type HttpReply, largeJsonReply } from '../http.js';
import { nowSeconds } from '../served-models.js';
import type { EndpointContext } from './context.js';

/** What all chunks of a stream have in common. */
interface Frame {
  readonly base: { readonly id: string; readonly created: number; readonly model: string };
  readonly hasLogprobs: boolean;
  readonly includesUsage: boolean;
}

export async function chat(body: unknown, context: EndpointContext): Promise<HttpReply> {
  const served = context.models.of(body);
  const request = readChatRequest(body);
  const { n, isStream, includesUsage } = request;
  const parts = await answerToChat(request, served, context);
  const base = { id: `chatcmpl-${randomUUID().replaceAll('-', '')}`, created: nowSeconds(), model: served.id };
  const hasLogprobs = request.options.logprobs !== undefined;
  if (isStream) {
    const frame = { base, hasLogprobs, includesUsage };
    return streamReply(chunksOf(parts, n, frame), context.settings.keepAliveMs);
  }
  const answers = await wholeAnswers(n, parts);
  const whole = {
    ...base,
    object: 'chat.completion',
    choices: answers.map((answer, index) => choiceOf(answer, index, hasLogprobs)),
    usage: usageOf(
      answers.map(({ end }) => end),
      n,
    ),
  };
  return largeJsonReply(whole, context.signal);
}

function choiceOf({ content, reasoning, calls, rated, end }: WholeAnswer, index: number, hasLogprobs: boolean): object {
  const message = {
    role: 'assistant',
    content: content === '' && calls.length > 0 ? null : content,
    refusal: null,
    ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
  const logprobs = hasLogprobs ? logprobsOf(rated) : null;
  return { index, message, logprobs, finish_reason: end.finishReason };
}

async function* chunksOf(
  parts: AsyncGenerator<NumberedPart, void, void>,
  n: number,
  { base, hasLogprobs, includesUsage }: Frame,
): AsyncGenerator<string, void, void> {
  const shared = { ...base, object: 'chat.completion.chunk', ...(includesUsage ? { usage: null } : {}) };
  const chunk = (index: number, delta: object, logprobs: object | null, finishReason: string | null) =>
    eventOf({ ...shared, choices: [{ index, delta, logprobs, finish_reason: finishReason }] });
  const calls = new Array<number>(n).fill(-1);
  const ends: AnswerEnd[] = [];
  for await (const item of parts) {
    const { index } = item;
    let before = '';
    if (calls[index] === -1) {
      calls[index] = 0;
      before = chunk(index, { role: 'assistant', content: '' }, null, null);
    }
    if ('end' in item) {
      ends[index] = item.end;
      yield before + chunk(index, {}, null, item.end.finishReason);
      continue;
    }
    const logprobs = hasLogprobs && item.part.rated.length > 0 ? logprobsOf(item.part.rated) : null;
    yield before + chunk(index, deltaOf(item.part, calls[index] as number), logprobs, null);
    (calls[index] as number) += item.part.calls.length;
  }
  if (includesUsage) yield eventOf({ ...shared, choices: [], usage: usageOf(ends, n) });
  yield 'data: [DONE]\n\n';
}

/** @param firstCall the number of the part's first call among those of its answer */
function deltaOf({ content, reasoning, calls }: AnswerPart, firstCall: number): object {
  return {
    ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
    ...(content === '' ? {} : { content }),
    ...(calls.length === 0 ? {} : { tool_calls: calls.map((call, i) => ({ index: firstCall + i, ...call })) }),
  };
}

function logprobsOf(content: readonly RatedToken[]): object {
  return { content, refusal: null };
}
