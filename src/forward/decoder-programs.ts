// The recorded forward passes of a decoder, kept for replay and lent to sequences: a program belongs to no sequence, it
// reads and writes whatever pages its table lists in a run. Owned by the model.
import type { Constants, DecoderArchitecture, ModelConfig, Weights } from '../architectures/architecture.js';
import type { Compute } from '../ops/calls/compute.js';
import type { ProgramBuilder } from '../ops/calls/program-builder.js';
import { PagedKeyValues, type PageLayout } from '../ops/paged/key-value-pages.js';
import type { Program } from '../program/program.js';
import type { Tensor } from '../tensor/tensor.js';
import { attentionCut } from './attention-work.js';
import type { PageDirectory } from './page-directory.js';
import { PageTable } from './page-table.js';
import { ProgramCache } from './program-cache.js';
import { RowInputs } from './row-inputs.js';

/** What a forward pass gives: logits of the last token or of all, the hidden states, or the losses of given targets. */
export type ForwardOutput = 'lastLogits' | 'allLogits' | 'hidden' | 'losses';

export interface Forward {
  readonly ids: Tensor<'i32'>;
  readonly rows: RowInputs;
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
  /** Of the pages of its sequences. */
  readonly directory: PageDirectory;
  readonly programs: DecoderPrograms;
  /** How keys and values are kept unless a session asks for another type. */
  readonly pageLayout: PageLayout;
}

/** Kept for each thread: the single token, the full slice, and the remainders met last. */
const keptPerThread = 8;

export class DecoderPrograms {
  readonly #parts: ForwardParts;
  readonly #directory: PageDirectory;
  readonly #cache: ProgramCache<ForwardProgram>;

  constructor(parts: ForwardParts, directory: PageDirectory) {
    this.#parts = parts;
    this.#directory = directory;
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

  /** Gives up a program that nobody uses, for whoever needs memory. @returns whether there was one */
  dropIdle(): boolean {
    return this.#cache.dropIdle();
  }

  dispose(): void {
    this.#cache.dispose();
  }

  async #record({ tokens, output, layout }: ForwardKind, signal: AbortSignal | undefined): Promise<ForwardProgram> {
    const { compute, architecture, config, weights, constants, capacity } = this.#parts;
    const table = new PageTable(compute, this.#directory, layout, { slots: 1, capacity });
    const cache = Array.from({ length: layout.layers }, (_, layer) => new PagedKeyValues(table, layout, layer));
    const cut = attentionCut(config, tokens, compute.threads);
    const record = function* (p: ProgramBuilder): Generator<void, Forward> {
      const ids = p.input([tokens], 'i32');
      const rows = new RowInputs(p.input([RowInputs.sizeFor(tokens, cut)], 'i32'), tokens, cut, tokens === 1);
      const targets = output === 'losses' ? p.input([tokens], 'i32') : undefined;
      const inputs = { ids, positions: rows.positions, attend: rows.attendTo(p, cache), constants };
      const hidden = yield* architecture.recordHidden(p, config, weights, inputs);
      const logits = (states: Tensor) => architecture.recordLogits(p, config, weights, states);
      const computed = () => {
        if (output === 'hidden') return hidden;
        if (output === 'allLogits') return logits(hidden);
        if (targets !== undefined) return p.crossEntropy(logits(hidden), targets);
        return logits(hidden.slice([tokens - 1, tokens]));
      };
      const result = computed() as Tensor<'f32'>;
      const mostLikely = output === 'lastLogits' ? (p.argmax(result) as Tensor<'i32'>) : undefined;
      return { ids, rows, targets, output: result, mostLikely };
    };
    return new ForwardProgram(await compute.programInSlices(record, signal), table);
  }
}

function keyOf({ output, tokens, layout }: ForwardKind): string {
  return `${output} ${tokens} ${layout.type}`;
}
