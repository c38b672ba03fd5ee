// Computes the tokens that extend a sequence, in slices: each is one run of a recorded program, whose intermediate tensors
// are all that is held. Borrows the programs; owns no pages. Called by sequences.
import { TimeSlice } from '../base/time-slice.js';
import type { Program } from '../program/program.js';
import type { DecoderParts, Forward, ForwardOutput } from './decoder-programs.js';
import type { KeyValues } from './key-values.js';

/** Sees a slice's rows before the next slice overwrites them; for logits of the last token, which one is the highest. */
export type Visit = (rows: Float32Array, mostLikely?: number) => void;

/** Tokens to append, and what to compute for them. */
export interface Extension {
  readonly ids: ArrayLike<number>;
  readonly output: ForwardOutput;
  /** For losses: the token that comes after each of `ids`. */
  readonly targets?: ArrayLike<number>;
  readonly visit?: Visit;
  /** Runs the programs in place of a plain run. */
  readonly run?: (program: Program<Forward>) => Promise<void>;
  readonly signal?: AbortSignal | undefined;
}

/** Tokens of a slice, at most. */
const mostTokens = 256;
/**
 * The logits of a slice's tokens are held at once: this many of them at most, or those of one token. Fewer where they
 * are copied for the caller, which the event loop waits for.
 */
const mostLogits = { allLogits: 1 << 21, losses: 1 << 23 } as const;

export class Slices {
  readonly #parts: DecoderParts;
  readonly #checkUsable: (op: string) => void;
  readonly #timeSlice = new TimeSlice();

  /** @param checkUsable throws when the sequence was disposed */
  constructor(parts: DecoderParts, checkUsable: (op: string) => void) {
    this.#parts = parts;
    this.#checkUsable = checkUsable;
  }

  /** Appends the extension's ids to the sequence's as their slices are computed; its pages have room for them. */
  async compute(extension: Extension, sequenceIds: number[], keyValues: KeyValues): Promise<void> {
    const { ids, output, targets, signal, visit, run } = extension;
    const { programs } = this.#parts;
    const { layout, pages } = keyValues;
    const most = this.#sliceLength(output);
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
          tensors.rows.place(i, 0, sequenceIds.length + i);
          if (tensors.targets !== undefined) tensors.targets.data[i] = targets?.[from + i] as number;
        }
        tensors.rows.plan();
        lent.table.load(0, pages);
        await (run === undefined ? lent.program.run({ signal }) : run(lent.program));
        this.#checkUsable('append');
        for (let i = 0; i < tokens; i++) sequenceIds.push(ids[from + i] as number);
        if (output !== 'lastLogits' || isLast) visit?.(tensors.output.data, tensors.mostLikely?.data[0]);
      } finally {
        programs.giveBack(kind, lent);
      }
      // Programs small enough to be computed on this thread never let the event loop turn.
      if (this.#timeSlice.isOver()) await this.#timeSlice.yield();
    }
  }

  #sliceLength(output: ForwardOutput): number {
    if (output !== 'allLogits' && output !== 'losses') return mostTokens;
    return Math.max(1, Math.min(mostTokens, Math.floor(mostLogits[output] / this.#parts.config.vocabulary)));
  }
}
