// Model: the public face of a loaded model. Checks options, and hands requests to what serves the model.
import { TesseraeError } from '../base/errors.js';
import { checkFlag, checkOptions, checkPositive, checkRange, checkSignalAndProgress } from '../base/options.js';
import { type ChatMessage, type ChatPromptOptions, chatPromptKeys, splitChatOptions } from '../generation/chat/chat.js';
import type { GenerateOptions } from '../generation/generate-options.js';
import type { Generation } from '../generation/generation.js';
import type { GenerationResult } from '../generation/generation-result.js';
import { type Prompt, tokensOf } from '../generation/prompt.js';
import { turnKeys, turnOf } from '../generation/turn-options.js';
import type { ModelRecorder } from '../metrics/model-recorder.js';
import type { ProgramProfile } from '../program/profile.js';
import type { ProfileOptions } from '../program/program.js';
import { nthSeed } from '../sampling/random.js';
import { type EachOutcome, type EachRun, eachItem, forEachItem, settleEachItem } from '../serving/batch.js';
import type { DecoderService, ServedModel } from '../serving/served-model.js';
import type { DrainKind, ServingStats } from '../serving/serving-options.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import type {
  BatchOptions,
  CompleteOptions,
  EachOptions,
  EmbedBatchOptions,
  EmbedEachOptions,
  LoadSessionOptions,
  SettleOptions,
} from './call-options.js';
import { Calls } from './calls.js';
import { embedKeys } from './embed-options.js';
import { Embedder, type EmbedderParts, isOneText } from './embedder.js';
import { logitsOf } from './logits.js';
import type { ModelInfo } from './model-info.js';
import { type Perplexity, type PerplexityOptions, perplexityOf } from './perplexity.js';
import { type ChatOptions, type GenerateRun, type PromptStart, Requests, type TextLimits } from './requests.js';
import { Session, type SessionOptions } from './session.js';

const defaultWindow = 256;
const MOST_CONTINUATIONS = 1024;

export interface ModelMake {
  readonly served: ServedModel;
  readonly tokenizer: Tokenizer;
  /** Jinja templates of conversations, by name. */
  readonly chatTemplates: ReadonlyMap<string, string>;
  readonly limits: TextLimits;
  readonly info: ModelInfo;
  readonly recorder: ModelRecorder;
  /** Called once, when the model is disposed. */
  readonly onDispose: (model: Model) => void;
}

/**
 * A loaded model. Its methods may be called side by side: each takes a session of its own. Results do not depend on
 * what else runs: a prompt gives the same tokens alone and in a batch.
 */
export class Model {
  readonly tokenizer: Tokenizer;
  readonly info: ModelInfo;
  readonly #served: ServedModel;
  readonly #requests: Requests;
  readonly #onDispose: (model: Model) => void;
  readonly #recorder: ModelRecorder;
  readonly #calls = new Calls();
  #completions = 0;
  #disposed = false;

  /** @internal `engine.loadModel` makes them. */
  constructor({ served, tokenizer, chatTemplates, limits, info, recorder, onDispose }: ModelMake) {
    this.tokenizer = tokenizer;
    this.info = info;
    this.#served = served;
    const decoder = (op: string) => this.#decoder(op);
    this.#requests = new Requests({ tokenizer, info, chatTemplates, limits, decoder, calls: this.#calls, recorder });
    this.#recorder = recorder;
    this.#onDispose = onDispose;
  }

  /**
   * Continues a prompt, token by token. Begins at once; iterate it for pieces, await its `result`, or both. Stops at an end
   * token of the model or a stop sequence, after `maxTokens`, or when the context is full; leaving the loop early frees what
   * it held. The iterator's return value is the {@link GenerationResult}.
   * @throws in the iteration and the result: TesseraeError ERR_CONTEXT when the prompt does not fit, ERR_QUEUE_FULL,
   * ERR_DEADLINE, ERR_BUDGET for what can never fit, ERR_ARGUMENT, ERR_TOKENIZER, ERR_DISPOSED; AbortError when the signal
   * fires
   */
  generate(prompt: Prompt, options: GenerateOptions = {}): Generation {
    return this.#requests.generate(() => this.#startOf(prompt, 'generate'), options, { op: 'generate' });
  }

