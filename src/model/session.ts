// A session: one sequence of tokens with its keys and values, and the programs that extend it. Knows nothing of text.
// Models lend sessions to generations and take them back, so that programs are recorded once.
import { TesseraeError } from '../errors.js';
import type { Program } from '../program/program.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Architecture, LayerCache, ModelConfig, Weights } from './architectures/architecture.js';
import type { ModelHost } from './host.js';

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
  readonly ropeFrequencies: Tensor;
  /** Positions in a session. */
  readonly capacity: number;
}

/** Longer inputs are taken in pieces of so many tokens: a piece's intermediate tensors are all that is held. */
const mostTokens = 256;
/** All logits of a piece are held at once: this many of them at most, or those of one token. */
const mostLogits = 1 << 23;
/** Programs kept for replay: the single token, the full piece, and the remainders met last. */
const programsKept = 8;

export class Session {
  readonly #parts: ModelParts;
  readonly #cache: readonly LayerCache[];
  readonly #programs = new Map<string, Program<Forward>>();
  #length = 0;
  #busy = false;
  #disposed = false;

  /** @internal Models make them: `model.session()`. */
  constructor(parts: ModelParts) {
    this.#parts = parts;
    const { layers, kvHeads, headDim } = parts.config;
    const made: Tensor[] = [];
    const make = () => {
      const tensor = parts.host.empty([kvHeads, parts.capacity, headDim], 'f32');
      made.push(tensor);
      return tensor;
    };
    try {
      this.#cache = Array.from({ length: layers }, () => ({ keys: make(), values: make() }));
    } catch (error) {
      for (const tensor of made) tensor.dispose();
      throw error;
    }
  }

  /** Tokens in the session. */
  get length(): number {
    return this.#length;
  }

  get capacity(): number {
    return this.#parts.capacity;
  }

  /** Forgets all tokens from `length` on. The rest keeps its keys and values. */
  rewind(length: number): void {
    if (!Number.isSafeInteger(length) || length < 0 || length > this.#length) {
      throw new TesseraeError('ERR_ARGUMENT', `cannot rewind a session of ${this.#length} tokens to ${length}`);
    }
    this.#length = length;
  }

  /**
   * Appends tokens; the result is the logits of the token that comes after them, f32 [vocabulary].
   * @throws TesseraeError ERR_CONTEXT, ERR_DISPOSED, ERR_ARGUMENT without a token; AbortError
   */
  async append(ids: ArrayLike<number>, options: { signal?: AbortSignal | undefined } = {}): Promise<Float32Array> {
    let logits: Float32Array | undefined;
    await this.forward(ids, { output: 'lastLogits', signal: options.signal }, (rows) => {
      logits = Float32Array.from(rows);
    });
    if (logits === undefined) throw new TesseraeError('ERR_ARGUMENT', 'there is no token to append', { op: 'append' });
    return logits;
  }

  /**
   * @internal Appends tokens and computes `output` for them, piece by piece; `visit` sees each piece's rows before the next piece
   * overwrites them. An aborted or failed call leaves the session as long as it was.
   * @param targets for losses: the token that comes after each of `ids`
   */
  async forward(
    ids: ArrayLike<number>,
    options: { output: ForwardOutput; targets?: ArrayLike<number>; signal?: AbortSignal | undefined },
    visit: (rows: Float32Array) => void,
  ): Promise<void> {
    const { output, targets, signal } = options;
    if (this.#busy) throw new TesseraeError('ERR_BUSY', 'the session is computing; await its last call first');
    const start = this.#length;
    if (start + ids.length > this.capacity) {
      const message = `${start + ids.length} tokens do not fit into a context of ${this.capacity}`;
      throw new TesseraeError('ERR_CONTEXT', message);
    }
    const most = this.#pieceLength(output);
    this.#busy = true;
    try {
      for (let from = 0; from < ids.length; from += most) {
        const count = Math.min(most, ids.length - from);
        const isLast = from + count === ids.length;
        const program = this.#program(count, output === 'lastLogits' && !isLast ? 'hidden' : output);
        const { tensors } = program;
        for (let i = 0; i < count; i++) {
          tensors.ids.data[i] = ids[from + i] as number;
          tensors.positions.data[i] = this.#length + i;
          if (tensors.targets !== undefined) tensors.targets.data[i] = targets?.[from + i] as number;
        }
        await program.run({ signal });
        this.#length += count;
        if (output !== 'lastLogits' || isLast) visit(tensors.output.data);
      }
    } catch (error) {
      this.#length = start;
      throw error;
    } finally {
      this.#busy = false;
    }
  }

  #pieceLength(output: ForwardOutput): number {
    if (output !== 'allLogits' && output !== 'losses') return mostTokens;
    return Math.max(1, Math.min(mostTokens, Math.floor(mostLogits / this.#parts.config.vocabulary)));
  }

  #program(tokens: number, output: ForwardOutput): Program<Forward> {
    if (this.#disposed) throw new TesseraeError('ERR_DISPOSED', 'the session was disposed');
    const key = `${output} ${tokens}`;
    let program = this.#programs.get(key);
    if (program === undefined) program = this.#record(tokens, output);
    // Latest last: the first is the one to go.
    this.#programs.delete(key);
    this.#programs.set(key, program);
    if (this.#programs.size > programsKept) {
      const [oldest, unused] = this.#programs.entries().next().value as [string, Program<Forward>];
      this.#programs.delete(oldest);
      unused.dispose();
    }
    return program;
  }

  #record(tokens: number, output: ForwardOutput): Program<Forward> {
    const { host, architecture, config, weights, ropeFrequencies } = this.#parts;
    return host.program((p) => {
      const ids = p.input([tokens], 'i32');
      const positions = p.input([tokens], 'i32');
      const inputs = { ids, positions, cache: this.#cache, ropeFrequencies };
      const hidden = architecture.recordHidden(p, config, weights, inputs);
      const logits = (rows: Tensor) => architecture.recordLogits(p, config, weights, rows);
      const targets = output === 'losses' ? p.input([tokens], 'i32') : undefined;
      const rows = () => {
        if (output === 'hidden') return hidden;
        if (output === 'allLogits') return logits(hidden);
        if (targets !== undefined) return p.crossEntropy(logits(hidden), targets);
        return logits(hidden.slice([tokens - 1, tokens]));
      };
      return { ids, positions, targets, output: rows() as Tensor<'f32'> };
    });
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
    for (const { keys, values } of this.#cache) {
      keys.dispose();
      values.dispose();
    }
  }
}
