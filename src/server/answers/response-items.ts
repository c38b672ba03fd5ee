// The items of a response of the Responses API, from the parts of an answer, and the events that tell of them. Called by
// endpoints/responses.ts.
import { randomUUID } from 'node:crypto';
import type { RatedToken, ToolCall } from '../../openai/index.js';
import { eventOf } from '../event-stream.js';
import type { AnswerEnd, AnswerPart } from './answer.js';

type Item = Record<string, unknown> & { readonly id: string; readonly type: string };

/** An item whose text is not complete. */
interface OpenItem {
  readonly kind: 'reasoning' | 'message';
  readonly id: string;
  text: string;
  readonly logprobs: object[];
}

export class ResponseItems {
  readonly #base: object;
  readonly #done: Item[] = [];
  #open: OpenItem | undefined;
  #sequence = 0;

  /** @param base the members of the response that do not depend on the answer */
  constructor(base: object) {
    this.#base = base;
  }

  begin(): string {
    const response = this.#response('in_progress');
    return this.#event('response.created', { response }) + this.#event('response.in_progress', { response });
  }

  push({ reasoning, content, calls, rated }: AnswerPart): string {
    let events = '';
    if (reasoning !== '') events += this.#addText('reasoning', reasoning, []);
    if (content !== '') events += this.#addText('message', content, rated);
    for (const call of calls) events += this.#addCall(call);
    return events;
  }

  /** The last events; `response` is the response as a whole. */
  end(end: AnswerEnd): { readonly events: string; readonly response: object } {
    // An answer without a text is a message, too.
    const before = this.#done.length === 0 && this.#open === undefined ? this.#openItem('message') : '';
    const events = before + this.#closeItem();
    const status = end.finishReason === 'length' ? 'incomplete' : 'completed';
    const response = this.#response(status, end);
    return { events: events + this.#event(`response.${status}`, { response }), response };
  }

  /** The event of an error. */
  failure(error: Readonly<Record<string, unknown>>): string {
    return this.#event('error', { ...error, type: 'error', error });
  }

  #addText(kind: OpenItem['kind'], text: string, logprobs: readonly RatedToken[]): string {
    const before = this.#open?.kind === kind ? '' : this.#closeItem() + this.#openItem(kind);
    const open = this.#open as OpenItem;
    open.text += text;
    open.logprobs.push(...logprobs);
    if (kind === 'reasoning')
      return before + this.#event('response.reasoning_text.delta', { ...this.#at, delta: text });
    return before + this.#event('response.output_text.delta', { ...this.#at, delta: text, logprobs });
  }

  #openItem(kind: OpenItem['kind']): string {
    this.#open = { kind, id: idOf(kind === 'message' ? 'msg' : 'rs'), text: '', logprobs: [] };
    const item = this.#itemOf(this.#open, 'in_progress');
    const added = this.#event('response.output_item.added', { output_index: this.#done.length, item });
    if (kind === 'reasoning') return added;
    return added + this.#event('response.content_part.added', { ...this.#at, part: partOf(this.#open) });
  }

  /** Ends the item that is open, if there is one. */
  #closeItem(): string {
    const open = this.#open;
    if (open === undefined) return '';
    const { text, logprobs } = open;
    const item = this.#itemOf(open, 'completed');
    const end =
      open.kind === 'reasoning'
        ? this.#event('response.reasoning_text.done', { ...this.#at, text })
        : this.#event('response.output_text.done', { ...this.#at, text, logprobs }) +
          this.#event('response.content_part.done', { ...this.#at, part: partOf(open) });
    this.#open = undefined;
    return end + this.#itemDone(item);
  }

  #addCall({ id, function: { name, arguments: passed } }: ToolCall): string {
    const before = this.#closeItem();
    const item = { id: idOf('fc'), type: 'function_call', status: 'completed', call_id: id, name, arguments: passed };
    const output_index = this.#done.length;
    const begun = { ...item, status: 'in_progress', arguments: '' };
    const at = { item_id: item.id, output_index };
    return (
      before +
      this.#event('response.output_item.added', { output_index, item: begun }) +
      this.#event('response.function_call_arguments.delta', { ...at, delta: passed }) +
      this.#event('response.function_call_arguments.done', { ...at, name, arguments: passed }) +
      this.#itemDone(item)
    );
  }

  #itemDone(item: Item): string {
    const output_index = this.#done.push(item) - 1;
    return this.#event('response.output_item.done', { output_index, item });
  }

  /** Where the open item is. */
  get #at(): object {
    return { item_id: this.#open?.id, output_index: this.#done.length, content_index: 0 };
  }

  #itemOf(open: OpenItem, status: 'in_progress' | 'completed'): Item {
    const { kind, id } = open;
    const content = status === 'in_progress' ? [] : [partOf(open)];
    if (kind === 'reasoning') return { id, type: 'reasoning', status, summary: [], content };
    return { id, type: 'message', status, role: 'assistant', content };
  }

  #response(status: string, end?: AnswerEnd): object {
    return {
      ...this.#base,
      status,
      error: null,
      incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
      output: this.#done,
      usage: end === undefined ? null : usageOf(end),
    };
  }

  #event(type: string, members: object): string {
    return eventOf({ type, sequence_number: this.#sequence++, ...members }, type);
  }
}

function partOf({ kind, text, logprobs }: OpenItem): object {
  if (kind === 'reasoning') return { type: 'reasoning_text', text };
  return { type: 'output_text', text, annotations: [], logprobs: [...logprobs] };
}

function usageOf({ promptTokens, tokens, reasoningTokens }: AnswerEnd): object {
  return {
    input_tokens: promptTokens,
    output_tokens: tokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: promptTokens + tokens,
  };
}

export function idOf(prefix: string): string {
  return `${prefix}_${randomUUID().replaceAll('-', '')}`;
}
