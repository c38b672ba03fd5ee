// The recorded forward passes of a model, kept for replay and lent to its sessions: a program belongs to no session, it
// reads and writes whatever pages it is given for a run. Owned by the model.
import { TesseraeError } from '../errors.js';
import { PagedKeyValues, type PageLayout } from '../ops/paged-key-values.js';
import type { Program } from '../program/program.js';
import { PageTable } from '../tensor/page-table.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Architecture, Constants, ModelConfig, Weights } from './architectures/architecture.js';
import type { ModelHost } from './host.js';
import { pagesFor } from './key-values.js';

/** What a forward pass gives: logits of the last token or of all, the hidden states, or the losses of given targets. */
export type ForwardOutput = 'lastLogits' | 'allLogits' | 'hidden' | 'losses';

export interface Forward {
  readonly ids: Tensor<'i32'>;
  readonly positions: Tensor<'i32'>;
  /** i32 [tokens], for losses only: the token that comes after each. */
  readonly targets: Tensor<'i32'> | undefined;
  readonly output: Tensor<'f32'>;
  /** i32 [1], for lastLogits only: the token with the highest logit, the first of several, or the first NaN. */
  readonly likeliest: Tensor<'i32'> | undefined;
}

/** A forward pass over a number of tokens, and the table through which it finds the pages. */
export interface ForwardProgram {
  readonly key: string;
  readonly program: Program<Forward>;
  readonly table: PageTable;
}

export interface ForwardKind {
  readonly tokens: number;
  readonly output: ForwardOutput;
  readonly layout: PageLayout;
}

/** What programs are recorded from. */
export interface ForwardParts {
  readonly host: ModelHost;
  readonly architecture: Architecture;
  readonly config: ModelConfig;
  readonly weights: Weights;
  readonly constants: Constants;
  /** Positions in a session. */
  readonly capacity: number;
}

/** Kept for each thread: the single token, the full piece, and the remainders met last. */
const keptPerThread = 8;

export class ForwardPrograms {
  readonly #parts: ForwardParts;
  /** Those that nobody uses; used last, last. */
  readonly #idle: ForwardProgram[] = [];
  #disposed = false;

  constructor(parts: ForwardParts) {
    this.#parts = parts;
  }

  /**
   * A program that is the caller's until {@link giveBack}.
   * @throws TesseraeError ERR_BUDGET, ERR_DISPOSED; AbortError
   */
  async borrow(kind: ForwardKind, signal: AbortSignal | undefined): Promise<ForwardProgram> {
    this.#checkUsable();
    const key = `${kind.output} ${kind.tokens} ${kind.layout.type}`;
    const index = this.#idle.findLastIndex((idle) => idle.key === key);
    if (index >= 0) return this.#idle.splice(index, 1)[0] as ForwardProgram;
    const made = await this.withRoom(() => this.#record(key, kind, signal));
    if (this.#disposed) dispose(made);
    this.#checkUsable();
    return made;
  }

  giveBack(program: ForwardProgram): void {
    if (this.#disposed) {
      dispose(program);
      return;
    }
    this.#idle.push(program);
    if (this.#idle.length > keptPerThread * this.#parts.host.threads) dispose(this.#idle.shift() as ForwardProgram);
  }

  /** Does what needs memory. What is only kept for replay must not be what exhausts the budget. */
  async withRoom<T>(rent: () => Promise<T>): Promise<T> {
    try {
      return await rent();
    } catch (error) {
      if (!(error instanceof TesseraeError && error.code === 'ERR_BUDGET') || this.#idle.length === 0) throw error;
    }
    for (const program of this.#idle.splice(0)) dispose(program);
    return rent();
  }

  /** Frees the programs; those that are lent go when they are given back. */
  dispose(): void {
    this.#disposed = true;
    for (const program of this.#idle.splice(0)) dispose(program);
  }

  #checkUsable(): void {
    if (this.#disposed) throw new TesseraeError('ERR_DISPOSED', 'the model was disposed');
  }

  async #record(key: string, kind: ForwardKind, signal: AbortSignal | undefined): Promise<ForwardProgram> {
    const { host, architecture, config, weights, constants, capacity } = this.#parts;
    const { tokens, output, layout } = kind;
    const table = new PageTable(host.empty([pagesFor(capacity), 2], 'i32'));
    const cache = Array.from({ length: layout.layers }, (_, layer) => new PagedKeyValues(table.tensor, layout, layer));
    const record = function* (p: Parameters<Parameters<ModelHost['program']>[0]>[0]): Generator<void, Forward> {
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
      const result = rows() as Tensor<'f32'>;
      const likeliest = output === 'lastLogits' ? (p.argmax(result) as Tensor<'i32'>) : undefined;
      return { ids, positions, targets, output: result, likeliest };
    };
    try {
      return { key, program: await host.program(record, signal), table };
    } catch (error) {
      table.dispose();
      throw error;
    }
  }
}

function dispose({ program, table }: ForwardProgram): void {
  program.dispose();
  table.dispose();
}
