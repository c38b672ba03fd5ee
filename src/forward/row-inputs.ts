// The rows of a recorded step as its inputs: each row's place, and how the work of attention is shared out. Recorded once,
// filled before each run. Knows neither tokens nor weights.
import type { Attend } from '../architectures/architecture.js';
import { normAndRotate } from '../architectures/stages.js';
import type { ProgramBuilder } from '../ops/calls/program-builder.js';
import type { PagedKeyValues } from '../ops/paged/key-value-pages.js';
import { itemFields, type PartsWork, paddingRow, runFields, type StepRows } from '../ops/paged/step-rows.js';
import type { Tensor } from '../tensor/tensor.js';
import { planRuns, type RunCut } from './attention-runs.js';
import { planAttention, type WorkCut } from './attention-work.js';

export class RowInputs implements StepRows {
  readonly positions: Tensor<'i32'>;
  readonly sequences: Tensor<'i32'>;
  readonly work: { readonly starts: Tensor<'i32'>; readonly items: Tensor<'i32'> };
  readonly #cut: WorkCut;
  readonly #oneEach: boolean;

  /**
   * @param all i32, of {@link sizeFor} elements at least: the inputs are in it
   * @param oneEach no two rows are of the same sequence, so that one step can store keys and values and attend to them
   */
  constructor(all: Tensor<'i32'>, rows: number, cut: WorkCut, oneEach: boolean) {
    const itemsEnd = 2 * rows + rows * itemFields;
    this.positions = all.slice([0, rows]);
    this.sequences = all.slice([rows, 2 * rows]);
    const items = all.slice([2 * rows, itemsEnd]).reshape([rows, itemFields]);
    this.work = { starts: all.slice([itemsEnd, itemsEnd + cut.lists + 1]), items };
    this.#cut = cut;
    this.#oneEach = oneEach;
  }

  /** How many integers the inputs of so many rows take. */
  static sizeFor(rows: number, cut: WorkCut): number {
    return 2 * rows + rows * itemFields + cut.lists + 1;
  }

  /** Puts a row at a position of the sequence in a slot. */
  place(row: number, slot: number, position: number): void {
    this.sequences.data[row] = slot;
    this.positions.data[row] = position;
  }

  /** Leaves a row out. Its position is one that every op can look up. */
  pad(row: number): void {
    this.place(row, paddingRow, 0);
  }

  /** To be called when all rows have their places, before the run. */
  plan(): void {
    const { positions, sequences, work } = this;
    const rows = { positions: positions.data, sequences: sequences.data };
    planAttention(rows, this.#cut, { starts: work.starts.data, items: work.items.data });
  }

  /** Attention for an architecture's layers: adds the rows' keys and values to the cache, then attends to it. */
  attendTo(p: ProgramBuilder, cache: readonly PagedKeyValues[]): Attend {
    return (layer, heads, options) => {
      const { q, ...own } = heads;
      const places = { cache: cache[layer] as PagedKeyValues, rows: this };
      if (this.#oneEach) return p.pagedAttention(q, { ...places, own, ...options });
      normAndRotate(p, heads, this.positions);
      p.storeKeyValues(own.k, own.v, places);
      return p.pagedAttention(q, { ...places, ...options });
    };
  }
}

/** The lists of runs of the layers that have the same window. */
interface WindowWork extends PartsWork {
  readonly window: number | undefined;
  readonly starts: Tensor<'i32'>;
  readonly runs: Tensor<'i32'>;
  readonly partStarts: Tensor<'i32'>;
}

/** The rows of a step that decodes sequences with many keys: the keys of each row are cut, too. */
export class RowsInParts extends RowInputs {
  readonly #cut: RunCut;
  readonly #rows: number;
  readonly #works: WindowWork[] = [];

  /** @param all as for {@link RowInputs}; the lists of runs are the program's own */
  constructor(all: Tensor<'i32'>, rows: number, uncut: WorkCut, cut: RunCut) {
    super(all, rows, uncut, true);
    this.#cut = cut;
    this.#rows = rows;
  }

  override plan(): void {
    const rows = { positions: this.positions.data, sequences: this.sequences.data };
    for (const { window, starts, runs, partStarts } of this.#works) {
      planRuns(rows, window, { starts: starts.data, runs: runs.data, partStarts: partStarts.data });
    }
  }

  override attendTo(p: ProgramBuilder, cache: readonly PagedKeyValues[]): Attend {
    const { positions, sequences } = this;
    return (layer, { q, ...own }, options) => {
      const rows = { positions, sequences, work: this.#workOf(p, options.window) };
      return p.pagedAttention(q, { cache: cache[layer] as PagedKeyValues, rows, own, ...options });
    };
  }

  #workOf(p: ProgramBuilder, window: number | undefined): WindowWork {
    const known = this.#works.find((work) => work.window === window);
    if (known !== undefined) return known;
    const { lists, mostParts } = this.#cut;
    const work = {
      window,
      starts: p.input([lists + 1], 'i32'),
      runs: p.input([this.#rows + lists, runFields], 'i32'),
      partStarts: p.input([this.#rows + 1], 'i32'),
      mostParts,
    };
    this.#works.push(work);
    return work;
  }
}
