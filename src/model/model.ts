// Model: the public face of a loaded model. Checks options, turns texts into tokens, and calls what serves the model.

import type { ModelConfig } from '../architectures/architecture.js';
import { TesseraeError } from '../base/errors.js';
import { checkOptions, checkPositive, checkRange, checkSignalAndProgress } from '../base/options.js';
import type { Constraint } from '../constraint/constraint.js';
import { ConstraintCompiler } from '../constraint/constraint-compiler.js';
import {
  Chat,
  type ChatMessage,
  type ChatPromptOptions,
  chatPromptKeys,
  encodeChat,
  splitChatOptions,
} from '../generation/chat/chat.js';
import { returnedWhenDropped } from '../generation/dropped-generators.js';
import { type GenerateOptions, type GenerateSettings, settingsOf } from '../generation/generate-options.js';
import type { GenerationResult, Piece } from '../generation/generation-result.js';
import { checkPromptFits, type Prompt, tokensOf } from '../generation/prompt.js';
import { GenerationRequest } from '../generation/request.js';
import type { KeyValueType } from '../ops/paged/key-value-pages.js';
import { nthSeed } from '../sampling/random.js';
import { type BatchProgress, forEachItem } from '../serving/batch.js';
import type { PoolingKind } from '../serving/pooling.js';
import { prefillOf, runRequest } from '../serving/run-request.js';
import type { DecoderService, ServedModel } from '../serving/served-model.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { type EmbedOptions, poolingOf } from './embed-options.js';
import { type Perplexity, type PerplexityOptions, perplexityOf } from './perplexity.js';
import { Session, type SessionOptions } from './session.js';

const defaultWindow = 256;
const MOST_CONTINUATIONS = 1024;

export interface BatchOptions extends GenerateOptions {
  readonly onProgress?: ((progress: BatchProgress) => void) | undefined;
}

export interface CompleteOptions extends BatchOptions {
  /** How many continuations, 1 to 1024; 1 by default. */
  readonly n?: number | undefined;
}

/** How a conversation becomes a prompt, and how it is continued. */
export interface ChatOptions extends GenerateOptions, ChatPromptOptions {}

export interface EmbedBatchOptions extends EmbedOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: BatchProgress) => void) | undefined;
}

/** What a loaded model tells of itself. */
export interface ModelInfo extends ModelConfig {
  readonly path: string;
  /** The model's own name, where the file has one. */
  readonly name: string | undefined;
  readonly parameters: number;
  /** Bytes that the weights take, in pooled memory and in the mapped file. */
  readonly weightBytes: number;
  /** How many of the file's tensors have each type, as the file names it. */
  readonly tensorTypes: Readonly<Record<string, number>>;
  /** Positions in a session. */
  readonly sessionCapacity: number;
  /** How `embed` makes one vector of a text's tokens by default. */
  readonly pooling: PoolingKind;
  /** How long loading took. */
  readonly loadMs: number;
  /** How sessions keep keys and values, and what they take per token. Sessions grow by pages of 32 tokens. */
  readonly kvType: KeyValueType | undefined;
  readonly kvBytesPerToken: number;
}

export type LoadSessionOptions = Pick<SessionOptions, 'onFull' | 'keep'> & {
  readonly signal?: AbortSignal | undefined;
};

export interface ModelMake {
  readonly served: ServedModel;
  readonly tokenizer: Tokenizer;
  /** Jinja templates of conversations, by name. */
  readonly chatTemplates: ReadonlyMap<string, string>;
  readonly info: ModelInfo;
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
  readonly #chat: Chat;
  readonly #onDispose: (model: Model) => void;
  readonly #constraints: ConstraintCompiler;
  #disposed = false;

  /** @internal `engine.loadModel` makes them. */
  constructor({ served, tokenizer, chatTemplates, info, onDispose }: ModelMake) {
    this.tokenizer = tokenizer;
    this.info = info;
    this.#served = served;
    this.#chat = new Chat(chatTemplates, tokenizer);
    this.#constraints = new ConstraintCompiler(tokenizer, info.vocabulary);
    this.#onDispose = onDispose;
  }

