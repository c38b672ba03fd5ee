// A session: one sequence of tokens with its keys and values. Knows nothing of text. Made by models, for their own
// methods and for callers.
import { TesseraeError } from '../errors.js';
import { type KeyValueType, keyValueTypes, type PageLayout, pageLayout } from '../ops/paged-key-values.js';
import type { ProgramProfile } from '../program/profile.js';
import type { ProfileOptions, Program } from '../program/program.js';
import type { Forward, ForwardOutput, ForwardParts, ForwardPrograms } from './forward-programs.js';
import { type Growth, KeyValues } from './key-values.js';
import { checkIds, checkOptions, checkPositive, checkWord } from './options.js';
import { Pace } from './pace.js';
import { fingerprintOf, loadState, type SavedState, saveState, saveStateTo } from './session-state.js';

/** Everything of a model that its sessions share. */
export interface ModelParts extends ForwardParts {
  readonly programs: ForwardPrograms;
  /** How sessions keep keys and values unless they are told otherwise. */
  readonly pageLayout: PageLayout;
}

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

/** Tokens to append, and what to compute for them. */
/** Sees each piece's rows before the next piece overwrites them; of logits of the last token, which one is the highest. */
type Visit = (rows: Float32Array, likeliest?: number) => void;

interface Extension extends Signal {
  readonly ids: ArrayLike<number>;
  readonly output: ForwardOutput;
  /** For losses: the token that comes after each of `ids`. */
  readonly targets?: ArrayLike<number>;
  readonly visit?: Visit;
  /** Runs the programs in place of a plain run. */
  readonly run?: (program: Program<Forward>) => Promise<void>;
}

/** Longer inputs are taken in pieces of so many tokens: a piece's intermediate tensors are all that is held. */
const mostTokens = 256;
/**
 * The logits of a piece's tokens are held at once: this many of them at most, or those of one token. Fewer where they
 * are copied for the caller, which the event loop waits for.
 */
const mostLogits = { allLogits: 1 << 21, losses: 1 << 23 } as const;

/** @throws TesseraeError ERR_ARGUMENT */
function checkSessionOptions(options: SessionOptions, capacity: number): { shifts: boolean; keep: number } {
  const op = 'session';
  checkOptions(options, ['onFull', 'keep', 'kvType'], op);
  const shifts = checkWord(options.onFull, fullWords, 'onFull', op) === 'shift';
  const keep = checkPositive(options.keep ?? 1, 'keep', op, 0);
  if (keep >= capacity && shifts) {
    throw new TesseraeError('ERR_ARGUMENT', `a context of ${capacity} has no room behind ${keep} kept tokens`, { op });
  }
  return { shifts, keep };
}

/** The layout of a given type, or the model's own. @throws TesseraeError ERR_ARGUMENT, ERR_UNSUPPORTED */
function layoutOf({ config, pageLayout: own }: ModelParts, type: KeyValueType | undefined): PageLayout {
  return type === undefined ? own : pageLayout(config, checkKeyValueType(type, 'session'));
}

/** Undefined gives f32. @throws TesseraeError ERR_ARGUMENT */
export function checkKeyValueType(value: unknown, op: string): KeyValueType {
  return checkWord(value, Object.keys(keyValueTypes) as KeyValueType[], 'kvType', op);
}

export class Session {
  readonly #parts: ModelParts;
  readonly #shifts: boolean;
  readonly #keep: number;
  readonly #pace = new Pace();
  #keyValues: KeyValues;
  #ids: number[];
  #busy = false;
  #disposed = false;

  /**
   * @internal Models make them: `model.session()`.
   * @param state becomes the session's own
   */
  constructor(parts: ModelParts, options: SessionOptions = {}, state?: SavedState) {
    this.#parts = parts;
    const { shifts, keep } = checkSessionOptions(options, parts.capacity);
    this.#shifts = shifts;
    this.#keep = keep;
    this.#keyValues = state?.keyValues ?? new KeyValues(parts.host, layoutOf(parts, options.kvType));
    this.#ids = state?.ids ?? [];
  }

  /**
   * @internal A session as it was saved. See {@link Model.loadSession}.
   */
  static async load(
    parts: ModelParts,
    source: Uint8Array | string,
    { signal, ...options }: SessionOptions & Signal,
  ): Promise<Session> {
    checkSessionOptions(options, parts.capacity);
    const state = await loadState(parts, source, await Session.#fingerprint(parts), signal);
    return new Session(parts, options, state);
  }

  static async #fingerprint(parts: ModelParts): Promise<Uint8Array> {
    using probe = new Session(parts, { kvType: 'f32' });
    return await fingerprintOf(parts, probe);
  }

