// Turns conversations into prompts: renders messages with the model's chat template, and keeps the messages' text from
// becoming control tokens. Called by model/model.ts.
import { TesseraeError } from '../../base/errors.js';
import { quote } from '../../base/quote.js';
import type { ModelMetadata } from '../../metadata/model-metadata.js';
import type { Literal, Tokenizer } from '../../tokenizer/tokenizer.js';
import { ChatTemplate } from './chat-template.js';

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
    throw new TesseraeError('ERR_ARGUMENT', `the options must be an object, got ${String(options)}`, { op });
  }
  const { template, templateName, tools, addGenerationPrompt, variables, ...rest } = options;
  return [{ template, templateName, tools, addGenerationPrompt, variables }, rest];
}

export interface ChatPrompt {
  readonly text: string;
  /** Parts of the text that spell control tokens but come from the messages: they stay plain text. */
  readonly literals: readonly Literal[];
}

const templateKey = 'tokenizer.chat_template';
const deepest = 64;
/** Noncharacters of Unicode. Two that the messages do not contain mark text of the messages. */
const marks = Array.from({ length: 32 }, (_, i) => String.fromCharCode(0xfdd0 + i));

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
  /** Compiled templates by their source. */
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

/** The token ids of a rendered conversation. Adds BOS if the model expects it and the template has not written it. */
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

/**
 * Marks the places in the given strings that spell control tokens, or tokens that the template writes, and finds these
 * places again in the rendered text.
 */
class MessageGuard {
  /** The given data with marks in its strings. */
  readonly guarded: unknown;
  /** The code units of all given strings. */
  inputUnits = 0;
  readonly #tokenizer: Tokenizer;
  readonly #open: string;
  readonly #close: string;
  readonly #op: string;
  /** User-defined tokens that the template writes: some models, such as DeepSeek, use these like control tokens. */
  readonly #userTokens: RegExp | undefined;

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
    this.#userTokens = texts.length === 0 ? undefined : new RegExp(escaped.join('|'), 'gu');
    let all = '';
    this.#mapStrings(given, 0, (text) => {
      this.inputUnits += text.length;
      // Only noncharacters are kept, to choose marks among the others.
      all += text.replace(/[^\ufdd0-\ufdef]+/g, '');
      return text;
    });
    const [open, close] = marks.filter((mark) => !all.includes(mark));
    if (open === undefined || close === undefined) {
      throw new TesseraeError('ERR_ARGUMENT', 'the messages contain all noncharacters from U+FDD0 to U+FDEF', { op });
    }
    this.#open = open;
    this.#close = close;
    this.guarded = this.#mapStrings(given, 0, (text) => this.#mark(text));
  }

  /** Removes the marks from the rendered text. The text between two marks becomes a literal. */
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
    return this.#userTokens === undefined ? text : text.replace(this.#userTokens, (token) => this.#enclose(token));
  }

  #enclose(text: string): string {
    return `${this.#open}${text}${this.#close}`;
  }

  /** A copy of plain data with every string replaced. */
  #mapStrings(value: unknown, depth: number, replace: (text: string) => string): unknown {
    if (typeof value === 'string') return replace(value);
    if (typeof value === 'function' || typeof value === 'symbol' || typeof value === 'bigint') {
      throw new TesseraeError('ERR_ARGUMENT', `a template takes only plain data, got a ${typeof value}`, {
        op: this.#op,
      });
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
