// Turns what callers of a model pass into requests of its server: options checked, texts tokenized, formats compiled. Used by
// Model and Session.
import { AbortError } from '../base/errors.js';
import type { Constraint } from '../constraint/constraint.js';
import { ConstraintCompiler } from '../constraint/constraint-compiler.js';
import { Chat, type ChatMessage, type ChatPromptOptions, encodeChat } from '../generation/chat/chat.js';
import { type GenerateOptions, type GenerateSettings, settingsOf } from '../generation/generate-options.js';
import { Generation, GenerationStream } from '../generation/generation.js';
import type { GenerationResult } from '../generation/generation-result.js';
import { checkPromptFits, type Prompt, tokensOf } from '../generation/prompt.js';
import { GenerationRequest } from '../generation/request.js';
import { checkDeadline, type Turn, turnOf } from '../generation/turn-options.js';
import type { ModelRecorder } from '../metrics/model-recorder.js';
import type { LentSequence } from '../serving/jobs.js';
import type { DecoderService } from '../serving/served-model.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import type { Calls } from './calls.js';
import type { ModelInfo } from './model-info.js';

/** How a conversation becomes a prompt, and how it is continued. */
export interface ChatOptions extends GenerateOptions, ChatPromptOptions {}

/** How long the work on untrusted text may take. */
export interface TextLimits {
  readonly templateTimeoutMs: number;
  readonly formatTimeoutMs: number;
}

export interface RequestsParts {
  readonly tokenizer: Tokenizer;
  readonly info: ModelInfo;
  /** Jinja templates of conversations, by name. */
  readonly chatTemplates: ReadonlyMap<string, string>;
  readonly limits: TextLimits;
  /** @throws TesseraeError ERR_UNSUPPORTED for an encoder, ERR_DISPOSED */
  readonly decoder: (op: string) => DecoderService;
  readonly calls: Calls;
  readonly recorder: ModelRecorder;
}

/** What a generation goes on from. */
export interface PromptStart {
  /** Ids are all that is gone on from, a session's tokens included. */
  readonly prompt: Prompt;
  /** Lends what a session has computed of it. */
  readonly lend?: () => Promise<LentSequence>;
  /** To be called where nothing is lent in the end. */
  readonly abandon?: () => void;
}

/** How a generation differs from one of `model.generate`. */
export interface GenerateRun {
  readonly op: string;
  /** See {@link GenerationJob}. */
  readonly salt?: string | undefined;
  readonly isPatient?: boolean;
  /** It answers a conversation. */
  readonly isChat?: boolean;
  /** Of a call of many items; otherwise that of the options, counted from now. */
  readonly turn?: Turn;
}

export class Requests {
  readonly #parts: RequestsParts;
  readonly #constraints: ConstraintCompiler;
  readonly #chat: Chat;
  readonly #onFail: (error: unknown) => void;

  constructor(parts: RequestsParts) {
    this.#parts = parts;
    this.#onFail = (error) => parts.recorder.failed(error);
    this.#constraints = new ConstraintCompiler(parts.tokenizer, parts.info.vocabulary, parts.limits.formatTimeoutMs);
    this.#chat = new Chat(parts.chatTemplates, parts.tokenizer, parts.limits.templateTimeoutMs);
  }

  settings(options: GenerateOptions, op: string): GenerateSettings {
    return settingsOf(options, op, this.#parts.info.vocabulary);
  }

  /** @throws TesseraeError ERR_ENGINE_CLOSED where no calls are taken any more */
  checkOpen(): void {
    this.#parts.calls.check();
  }

  /** Begins to continue a prompt. Every failure is found in the generation. */
  generate(start: () => PromptStart | Promise<PromptStart>, options: GenerateOptions, run: GenerateRun): Generation {
    const stream = new GenerationStream(this.#onFail);
    this.#begin(start, options, run, stream).catch((error: unknown) => stream.fail(error));
    void this.#parts.calls.track(stream.over);
    return new Generation(stream);
  }

  /** Continues a prompt to its end. */
  async result(prompt: Prompt, options: GenerateOptions, run: GenerateRun): Promise<GenerationResult> {
    const stream = new GenerationStream(this.#onFail);
    const { result } = stream;
    this.#begin(() => ({ prompt }), options, run, stream).catch((error: unknown) => stream.fail(error));
    return result;
  }

  /**
   * The ids of a prompt that is to be continued.
   * @throws TesseraeError ERR_CONTEXT, ERR_ARGUMENT, ERR_TOKENIZER; AbortError
   */
  async promptIds(prompt: Prompt, op: string, signal: AbortSignal | undefined): Promise<number[]> {
    const { sessionCapacity: most } = this.#parts.info;
    const ids = await this.encode(prompt, op, { signal, most });
    checkPromptFits(ids, most, op);
    return ids;
  }

  /** The same, of whatever length. @param options `most`: ids that are given, at most */
  encode(
    prompt: Prompt,
    op: string,
    options: { readonly addBos?: boolean; readonly signal?: AbortSignal | undefined; readonly most?: number },
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
    const prompt = await this.#chat.render(messages, options, { op: 'chat', signal });
    return encodeChat(prompt, this.#parts.tokenizer, signal);
  }

  /** The prompt of a conversation as text. @throws TesseraeError ERR_CHAT_TEMPLATE, ERR_ARGUMENT */
  async chatPrompt(messages: readonly ChatMessage[], options: ChatPromptOptions): Promise<string> {
    return (await this.#chat.render(messages, options, { op: 'chatPrompt' })).text;
  }

  async #begin(
    start: () => PromptStart | Promise<PromptStart>,
    options: GenerateOptions,
    run: GenerateRun,
    stream: GenerationStream,
  ): Promise<void> {
    const { op } = run;
    const askedAt = performance.now();
    const settings = this.settings(options, op);
    const turn = run.turn ?? turnOf(options, op, askedAt);
    const { prompt, lend, abandon } = await start();
    let lent: LentSequence | undefined;
    try {
      const request = await this.#request(prompt, settings, op);
      // Its consumer may have left, and its time may have passed, before there was anything to submit.
      checkDeadline(turn, op);
      if (!stream.isOver) lent = await lend?.();
      if (stream.isOver) throw new AbortError('the generation was left early');
      const { salt, isPatient, isChat = false } = run;
      const { loadMs } = this.#parts.info;
      const service = this.#parts.decoder('session');
      await service.generate({ request, stream, turn, isChat, loadMs, askedAt, salt, lent, isPatient });
    } catch (error) {
      if (lent === undefined) abandon?.();
      else lent.giveBack(prompt as readonly number[], lent.pages, lent.computed, false);
      throw error;
    }
  }

  async #request(prompt: Prompt, settings: GenerateSettings, op: string): Promise<GenerationRequest> {
    const { tokenizer, info } = this.#parts;
    const promptIds = await this.promptIds(prompt, op, settings.signal);
    const constraint = await this.#constraint(settings);
    const capacity = info.sessionCapacity;
    const request = new GenerationRequest({ tokenizer, promptIds, settings, constraint, capacity });
    await request.prepare();
    return request;
  }

  async #constraint({ format, signal }: GenerateSettings): Promise<Constraint | undefined> {
    return format === undefined ? undefined : this.#constraints.compile(format, signal);
  }
}