  /**
   * Continues a prompt, token by token. Stops at an end token of the model or a stop sequence, after `maxTokens`, or
   * when the context is full; leaving the loop early frees what it held. The iterator's return value is the
   * {@link GenerationResult}.
   * @throws TesseraeError ERR_CONTEXT when the prompt does not fit, ERR_ARGUMENT, ERR_TOKENIZER, ERR_DISPOSED;
   * AbortError when the signal fires
   */
  generate(prompt: Prompt, options: GenerateOptions = {}): AsyncGenerator<Piece, GenerationResult, void> {
    return returnedWhenDropped(this.#generate(prompt, options));
  }

  async *#generate(prompt: Prompt, options: GenerateOptions): AsyncGenerator<Piece, GenerationResult, void> {
    const askedAt = performance.now();
    const settings = this.#settings(options, 'generate');
    const promptIds = await this.#promptIds(prompt, 'generate', settings.signal);
    const request = await this.#request(promptIds, settings);
    const { loadMs } = this.info;
    return yield* this.#decoder('session').generate({ request, loadMs, askedAt });
  }

  /**
   * Continues many prompts and gives the results in their order. Each result is what `generate` gives for its prompt
   * alone; with a `seed`, every prompt starts from that seed.
   * @throws as {@link generate}; the first failure ends the whole batch
   */
  async generateBatch(prompts: readonly Prompt[], options: BatchOptions = {}): Promise<GenerationResult[]> {
    checkSignalAndProgress(options, 'generateBatch');
    const { onProgress, ...rest } = options;
    this.#settings(rest, 'generateBatch');
    this.#checkUsable('generateBatch');
    const run = { op: 'generateBatch', lanes: this.#served.lanes, signal: options.signal, onProgress };
    return forEachItem(prompts, run, (prompt, signal) => resultOf(this.#generate(prompt, { ...rest, signal })));
  }

  /**
   * Continues one prompt `n` times, computing it once. The continuations begin from `seed`, `seed + 1` and so on (after
   * the largest seed comes 0): each result tells its seed, and is what `generate` gives with that seed.
   * @throws as {@link generate}
   */
  async complete(prompt: Prompt, options: CompleteOptions = {}): Promise<GenerationResult[]> {
    const op = 'complete';
    const askedAt = performance.now();
    checkSignalAndProgress(options, op);
    const { n, onProgress, ...rest } = options;
    const total = checkRange(n, 'n', op, 1, MOST_CONTINUATIONS) ?? 1;
    const { signal, sampler } = this.#settings(rest, op);
    const promptIds = await this.#promptIds(prompt, op, signal);
    return this.#decoder('session').withSequence(async (sequence) => {
      const prefill = await prefillOf(sequence, promptIds, signal);
      const { loadMs } = this.info;
      const results: GenerationResult[] = [];
      while (results.length < total) {
        sequence.cut(promptIds.length);
        const settings = this.#settings({ ...rest, seed: nthSeed(sampler.seed, results.length) }, op);
        const request = await this.#request(promptIds, settings);
        results.push(await resultOf(runRequest({ sequence, request, loadMs, askedAt, prefill })));
        onProgress?.({ done: results.length, total });
      }
      return results;
    });
  }

  /**
   * Answers a conversation: as {@link generate} for the prompt that the model's chat template makes of the messages.
   * What the messages say is plain text, also where it spells control tokens.
   * @throws TesseraeError ERR_CHAT_TEMPLATE when there is no template, or it fails; as {@link generate}
   */
  async *chat(
    messages: readonly ChatMessage[],
    options: ChatOptions = {},
  ): AsyncGenerator<Piece, GenerationResult, void> {
    const [promptOptions, rest] = splitChatOptions(options, 'chat');
    this.#checkUsable('chat');
    const prompt = this.#chat.render(messages, promptOptions, 'chat');
    return yield* this.generate(await encodeChat(prompt, this.tokenizer, rest.signal), rest);
  }

  /** The prompt that {@link chat} makes of messages, as text. @throws TesseraeError ERR_CHAT_TEMPLATE, ERR_ARGUMENT */
  chatPrompt(messages: readonly ChatMessage[], options: ChatPromptOptions = {}): string {
    checkOptions(options, chatPromptKeys, 'chatPrompt');
    return this.#chat.render(messages, options, 'chatPrompt').text;
  }

  /**
   * One vector per text, f32 [dim]: the hidden states after the last norm, pooled. No text is cut off.
   * @throws TesseraeError ERR_CONTEXT when a text does not fit, ERR_ARGUMENT, ERR_TOKENIZER, ERR_DISPOSED; AbortError
   */
  async embed(texts: readonly Prompt[], options: EmbedBatchOptions = {}): Promise<Float32Array[]> {
    checkOptions(options, ['pooling', 'normalize', 'signal', 'onProgress'], 'embed');
    const pooling = poolingOf(options, this.info.pooling);
    this.#checkUsable('embed');
    const encode = (text: Prompt, signal: AbortSignal) => this.#promptIds(text, 'embed', signal);
    const { signal, onProgress } = options;
    return this.#served.embed(texts, { encode, pooling, signal, onProgress });
  }

  /**
   * The logits after each token of a sequence, f32 [tokens, vocabulary], row-major: row i rates what follows token i.
   * A text is encoded as a prompt is.
   */
  async logits(prompt: Prompt, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<Float32Array> {
    checkOptions(options, ['signal'], 'logits');
    const ids = await this.#promptIds(prompt, 'logits', options.signal);
    const { vocabulary } = this.info;
    const logits = newFloats(ids.length * vocabulary, 'logits');
    let at = 0;
    const visit = (rows: Float32Array) => {
      logits.set(rows, at);
      at += rows.length;
    };
    const { signal } = options;
    await this.#decoder('session').withSequence((sequence) =>
      sequence.forward({ ids, output: 'allLogits', signal, visit }),
    );
    return logits;
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
    return Session.create(this.#decoder('session').parts, options);
  }

  /**
   * A session as it was saved, from its bytes or from a file; the caller disposes it. It goes on with the bits of the
   * session that was saved. Only the model file, and the kernel set, that it was made with can load it.
   * @throws TesseraeError ERR_SESSION_STATE for what is damaged or of another model, ERR_CONTEXT when it is longer than
   * this model's context, ERR_FILE, ERR_BUDGET, ERR_ARGUMENT, ERR_DISPOSED; AbortError
   */
  async loadSession(source: Uint8Array | string, options: LoadSessionOptions = {}): Promise<Session> {
    checkOptions(options, ['onFull', 'keep', 'signal'], 'loadSession');
    return Session.load(this.#decoder('loadSession').parts, source, options);
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

  #checkUsable(op: string): void {
    if (this.#disposed) throw new TesseraeError('ERR_DISPOSED', 'the model was disposed', { op });
  }

  /** @throws TesseraeError ERR_UNSUPPORTED for an encoder, ERR_DISPOSED */
  #decoder(op: string): DecoderService {
    this.#checkUsable(op);
    return this.#served.decoder(op);
  }

  async #promptIds(prompt: Prompt, op: string, signal: AbortSignal | undefined): Promise<number[]> {
    this.#checkUsable(op);
    // Texts to embed are whole: they end as the model expects it.
    const addEos = op === 'embed' && this.tokenizer.addsEos;
    const ids = await tokensOf(prompt, this.tokenizer, this.info.vocabulary, { op, addEos, signal });
    checkPromptFits(ids, this.info.sessionCapacity, op);
    return ids;
  }

  async #request(promptIds: readonly number[], settings: GenerateSettings): Promise<GenerationRequest> {
    const { tokenizer } = this;
    const { sessionCapacity: capacity } = this.info;
    return new GenerationRequest({
      tokenizer,
      promptIds,
      settings,
      constraint: await this.#constraint(settings),
      capacity,
    });
  }

  async #constraint({ format, signal }: GenerateSettings): Promise<Constraint | undefined> {
    return format === undefined ? undefined : this.#constraints.compile(format, signal);
  }

  #settings(options: GenerateOptions, op: string): GenerateSettings {
    return settingsOf(options, op, this.info.vocabulary);
  }
}

/** Runs a generation to its end. */
async function resultOf(pieces: AsyncGenerator<Piece, GenerationResult, void>): Promise<GenerationResult> {
  for (;;) {
    const step = await pieces.next();
    if (step.done === true) return step.value;
  }
}

/** @throws TesseraeError ERR_BUDGET when JavaScript cannot hold so many */
function newFloats(count: number, op: string): Float32Array {
  try {
    return new Float32Array(count);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new TesseraeError('ERR_BUDGET', `the system refused an array of ${count} floats`, { op, cause });
  }
}
