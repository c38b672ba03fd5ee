// The argument of a program's recording function: every op is a method of it, which records instead of computing.
import { TesseraeError } from '../../base/errors.js';
import { seal } from '../../base/internal.js';
import type { Recorder } from '../../program/recorder.js';
import type { DType } from '../../tensor/elements/dtype.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { TensorPool } from '../../tensor/tensor-pool.js';
import { type SequenceAttentionOptions, sequenceAttention } from '../attention/sequence-attention.js';
import type { AnyOp } from '../op.js';
import {
  type PagedAttentionOptions,
  pagedAttention,
  type StoreKeyValuesOptions,
  storeKeyValues,
} from '../paged/paged-attention.js';
import { type PoolRowsOptions, poolRows } from '../rowwise/pool-rows.js';
import { type SampleOptions, sample } from '../sampling/sample.js';
import { type BuilderMethods, defineOpMethods } from './methods.js';
import { recordCall } from './record-call.js';

export interface ProgramBuilder extends BuilderMethods {}

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the methods are defined below, one for each registered op.
export class ProgramBuilder {
  readonly #recorder: Recorder;
  readonly #pool: TensorPool;
  /** @internal Tensors made by {@link input}, which the program will own. */
  readonly inputs: Tensor[] = [];
  #finished = false;

  /** @internal */
  constructor(recorder: Recorder, pool: TensorPool) {
    this.#recorder = recorder;
    this.#pool = pool;
  }

  /** A tensor of zeros that the caller may fill before each run. The program owns it. */
  input<D extends DType = 'f32'>(shape: readonly number[], dtype: D = 'f32' as D): Tensor<D> {
    this.#checkRecording('input');
    const tensor = this.#pool.zeros(shape, dtype);
    this.inputs.push(tensor);
    return tensor;
  }

  /** @internal Writes the keys k and values v of rows, f32 [rows, kvHeads, dim], to their places in the cache. */
  storeKeyValues(k: Tensor, v: Tensor, options: StoreKeyValuesOptions): void {
    this.record(storeKeyValues, storeKeyValues.args(k, v, options));
  }

  /**
   * @internal Attention of queries q, f32 [rows, heads, headDim], to the keys of their sequences in the cache, up to each
   * query's position. The result is f32 [rows, heads · vDim], and 0 for padding rows.
   */
  pagedAttention(q: Tensor, options: PagedAttentionOptions): Tensor {
    return this.record(pagedAttention, pagedAttention.args(q, options));
  }

  /**
   * @internal Attention of rows of many sequences, one after the other: q f32 [rows, heads, dim], k and v f32 [rows, kvHeads,
   * dim]. Each row sees all rows of its own sequence. The result is f32 [rows, heads · vDim].
   */
  sequenceAttention(q: Tensor, k: Tensor, v: Tensor, options: SequenceAttentionOptions): Tensor {
    return this.record(sequenceAttention, sequenceAttention.args(q, k, v, options));
  }

  /** @internal The vectors of texts, f32 [items, dim], from the states of their tokens, f32 [rows, dim]. */
  poolRows(x: Tensor, options: PoolRowsOptions): Tensor {
    return this.record(poolRows, poolRows.args(x, options));
  }

  /** @internal Chooses a token for each row of logits, f32 [rows, vocabulary], with the parameters in `options.rows`. */
  sample(logits: Tensor, options: SampleOptions): void {
    this.record(sample, sample.args(logits, options));
  }

  /**
   * @internal Called with what the recording function returned.
   * @throws TesseraeError ERR_ARGUMENT for a promise: an asynchronous function would record ops too late
   */
  finish(result: unknown): void {
    this.#finished = true;
    if (result instanceof Promise) {
      result.catch(() => {});
      throw new TesseraeError('ERR_ARGUMENT', 'the recording function must not be asynchronous', { op: 'program' });
    }
  }

  #checkRecording(op: string): void {
    if (!this.#finished) return;
    throw new TesseraeError('ERR_ARGUMENT', 'the recording is over; nothing can be added to the program', { op });
  }

  /** @internal Checks and records a call of an op; gives its output. */
  record(op: AnyOp, args: { readonly signal?: unknown }): Tensor {
    this.#checkRecording(op.name);
    if (args.signal !== undefined) {
      throw new TesseraeError('ERR_ARGUMENT', 'a signal belongs to program.run, not to a recorded op', { op: op.name });
    }
    return recordCall(op, args, {
      recorder: this.#recorder,
      checkUsable: (tensor, name) => tensor.checkUsable(name, this.#recorder.owns(tensor) ? undefined : this.#pool),
      allocate: ({ shape, dtype }) => this.#recorder.temporary(shape, dtype),
    });
  }
}

defineOpMethods(ProgramBuilder.prototype, (builder, op, args) => {
  if (args instanceof Error) throw args;
  return builder.record(op, args);
});
seal(ProgramBuilder);
