// The recorded forward passes of an encoder: many texts side by side, those of about one length in one program, kept for
// replay. It has token ids and no text; serving/served-encoder.ts makes vectors of the hidden states.

import type { EncoderArchitecture } from '../architectures/architecture.js';
import { TesseraeError } from '../base/errors.js';
import { TimeSlice } from '../base/time-slice.js';
import type { Program } from '../program/program.js';
import type { Tensor } from '../tensor/tensor.js';
import type { ForwardParts } from './decoder-programs.js';
import { ProgramCache } from './program-cache.js';

/** Everything of a loaded encoder. */
export type EncoderParts = ForwardParts<EncoderArchitecture>;

interface Pass {
  readonly ids: Tensor<'i32'>;
  readonly positions: Tensor<'i32'>;
  readonly lengths: Tensor<'i32'>;
  /** f32 [batch · tokens, dim]. */
  readonly hidden: Tensor<'f32'>;
}

/** Texts that are computed together. */
export interface TextGroup {
  /** Where they stand among all texts. */
  readonly indices: readonly number[];
  /** Tokens that each of them is padded to. */
  readonly tokens: number;
}

/** Rows of a program: enough that its products are as fast as they get; more would only cost memory. */
const mostRows = 512;
/** Lengths are rounded up to a multiple, so that programs are met again. */
const lengthStep = 16;
/** Programs kept for replay. */
const programsKept = 8;

/** What a text of so many tokens is padded to. */
export function paddedLength(tokens: number): number {
  return Math.ceil(tokens / lengthStep) * lengthStep;
}

/** How many texts of a padded length are computed together. */
export function textsOfOneLength(tokens: number): number {
  return Math.max(1, Math.floor(mostRows / tokens));
}

export class EncoderPrograms {
  readonly #parts: EncoderParts;
  readonly #cache = new ProgramCache<Program<Pass>>(programsKept);
  readonly #timeSlice = new TimeSlice();

  constructor(parts: EncoderParts) {
    this.#parts = parts;
  }

  /** Computes a group; `visit` sees the hidden states of each of its texts, f32 [length, dim], before they are overwritten. */
  async forward(
    texts: readonly ArrayLike<number>[],
    { indices, tokens }: TextGroup,
    signal: AbortSignal | undefined,
    visit: (index: number, rows: Float32Array) => void,
  ): Promise<void> {
    const key = `${indices.length} × ${tokens}`;
    const program = await this.#cache.borrow(key, () => this.#record(indices.length, tokens, signal));
    try {
      const { ids, positions, lengths, hidden } = program.tensors;
      ids.data.fill(0);
      for (const [row, index] of indices.entries()) {
        const text = texts[index] as ArrayLike<number>;
        lengths.data[row] = text.length;
        for (let i = 0; i < tokens; i++) positions.data[row * tokens + i] = i < text.length ? i : 0;
        ids.data.set(text, row * tokens);
      }
      await program.run({ signal });
      this.#cache.checkUsable('embed');
      const { dim } = this.#parts.config;
      for (const [row, index] of indices.entries()) {
        const start = row * tokens * dim;
        visit(index, hidden.data.subarray(start, start + (texts[index] as ArrayLike<number>).length * dim));
      }
      if (this.#timeSlice.isOver()) await this.#timeSlice.yield();
    } catch (error) {
      if (error instanceof TesseraeError && error.code === 'ERR_DISPOSED') this.#cache.checkUsable('embed');
      throw error;
    } finally {
      this.#cache.giveBack(key, program);
    }
  }

  /** Gives up a program that nobody uses, for whoever needs memory. @returns whether there was one */
  dropIdle(): boolean {
    return this.#cache.dropIdle();
  }

  /** Frees the programs. What is running fails with ERR_DISPOSED. */
  dispose(): void {
    this.#cache.dispose();
  }

  #record(batch: number, tokens: number, signal: AbortSignal | undefined): Promise<Program<Pass>> {
    const { compute, architecture, config, weights, constants } = this.#parts;
    return compute.programInSlices(function* (p): Generator<void, Pass> {
      const ids = p.input([batch * tokens], 'i32');
      const positions = p.input([batch * tokens], 'i32');
      const lengths = p.input([batch], 'i32');
      const mixed = p.input([batch * tokens, config.heads * config.headDim]);
      const inputs = { batch, ids, positions, lengths, mixed, constants };
      const hidden = yield* architecture.recordHidden(p, config, weights, inputs);
      return { ids, positions, lengths, hidden: hidden as Tensor<'f32'> };
    }, signal);
  }
}
