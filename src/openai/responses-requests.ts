// A body of OpenAI's Responses API, without state, as a conversation: everything that the model is told is in the body.
import { isObject } from '../base/json-view.js';
import type { ChatMessage, ChatOptions, Format } from '../index.js';
import { BodyFields, wrong } from './body-fields.js';
import { turnOf } from './delivery.js';
import { textOfParts } from './requests.js';
import { formatOf, samplingOf } from './sampling-fields.js';
import { type ToolUse, templateMessages, toolUse } from './tools.js';

export interface ResponsesRequest {
  readonly messages: readonly ChatMessage[];
  readonly options: ChatOptions;
  readonly toolUse: ToolUse | undefined;
  readonly isStream: boolean;
  /** Fields that the response repeats. */
  readonly repeated: Readonly<Record<string, unknown>>;
}

const textTypes = ['input_text', 'output_text', 'text'];
const logprobsOfText = 'message.output_text.logprobs';
const mostAlternatives = 20;

/** @throws TesseraeError ERR_ARGUMENT */
export function readResponsesRequest(body: unknown): ResponsesRequest {
  const fields = new BodyFields(body);
  const { tools = [], tool_choice = 'auto', text = {}, instructions = null } = body as Record<string, unknown>;
  const { metadata = {}, temperature = 1, top_p = 1, max_output_tokens = null } = body as Record<string, unknown>;
  const messages = [...instructionsOf(fields), ...messagesOf(fields.take('input'))];
  const isParallel = fields.flag('parallel_tool_calls');
  const use = toolUse(nestedTools(fields.take('tools')), nestedChoice(fields.take('tool_choice')), isParallel);
  const format = textFormatOf(fields.take('text'));
  if (use !== undefined && format !== undefined) {
    throw wrong('text.format', 'cannot be combined with tools that the model may call');
  }
  const isStream = fields.flag('stream') === true;
  const maxTokens = fields.integer('max_output_tokens', 1);
  const options: ChatOptions = {
    temperature: 1,
    ...samplingOf(fields),
    ...turnOf(fields),
    ...logprobsOf(fields),
    ...(maxTokens === undefined ? {} : { maxTokens }),
    ...(use === undefined ? {} : { tools: use.tools }),
    ...(format === undefined ? {} : { format }),
    ...(use?.format === undefined ? {} : { format: use.format }),
  };
  fields.only('background', false);
  fields.only('truncation', 'disabled');
  emptyFields(fields, 'reasoning', {});
  if (isStream) emptyFields(fields, 'stream_options', { include_obfuscation: false });
  fields.end();
  const isFlat = isObject(metadata) && Object.values(metadata).every((value) => typeof value === 'string');
  const repeated = {
    instructions,
    metadata: isFlat ? metadata : {},
    temperature,
    top_p,
    max_output_tokens,
    tools,
    tool_choice,
    text,
  };
  return {
    messages: templateMessages(messages),
    options,
    toolUse: use,
    isStream,
    repeated: { ...repeated, parallel_tool_calls: isParallel ?? true },
  };
}

function instructionsOf(fields: BodyFields): ChatMessage[] {
  const instructions = fields.take('instructions');
  if (instructions === undefined) return [];
  if (typeof instructions !== 'string') throw wrong('instructions', 'must be a text');
  return [{ role: 'system', content: instructions }];
}

function messagesOf(input: unknown): ChatMessage[] {
  if (typeof input === 'string') return [{ role: 'user', content: input }];
  if (!Array.isArray(input) || input.length === 0) throw wrong('input', 'must be a text, or an array of items');
  const messages: ChatMessage[] = [];
  for (const item of input) addItem(messages, item);
  return messages;
}

function addItem(messages: ChatMessage[], item: unknown): void {
  if (typeof item !== 'object' || item === null) throw wrong('input', 'must contain objects');
  const { type = 'message', role, content, name, call_id, output } = item as Record<string, unknown>;
  if (type === 'message' && typeof role === 'string') {
    messages.push({ role, content: textOf(content) });
  } else if (type === 'function_call' && typeof name === 'string') {
    const { arguments: passed } = item as { arguments?: unknown };
    const call = { id: call_id, type: 'function', function: { name, arguments: passed } };
    // The calls of one answer are those of one message.
    const last = messages.at(-1);
    const calls = last?.role === 'assistant' && Array.isArray(last.tool_calls) ? last.tool_calls : undefined;
    if (calls === undefined) messages.push({ role: 'assistant', content: null, tool_calls: [call] });
    else calls.push(call);
  } else if (type === 'function_call_output') {
    messages.push({ role: 'tool', tool_call_id: call_id, content: textOf(output) });
  } else if (type !== 'reasoning') {
    // Templates leave out what a model has thought before.
    throw wrong('input', 'must have items of the types message, function_call, function_call_output and reasoning');
  }
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (Array.isArray(content)) return textOfParts(content, textTypes, 'input');
  throw wrong('input', 'must have contents of texts');
}

/** Tools as chat completions nest them. */
function nestedTools(tools: unknown): unknown {
  if (!Array.isArray(tools)) return tools;
  return tools.map((tool: unknown) => {
    const { type, ...described } = (tool ?? {}) as Record<string, unknown>;
    return { type, function: described };
  });
}

function nestedChoice(choice: unknown): unknown {
  if (typeof choice !== 'object' || choice === null) return choice;
  const { type, name } = choice as Record<string, unknown>;
  return { type, function: { name } };
}

function textFormatOf(text: unknown): Format | undefined {
  if (text === undefined) return undefined;
  const fields = new BodyFields(text);
  const { type, ...schema } = (fields.take('format') ?? { type: 'text' }) as Record<string, unknown>;
  fields.only('verbosity', 'medium');
  fields.end();
  return formatOf(new BodyFields({ response_format: { type, json_schema: schema } }));
}

function logprobsOf(fields: BodyFields): ChatOptions {
  const include = fields.take('include') ?? [];
  const alternatives = fields.integer('top_logprobs', 0, mostAlternatives);
  const isKnown = (name: unknown) => name === logprobsOfText || name === 'reasoning.encrypted_content';
  if (!Array.isArray(include) || !include.every(isKnown)) {
    throw wrong('include', `may have ${logprobsOfText} alone`);
  }
  if (include.includes(logprobsOfText)) return { logprobs: alternatives ?? 0 };
  if (alternatives !== undefined && alternatives > 0) throw wrong('top_logprobs', `needs ${logprobsOfText} in include`);
  return {};
}

/** An object whose members are accepted with the values that change nothing. */
function emptyFields(fields: BodyFields, name: string, neutral: Readonly<Record<string, unknown>>): void {
  const value = fields.take(name);
  if (value === undefined) return;
  const members = new BodyFields(value);
  for (const [key, only] of Object.entries(neutral)) members.only(key, only);
  members.end();
}
