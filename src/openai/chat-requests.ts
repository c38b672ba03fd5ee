// A body of chat completions as the server answers it: besides what a batch computes, with choices, streams and tools.
import type { ChatMessage, ChatOptions } from '../index.js';
import { BodyFields, wrong } from './body-fields.js';
import { chatJobOf } from './requests.js';
import { type ToolUse, templateMessages, toolUseOf } from './tools.js';

/** How the answers of a request are delivered. */
export interface Delivery {
  /** How many answers. */
  readonly n: number;
  readonly isStream: boolean;
  /** Whether a stream ends with the usage. */
  readonly includesUsage: boolean;
}

export interface ChatRequest extends Delivery {
  readonly messages: readonly ChatMessage[];
  readonly options: ChatOptions;
  readonly toolUse: ToolUse | undefined;
}

const mostChoices = 128;

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
  const forced = toolUse?.forced === undefined ? {} : { format: toolUse.forced };
  return {
    ...delivery,
    messages: templateMessages(messages),
    options: { temperature: 1, ...options, ...turn, ...variables, ...tools, ...forced },
    toolUse,
  };
}

/** @throws TesseraeError ERR_ARGUMENT */
export function deliveryOf(fields: BodyFields): Delivery {
  const n = fields.integer('n', 1, mostChoices) ?? 1;
  const isStream = fields.flag('stream') === true;
  const given = fields.take('stream_options');
  if (given === undefined) return { n, isStream, includesUsage: false };
  if (!isStream) throw wrong('stream_options', 'needs stream');
  const options = new BodyFields(given);
  const includesUsage = options.flag('include_usage') === true;
  options.only('include_obfuscation', false);
  options.end();
  return { n, isStream, includesUsage };
}

/** When a request has its turn: fields that OpenAI's API does not have. @throws TesseraeError ERR_ARGUMENT */
export function turnOf(fields: BodyFields): Pick<ChatOptions, 'priority' | 'deadlineMs'> {
  const priority = fields.integer('priority', -100, 100);
  const deadlineMs = fields.integer('deadline_ms', 1);
  return { ...(priority === undefined ? {} : { priority }), ...(deadlineMs === undefined ? {} : { deadlineMs }) };
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
