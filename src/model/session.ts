// A session: one sequence of tokens with its keys and values, and the programs that extend it. Knows nothing of text.
// Models lend sessions to generations and take them back, so that programs are recorded once.
import { TesseraeError } from '../errors.js';
import type { PageLayout } from '../ops/paged-key-values.js';
import type { ProgramProfile } from '../program/profile.js';
import type { ProfileOptions, Program } from '../program/program.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Architecture, Constants, ModelConfig, Weights } from './architectures/architecture.js';
import type { ModelHost } from './host.js';
import { type Growth, KeyValues } from './key-values.js';
import { checkIds, checkOptions } from './options.js';
import { Pace } from './pace.js';

/** What a forward pass gives: logits of the last token or of all, the hidden states, or the losses of given targets. */
export type ForwardOutput = 'lastLogits' | 'allLogits' | 'hidden' | 'losses';

interface Forward {
  readonly ids: Tensor<'i32'>;
  readonly positions: Tensor<'i32'>;
  /** i32 [tokens], for losses only: the token that comes after each. */
  readonly targets: Tensor<'i32'> | undefined;
  readonly output: Tensor<'f32'>;
}

/** Everything of a model that its sessions share. */
export interface ModelParts {
  readonly host: ModelHost;
  readonly architecture: Architecture;
  readonly config: ModelConfig;
  readonly weights: Weights;
  readonly constants: Constants;
  /** Positions in a session. */
  readonly capacity: number;
  /** How sessions keep keys and values. */
  readonly pageLayout: PageLayout;
}

/** What a session holds of memory, beside the programs that it keeps for replay. */
export interface SessionStats {
  readonly tokens: number;
  readonly capacity: number;
  /** Bytes of the pages of its keys and values. */
  readonly keyValueBytes: number;
  /** The part of them that forks of the session use, too. */
  readonly sharedBytes: number;
}

/** Longer inputs are taken in pieces of so many tokens: a piece's intermediate tensors are all that is held. */
const mostTokens = 256;
/**
 * The logits of a piece's tokens are held at once: this many of them at most, or those of one token. Fewer where they
 * are copied for the caller, which the event loop waits for.
 */
const mostLogits = { allLogits: 1 << 21, losses: 1 << 23 } as const;
/** Programs kept for replay: the single token, the full piece, and the remainders met last. */
const programsKept = 8;

export class Session {
  readonly #parts: ModelParts;
  readonly #keyValues: KeyValues;
  readonly #programs = new Map<string, Program<Forward>>();
  readonly #pace = new Pace();
  #length = 0;
  #busy = false;
  #disposed = false;

  /** @internal Models make them: `model.session()`. */
  constructor(parts: ModelParts) {
    this.#parts = parts;
    this.#keyValues = new KeyValues(parts.host, parts.pageLayout, parts.capacity);
  }

  /** Tokens in the session. */
  get length(): number {
    return this.#length;
  }

  get capacity(): number {
    return this.#parts.capacity;
  }

