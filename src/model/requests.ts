// Turns what callers of a model pass into requests of its server: options checked, texts tokenized, formats compiled. Used by
// Model and Session.
import { TesseraeError } from '../base/errors.js';
import type { Constraint } from '../constraint/constraint.js';
import { ConstraintCompiler } from '../constraint/constraint-compiler.js';
import { Chat, type ChatMessage, type ChatPromptOptions, encodeChat } from '../generation/chat/chat.js';
import { type GenerateOptions, type GenerateSettings, settingsOf } from '../generation/generate-options.js';
import { Generation, GenerationStream } from '../generation/generation.js';
import type { GenerationResult } from '../generation/generation-result.js';
import { checkPromptFits, type Prompt, tokensOf } from '../generation/prompt.js';
import { GenerationRequest } from '../generation/request.js';
import { turnOf } from '../generation/turn-options.js';
import type { LentSequence } from '../serving/jobs.js';
import type { DecoderService } from '../serving/served-model.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import type { ModelInfo } from './model-info.js';

/** How a conversation becomes a prompt, and how it is continued. */
export interface ChatOptions extends GenerateOptions, ChatPromptOptions {}

export interface RequestsParts {
  readonly tokenizer: Tokenizer;
  readonly info: ModelInfo;
  /** Jinja templates of conversations, by name. */
  readonly chatTemplates: ReadonlyMap<string, string>;
  /** @throws TesseraeError ERR_UNSUPPORTED for an encoder, ERR_DISPOSED */
  readonly decoder: (op: string) => DecoderService;
}

/** What a generation goes on from. */
export interface PromptStart {
  /** Ids are all that is gone on from, a session's tokens included. */
  readonly prompt: Prompt;
  /** Lends what a session has computed of it. */
  readonly lend?: () => Promise<LentSequence>;
}

/** How a generation differs from one of `model.generate`. */
export interface GenerateRun {
  readonly op: string;
  /** See {@link GenerationJob}. */
  readonly salt?: string | undefined;
  readonly isPatient?: boolean;
}

export class Requests {
  readonly #parts: RequestsParts;
  readonly #constraints: ConstraintCompiler;
  readonly #chat: Chat;

  constructor(parts: RequestsParts) {
    this.#parts = parts;
    this.#constraints = new ConstraintCompiler(parts.tokenizer, parts.info.vocabulary);
    this.#chat = new Chat(parts.chatTemplates, parts.tokenizer);
  }

  settings(options: GenerateOptions, op: string): GenerateSettings {
    return settingsOf(options, op, this.#parts.info.vocabulary);
  }

  /** Begins to continue a prompt. Every failure is found in the generation. */
  generate(start: () => PromptStart | Promise<PromptStart>, options: GenerateOptions, run: GenerateRun): Generation {
    const stream = new GenerationStream();
    this.#begin(start, options, run, stream).catch((error: unknown) => stream.fail(error));
    return new Generation(stream);
  }

  /** Continues a prompt to its end. */
  async result(prompt: Prompt, options: GenerateOptions, run: GenerateRun): Promise<GenerationResult> {
    const stream = new GenerationStream();
    const { result } = stream;
    this.#begin(() => ({ prompt }), options, run, stream).catch((error: unknown) => stream.fail(error));
    return result;
  }

  /**
   * The ids of a prompt that is to be continued.
   * @throws TesseraeError ERR_CONTEXT, ERR_ARGUMENT, ERR_TOKENIZER; AbortError
   */
  async promptIds(prompt: Prompt, op: string, signal: AbortSignal | undefined): Promise<number[]> {
    const ids = await this.encode(prompt, op, { signal });
    checkPromptFits(ids, this.#parts.info.sessionCapacity, op);
    return ids;
  }

  /** The same, of whatever length. */
  encode(
    prompt: Prompt,
    op: string,
    options: { readonly addBos?: boolean; readonly signal?: AbortSignal | undefined },
  ): Promise<number[]> {
    const { tokenizer, info } = this.#parts;
    return tokensOf(prompt, tokenizer, info.vocabulary, { op, ...options });
  }

  /** The ids of a conversation's prompt. @throws TesseraeError ERR_CHAT_TEMPLATE, ERR_ARGUMENT; AbortError */
  async chatIds(
    messages: readonly ChatMessage[],
    options: ChatPromptOptions,
    signal: AbortSignal | undefined,
  ): Promise<number[]> {
    return encodeChat(this.#chat.render(messages, options, 'chat'), this.#parts.tokenizer, signal);
  }

  /** The prompt of a conversation as text. @throws TesseraeError ERR_CHAT_TEMPLATE, ERR_ARGUMENT */
  chatPrompt(messages: readonly ChatMessage[], options: ChatPromptOptions): string {
    return this.#chat.render(messages, options, 'chatPrompt').text;
  }

  async #begin(
    start: () => PromptStart | Promise<PromptStart>,
    options: GenerateOptions,
    { op, salt, isPatient = false }: GenerateRun,
    stream: GenerationStream,
  ): Promise<void> {
    const askedAt = performance.now();
    const { tokenizer, info, decoder } = this.#parts;
    const settings = this.settings(options, op);
    const turn = turnOf(options, op, askedAt);
    const { prompt, lend } = await start();
    const promptIds = await this.promptIds(prompt, op, settings.signal);
    const constraint = await this.#constraint(settings);
    const capacity = info.sessionCapacity;
    const request = new GenerationRequest({ tokenizer, promptIds, settings, constraint, capacity });
    await request.prepare();
    // Its consumer may have left, and its time may have passed, before there was anything to submit.
    if (stream.isOver) return;
    if (turn.deadlineAt !== undefined && performance.now() >= turn.deadlineAt) {
      throw new TesseraeError('ERR_DEADLINE', 'the request was not complete within its deadlineMs', { op });
    }
    const service = decoder('session');
    const lent = await lend?.();
    try {
      service.generate({ request, stream, turn, loadMs: info.loadMs, askedAt, salt, lent, isPatient });
    } catch (error) {
      lent?.giveBack(promptIds, lent.pages, lent.computed, false);
      throw error;
    }
  }

  async #constraint({ format, signal }: GenerateSettings): Promise<Constraint | undefined> {
    return format === undefined ? undefined : this.#constraints.compile(format, signal);
  }
}
