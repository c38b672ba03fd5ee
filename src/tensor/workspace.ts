// Workspace: named scratch tensors for repeated work of varying sizes. Each is reused from call to call and grows when a
// call needs more; growth loses its contents. Made by Engine.workspace().
import { TesseraeError } from '../base/errors.js';
import { checkInternal, type Internal, internal, seal } from '../base/internal.js';
import { checkDType, type DType, dtypes } from './elements/dtype.js';
import { checkShape, elementCount } from './layout/layout.js';
import { storageOf, Tensor } from './tensor.js';
import type { TensorPool } from './tensor-pool.js';

/** A buffer that is too small is replaced by one at least this much larger, so that steady growth reallocates rarely. */
const GROWTH = 1.5;

interface Entry {
  /** Owns the memory. */
  readonly buffer: Tensor<'i8'>;
  /** The latest view over it. */
  tensor: Tensor;
}

export class Workspace {
  readonly #pool: TensorPool;
  readonly #entries = new Map<string, Entry>();
  #disposed = false;

  /** @internal `engine.workspace` makes them. */
  constructor(key: Internal, pool: TensorPool) {
    checkInternal(key, 'Workspace', 'engine.workspace');
    this.#pool = pool;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /**
   * The tensor of this name. With the shape and type of the last call, it is the same object with its contents.
   * Otherwise it is a new one with undefined contents, in the same memory if that is large enough, and the previous one
   * is disposed.
   * @throws TesseraeError ERR_DISPOSED, ERR_BUDGET, ERR_SHAPE, ERR_DTYPE, ERR_ENGINE_CLOSED
   */
  tensor<D extends DType = 'f32'>(key: string, shape: readonly number[], dtype: D = 'f32' as D): Tensor<D> {
    if (this.#disposed) throw new TesseraeError('ERR_DISPOSED', 'the workspace was disposed', { op: 'workspace' });
    const checkedShape = checkShape(shape, 'workspace');
    const type = checkDType(dtype, 'workspace') as D;
    const entry = this.#entries.get(key);
    if (entry !== undefined && isSame(entry.tensor, type, checkedShape)) return entry.tensor as Tensor<D>;
    const buffer = this.#bufferFor(key, entry, elementCount(checkedShape) * dtypes[type].sizeBytes);
    const tensor = new Tensor(internal, { dtype: type, shape: checkedShape, storage: storageOf(buffer), base: buffer });
    this.#entries.set(key, { buffer, tensor });
    return tensor;
  }

  /** @throws TesseraeError ERR_DISPOSED if the workspace was disposed before */
  dispose(): void {
    if (this.#disposed) throw new TesseraeError('ERR_DISPOSED', 'the workspace was disposed twice');
    this[Symbol.dispose]();
  }

  /** Frees all memory; the tensors of the workspace are disposed. Does nothing the second time. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    for (const { buffer } of this.#entries.values()) buffer[Symbol.dispose]();
    this.#entries.clear();
  }

  #bufferFor(key: string, entry: Entry | undefined, sizeBytes: number): Tensor<'i8'> {
    if (entry === undefined || entry.buffer.disposed) return this.#pool.empty([sizeBytes], 'i8');
    entry.tensor[Symbol.dispose]();
    if (entry.buffer.sizeBytes >= sizeBytes) return entry.buffer;
    // Free the old buffer first: its contents are not kept, and the budget may need its bytes.
    entry.buffer[Symbol.dispose]();
    this.#entries.delete(key);
    const roomy = Math.max(sizeBytes, Math.ceil(entry.buffer.sizeBytes * GROWTH));
    try {
      return this.#pool.empty([roomy], 'i8');
    } catch (error) {
      if (roomy === sizeBytes || !(error instanceof TesseraeError) || error.code !== 'ERR_BUDGET') throw error;
      return this.#pool.empty([sizeBytes], 'i8');
    }
  }
}

seal(Workspace);

function isSame(tensor: Tensor, dtype: DType, shape: readonly number[]): boolean {
  if (tensor.disposed || tensor.dtype !== dtype || tensor.rank !== shape.length) return false;
  return shape.every((size, dim) => size === tensor.shape[dim]);
}
