// TensorScope: disposes all tensors and scopes that were made in it. The memory belongs to TensorPool. Made by
// Engine.scope(), for short-lived tensors.
import { describe } from '../base/describe.js';
import { TesseraeError } from '../base/errors.js';
import { checkInternal, type Internal, internal, seal } from '../base/internal.js';
import type { DType } from './elements/dtype.js';
import type { DTypeOfData, TensorData } from './elements/elements.js';
import { argumentError } from './layout/layout.js';
import { keeperOf, setKeeper, Tensor, type TensorKeeper } from './tensor.js';
import type { TensorPool } from './tensor-pool.js';

/**
 * Keeps tensors and nested scopes, and disposes them in the reverse order of their creation. A tensor may be disposed
 * earlier. Once the scope is disposed, every use of it fails with ERR_DISPOSED.
 */
export class TensorScope implements TensorKeeper {
  readonly #pool: TensorPool;
  readonly #parent: TensorScope | undefined;
  readonly #kept = new Set<Tensor | TensorScope>();
  #disposed = false;

  /** @internal `engine.scope` makes them. @param parent the scope that disposes this one at the latest */
  constructor(key: Internal, pool: TensorPool, parent?: TensorScope) {
    checkInternal(key, 'TensorScope', 'engine.scope');
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
    return new TensorScope(internal, this.#pool, this);
  }

  /** Like {@link TensorPool.tensor}; this scope disposes the tensor. */
  tensor(shape: readonly number[]): Tensor<'f32'>;
  tensor<D extends DType>(shape: readonly number[], dtype: D, data?: TensorData): Tensor<D>;
  tensor<A extends TensorData>(shape: readonly number[], data: A): Tensor<DTypeOfData<A>>;
  tensor(shape: readonly number[], dtypeOrData?: DType | TensorData, data?: TensorData): Tensor {
    this.#checkOpen('tensor');
    return this.#keep(this.#pool.tensor(shape, dtypeOrData, data));
  }

  /** Like {@link TensorPool.empty}, with undefined contents; this scope disposes the tensor. */
  empty<D extends DType = 'f32'>(shape: readonly number[], dtype?: D): Tensor<D> {
    this.#checkOpen('empty');
    return this.#keep(this.#pool.empty(shape, dtype));
  }

  /** Like {@link TensorPool.zeros}; this scope disposes the tensor. */
  zeros<D extends DType = 'f32'>(shape: readonly number[], dtype?: D): Tensor<D> {
    this.#checkOpen('zeros');
    return this.#keep(this.#pool.zeros(shape, dtype));
  }

  /**
   * Takes over a tensor that was made elsewhere. If another scope keeps it, it moves to this one.
   * @throws TesseraeError ERR_DISPOSED, ERR_FOREIGN_TENSOR
   */
  track<T extends Tensor>(tensor: T): T {
    this.#checkOpen('track');
    if (!(tensor instanceof Tensor)) throw argumentError(`expected a tensor, got ${describe(tensor)}`, 'track');
    tensor.checkUsable('track', this.#pool);
    keeperOf(tensor)?.forget(tensor);
    return this.#keep(tensor);
  }

  /**
   * Moves a tensor of this scope to the parent scope; without a parent, the caller must dispose it.
   * @throws TesseraeError ERR_ARGUMENT if this scope does not keep it, or keeps the owner of the view
   */
  escape<T extends Tensor>(tensor: T): T {
    this.#checkOpen('escape');
    if (!(tensor instanceof Tensor)) throw argumentError(`expected a tensor, got ${describe(tensor)}`, 'escape');
    tensor.checkUsable('escape');
    if (tensor.base !== undefined && keeperOf(tensor.base) === this) {
      throw argumentError(`${tensor.toString()} is a view of a tensor in this scope; escape that one`, 'escape');
    }
    if (keeperOf(tensor) !== this) throw argumentError(`${tensor.toString()} is not in this scope`, 'escape');
    this.forget(tensor);
    setKeeper(tensor, undefined);
    return this.#parent === undefined ? tensor : this.#parent.#keep(tensor);
  }

  /** @internal Called for a tensor that was disposed or moves to another scope. */
  forget(tensor: Tensor): void {
    this.#kept.delete(tensor);
  }

  /** @throws TesseraeError ERR_DISPOSED if the scope was disposed before */
  dispose(): void {
    this.#checkOpen('dispose');
    this[Symbol.dispose]();
  }

  /** Like {@link dispose}, but does nothing the second time. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (this.#parent !== undefined) this.#parent.#kept.delete(this);
    for (const kept of [...this.#kept].reverse()) kept[Symbol.dispose]();
  }

  #keep<T extends Tensor>(tensor: T): T {
    setKeeper(tensor, this);
    this.#kept.add(tensor);
    return tensor;
  }

  #checkOpen(op: string): void {
    if (this.#disposed) throw new TesseraeError('ERR_DISPOSED', 'the scope was disposed', { op });
  }
}

seal(TensorScope);
