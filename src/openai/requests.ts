// A request body of OpenAI's API as a job of this library. Called by `tesserae batch`.
import type { ChatMessage, ChatOptions, EmbedOptions, GenerateOptions, Prompt } from '../index.js';
import type { ChatJob, EmbedJob, GenerateJob } from '../jobs/index.js';
import { BodyFields, wrong } from './body-fields.js';
import { formatOf, samplingOf } from './sampling-fields.js';

export type BodyRequest =
  | { readonly kind: 'chat'; readonly job: ChatJob }
  | { readonly kind: 'generate'; readonly job: GenerateJob; readonly echo: string }
  | { readonly kind: 'embed'; readonly job: EmbedJob & { texts: readonly Prompt[] }; readonly encoding: FloatEncoding };

export type FloatEncoding = 'float' | 'base64';

const mostAlternatives = 20;
const mostInputs = 2048;

/** A body of any of the three endpoints: they differ in their fields. @throws TesseraeError ERR_ARGUMENT */
export function readBody(body: unknown): BodyRequest {
  const fields = new BodyFields(body);
  fields.only('stream', false);
  if (fields.has('messages')) return readChat(fields);
  if (fields.has('prompt')) return readCompletion(fields);
  if (fields.has('input')) return readEmbedding(fields);
  throw wrong('body', 'must have messages, prompt or input');
}

function readChat(fields: BodyFields): BodyRequest {
  const job = chatJobOf(fields);
  fields.only('n', 1);
  fields.only('tools', []);
  fields.only('tool_choice', 'none');
  fields.only('parallel_tool_calls', true);
  fields.end();
  return { kind: 'chat', job };
}

/** The messages of a body of chat completions, and how they are answered. @throws TesseraeError ERR_ARGUMENT */
export function chatJobOf(fields: BodyFields): ChatJob & { readonly options: ChatOptions } {
  const messages = messagesOf(fields.take('messages'));
  const format = formatOf(fields);
  const options: ChatOptions = {
    ...samplingOf(fields),
    ...logprobsOf(fields),
    ...(format === undefined ? {} : { format }),
  };
  return { messages, options };
}

/** The messages with texts as contents. The model checks the rest. */
function messagesOf(value: unknown): ChatMessage[] {
  if (!Array.isArray(value) || value.length === 0)
    throw wrong('messages', 'must be an array with at least one message');
  return value.map((message: unknown) => {
    if (typeof message !== 'object' || message === null) throw wrong('messages', 'must contain objects');
    const { content } = message as { content?: unknown };
    if (!Array.isArray(content)) return message as ChatMessage;
    return { ...message, content: textOfParts(content, ['text'], 'messages') } as ChatMessage;
  });
}

/** The text of a content that is given in parts. @throws TesseraeError ERR_ARGUMENT for parts that are no texts */
export function textOfParts(content: readonly unknown[], types: readonly string[], field: string): string {
  const parts = content as readonly { type?: unknown; text?: unknown }[];
  if (parts.every((part) => types.includes(part?.type as string) && typeof part.text === 'string')) {
    return parts.map(({ text }) => text).join('');
  }
  throw wrong(field, 'may have contents of texts alone');
}

function logprobsOf(fields: BodyFields): GenerateOptions {
  const wanted = fields.flag('logprobs') === true;
  const alternatives = fields.integer('top_logprobs', 0, mostAlternatives);
  if (!wanted && alternatives !== undefined) throw wrong('top_logprobs', 'needs logprobs');
  return wanted ? { logprobs: alternatives ?? 0 } : {};
}

function readCompletion(fields: BodyFields): BodyRequest {
  const { prompts, echoes } = promptsOf(fields, 1);
  const options = samplingOf(fields);
  fields.only('n', 1);
  fields.only('best_of', 1);
  fields.only('suffix', '');
  fields.only('logprobs', 0);
  fields.end();
  const [prompt] = prompts as [Prompt];
  return { kind: 'generate', job: { prompt, options }, echo: echoes ? (prompt as string) : '' };
}

/** The prompts of a body of completions, and whether their texts begin with them. @throws TesseraeError ERR_ARGUMENT */
export function promptsOf(fields: BodyFields, most: number): { prompts: Prompt[]; echoes: boolean } {
  const given = fields.take('prompt');
  const prompts: unknown = typeof given === 'string' || isIds(given) ? [given] : given;
  const isList = Array.isArray(prompts) && prompts.length > 0 && prompts.length <= most;
  if (!isList || !prompts.every((prompt) => typeof prompt === 'string' || isIds(prompt))) {
    const several = most === 1 ? '' : `, or an array of up to ${most} of them`;
    throw wrong('prompt', `must be one text, or the ids of one${several}`);
  }
  const echoes = fields.flag('echo') === true;
  if (echoes && !prompts.every((prompt) => typeof prompt === 'string')) {
    throw wrong('echo', 'needs a prompt that is a text');
  }
  return { prompts, echoes };
}

export type EmbeddingRequest = BodyRequest & { readonly kind: 'embed' };

export function readEmbedding(fields: BodyFields): EmbeddingRequest {
  const input = fields.take('input');
  const texts: unknown = typeof input === 'string' || isIds(input) ? [input] : input;
  const isList = Array.isArray(texts) && texts.length > 0 && texts.length <= mostInputs;
  if (!isList || !texts.every((text) => typeof text === 'string' || isIds(text))) {
    throw wrong('input', `must be a text, the ids of one, or an array of 1 to ${mostInputs} of them`);
  }
  const dimensions = fields.integer('dimensions', 1);
  const options: EmbedOptions = dimensions === undefined ? {} : { dimensions };
  const encoding = fields.take('encoding_format') ?? 'float';
  if (encoding !== 'float' && encoding !== 'base64') throw wrong('encoding_format', 'must be float or base64');
  fields.end();
  return { kind: 'embed', job: { texts, options }, encoding };
}

function isIds(value: unknown): value is number[] {
  return Array.isArray(value) && value.length > 0 && value.every((id) => typeof id === 'number');
}
