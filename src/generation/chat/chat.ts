// Turns conversations into prompts: renders messages with the model's chat template, and keeps the messages' text from
// becoming control tokens. Called by model/requests.ts.
import { describe } from '../../base/describe.js';
import { TesseraeError } from '../../base/errors.js';
import { quote } from '../../base/quote.js';
import { RecentlyUsed } from '../../base/recently-used.js';
import { TimeSlice } from '../../base/time-slice.js';
import type { ModelMetadata } from '../../metadata/model-metadata.js';
import { beginningOf } from '../../tokenizer/base-tokenizer.js';
import type { PlainPlaces, Tokenizer } from '../../tokenizer/tokenizer.js';
import { jsonOf, renderTemplate } from './chat-template.js';

/** A message of a conversation. A template may use more members, such as `tool_calls`. */
export interface ChatMessage {
  /** `system`, `user`, `assistant`, `tool`, or another role that the template supports. */
  readonly role: string;
  readonly content?: unknown;
  readonly [member: string]: unknown;
}

export interface ChatPromptOptions {
  /** A Jinja template to use instead of the model's own. */
  readonly template?: string | undefined;
  /** Which of the model's templates to use. By default `tool_use` if tools are given and it exists, else `default`. */
  readonly templateName?: string | undefined;
  /** Descriptions of the functions that the model may call, in the form that the template expects. */
  readonly tools?: readonly unknown[] | undefined;
  /** End with the beginning of an answer; true by default. */
  readonly addGenerationPrompt?: boolean | undefined;
  /** More variables for the template, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

export const chatPromptKeys = ['template', 'templateName', 'tools', 'addGenerationPrompt', 'variables'] as const;

/** Separates the options of the prompt from the others. */
export function splitChatOptions<T extends ChatPromptOptions>(
  options: T,
  op: string,
): [ChatPromptOptions, Omit<T, keyof ChatPromptOptions>] {
  if (typeof options !== 'object' || options === null) {
    throw new TesseraeError('ERR_ARGUMENT', `the options must be an object, got ${describe(options)}`, { op });
  }
  const { template, templateName, tools, addGenerationPrompt, variables, ...rest } = options;
  return [{ template, templateName, tools, addGenerationPrompt, variables }, rest];
}

export interface ChatPrompt {
  readonly text: string;
  /** Where text of the messages is, and not the beginning of a control token. */
  readonly plain: PlainPlaces;
}

export interface RenderOptions {
  readonly op: string;
  readonly signal?: AbortSignal | undefined;
}

const templateKey = 'tokenizer.chat_template';
const MOST_MESSAGES = 100_000;
const TEMPLATES_KEPT = 8;

/** The chat templates of a model by name; the main one is `default`. */
export function readChatTemplates(metadata: ModelMetadata): ReadonlyMap<string, string> {
  const templates = new Map<string, string>();
  for (const [key, { type, value }] of metadata) {
    if (type !== 'string') continue;
    if (key === templateKey) templates.set('default', value);
    else if (key.startsWith(`${templateKey}.`)) templates.set(key.slice(templateKey.length + 1), value);
  }
  return templates;
}

/** Renders conversations with the templates of one model. */
export class Chat {
  readonly #templates: ReadonlyMap<string, string>;
  readonly #tokenizer: Tokenizer;
  readonly #timeoutMs: number;
  /** The marks of templates by their source. */
  readonly #marks = new RecentlyUsed<string, ReadonlySet<string>>(TEMPLATES_KEPT);

  /** @param timeoutMs the time that rendering may take */
  constructor(templates: ReadonlyMap<string, string>, tokenizer: Tokenizer, timeoutMs: number) {
    this.#templates = templates;
    this.#tokenizer = tokenizer;
    this.#timeoutMs = timeoutMs;
  }

