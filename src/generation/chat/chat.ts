// Conversations as prompts: renders messages by the chat template of a model's file, and keeps text of the messages
// from acting as control tokens. Called by the model.
import { TesseraeError } from '../../base/errors.js';
import { quote } from '../../base/quote.js';
import type { ModelMetadata } from '../../metadata/model-metadata.js';
import type { Literal, Tokenizer } from '../../tokenizer/tokenizer.js';
import { ChatTemplate } from './chat-template.js';

/** A message of a conversation. Templates may know more members, such as `tool_calls`. */
export interface ChatMessage {
  /** `system`, `user`, `assistant` or `tool`, as far as the template knows it. */
  readonly role: string;
  readonly content?: unknown;
  readonly [member: string]: unknown;
}

export interface ChatPromptOptions {
  /** A Jinja template instead of the file's own. */
  readonly template?: string | undefined;
  /** Which of the file's templates, where it has several; by default `tool_use` with tools, if there is one. */
  readonly templateName?: string | undefined;
  /** Descriptions of functions that the model may call, as JSON Schema in the form that the template expects. */
  readonly tools?: readonly unknown[] | undefined;
  /** End with what begins an answer; true by default. */
  readonly addGenerationPrompt?: boolean | undefined;
  /** More variables for the template, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

export const chatPromptKeys = ['template', 'templateName', 'tools', 'addGenerationPrompt', 'variables'] as const;

/** Takes the options of the prompt apart from the others. */
export function splitChatOptions<T extends ChatPromptOptions>(
  options: T,
  op: string,
): [ChatPromptOptions, Omit<T, keyof ChatPromptOptions>] {
  if (typeof options !== 'object' || options === null) {
    throw new TesseraeError('ERR_ARGUMENT', `the options must be an object, got ${String(options)}`, { op });
  }
  const { template, templateName, tools, addGenerationPrompt, variables, ...rest } = options;
  return [{ template, templateName, tools, addGenerationPrompt, variables }, rest];
}

export interface ChatPrompt {
  readonly text: string;
  /** Parts of the text that spell control tokens but came from the messages: they stay plain text. */
  readonly literals: readonly Literal[];
}

const templateKey = 'tokenizer.chat_template';
const deepest = 64;
/** Noncharacters of Unicode, of which two mark what came from a message. */
const marks = Array.from({ length: 32 }, (_, i) => String.fromCharCode(0xfdd0 + i));

/** The chat templates of a model by name; that of the file itself is `default`. */
export function readChatTemplates(metadata: ModelMetadata): ReadonlyMap<string, string> {
  const templates = new Map<string, string>();
  for (const [key, { type, value }] of metadata) {
    if (type !== 'string') continue;
    if (key === templateKey) templates.set('default', value);
    else if (key.startsWith(`${templateKey}.`)) templates.set(key.slice(templateKey.length + 1), value);
  }
  return templates;
}

/** Renders conversations by the templates of one model. */
export class Chat {
  readonly #templates: ReadonlyMap<string, string>;
  readonly #tokenizer: Tokenizer;
  /** Templates that were compiled, by their source. */
  readonly #compiled = new Map<string, ChatTemplate>();

  constructor(templates: ReadonlyMap<string, string>, tokenizer: Tokenizer) {
    this.#templates = templates;
    this.#tokenizer = tokenizer;
  }

