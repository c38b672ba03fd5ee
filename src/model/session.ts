// Session: the public face of one sequence. Checks what callers pass; the tokens, pages and computing are the sequence's
// (src/forward/sequence.ts). Knows nothing of text. Made by `model.session()`.
import { describe } from '../base/describe.js';
import { TesseraeError } from '../base/errors.js';
import { checkOptions, checkPositive, checkWord } from '../base/options.js';
import type { DecoderParts, Forward } from '../forward/decoder-programs.js';
import { Sequence, type SequenceState } from '../forward/sequence.js';
import type { Extension } from '../forward/slices.js';
import { fingerprintOf, loadState, saveState, saveStateTo } from '../forward/state/saved-state.js';
import { type ChatMessage, splitChatOptions } from '../generation/chat/chat.js';
import type { GenerateOptions } from '../generation/generate-options.js';
import type { Generation } from '../generation/generation.js';
import { checkIds, type Prompt } from '../generation/prompt.js';
import { type KeyValueType, keyValueTypes, pageLayout } from '../ops/paged/key-value-pages.js';
import type { ProgramProfile } from '../program/profile.js';
import type { ProfileOptions, Program } from '../program/program.js';
import type { LentSequence } from '../serving/jobs.js';
import type { ChatOptions, PromptStart, Requests } from './requests.js';

const fullWords = ['error', 'shift'] as const;

export interface SessionOptions {
  /**
   * What `append` does when the context is full: fail with ERR_CONTEXT (the default), or `shift`: keep the first `keep`
   * tokens, drop the older half of the others (more where more room is needed), and compute what is left anew, at its new
   * positions. That costs as much as a prompt of so many tokens, and gives the bits of a fresh session over them.
   */
  readonly onFull?: (typeof fullWords)[number] | undefined;
  /** How keys and values are kept; as the model was told when it was loaded, by default. */
  readonly kvType?: KeyValueType | undefined;
  /** Tokens at the start that a shift keeps; 1 by default: the token that begins the sequence. */
  readonly keep?: number | undefined;
}

/** What a session holds of memory. */
export interface SessionStats {
  readonly tokens: number;
  readonly capacity: number;
  /** Bytes of the pages of its keys and values. */
  readonly keyValueBytes: number;
  /** The part of them that others use, too: forks of this session, or what it was forked from. */
  readonly sharedBytes: number;
}

interface Signal {
  readonly signal?: AbortSignal | undefined;
}

/** Checked options. */
interface Settings {
  readonly shifts: boolean;
  readonly keep: number;
}

/** @throws TesseraeError ERR_ARGUMENT */
function settingsOf(options: SessionOptions, capacity: number): Settings {
  const op = 'session';
  checkOptions(options, ['onFull', 'keep', 'kvType'], op);
  const shifts = checkWord(options.onFull, fullWords, 'onFull', op) === 'shift';
  const keep = checkPositive(options.keep ?? 1, 'keep', op, 0);
  if (keep >= capacity && shifts) {
    throw new TesseraeError('ERR_ARGUMENT', `a context of ${capacity} has no room behind ${keep} kept tokens`, { op });
  }
  return { shifts, keep };
}

/** Undefined gives f32. @throws TesseraeError ERR_ARGUMENT */
export function checkKeyValueType(value: unknown, op: string): KeyValueType {
  return checkWord(value, Object.keys(keyValueTypes) as KeyValueType[], 'kvType', op);
}

export class Session {
  readonly #parts: DecoderParts;
  readonly #requests: Requests;
  readonly #settings: Settings;
  readonly #sequence: Sequence;

  private constructor(parts: DecoderParts, requests: Requests, settings: Settings, sequence: Sequence) {
    this.#parts = parts;
    this.#requests = requests;
    this.#settings = settings;
    this.#sequence = sequence;
  }

  /** @internal See {@link Model.session}. */
  static create(parts: DecoderParts, requests: Requests, options: SessionOptions): Session {
    const settings = settingsOf(options, parts.capacity);
    const { kvType } = options;
    const layout =
      kvType === undefined ? parts.pageLayout : pageLayout(parts.config, checkKeyValueType(kvType, 'session'));
    return new Session(parts, requests, settings, new Sequence(parts, layout));
  }

  /** @internal A session as it was saved. See {@link Model.loadSession}. */
  static async load(
    parts: DecoderParts,
    requests: Requests,
    source: Uint8Array | string,
    { signal, ...options }: SessionOptions & Signal,
  ): Promise<Session> {
    const settings = settingsOf(options, parts.capacity);
    const state = await loadState(parts, source, await fingerprintOf(parts), signal);
    return new Session(parts, requests, settings, new Sequence(parts, state.keyValues.layout, state));
  }

  /** Tokens in the session. */
  get length(): number {
    return this.#sequence.length;
  }