  /** @throws TesseraeError ERR_CHAT_TEMPLATE, ERR_ARGUMENT; AbortError */
  async render(
    messages: readonly ChatMessage[],
    options: ChatPromptOptions,
    { op, signal }: RenderOptions,
  ): Promise<ChatPrompt> {
    checkMessages(messages, op);
    const { tools = null, addGenerationPrompt = true, variables = {} } = options;
    const source = this.#source(options, op);
    const json = await jsonOf({ documents: null, ...variables, messages, tools }, op, signal);
    const marks = await this.#marksOf(source, signal);
    const tokenizer = this.#tokenizer;
    const firsts = new Set([...tokenizer.controlBeginnings, ...[...marks].map(beginningOf)]);
    const trusted = {
      add_generation_prompt: addGenerationPrompt,
      bos_token: tokenTextOf(tokenizer, tokenizer.bosId),
      eos_token: tokenTextOf(tokenizer, tokenizer.eosId),
    };
    const run = { op, timeoutMs: this.#timeoutMs, signal };
    const { text, places } = await renderTemplate(source, { firsts: [...firsts], json, trusted }, run);
    return { text, plain: { places, marks } };
  }

  #source({ template, templateName, tools }: ChatPromptOptions, op: string): string {
    for (const [name, value] of Object.entries({ template, templateName })) {
      if (value === undefined || typeof value === 'string') continue;
      throw new TesseraeError('ERR_ARGUMENT', `${name} must be a string, got ${typeof value}`, { op });
    }
    const hasTools = tools !== undefined && tools !== null;
    const name = templateName ?? (hasTools && this.#templates.has('tool_use') ? 'tool_use' : 'default');
    const source = template ?? this.#templates.get(name);
    if (source !== undefined) return source;
    const known = [...this.#templates.keys()].map((key) => quote(key)).join(', ');
    const message =
      known === ''
        ? 'the model has no chat template: give one as the option template'
        : `the model has no chat template ${quote(name)}, but ${known}`;
    throw new TesseraeError('ERR_CHAT_TEMPLATE', message, { op });
  }

  /**
   * The user-defined tokens that the template writes: some models, such as DeepSeek, use these like control tokens. They
   * are plain text where messages spell them.
   */
  async #marksOf(source: string, signal: AbortSignal | undefined): Promise<ReadonlySet<string>> {
    const known = this.#marks.get(source);
    if (known !== undefined) return known;
    const marks = new Set<string>();
    const timeSlice = new TimeSlice(signal);
    for (const [i, text] of this.#tokenizer.userTexts.entries()) {
      if (i % 32 === 0 && timeSlice.isOver()) await timeSlice.yield();
      if (/^[<[].*[>\]]$/.test(text) && source.includes(text)) marks.add(text);
    }
    this.#marks.set(source, marks);
    return marks;
  }
}

/** The token ids of a rendered conversation. Adds BOS if the model expects it and the template has not written it. */
export async function encodeChat(
  { text, plain }: ChatPrompt,
  tokenizer: Tokenizer,
  signal?: AbortSignal,
): Promise<number[]> {
  const ids = await tokenizer.encodeAsync(text, {
    special: true,
    plain,
    ...(signal === undefined ? {} : { signal }),
  });
  const { bosId, addsBos } = tokenizer;
  if (addsBos && bosId !== undefined && ids[0] !== bosId) ids.unshift(bosId);
  return ids;
}

function tokenTextOf(tokenizer: Tokenizer, id: number | undefined): string {
  return id === undefined ? '' : tokenizer.tokenText(id);
}

function checkMessages(messages: unknown, op: string): void {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new TesseraeError('ERR_ARGUMENT', 'expected an array of messages, with at least one', { op });
  }
  if (messages.length > MOST_MESSAGES) {
    throw new TesseraeError('ERR_ARGUMENT', `expected at most ${MOST_MESSAGES} messages, got ${messages.length}`, {
      op,
    });
  }
  for (const [i, message] of messages.entries()) {
    if (typeof roleOf(message) === 'string') continue;
    throw new TesseraeError('ERR_ARGUMENT', `message ${i} must be an object with a role`, { op });
  }
}

function roleOf(message: unknown): unknown {
  try {
    return typeof message === 'object' && message !== null ? Reflect.get(message, 'role') : undefined;
  } catch {
    return undefined;
  }
}
