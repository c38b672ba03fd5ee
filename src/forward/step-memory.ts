// The memory that the programs of a step share: their inputs, the hidden states, and one arena. Taken at the first step, and
// given up for others while nothing is computed. Owned by StepPrograms.
import type { SampleRows } from '../ops/sampling/sample-rows.js';
import { SharedArena } from '../program/shared-arena.js';
import type { DType } from '../tensor/elements/dtype.js';
import type { Tensor } from '../tensor/tensor.js';
import { attentionCut } from './attention-work.js';
import type { ForwardParts } from './decoder-programs.js';
import { mostRows, rowBuckets } from './row-buckets.js';
import { RowInputs } from './row-inputs.js';
import { TextPooling } from './text-pooling.js';

/** Log probabilities of a row, at most: what `logprobs` of a generation allows. */
const mostAlternatives = 100;

export interface StepTensors {
  /** i32 [mostRows]: token ids. */
  readonly ids: Tensor<'i32'>;
  /** i32: of {@link RowInputs}. */
  readonly rows: Tensor<'i32'>;
  /** f32 [mostRows, dim]. */
  readonly hidden: Tensor<'f32'>;
  /** i32 [rows of logits]: which rows of `hidden` they are made of. */
  readonly picked: Tensor<'i32'>;
  /** By what a token is chosen from each row of logits, and which. */
  readonly sampling: SampleRows;
}

export class StepMemory {
  readonly arena: SharedArena;
  readonly #parts: ForwardParts;
  readonly #logitRows: number;
  #tensors: StepTensors | undefined;
  #sampling: SampleRows | undefined;
  #pooling: TextPooling | undefined;

  /** @param logitRows rows of logits that are computed at once, at most */
  constructor(parts: ForwardParts, logitRows: number) {
    this.#parts = parts;
    this.#logitRows = logitRows;
    this.arena = new SharedArena(parts.compute.pool);
  }

  /** Whether programs may refer to its tensors. */
  get isHeld(): boolean {
    return this.#tensors !== undefined;
  }

  /** Taken at the first call. @throws TesseraeError ERR_BUDGET */
  get tensors(): StepTensors {
    this.#tensors ??= this.#allocate();
    return this.#tensors;
  }

  /** For texts to be embedded; made at the first call. */
  get pooling(): TextPooling {
    const { compute, config } = this.#parts;
    this.#pooling ??= new TextPooling(compute, config.dim);
    return this.#pooling;
  }

  /** Gives all of it back, at the end of the program that runs. Programs that were recorded cannot be run any more. */
  free(): void {
    if (this.#tensors === undefined) return;
    const { ids, rows, hidden, picked } = this.#tensors;
    for (const tensor of [ids, rows, hidden, picked]) tensor.dispose();
    this.#tensors = undefined;
  }

  /** As {@link free}, and gives back what is kept otherwise: there are no more steps. */
  dispose(): void {
    this.free();
    if (this.#sampling !== undefined) this.#parts.compute.giveBackPrivate(this.#sampling.results);
    this.#pooling?.giveBack(this.#parts.compute);
  }

  #allocate(): StepTensors {
    const { compute, config } = this.#parts;
    const { pool } = compute;
    const made: Tensor[] = [];
    const make = <D extends DType>(shape: readonly number[], dtype: D): Tensor<D> => {
      const tensor = pool.zeros(shape, dtype);
      made.push(tensor);
      return tensor;
    };
    const sizes = rowBuckets.map((rows) => RowInputs.sizeFor(rows, attentionCut(config, rows, compute.threads)));
    const { vocabulary } = config;
    // Not of the pool, and so kept.
    this.#sampling ??= compute.sampleRows({ rows: this.#logitRows, vocabulary, alternatives: mostAlternatives });
    try {
      return {
        ids: make([mostRows], 'i32'),
        rows: make([Math.max(...sizes)], 'i32'),
        hidden: make([mostRows, config.dim], 'f32'),
        picked: make([this.#logitRows], 'i32'),
        sampling: this.#sampling,
      };
    } catch (error) {
      for (const tensor of made) tensor.dispose();
      throw error;
    }
  }
}
