// TensorScope: disposes together what was made together, innermost first. It owns no memory itself; TensorPool does.
// Made by Engine.scope() and used by whoever makes short-lived tensors.
import { TesseraeError } from '../base/errors.js';
import type { DType } from './elements/dtype.js';
import type { DTypeOfData, TensorData } from './elements/elements.js';
import { argumentError, describe } from './layout/layout.js';
import { Tensor, type TensorKeeper } from './tensor.js';
import type { TensorPool } from './tensor-pool.js';

/**
 * Keeps tensors and nested scopes, and disposes them in reverse order of their coming. A tensor that is disposed
 * earlier is forgotten. Once the scope is disposed, every use of it fails with ERR_DISPOSED.
 */
export class TensorScope implements TensorKeeper {
  readonly #pool: TensorPool;
  readonly #parent: TensorScope | undefined;
  readonly #kept = new Set<Tensor | TensorScope>();
  #disposed = false;

  /** @param parent the scope that disposes this one if nobody did so before */
  constructor(pool: TensorPool, parent?: TensorScope) {
    this.#pool = pool;
    this.#parent = parent;
    if (parent === undefined) return;
    parent.#checkOpen('scope');
    parent.#kept.add(this);
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** A scope within this one. */
  scope(): TensorScope {
    return new TensorScope(this.#pool, this);
  }

  /** As {@link TensorPool.tensor}; kept by this scope. */
  tensor(shape: readonly number[]): Tensor<'f32'>;
  tensor<D extends DType>(shape: readonly number[], dtype: D, data?: TensorData): Tensor<D>;
  tensor<A extends TensorData>(shape: readonly number[], data: A): Tensor<DTypeOfData<A>>;
  tensor(shape: readonly number[], dtypeOrData?: DType | TensorData, data?: TensorData): Tensor {
    this.#checkOpen('tensor');
    return this.#keep(this.#pool.tensor(shape, dtypeOrData, data));
  }

  /** As {@link TensorPool.empty}: contents are whatever was there; kept by this scope. */
  empty<D extends DType = 'f32'>(shape: readonly number[], dtype?: D): Tensor<D> {
    this.#checkOpen('empty');
    return this.#keep(this.#pool.empty(shape, dtype));
  }

  /** As {@link TensorPool.zeros}; kept by this scope. */
  zeros<D extends DType = 'f32'>(shape: readonly number[], dtype?: D): Tensor<D> {
    this.#checkOpen('zeros');
    return this.#keep(this.#pool.zeros(shape, dtype));
  }

  /**
   * Keeps a tensor that was made elsewhere; if another scope had it, it moves here.
   * @throws TesseraeError ERR_DISPOSED, ERR_FOREIGN_TENSOR
   */
  track<T extends Tensor>(tensor: T): T {
    this.#checkOpen('track');
    if (!(tensor instanceof Tensor)) throw argumentError(`expected a tensor, got ${describe(tensor)}`, 'track');
    tensor.checkUsable('track', this.#pool);
    tensor.keeper?.forget(tensor);
    return this.#keep(tensor);
  }

  /**
   * Hands a tensor of this scope to the parent scope, or without a parent to the caller, who must then dispose it.
   * @throws TesseraeError ERR_ARGUMENT when this scope does not keep it, or keeps the tensor that it is a view of
   */
  escape<T extends Tensor>(tensor: T): T {
    this.#checkOpen('escape');
    if (!(tensor instanceof Tensor)) throw argumentError(`expected a tensor, got ${describe(tensor)}`, 'escape');
    tensor.checkUsable('escape');
    if (tensor.base?.keeper === this) {
      throw argumentError(`${tensor.toString()} is a view of a tensor in this scope; escape that one`, 'escape');
    }
    if (tensor.keeper !== this) throw argumentError(`${tensor.toString()} is not in this scope`, 'escape');
    this.forget(tensor);
    tensor.keeper = undefined;
    return this.#parent === undefined ? tensor : this.#parent.#keep(tensor);
  }

  /** @internal Called by a tensor that was disposed, or that moves to another scope. */
  forget(tensor: Tensor): void {
    this.#kept.delete(tensor);
  }

  /** @throws TesseraeError ERR_DISPOSED when the scope was disposed before */
  dispose(): void {
    this.#checkOpen('dispose');
    this[Symbol.dispose]();
  }

  /** As {@link dispose}, but does nothing the second time. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (this.#parent !== undefined) this.#parent.#kept.delete(this);
    for (const kept of [...this.#kept].reverse()) kept[Symbol.dispose]();
  }

  #keep<T extends Tensor>(tensor: T): T {
    tensor.keeper = this;
    this.#kept.add(tensor);
    return tensor;
  }

  #checkOpen(op: string): void {
    if (this.#disposed) throw new TesseraeError('ERR_DISPOSED', 'the scope was disposed', { op });
  }
}
