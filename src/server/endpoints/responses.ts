// POST /v1/responses: a conversation is answered in the form of the Responses API. Nothing is kept: a client sends all of the
// conversation each time.
import { readResponsesRequest } from '../../openai/index.js';
import type { NumberedPart } from '../answers/answer.js';
import { idOf, ResponseItems } from '../answers/response-items.js';
import { answerToChat } from '../answers/start-answers.js';
import { failureOf } from '../error-replies.js';
import { streamReply } from '../event-stream.js';
import { type HttpReply, largeJsonReply } from '../http.js';
import { nowSeconds } from '../served-models.js';
import type { EndpointContext } from './context.js';

export async function responses(body: unknown, context: EndpointContext): Promise<HttpReply> {
  const served = context.models.of(body);
  const request = readResponsesRequest(body);
  const parts = await answerToChat({ ...request, n: 1 }, served, context);
  const fixed = { object: 'response', model: served.id, background: false, store: false, previous_response_id: null };
  const base = { id: idOf('resp'), created_at: nowSeconds(), ...fixed, truncation: 'disabled', ...request.repeated };
  const items = new ResponseItems(base);
  if (request.isStream) {
    const errorEvent = (error: unknown) => items.failure(failureOf(error).body.error);
    return streamReply(eventsOf(parts, items), context.settings.keepAliveMs, errorEvent);
  }
  for await (const item of parts) {
    if ('end' in item) return largeJsonReply(items.end(item.end).response, context.signal);
    items.push(item.part);
  }
  throw new Error('an answer has no end');
}

async function* eventsOf(
  parts: AsyncGenerator<NumberedPart, void, void>,
  items: ResponseItems,
): AsyncGenerator<string, void, void> {
  let begin: string | undefined = items.begin();
  for await (const item of parts) {
    // With the first part, so that an error before it has a status of its own.
    if (begin !== undefined) yield begin;
    begin = undefined;
    const events = 'end' in item ? items.end(item.end).events : items.push(item.part);
    if (events !== '') yield events;
  }
}
