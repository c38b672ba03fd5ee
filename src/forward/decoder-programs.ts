// The recorded forward passes of a decoder, kept for replay and lent to sequences: a program belongs to no sequence, it
// reads and writes whatever pages its table lists in a run. Owned by the model.
import type { Constants, DecoderArchitecture, ModelConfig, Weights } from '../architectures/architecture.js';
import type { Compute } from '../ops/calls/compute.js';
import type { ProgramBuilder } from '../ops/calls/program-builder.js';
import { PagedKeyValues, type PageLayout } from '../ops/paged/key-value-pages.js';
import type { Program } from '../program/program.js';
import type { Tensor } from '../tensor/tensor.js';
import { pagesFor } from './key-values.js';
import { PageTable } from './page-table.js';
import { ProgramCache } from './program-cache.js';

/** What a forward pass gives: logits of the last token or of all, the hidden states, or the losses of given targets. */
export type ForwardOutput = 'lastLogits' | 'allLogits' | 'hidden' | 'losses';

export interface Forward {
  readonly ids: Tensor<'i32'>;
  readonly positions: Tensor<'i32'>;
  /** i32 [tokens], for losses only: the token that comes after each. */
  readonly targets: Tensor<'i32'> | undefined;
  readonly output: Tensor<'f32'>;
  /** i32 [1], for lastLogits only: the token with the highest logit, the first of several, or the first NaN. */
  readonly mostLikely: Tensor<'i32'> | undefined;
}

/** A forward pass over a number of tokens, and the table through which it finds the pages. */
export class ForwardProgram {
  readonly program: Program<Forward>;
  readonly table: PageTable;

  constructor(program: Program<Forward>, table: PageTable) {
    this.program = program;
    this.table = table;
  }

  dispose(): void {
    this.program.dispose();
    this.table.dispose();
  }
}

export interface ForwardKind {
  readonly tokens: number;
  readonly output: ForwardOutput;
  readonly layout: PageLayout;
}

/** What the programs of a model are recorded from. */
export interface ForwardParts<Arch = DecoderArchitecture> {
  readonly compute: Compute;
  readonly architecture: Arch;
  readonly config: ModelConfig;
  readonly weights: Weights;
  readonly constants: Constants;
  /** Positions in a sequence. */
  readonly capacity: number;
}

/** Everything of a loaded decoder that its sequences share. */
export interface DecoderParts extends ForwardParts {
  readonly programs: DecoderPrograms;
  /** How keys and values are kept unless a session asks for another type. */
  readonly pageLayout: PageLayout;
}

/** Kept for each thread: the single token, the full slice, and the remainders met last. */
const keptPerThread = 8;

export class DecoderPrograms {
  readonly #parts: ForwardParts;
  readonly #cache: ProgramCache<ForwardProgram>;

  constructor(parts: ForwardParts) {
    this.#parts = parts;
    this.#cache = new ProgramCache(keptPerThread * parts.compute.threads);
  }

  /**
   * A program that is the caller's until {@link giveBack}.
   * @throws TesseraeError ERR_BUDGET, ERR_DISPOSED; AbortError
   */
  borrow(kind: ForwardKind, signal: AbortSignal | undefined): Promise<ForwardProgram> {
    return this.#cache.borrow(keyOf(kind), () => this.#record(kind, signal));
  }

  giveBack(kind: ForwardKind, program: ForwardProgram): void {
    this.#cache.giveBack(keyOf(kind), program);
  }

  /** See {@link ProgramCache.withRoom}. */
  withRoom<T>(rent: () => Promise<T>): Promise<T> {
    return this.#cache.withRoom(rent);
  }

  dispose(): void {
    this.#cache.dispose();
  }

  async #record({ tokens, output, layout }: ForwardKind, signal: AbortSignal | undefined): Promise<ForwardProgram> {
    const { compute, architecture, config, weights, constants, capacity } = this.#parts;
    const table = new PageTable(compute.pool.empty([pagesFor(capacity), 2], 'i32'));
    const cache = Array.from({ length: layout.layers }, (_, layer) => new PagedKeyValues(table.tensor, layout, layer));
    const record = function* (p: ProgramBuilder): Generator<void, Forward> {
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
      const mostLikely = output === 'lastLogits' ? (p.argmax(result) as Tensor<'i32'>) : undefined;
      return { ids, positions, targets, output: result, mostLikely };
    };
    try {
      return new ForwardProgram(await compute.programInSlices(record, signal), table);
    } catch (error) {
      table.dispose();
      throw error;
    }
  }
}

function keyOf({ output, tokens, layout }: ForwardKind): string {
  return `${output} ${tokens} ${layout.type}`;
}