  /**
   * Continues many prompts and gives the results in their order. Each result is what `generate` gives for its prompt
   * alone; with a `seed`, every prompt starts from that seed.
   * @throws as {@link generate}; the first failure ends the whole batch, and carries its item's `index`. With `settle`, a
   * failure is its item's alone
   */
  generateBatch(
    prompts: readonly Prompt[],
    options: BatchOptions & SettleOptions,
  ): Promise<PromiseSettledResult<GenerationResult>[]>;
  generateBatch(prompts: readonly Prompt[], options?: BatchOptions): Promise<GenerationResult[]>;
  async generateBatch(
    prompts: readonly Prompt[],
    options: BatchOptions & Partial<SettleOptions> = {},
  ): Promise<GenerationResult[] | PromiseSettledResult<GenerationResult>[]> {
    const op = 'generateBatch';
    checkSignalAndProgress(options, op);
    const { onProgress, settle, ...rest } = options;
    this.#requests.settings(rest, op);
    const turn = turnOf(rest, op, performance.now());
    this.#checkUsable(op);
    const run = { op, lanes: this.#served.lanes, signal: options.signal, onProgress };
    const settles = checkFlag(settle, false, 'settle', op);
    const work = (prompt: Prompt, signal: AbortSignal) => this.#item(prompt, { ...rest, signal }, { op, turn });
    return this.#calls.track<GenerationResult[] | PromiseSettledResult<GenerationResult>[]>(
      settles ? settleEachItem(prompts, run, work) : forEachItem(prompts, run, work),
    );
  }