  get capacity(): number {
    return this.#sequence.capacity;
  }

  /** Whether nothing can be appended any more. */
  get isFull(): boolean {
    return this.length === this.capacity && !this.#settings.shifts;
  }

  /** The ids of the tokens in the session. */
  get tokens(): number[] {
    return [...this.#sequence.ids];
  }

  get stats(): SessionStats {
    const { sizeBytes: keyValueBytes, sharedBytes } = this.#sequence.keyValues;
    return { tokens: this.length, capacity: this.capacity, keyValueBytes, sharedBytes };
  }

  /**
   * Forgets all tokens from `length` on. The rest keeps its keys and values; pages that it does not need go back.
   * @throws TesseraeError ERR_ARGUMENT, ERR_BUSY while an append is under way, ERR_DISPOSED
   */
  rewind(length: number): void {
    this.#sequence.checkIdle('rewind');
    if (!Number.isSafeInteger(length) || length < 0 || length > this.length) {
      throw new TesseraeError(
        'ERR_ARGUMENT',
        `cannot rewind a session of ${this.length} tokens to ${describe(length)}`,
      );
    }
    this.#sequence.cut(length);
  }

  /**
   * A session with the same tokens, to go on independently. The two share the memory of what they have in common; the
   * caller disposes both.
   * @throws TesseraeError ERR_BUSY while an append is under way, ERR_DISPOSED
   */
  fork(): Session {
    this.#sequence.checkIdle('fork');
    return new Session(this.#parts, this.#requests, this.#settings, this.#sequence.fork());
  }

  /**
   * Continues the session's tokens and a prompt, and goes on from what it has computed of them. The prompt and what is
   * generated become a part of the session; a call that fails or is left early leaves it as it was. Until it has ended, the
   * session is busy. A text begins with BOS only where the session is empty.
   * @throws as {@link Model.generate}, and TesseraeError ERR_BUSY
   */
  generate(prompt: Prompt, options: GenerateOptions = {}): Generation {
    const op = 'generate';
    const { signal } = options;
    const prepare = async () => {
      const given = await this.#requests.encode(prompt, op, { addBos: this.length === 0, signal, most: this.capacity });
      if (this.#settings.shifts) await this.#shiftUntilFits(given.length, signal);
      const own = this.#sequence.ids;
      return { ids: [...own, ...given], kept: own.length };
    };
    return this.#requests.generate(() => this.#start(op, prepare), options, { op });
  }

  /**
   * Answers a conversation, and computes only what the session has not computed of it: pass all of its messages each time.
   * Tokens of the session that are no part of the conversation are forgotten.
   * @throws as {@link Model.chat}, and TesseraeError ERR_BUSY
   */
  chat(messages: readonly ChatMessage[], options: ChatOptions = {}): Generation {
    const op = 'chat';
    const [promptOptions, rest] = splitChatOptions(options, op);
    const prepare = async () => {
      const ids = await this.#requests.chatIds(messages, promptOptions, rest.signal);
      const own = this.#sequence.ids;
      let kept = 0;
      while (kept < Math.min(own.length, ids.length - 1) && own[kept] === ids[kept]) kept++;
      return { ids, kept };
    };
    return this.#requests.generate(() => this.#start(op, prepare), rest, { op, isChat: true });
  }

  /**
   * Keeps the session busy from now on, until the generation has ended.
   * @param prepare gives what is gone on from, and how many of the session's tokens that begins with
   * @throws TesseraeError ERR_BUSY, ERR_DISPOSED
   */
  async #start(
    op: string,
    prepare: () => Promise<{ readonly ids: readonly number[]; readonly kept: number }>,
  ): Promise<PromptStart> {
    const sequence = this.#sequence;
    sequence.checkIdle(op);
    this.#requests.checkOpen();
    sequence.occupy(op);
    const abandon = () => sequence.leave();
    try {
      const { ids, kept } = await prepare();
      return { prompt: ids, lend: () => this.#lend(kept), abandon };
    } catch (error) {
      abandon();
      throw error;
    }
  }

  async #lend(kept: number): Promise<LentSequence> {
    const sequence = this.#sequence;
    return {
      ...(await sequence.lend(kept)),
      layout: sequence.keyValues.layout,
      giveBack: (all, pages, computed, isComplete) => {
        if (isComplete) sequence.takeBack(all, pages, computed);
        else sequence.takeBack(all.slice(0, kept), pages, Math.min(computed, kept));
      },
    };
  }

  /** While the session is busy with a generation that begins. */
  async #shiftUntilFits(tokens: number, signal: AbortSignal | undefined): Promise<void> {
    while (this.length + tokens > this.capacity && this.length > this.#settings.keep + 1) {
      this.#sequence.checkUsable('generate');
      await this.#shiftFor({ ids: [], output: 'hidden', signal });
    }
  }

  /**
   * Appends tokens; the result is the logits of the token that comes after them, f32 [vocabulary]. An aborted or failed
   * call leaves the session as it was.
   * @throws TesseraeError ERR_CONTEXT, ERR_TOKENIZER for an id that is no token, ERR_ARGUMENT without a token, ERR_BUSY
   * while another append is under way, ERR_BUDGET, ERR_DISPOSED; AbortError
   */
  async append(ids: ArrayLike<number>, options: Signal = {}): Promise<Float32Array> {
    const op = 'append';
    checkOptions(options, ['signal'], op);
    const own = checkIds(ids, this.#parts.config.vocabulary, { op });
    if (own.length === 0) throw new TesseraeError('ERR_ARGUMENT', 'there is no token to append', { op });
    let logits = new Float32Array(0);
    const visit = (rows: Float32Array) => {
      logits = Float32Array.from(rows);
    };
    const extension: Extension = { ids: own, output: 'lastLogits', signal: options.signal, visit };
    const sequence = this.#sequence;
    if (this.length + own.length <= this.capacity || !this.#settings.shifts) await sequence.forward(extension);
    else {
      sequence.checkIdle(op);
      await sequence.exclusively(() => this.#shiftFor(extension));
    }
    return logits;
  }

  /**
   * Makes room as a full session does that was made with `onFull: 'shift'`: keeps `keep` tokens, drops the older half of
   * the others, and computes the rest anew. A failed or aborted call leaves the session as it was.
   * @throws TesseraeError ERR_BUSY, ERR_BUDGET, ERR_DISPOSED; AbortError
   */
  async shift(options: Signal = {}): Promise<void> {
    checkOptions(options, ['signal'], 'shift');
    this.#sequence.checkIdle('shift');
    const extension: Extension = { ids: [], output: 'hidden', signal: options.signal };
    await this.#sequence.exclusively(() => this.#shiftFor(extension));
  }

  /**
   * The state of the session, to be loaded by {@link Model.loadSession} of the same model file. Takes as many bytes as
   * its keys and values.
   * @throws TesseraeError ERR_BUSY, ERR_BUDGET when JavaScript cannot hold so many bytes, ERR_DISPOSED; AbortError
   */
  async save(options: Signal = {}): Promise<Uint8Array> {
    checkOptions(options, ['signal'], 'save');
    return this.#saving('save', (state, fingerprint) => saveState(state, fingerprint, options.signal));
  }

  /**
   * Writes the state to a file, which is replaced if it is there; after a failure it is as it was.
   * @throws TesseraeError ERR_FILE, and as {@link save}
   */
  async saveTo(path: string, options: Signal = {}): Promise<void> {
    checkOptions(options, ['signal'], 'saveTo');
    return this.#saving('saveTo', (state, fingerprint) => saveStateTo(path, state, fingerprint, options.signal));
  }

  async #saving<T>(op: string, save: (state: SequenceState, fingerprint: Uint8Array) => Promise<T>): Promise<T> {
    const sequence = this.#sequence;
    sequence.checkIdle(op);
    return sequence.exclusively(async () => {
      const fingerprint = await fingerprintOf(this.#parts);
      // Tokens that wait to be computed with the next ones.
      await sequence.extend({ ids: [], output: 'hidden' });
      sequence.checkUsable(op);
      return save({ ids: [...sequence.ids], keyValues: sequence.keyValues }, fingerprint);
    });
  }

  /** Drops as many tokens as the extension needs, and at least half of those that are not kept. */
  async #shiftFor(extension: Extension): Promise<void> {
    const { keep } = this.#settings;
    const rest = Math.max(0, this.length - keep);
    const missing = this.length + extension.ids.length - this.capacity;
    const drop = Math.max(missing, Math.ceil(rest / 2));
    if (drop > rest) this.#sequence.checkRoom(Math.min(keep, this.length) + extension.ids.length);
    await this.#sequence.dropAndExtend(this.length - rest, drop, extension);
  }

  /**
   * @internal What the forward pass that appends these tokens spends its time on: at most a slice of them, so that it is
   * one program. The session stays as it was.
   */
  async profile(ids: readonly number[], options: ProfileOptions): Promise<ProgramProfile> {
    const sequence = this.#sequence;
    const start = this.length;
    const profiles: ProgramProfile[] = [];
    const run = async (program: Program<Forward>) => {
      profiles.push(await this.#parts.compute.profile(program, options));
    };
    await sequence.forward({ ids, output: 'lastLogits', signal: options.signal, run });
    this.rewind(start);
    return profiles[0] as ProgramProfile;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Frees keys and values. A forward pass in progress keeps what it needs to its end. */
  dispose(): void {
    this.#sequence.dispose();
  }
}
