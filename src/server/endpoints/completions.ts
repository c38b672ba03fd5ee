// POST /v1/completions: prompts are continued, as a whole or as a stream.
import { randomUUID } from 'node:crypto';
import type { Prompt } from '../../index.js';
import { type RatedToken, readCompletionRequest } from '../../openai/index.js';
import type { AnswerEnd, NumberedPart } from '../answers/answer.js';
import { limited, partsOf, seedOf, usageOf, wholeAnswers } from '../answers/start-answers.js';
import { eventOf, streamReply } from '../event-stream.js';
import { type HttpReply, largeJsonReply } from '../http.js';
import { nowSeconds } from '../served-models.js';
import type { EndpointContext } from './context.js';

export async function completions(body: unknown, context: EndpointContext): Promise<HttpReply> {
  const { id, model } = context.models.of(body);
  const request = readCompletionRequest(body);
  const { prompts, n, echoes, isStream, includesUsage } = request;
  const { tokenizer, info } = model;
  const options = limited(request.options, context, info.sessionCapacity);
  const total = prompts.length * n;
  const promptOf = (index: number) => prompts[Math.floor(index / n)] as Prompt;
  const parts = partsOf(total, context, { tokenizer }, (index) =>
    model.generate(promptOf(index), { ...options, ...seedOf(options.seed, index % n) }),
  );
  const base = {
    id: `cmpl-${randomUUID().replaceAll('-', '')}`,
    object: 'text_completion',
    created: nowSeconds(),
    model: id,
  };
  const echoOf = (index: number) => (echoes ? (promptOf(index) as string) : '');
  const places = Array.from({ length: total }, () => (options.logprobs === undefined ? undefined : new TokenPlaces()));
  if (isStream) {
    const chunks = chunksOf(parts, { base, n, total, echoOf, places, includesUsage });
    return streamReply(chunks, context.settings.keepAliveMs);
  }
  const answers = await wholeAnswers(total, parts);
  const choices = answers.map(({ content, rated, end }, index) => ({
    text: echoOf(index) + content,
    index,
    logprobs: places[index]?.of(rated) ?? null,
    finish_reason: end.finishReason,
  }));
  const ends = answers.map(({ end }) => end);
  return largeJsonReply({ ...base, choices, usage: usageOf(ends, n) }, context.signal);
}

interface Frame {
  /** What all chunks have in common. */
  readonly base: object;
  readonly n: number;
  readonly total: number;
  readonly echoOf: (index: number) => string;
  readonly places: readonly (TokenPlaces | undefined)[];
  readonly includesUsage: boolean;
}

async function* chunksOf(
  parts: AsyncGenerator<NumberedPart, void, void>,
  { base, n, total, echoOf, places, includesUsage }: Frame,
): AsyncGenerator<string, void, void> {
  const shared = { ...base, ...(includesUsage ? { usage: null } : {}) };
  const chunk = (index: number, text: string, logprobs: object | null, finishReason: string | null) =>
    eventOf({ ...shared, choices: [{ text, index, logprobs, finish_reason: finishReason }] });
  const hasBegun = new Array<boolean>(total).fill(false);
  const ends: AnswerEnd[] = [];
  for await (const item of parts) {
    const { index } = item;
    const before = hasBegun[index] === true ? '' : echoOf(index);
    hasBegun[index] = true;
    if ('end' in item) {
      ends[index] = item.end;
      yield chunk(index, before, null, item.end.finishReason);
      continue;
    }
    yield chunk(index, before + item.part.content, places[index]?.of(item.part.rated) ?? null, null);
  }
  if (includesUsage) yield eventOf({ ...shared, choices: [], usage: usageOf(ends, n) });
  yield 'data: [DONE]\n\n';
}

/** Writes log probabilities as completions have them, with the place of each token in the text. */
class TokenPlaces {
  #offset = 0;

  of(rated: readonly RatedToken[]): object {
    return {
      tokens: rated.map(({ token }) => token),
      token_logprobs: rated.map(({ logprob }) => logprob),
      top_logprobs: rated.map(({ top_logprobs: top }) =>
        Object.fromEntries(top.map(({ token, logprob }) => [token, logprob])),
      ),
      text_offset: rated.map(({ token }) => {
        const at = this.#offset;
        this.#offset += token.length;
        return at;
      }),
    };
  }
}