  get stats(): SessionStats {
    const { sizeBytes: keyValueBytes, sharedBytes } = this.#keyValues;
    return { tokens: this.#length, capacity: this.capacity, keyValueBytes, sharedBytes };
  }

  /**
   * Forgets all tokens from `length` on. The rest keeps its keys and values; pages that it does not need go back.
   * @throws TesseraeError ERR_ARGUMENT, ERR_BUSY while an append is under way, ERR_DISPOSED
   */
  rewind(length: number): void {
    this.#checkIdle('rewind');
    if (!Number.isSafeInteger(length) || length < 0 || length > this.#length) {
      throw new TesseraeError('ERR_ARGUMENT', `cannot rewind a session of ${this.#length} tokens to ${String(length)}`);
    }
    this.#length = length;
    this.#keyValues.truncate(length);
  }

  /**
   * Appends tokens; the result is the logits of the token that comes after them, f32 [vocabulary]. An aborted or failed
   * call leaves the session as long as it was.
   * @throws TesseraeError ERR_CONTEXT, ERR_TOKENIZER for an id that is no token, ERR_ARGUMENT without a token, ERR_BUSY
   * while another append is under way, ERR_DISPOSED; AbortError
   */
  async append(ids: ArrayLike<number>, options: { signal?: AbortSignal | undefined } = {}): Promise<Float32Array> {
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
   * @internal Appends tokens, which the caller has checked, and computes `output` for them, piece by piece; `visit` sees
   * each piece's rows before the next piece overwrites them.
   * @param targets for losses: the token that comes after each of `ids`
   */
  async forward(
    ids: ArrayLike<number>,
    options: { output: ForwardOutput; targets?: ArrayLike<number>; signal?: AbortSignal | undefined },
    visit: (rows: Float32Array) => void,
  ): Promise<void> {
    const { output, targets, signal } = options;
    this.#checkIdle('append');
    const start = this.#length;
    if (start + ids.length > this.capacity) {
      const message = `${start + ids.length} tokens do not fit into a context of ${this.capacity}`;
      throw new TesseraeError('ERR_CONTEXT', message);
    }
    const most = this.#pieceLength(output);
    this.#busy = true;
    let growth: Growth | undefined;
    try {
      growth = await this.#keyValues.grow(start, start + ids.length, signal);
      for (let from = 0; from < ids.length; from += most) {
        const count = Math.min(most, ids.length - from);
        const isLast = from + count === ids.length;
        const program = await this.#program(count, output === 'lastLogits' && !isLast ? 'hidden' : output, signal);
        const { tensors } = program;
        for (let i = 0; i < count; i++) {
          tensors.ids.data[i] = ids[from + i] as number;
          tensors.positions.data[i] = this.#length + i;
          if (tensors.targets !== undefined) tensors.targets.data[i] = targets?.[from + i] as number;
        }
        await program.run({ signal });
        this.#checkUsable('append');
        this.#length += count;
        if (output !== 'lastLogits' || isLast) visit(tensors.output.data);
        // Programs small enough to be computed on this thread never let the event loop turn.
        if (this.#pace.due()) await this.#pace.rest();
      }
      this.#keyValues.keep(growth);
    } catch (error) {
      this.#length = start;
      if (growth !== undefined) this.#keyValues.undo(growth);
      // It may have lost its tensors under way: not they are what the caller disposed.
      if (error instanceof TesseraeError && error.code === 'ERR_DISPOSED') this.#checkUsable('append');
      throw error;
    } finally {
      this.#busy = false;
      if (this.#disposed) this.#keyValues.dispose();
    }
  }

  /**
   * @internal What the forward pass that appends these tokens spends its time on: at most a piece of them, so that it is
   * one program. The session stays as it was.
   */
  async profile(ids: readonly number[], options: ProfileOptions): Promise<ProgramProfile> {
    const output = 'lastLogits';
    const start = this.#length;
    await this.forward(ids, { output, signal: options.signal }, () => {});
    try {
      return await this.#parts.host.profile(await this.#program(ids.length, output, options.signal), options);
    } finally {
      this.rewind(start);
    }
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

  async #program(tokens: number, output: ForwardOutput, signal: AbortSignal | undefined): Promise<Program<Forward>> {
    this.#checkUsable('append');
    const key = `${output} ${tokens}`;
    let program = this.#programs.get(key);
    if (program === undefined) {
      // Latest last: the first is the one to go.
      if (this.#programs.size === programsKept) this.#drop(this.#programs.keys().next().value as string);
      program = await this.#recordInBudget(tokens, output, signal);
      if (this.#disposed) program.dispose();
      this.#checkUsable('append');
    }
    this.#programs.delete(key);
    this.#programs.set(key, program);
    return program;
  }

  #drop(key: string): void {
    this.#programs.get(key)?.dispose();
    this.#programs.delete(key);
  }

  /** What is only kept for replay must not be what exhausts the budget. */
  async #recordInBudget(
    tokens: number,
    output: ForwardOutput,
    signal: AbortSignal | undefined,
  ): Promise<Program<Forward>> {
    try {
      return await this.#record(tokens, output, signal);
    } catch (error) {
      if (!(error instanceof TesseraeError && error.code === 'ERR_BUDGET') || this.#programs.size === 0) throw error;
    }
    for (const key of [...this.#programs.keys()]) this.#drop(key);
    return this.#record(tokens, output, signal);
  }

  #record(tokens: number, output: ForwardOutput, signal: AbortSignal | undefined): Promise<Program<Forward>> {
    const { host, architecture, config, weights, constants } = this.#parts;
    const cache = this.#keyValues.layers;
    return host.program(function* (p): Generator<void, Forward> {
      const ids = p.input([tokens], 'i32');
      const positions = p.input([tokens], 'i32');
      const targets = output === 'losses' ? p.input([tokens], 'i32') : undefined;
      const inputs = { ids, positions, cache, constants };
      const hidden = yield* architecture.recordHidden(p, config, weights, inputs);
      const logits = (rows: Tensor) => architecture.recordLogits(p, config, weights, rows);
      const rows = () => {
        if (output === 'hidden') return hidden;
        if (output === 'allLogits') return logits(hidden);
        if (targets !== undefined) return p.crossEntropy(logits(hidden), targets);
        return logits(hidden.slice([tokens - 1, tokens]));
      };
      return { ids, positions, targets, output: rows() as Tensor<'f32'> };
    }, signal);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Frees programs, keys and values. A forward pass in progress keeps what it needs to its end. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const program of this.#programs.values()) program.dispose();
    this.#programs.clear();
    if (!this.#busy) this.#keyValues.dispose();
  }
}
