// A body of chat completions as the server answers it: besides what a batch computes, with choices, streams and tools.
import type { ChatMessage, ChatOptions } from '../index.js';
import { BodyFields, wrong } from './body-fields.js';
import { type Delivery, deliveryOf, turnOf } from './delivery.js';
import { chatJobOf } from './requests.js';
import { type ToolUse, templateMessages, toolUseOf } from './tools.js';

export interface ChatRequest extends Delivery {
  readonly messages: readonly ChatMessage[];
  readonly options: ChatOptions;
  readonly toolUse: ToolUse | undefined;
}

/** @throws TesseraeError ERR_ARGUMENT */
export function readChatRequest(body: unknown): ChatRequest {
  const fields = new BodyFields(body);
  const { messages, options } = chatJobOf(fields);
  const delivery = deliveryOf(fields);
  const toolUse = toolUseOf(fields);
  const turn = turnOf(fields);
  const variables = variablesOf(fields);
  neutralFields(fields);
  fields.end();
  if (toolUse !== undefined && options.format !== undefined) {
    throw wrong('response_format', 'cannot be combined with tools that the model may call');
  }
  const tools = toolUse === undefined ? {} : { tools: toolUse.tools };
  const forced = toolUse?.format === undefined ? {} : { format: toolUse.format };
  return {
    ...delivery,
    messages: templateMessages(messages),
    options: { temperature: 1, ...options, ...turn, ...variables, ...tools, ...forced },
    toolUse,
  };
}

/** More variables for the template, under the name that other servers have for them. */
function variablesOf(fields: BodyFields): Pick<ChatOptions, 'variables'> {
  const value = fields.take('chat_template_kwargs');
  if (value === undefined) return {};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrong('chat_template_kwargs', 'must be an object');
  }
  return { variables: value as Record<string, unknown> };
}

/** Fields of OpenAI's API that are accepted with the value that changes nothing. */
function neutralFields(fields: BodyFields): void {
  const modalities = fields.take('modalities');
  if (modalities !== undefined && JSON.stringify(modalities) !== '["text"]') throw wrong('modalities', 'may be text');
  fields.only('functions', []);
  fields.only('function_call', 'none');
}