  /** @throws TesseraeError ERR_CHAT_TEMPLATE, ERR_ARGUMENT */
  render(messages: readonly ChatMessage[], options: ChatPromptOptions, op: string): ChatPrompt {
    checkMessages(messages, op);
    const { tools, addGenerationPrompt = true, variables = {} } = options;
    const template = this.#template(options, op);
    const guard = new MessageGuard({ messages, tools, variables }, { tokenizer: this.#tokenizer, template, op });
    const given = guard.guarded as { messages: unknown; tools: unknown; variables: Record<string, unknown> };
    const text = template.render(
      {
        ...given.variables,
        messages: given.messages,
        ...(tools === undefined ? {} : { tools: given.tools }),
        add_generation_prompt: addGenerationPrompt,
        bos_token: tokenTextOf(this.#tokenizer, this.#tokenizer.bosId),
        eos_token: tokenTextOf(this.#tokenizer, this.#tokenizer.eosId),
      },
      guard.inputUnits,
    );
    return guard.unguard(text);
  }

  #template({ template, templateName, tools }: ChatPromptOptions, op: string): ChatTemplate {
    for (const [name, value] of Object.entries({ template, templateName })) {
      if (value === undefined || typeof value === 'string') continue;
      throw new TesseraeError('ERR_ARGUMENT', `${name} must be a string, got ${typeof value}`, { op });
    }
    const name = templateName ?? (tools !== undefined && this.#templates.has('tool_use') ? 'tool_use' : 'default');
    const source = template ?? this.#templates.get(name);
    if (source === undefined) {
      const known = [...this.#templates.keys()].map((key) => quote(key)).join(', ');
      const message =
        known === ''
          ? 'the model has no chat template: give one as the option template'
          : `the model has no chat template ${quote(name)}, but ${known}`;
      throw new TesseraeError('ERR_CHAT_TEMPLATE', message, { op });
    }
    const compiled = this.#compiled.get(source) ?? new ChatTemplate(source);
    if (this.#compiled.size === 8) this.#compiled.clear();
    this.#compiled.set(source, compiled);
    return compiled;
  }
}

/** The ids of a rendered conversation. BOS comes in front where the model expects it and the template has not put it. */
export async function encodeChat(
  { text, literals }: ChatPrompt,
  tokenizer: Tokenizer,
  signal?: AbortSignal,
): Promise<number[]> {
  const ids = await tokenizer.encodeAsync(text, {
    special: true,
    literals,
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
  messages.forEach((message: unknown, i) => {
    const role: unknown = typeof message === 'object' && message !== null ? Reflect.get(message, 'role') : undefined;
    if (typeof role !== 'string') {
      throw new TesseraeError('ERR_ARGUMENT', `message ${i} must be an object with a role`, { op });
    }
  });
}

/** Puts marks around what spells control tokens, or other marks of the template, in given strings, and finds these places in the rendered text. */
class MessageGuard {
  readonly guarded: unknown;
  inputUnits = 0;
  readonly #tokenizer: Tokenizer;
  readonly #open: string;
  readonly #close: string;
  readonly #op: string;
  /** Tokens that the user defined and the template writes: marks too, as those of DeepSeek. */
  readonly #marks: RegExp | undefined;

  constructor(
    given: unknown,
    { tokenizer, template, op }: { tokenizer: Tokenizer; template: ChatTemplate; op: string },
  ) {
    this.#tokenizer = tokenizer;
    this.#op = op;
    const texts = tokenizer.userTexts
      .filter((text) => /^[<[].*[>\]]$/.test(text) && template.source.includes(text))
      .sort((a, b) => b.length - a.length);
    const escaped = texts.map((text) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
    this.#marks = texts.length === 0 ? undefined : new RegExp(escaped.join('|'), 'gu');
    let all = '';
    this.#mapStrings(given, 0, (text) => {
      this.inputUnits += text.length;
      // Only the noncharacters matter, of which there are none in any sensible text.
      all += text.replace(/[^\ufdd0-\ufdef]+/g, '');
      return text;
    });
    const [open, close] = marks.filter((mark) => !all.includes(mark));
    if (open === undefined || close === undefined) {
      throw new TesseraeError('ERR_ARGUMENT', 'the messages hold all noncharacters from U+FDD0 to U+FDEF', { op });
    }
    this.#open = open;
    this.#close = close;
    this.guarded = this.#mapStrings(given, 0, (text) => this.#mark(text));
  }

  unguard(rendered: string): ChatPrompt {
    const literals: Literal[] = [];
    let text = '';
    let start = -1;
    for (const part of rendered.split(new RegExp(`([${this.#open}${this.#close}])`))) {
      if (part === this.#open) {
        start = text.length;
      } else if (part !== this.#close) {
        text += part;
      } else if (start >= 0) {
        literals.push({ start, end: text.length });
        start = -1;
      }
    }
    return { text, literals };
  }

  #mark(text: string): string {
    let marked = '';
    let end = 0;
    for (const place of this.#tokenizer.controlTexts(text)) {
      marked += this.#markUserTokens(text.slice(end, place.start)) + this.#enclose(text.slice(place.start, place.end));
      end = place.end;
    }
    return marked + this.#markUserTokens(text.slice(end));
  }

  #markUserTokens(text: string): string {
    return this.#marks === undefined ? text : text.replace(this.#marks, (mark) => this.#enclose(mark));
  }

  #enclose(text: string): string {
    return `${this.#open}${text}${this.#close}`;
  }

  /** A copy of plain data in which every string has been replaced. */
  #mapStrings(value: unknown, depth: number, replace: (text: string) => string): unknown {
    if (typeof value === 'string') return replace(value);
    if (typeof value === 'function' || typeof value === 'symbol' || typeof value === 'bigint') {
      throw new TesseraeError('ERR_ARGUMENT', `a template takes plain data, got a ${typeof value}`, { op: this.#op });
    }
    if (typeof value !== 'object' || value === null) return value;
    if (depth > deepest) {
      throw new TesseraeError('ERR_ARGUMENT', `the messages are nested more than ${deepest} deep`, { op: this.#op });
    }
    if (Array.isArray(value)) return value.map((element) => this.#mapStrings(element, depth + 1, replace));
    return Object.fromEntries(
      Object.entries(value).map(([key, member]) => [key, this.#mapStrings(member, depth + 1, replace)]),
    );
  }
}