  /** Tokens in the session. */
  get length(): number {
    return this.#ids.length;
  }

  get capacity(): number {
    return this.#parts.capacity;
  }

  /** Whether nothing can be appended any more. */
  get isFull(): boolean {
    return this.length === this.capacity && !this.#shifts;
  }

  /** The ids of the tokens in the session. */
  get tokens(): number[] {
    return [...this.#ids];
  }

  get stats(): SessionStats {
    const { sizeBytes: keyValueBytes, sharedBytes } = this.#keyValues;
    return { tokens: this.length, capacity: this.capacity, keyValueBytes, sharedBytes };
  }

  /**
   * Forgets all tokens from `length` on. The rest keeps its keys and values; pages that it does not need go back.
   * @throws TesseraeError ERR_ARGUMENT, ERR_BUSY while an append is under way, ERR_DISPOSED
   */
  rewind(length: number): void {
    this.#checkIdle('rewind');
    if (!Number.isSafeInteger(length) || length < 0 || length > this.length) {
      throw new TesseraeError('ERR_ARGUMENT', `cannot rewind a session of ${this.length} tokens to ${String(length)}`);
    }
    this.#cut(length);
  }

  /**
   * A session with the same tokens, to go on independently. The two share the memory of what they have in common; the
   * caller disposes both.
   * @throws TesseraeError ERR_BUSY while an append is under way, ERR_DISPOSED
   */
  fork(): Session {
    this.#checkIdle('fork');
    const options = { onFull: this.#shifts ? 'shift' : 'error', keep: this.#keep } as const;
    return new Session(this.#parts, options, { ids: [...this.#ids], keyValues: this.#keyValues.fork() });
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
    const own = checkIds(ids, this.#parts.config.vocabulary, op);
    if (own.length === 0) throw new TesseraeError('ERR_ARGUMENT', 'there is no token to append', { op });
    let logits = new Float32Array(0);
    await this.forward(own, { output: 'lastLogits', signal: options.signal }, (rows) => {
      logits = Float32Array.from(rows);
    });
    return logits;
  }

  /**
   * @internal Appends tokens, which the caller has checked, and computes `output` for them, piece by piece.
   */
  async forward(
    ids: ArrayLike<number>,
    options: { output: ForwardOutput; targets?: ArrayLike<number>; signal?: AbortSignal | undefined },
    visit: Visit,
  ): Promise<void> {
    this.#checkIdle('append');
    const extension = { ids, visit, ...options };
    const missing = this.length + ids.length - this.capacity;
    if (missing > 0 && !this.#shifts) throw this.#tooLong(this.length + ids.length);
    await this.#exclusively(() => (missing > 0 ? this.#shiftFor(extension) : this.#extend(extension)));
  }

  /**
   * Makes room as a full session does that was made with `onFull: 'shift'`: keeps `keep` tokens, drops the older half of
   * the others, and computes the rest anew. A failed or aborted call leaves the session as it was.
   * @throws TesseraeError ERR_BUSY, ERR_BUDGET, ERR_DISPOSED; AbortError
   */
  async shift(options: Signal = {}): Promise<void> {
    checkOptions(options, ['signal'], 'shift');
    this.#checkIdle('shift');
    await this.#exclusively(() => this.#shiftFor({ ids: [], output: 'hidden', signal: options.signal }));
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

  async #saving<T>(op: string, save: (state: SavedState, fingerprint: Uint8Array) => Promise<T>): Promise<T> {
    this.#checkIdle(op);
    return this.#exclusively(async () => {
      const fingerprint = await Session.#fingerprint(this.#parts);
      this.#checkUsable(op);
      return save({ ids: this.#ids, keyValues: this.#keyValues }, fingerprint);
    });
  }

  /** One thing at a time; what is disposed meanwhile is let go at the end. */
  async #exclusively<T>(work: () => Promise<T>): Promise<T> {
    this.#busy = true;
    try {
      return await work();
    } catch (error) {
      // It may have lost its tensors under way: not they are what the caller disposed.
      if (error instanceof TesseraeError && error.code === 'ERR_DISPOSED') this.#checkUsable('append');
      throw error;
    } finally {
      this.#busy = false;
      if (this.#disposed) this.#cut(0);
    }
  }

  /**
   * @internal What the forward pass that appends these tokens spends its time on: at most a piece of them, so that it is
   * one program. The session stays as it was.
   */
  async profile(ids: readonly number[], options: ProfileOptions): Promise<ProgramProfile> {
    this.#checkIdle('profile');
    const start = this.length;
    const profiles: ProgramProfile[] = [];
    const run = async (program: Program<Forward>) => {
      profiles.push(await this.#parts.host.profile(program, options));
    };
    await this.#exclusively(() => this.#extend({ ids, output: 'lastLogits', signal: options.signal, run }));
    this.rewind(start);
    return profiles[0] as ProgramProfile;
  }

  /** Appends, or leaves the session as it was. */
  async #extend(extension: Extension): Promise<void> {
    const { programs } = this.#parts;
    const { signal } = extension;
    const start = this.length;
    const end = start + extension.ids.length;
    const growth = await programs.withRoom(() => this.#keyValues.grow(start, end, signal));
    try {
      await this.#compute(extension);
      this.#keyValues.keep(growth);
    } catch (error) {
      this.#undo(start, growth);
      throw error;
    }
  }

  #undo(length: number, growth: Growth): void {
    this.#ids.length = length;
    this.#keyValues.undo(growth);
  }

  async #compute({ ids, output, targets, signal, visit, run }: Extension): Promise<void> {
    const { programs } = this.#parts;
    const { layout, pages } = this.#keyValues;
    const most = this.#pieceLength(output);
    for (let from = 0; from < ids.length; from += most) {
      const tokens = Math.min(most, ids.length - from);
      const isLast = from + tokens === ids.length;
      this.#checkUsable('append');
      const kind = { tokens, output: output === 'lastLogits' && !isLast ? 'hidden' : output, layout } as const;
      const lent = await programs.borrow(kind, signal);
      try {
        this.#checkUsable('append');
        const { tensors } = lent.program;
        for (let i = 0; i < tokens; i++) {
          tensors.ids.data[i] = ids[from + i] as number;
          tensors.positions.data[i] = this.length + i;
          if (tensors.targets !== undefined) tensors.targets.data[i] = targets?.[from + i] as number;
        }
        lent.table.load(pages);
        await (run === undefined ? lent.program.run({ signal }) : run(lent.program));
        this.#checkUsable('append');
        for (let i = 0; i < tokens; i++) this.#ids.push(ids[from + i] as number);
        if (output !== 'lastLogits' || isLast) visit?.(tensors.output.data, tensors.likeliest?.data[0]);
      } finally {
        programs.giveBack(lent);
      }
      // Programs small enough to be computed on this thread never let the event loop turn.
      if (this.#pace.due()) await this.#pace.rest();
    }
  }

  /** Drops tokens, computes the kept ones anew and then the extension; all of it, or the session is as it was. */
  async #shiftFor(extension: Extension): Promise<void> {
    const before = { ids: [...this.#ids], keyValues: this.#keyValues.fork() };
    const rest = Math.max(0, this.length - this.#keep);
    const missing = this.length + extension.ids.length - this.capacity;
    const drop = Math.max(missing, Math.ceil(rest / 2));
    try {
      if (drop > rest) throw this.#tooLong(Math.min(this.#keep, this.length) + extension.ids.length);
      const tail = this.#ids.slice(this.length - rest + drop);
      this.#cut(this.length - rest);
      await this.#extend({ ids: tail, output: 'hidden', signal: extension.signal });
      await this.#extend(extension);
      for (const page of before.keyValues.pages) page.release();
    } catch (error) {
      this.#cut(0);
      this.#ids = before.ids;
      this.#keyValues = before.keyValues;
      throw error;
    }
  }

  #tooLong(tokens: number): TesseraeError {
    return new TesseraeError('ERR_CONTEXT', `${tokens} tokens do not fit into a context of ${this.capacity}`);
  }

  #cut(length: number): void {
    this.#ids.length = length;
    this.#keyValues.truncate(length);
  }

  #checkUsable(op: string): void {
    if (this.#disposed) throw new TesseraeError('ERR_DISPOSED', 'the session was disposed', { op });
  }

  #checkIdle(op: string): void {
    this.#checkUsable(op);
    if (this.#busy) {
      throw new TesseraeError('ERR_BUSY', 'the session is computing; await its last call first', { op });
    }
  }

  #pieceLength(output: ForwardOutput): number {
    if (output !== 'allLogits' && output !== 'losses') return mostTokens;
    return Math.max(1, Math.min(mostTokens, Math.floor(mostLogits[output] / this.#parts.config.vocabulary)));
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Frees keys and values. A forward pass in progress keeps what it needs to its end. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (!this.#busy) this.#cut(0);
  }
}