  /**
   * Continues the prompts of anything that can be iterated. Yields `{ index, value }`, or `{ index, reason }` for a prompt
   * that failed, as soon as it is there; takes prompts only as its results are taken. Where the source throws, those that
   * were taken complete, and then its error is thrown. `deadlineMs` counts from when a prompt is taken.
   * @throws TesseraeError ERR_ARGUMENT; AbortError
   */
  async *generateEach(
    source: Iterable<Prompt> | AsyncIterable<Prompt>,
    options: EachOptions = {},
  ): AsyncGenerator<EachOutcome<GenerationResult>, void, void> {
    const op = 'generateEach';
    checkSignalAndProgress(options, op);
    const { ordered, ...rest } = options;
    this.#requests.settings(rest, op);
    turnOf(rest, op, 0);
    this.#checkUsable(op);
    const run = this.#eachRun(op, ordered, options.signal);
    yield* eachItem(source, run, (prompt: Prompt, signal) => this.#item(prompt, { ...rest, signal }, { op }));
  }

  /**
   * Continues one prompt `n` times, computing what its continuations have in common once. They begin from `seed`,
   * `seed + 1` and so on (after the largest seed comes 0): each result has its seed, and is what `generate` gives with that
   * seed.
   * @throws as {@link generate}
   */
  async complete(prompt: Prompt, options: CompleteOptions = {}): Promise<GenerationResult[]> {
    const op = 'complete';
    checkSignalAndProgress(options, op);
    const { n, onProgress, ...rest } = options;
    const total = checkRange(n, 'n', op, 1, MOST_CONTINUATIONS) ?? 1;
    const turn = turnOf(rest, op, performance.now());
    const { sampling, signal } = this.#requests.settings(rest, op);
    this.#checkUsable(op);
    const run = { op, lanes: this.#served.lanes, signal, onProgress };
    const salt = `completion ${this.#completions++}`;
    const complete = async (): Promise<GenerationResult[]> => {
      const ids = await this.#requests.promptIds(prompt, op, signal);
      const decoder = this.#decoder('session');
      const seeds = Array.from({ length: total }, (_, index) => nthSeed(sampling.settings.seed, index));
      const work = (seed: number, stop: AbortSignal) =>
        this.#item(ids, { ...rest, seed, signal: stop }, { op, turn, salt });
      return await forEachItem(seeds, run, work).finally(() => decoder.forget(salt));
    };
    return this.#calls.track(complete());
  }

  /**
   * Answers a conversation: as {@link generate} for the prompt that the model's chat template makes of the messages.
   * What the messages say is plain text, also where it spells control tokens.
   * @throws TesseraeError ERR_CHAT_TEMPLATE when there is no template, or it fails; as {@link generate}
   */
  chat(messages: readonly ChatMessage[], options: ChatOptions = {}): Generation {
    const [promptOptions, rest] = splitChatOptions(options, 'chat');
    const start = async () => {
      this.#checkUsable('chat');
      return { prompt: await this.#requests.chatIds(messages, promptOptions, rest.signal) };
    };
    return this.#requests.generate(start, rest, { op: 'generate', isChat: true });
  }

  /** The prompt that {@link chat} makes of messages, as text. @throws TesseraeError ERR_CHAT_TEMPLATE, ERR_ARGUMENT */
  async chatPrompt(messages: readonly ChatMessage[], options: ChatPromptOptions = {}): Promise<string> {
    checkOptions(options, chatPromptKeys, 'chatPrompt');
    return this.#requests.chatPrompt(messages, options);
  }

  /**
   * The vector of a text, or one for each of many, f32 [dim]: the hidden states after the last norm, pooled. An array of
   * numbers is one text, as ids.
   * @throws TesseraeError ERR_CONTEXT when a text does not fit and `truncate` is not `end`, ERR_QUEUE_FULL for a single
   * text, ERR_DEADLINE, ERR_ARGUMENT, ERR_TOKENIZER, ERR_DISPOSED; AbortError. The first failure of many texts carries its
   * `index`; with `settle`, a failure is its text's alone
   */
  embed(text: string | ArrayLike<number>, options?: EmbedBatchOptions): Promise<Float32Array>;
  embed(
    texts: readonly Prompt[],
    options: EmbedBatchOptions & SettleOptions,
  ): Promise<PromiseSettledResult<Float32Array>[]>;
  embed(texts: readonly Prompt[], options?: EmbedBatchOptions): Promise<Float32Array[]>;
  async embed(
    texts: Prompt | readonly Prompt[],
    options: EmbedBatchOptions & Partial<SettleOptions> = {},
  ): Promise<Float32Array | Float32Array[] | PromiseSettledResult<Float32Array>[]> {
    const op = 'embed';
    checkOptions(options, [...embedKeys, ...turnKeys, 'signal', 'onProgress', 'settle'], op);
    this.#checkUsable(op);
    const embedder = new Embedder({ ...this.#embedderParts(), options, op, counts: false });
    const turn = turnOf(options, op, performance.now());
    const { signal, onProgress, settle } = options;
    const settles = checkFlag(settle, false, 'settle', op);
    const embedOne = async (text: Prompt): Promise<Float32Array> => {
      const { value } = await embedder.embed(text, { signal, index: 0, turn, isPatient: false });
      await onProgress?.({ done: 1, total: 1 });
      return value;
    };
    if (isOneText(texts)) return this.#calls.track(embedOne(texts));
    const work = async (text: Prompt, stop: AbortSignal, index: number) =>
      (await embedder.embed(text, { signal: stop, index, turn, isPatient: true })).value;
    const run = { op, lanes: this.#served.lanes, signal, onProgress };
    return this.#calls.track<Float32Array[] | PromiseSettledResult<Float32Array>[]>(
      settles ? settleEachItem(texts, run, work) : forEachItem(texts, run, work),
    );
  }

  /**
   * Embeds the texts of anything that can be iterated; see {@link generateEach}. `truncatedTokens` says how many tokens of a
   * text were cut off.
   */
  async *embedEach(
    source: Iterable<Prompt> | AsyncIterable<Prompt>,
    options: EmbedEachOptions = {},
  ): AsyncGenerator<EachOutcome<Float32Array> & { readonly truncatedTokens: number }, void, void> {
    const op = 'embedEach';
    checkOptions(options, [...embedKeys, ...turnKeys, 'signal', 'ordered'], op);
    this.#checkUsable(op);
    const embedder = new Embedder({ ...this.#embedderParts(), options, op, counts: true });
    turnOf(options, op, 0);
    const run = this.#eachRun(op, options.ordered, options.signal);
    const work = (text: Prompt, signal: AbortSignal, index: number) =>
      embedder.embed(text, { signal, index, turn: turnOf(options, op, performance.now()), isPatient: true });
    for await (const { index, value, reason } of eachItem(source, run, work)) {
      if (value === undefined) yield { index, reason, truncatedTokens: 0 };
      else yield { index, value: value.value, truncatedTokens: value.truncatedTokens };
    }
  }

  /**
   * The logits after each token of a sequence, f32 [tokens, vocabulary], row-major: row i rates what follows token i.
   * A text is encoded as a prompt is.
   */
  async logits(prompt: Prompt, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<Float32Array> {
    checkOptions(options, ['signal'], 'logits');
    this.#checkUsable('logits');
    const ids = await this.#requests.promptIds(prompt, 'logits', options.signal);
    return this.#decoder('session').withSequence((sequence) => logitsOf(sequence, ids, this.info.vocabulary, options));
  }

  /**
   * How well the model predicts a text: exp of the mean negative log likelihood of its tokens, in windows of `window`
   * positions, each begun with BOS and an empty context.
   */
  async perplexity(text: Prompt, options: PerplexityOptions = {}): Promise<Perplexity> {
    checkOptions(options, ['window', 'signal', 'onProgress'], 'perplexity');
    const { signal, window: given = Math.min(defaultWindow, this.info.sessionCapacity) } = options;
    const window = checkPositive(given, 'window', 'perplexity', 2);
    if (window > this.info.sessionCapacity) {
      const message = `a window of ${window} does not fit into a context of ${this.info.sessionCapacity}`;
      throw new TesseraeError('ERR_CONTEXT', message, { op: 'perplexity' });
    }
    this.#checkUsable('perplexity');
    const ids = await tokensOf(text, this.tokenizer, this.info.vocabulary, { op: 'perplexity', addBos: false, signal });
    return this.#decoder('session').withSequence((sequence) =>
      perplexityOf(sequence, this.tokenizer.bosId, ids, { ...options, window }),
    );
  }

  /**
   * A session of the caller's own, to append to, rewind, fork and save; the caller disposes it.
   * @throws TesseraeError ERR_ARGUMENT, ERR_UNSUPPORTED, ERR_DISPOSED
   */
  session(options: SessionOptions = {}): Session {
    this.#checkUsable('session');
    return Session.create(this.#decoder('session').parts, this.#requests, options);
  }

  /**
   * A session as it was saved, from its bytes or from a file; the caller disposes it. It goes on with the bits of the
   * session that was saved. Only the model file that it was made with can load it, with any kernel set but `ref`.
   * @throws TesseraeError ERR_SESSION_STATE for what is damaged or of another model, ERR_CONTEXT when it is longer than
   * this model's context, ERR_FILE, ERR_BUDGET, ERR_ARGUMENT, ERR_DISPOSED; AbortError
   */
  async loadSession(source: Uint8Array | string, options: LoadSessionOptions = {}): Promise<Session> {
    checkOptions(options, ['onFull', 'keep', 'signal'], 'loadSession');
    this.#checkUsable('loadSession');
    return Session.load(this.#decoder('loadSession').parts, this.#requests, source, options);
  }

  /**
   * Records the programs of all steps, so that no request waits for it, and takes the memory that they need, if the budget has
   * it to spare: later requests take little but pages of keys and values. It is given up when the budget is used up.
   * @throws TesseraeError ERR_BUDGET, ERR_DISPOSED
   */
  async warmup(): Promise<void> {
    this.#checkUsable('warmup');
    await this.#served.warmup();
  }

  /** @internal What the model's server has to do, and has done. */
  get serving(): ServingStats {
    return this.#served.stats();
  }

  /** @internal What computing the vectors of texts, by their ids, spends its time on. For encoders. */
  profileTexts(texts: readonly (readonly number[])[], options: ProfileOptions): Promise<ProgramProfile> {
    return this.#served.profileTexts(texts, options);
  }

  /** @internal What the model's metrics have as `model`. */
  get metricsLabel(): string {
    return this.#recorder.label;
  }

  /** @internal See {@link Engine.close}: resolves when what is to be finished is done. */
  async drain(kind: DrainKind, error: Error): Promise<void> {
    this.#calls.refuse(error);
    if (kind === 'all') await this.#calls.over();
    await this.#served.drain(kind, error);
  }

  /** @internal Gives up cached prefixes. */
  clearCache(): void {
    this.#served.clearCache();
  }

  /** @internal Ends what runs and what waits with an error. */
  end(error: Error): void {
    this.#calls.refuse(error);
    this.#served.end(error);
  }

  /** Frees weights and sessions. What is running on the model fails with ERR_DISPOSED. */
  dispose(): void {
    if (this.#disposed) throw new TesseraeError('ERR_DISPOSED', 'the model was disposed twice');
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#served.dispose();
    this.#onDispose(this);
  }

  /** @throws TesseraeError ERR_DISPOSED; ERR_ENGINE_CLOSED where no calls are taken any more */
  #checkUsable(op: string): void {
    if (this.#disposed) throw new TesseraeError('ERR_DISPOSED', 'the model was disposed', { op });
    this.#calls.check();
  }

  /** @throws TesseraeError ERR_UNSUPPORTED for an encoder, ERR_DISPOSED */
  #decoder(op: string): DecoderService {
    if (this.#disposed) this.#checkGoesOn(op);
    return this.#served.decoder(op);
  }

  /** For calls that have begun: the closing of the engine is why its models are disposed. */
  #checkGoesOn(op: string): void {
    this.#calls.check();
    this.#checkUsable(op);
  }

  #startOf(prompt: Prompt, op: string): PromptStart {
    this.#checkUsable(op);
    return { prompt };
  }

  /** One of many: it waits for room in the queue. */
  #item(prompt: Prompt, options: GenerateOptions, run: GenerateRun): Promise<GenerationResult> {
    return this.#requests.result(prompt, options, { ...run, isPatient: true });
  }

  #eachRun(op: string, givenOrdered: unknown, signal: AbortSignal | undefined): EachRun {
    const ordered = checkFlag(givenOrdered, true, 'ordered', op);
    return { op, lanes: this.#served.lanes, ordered, signal, checkOpen: () => this.#checkGoesOn(op) };
  }

  #embedderParts(): Omit<EmbedderParts, 'options' | 'op' | 'counts'> {
    return { served: this.#served, tokenizer: this.tokenizer, info: this.info, recorder: this.#recorder };
  }
}
