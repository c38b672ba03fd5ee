// Tensor: an element type, a shape, and strides over a storage. Views share the storage and never copy. Computes nothing.
// Made by TensorPool, by programs for their temporaries, and by its own view methods.
import { unreadable } from '../base/describe.js';
import { formatShape, TesseraeError } from '../base/errors.js';
import { checkInternal, type Internal, internal, seal } from '../base/internal.js';
import { type DType, dtypes, type TypedArrayOf } from './elements/dtype.js';
import {
  checkData,
  type PackedArrayOf,
  readElements,
  sharedView,
  type TensorData,
  writeElements,
} from './elements/elements.js';
import {
  argumentError,
  byteExtent,
  checkShape,
  contiguousStrides,
  elementCount,
  isContiguous,
  shapeError,
} from './layout/layout.js';
import {
  expandedLayout,
  reshapedLayout,
  type SliceRange,
  slicedLayout,
  squeezedLayout,
  transposedLayout,
  unsqueezedLayout,
  type ViewLayout,
} from './layout/view-layout.js';
import type { Storage } from './memory/storage.js';

export interface TensorOptions<D extends DType> {
  readonly dtype: D;
  readonly shape: readonly number[];
  /** In elements; by default packed in row-major order. */
  readonly strides?: readonly number[];
  /** Position of the first element, in elements from the storage's start; 0 by default. */
  readonly offset?: number;
  readonly storage: Storage;
  /** The tensor that owns the storage, for a view; without it the new tensor owns the storage. */
  readonly base?: Tensor;
}

/** The scope that will dispose a tensor. Implemented by TensorScope. */
export interface TensorKeeper {
  /** Called when the tensor is disposed earlier. */
  forget(tensor: Tensor): void;
}

let lastId = 0;

/** Keeps a tensor, and so its memory, alive as long as the typed array that `data` returned. */
const tensorOfData = new WeakMap<object, Tensor>();

/** The memory of a tensor. Not a property: callers could release memory that is in use. */
export let storageOf: (tensor: Tensor) => Storage;
/** Part of the memory of a contiguous tensor as bytes: a typed array cannot be as long as a tensor may be. */
export let bytesOf: (tensor: Tensor, from: number, length: number) => Uint8Array;
/** The scope that will dispose a tensor. */
export let keeperOf: (tensor: Tensor) => TensorKeeper | undefined;
export let setKeeper: (tensor: Tensor, keeper: TensorKeeper | undefined) => void;

/**
 * A dense array of numbers in shared memory. A tensor owns its memory until {@link dispose}. A view (from `reshape`,
 * `transpose`, `slice`, `expand`, `squeeze`, `unsqueeze`) borrows the memory of its owner: the view keeps the owner from
 * being garbage-collected, disposing the view frees nothing, and once the owner is disposed, every use of the view fails
 * with ERR_DISPOSED. All of its properties are read-only, and nothing can be added to it: native code trusts them.
 */
export class Tensor<D extends DType = DType> {
  readonly #id: number;
  readonly #dtype: D;
  readonly #shape: readonly number[];
  readonly #strides: readonly number[];
  readonly #offset: number;
  readonly #storage: Storage;
  readonly #base: Tensor | undefined;
  readonly #size: number;
  readonly #isContiguous: boolean;
  #keeper: TensorKeeper | undefined;
  #disposed = false;
  #data: TypedArrayOf[D] | undefined;

  static {
    storageOf = (tensor) => tensor.#storage;
    bytesOf = (tensor, from, length) => {
      tensor.checkUsable('data');
      const { buffer, byteOffset } = tensor.#storage;
      if (buffer === undefined || !tensor.isContiguous || from < 0 || from + length > tensor.sizeBytes) {
        throw argumentError(`bytes ${from} to ${from + length} of ${tensor.toString()} cannot be accessed`, 'data');
      }
      return new Uint8Array(buffer, byteOffset + tensor.offset * dtypes[tensor.dtype].sizeBytes + from, length);
    };
    keeperOf = (tensor) => tensor.#keeper;
    setKeeper = (tensor, keeper) => {
      tensor.#keeper = keeper;
    };
  }

  /** Only what was constructed here is a tensor, and not what has its prototype. */
  static [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === 'object' && value !== null && #storage in value;
  }

  /**
   * @internal `engine.tensor`, ops and views make tensors.
   * @throws TesseraeError ERR_SHAPE if the layout is invalid or extends beyond the storage
   */
  constructor(key: Internal, options: TensorOptions<D>) {
    checkInternal(key, 'Tensor', 'engine.tensor');
    const { dtype, shape, strides, offset = 0, storage, base } = options;
    const ownShape = checkShape(shape);
    this.#id = ++lastId;
    this.#dtype = dtype;
    this.#shape = Object.freeze(ownShape);
    this.#strides = Object.freeze(strides === undefined ? contiguousStrides(ownShape) : [...strides]);
    this.#offset = offset;
    this.#storage = storage;
    this.#base = base?.base ?? base;
    this.#size = elementCount(ownShape);
    this.#isContiguous = isContiguous(ownShape, this.#strides);
    Object.preventExtensions(this);
    this.#checkLayout();
  }

  #checkLayout(): void {
    let valid = isIndex(this.#offset);
    for (const stride of this.#strides) valid &&= isIndex(stride);
    if (!valid) {
      const got = `strides ${formatShape(this.#strides)} and offset ${this.#offset}`;
      throw shapeError(`strides and offset must be non-negative integers, got ${got}`);
    }
    if (this.#strides.length !== this.#shape.length) {
      throw shapeError(`strides ${formatShape(this.#strides)} do not fit shape ${formatShape(this.#shape)}`);
    }
    const { end } = byteExtent(this);
    if (this.#size > 0 && end > this.#storage.sizeBytes) {
      throw shapeError(`${this.toString()} reaches to byte ${end} of a storage of ${this.#storage.sizeBytes}`);
    }
  }

  /** A serial number, unique in the process. */
  get id(): number {
    return this.#id;
  }

  get dtype(): D {
    return this.#dtype;
  }

  get shape(): readonly number[] {
    return this.#shape;
  }

  /** In elements. */
  get strides(): readonly number[] {
    return this.#strides;
  }

  /** Position of the first element, in elements from the storage's start. */
  get offset(): number {
    return this.#offset;
  }

  /** The owner of the memory, if this is a view. */
  get base(): Tensor | undefined {
    return this.#base;
  }

  /** Number of elements. */
  get size(): number {
    return this.#size;
  }

  /** Whether the elements are packed in row-major order. */
  get isContiguous(): boolean {
    return this.#isContiguous;
  }

  get rank(): number {
    return this.shape.length;
  }

  /** Size of the elements when packed. A view may span more bytes or, when expanded, fewer. */
  get sizeBytes(): number {
    return this.size * dtypes[this.dtype].sizeBytes;
  }

  /** Absolute byte address of the first element; NaN while the storage has none. */
  get address(): number {
    return this.#storage.address + this.offset * dtypes[this.dtype].sizeBytes;
  }

  /** Whether this tensor, or the owner of its memory, was disposed. */
  get disposed(): boolean {
    return this.#disposed || this.#storage.disposed || this.base?.disposed === true;
  }

  /**
   * @param op the operation that uses the tensor, for the message
   * @param pool the pool that the tensor must belong to; by default any
   * @throws TesseraeError ERR_DISPOSED or ERR_FOREIGN_TENSOR
   */
  checkUsable(op?: string, pool?: object): void {
    // A program looks at hundreds of tensors before each run.
    if (pool === undefined && !this.disposed) return;
    const details = op === undefined ? {} : { op };
    if (this.disposed) {
      const what = this.#disposed || this.base === undefined ? 'was disposed' : 'views a tensor that was disposed';
      throw new TesseraeError('ERR_DISPOSED', `${this.toString()} ${what}`, details);
    }
    if (pool !== undefined && this.#storage.owner !== pool) {
      throw new TesseraeError('ERR_FOREIGN_TENSOR', `${this.toString()} belongs to another engine`, details);
    }
  }

  /**
   * The elements as a typed array over the shared memory, f16 and bf16 as their bits; the same object on each access. As
   * long as it is reachable, the memory is kept, even if the tensor is dropped without being disposed; other arrays over
   * its buffer (`subarray`) do not keep it. After {@link dispose}, its contents are undefined.
   * @throws TesseraeError ERR_ARGUMENT for a view that is not contiguous, and for a program's temporary
   */
  get data(): TypedArrayOf[D] {
    this.checkUsable('data');
    if (this.#data === undefined) {
      if (!this.isContiguous) {
        throw argumentError(`${this.toString()} is not contiguous; toArray() gives a packed copy`, 'data');
      }
      this.#data = this.#elements(this.size, 'data');
      tensorOfData.set(this.#data, this);
    }
    return this.#data;
  }

  /** @internal The same memory as {@link data}, as bytes. */
  asBytes(): Uint8Array {
    const { buffer, byteOffset, byteLength } = this.data;
    return new Uint8Array(buffer, byteOffset, byteLength);
  }

  /** A packed, unshared copy; f16 and bf16 are widened to a Float32Array. Works for every view. */
  toArray(): PackedArrayOf[D] {
    this.checkUsable('toArray');
    return readElements(this.#elements(this.#span(), 'toArray'), this);
  }

  /**
   * Overwrites all elements with values in row-major order. Numbers are rounded to f32, f16 or bf16; for i8 and i32 they
   * must be integers that fit. A Uint16Array contains f16 or bf16 bits.
   * @throws TesseraeError ERR_SHAPE for a wrong number of values; ERR_ARGUMENT for values that do not fit, and for an
   * expanded view, whose elements share memory
   */
  set(values: TensorData): void {
    this.checkUsable('set');
    const checked = checkData(values, this.dtype, this.shape, 'set');
    if (this.size > 0 && this.shape.some((size, dim) => size > 1 && this.strides[dim] === 0)) {
      throw argumentError(`elements of the expanded view ${this.toString()} share memory`, 'set');
    }
    writeElements(checked, this.#elements(this.#span(), 'set'), this);
  }

  /** The number in a tensor of one element. */
  item(): number {
    this.checkUsable('item');
    if (this.size !== 1) throw shapeError(`${this.toString()} does not have exactly one element`, 'item');
    return this.toArray()[0] as number;
  }

  /**
   * A view of another shape with the same number of elements; one dimension may be -1.
   * @throws TesseraeError ERR_SHAPE if the numbers of elements differ, or if the shape needs a copy
   */
  reshape(shape: readonly number[]): Tensor<D> {
    this.checkUsable('reshape');
    return this.#view(layoutFor(reshapedLayout, this, shape, 'reshape'));
  }

  /**
   * Permutes the dimensions: dimension i of the result is dimension `axes[i]`. Without axes, their order is reversed.
   * Negative axes count from the end.
   */
  transpose(...axes: number[]): Tensor<D> {
    this.checkUsable('transpose');
    return this.#view(layoutFor(transposedLayout, this, axes, 'transpose'));
  }

  /**
   * A part of each dimension: `x.slice([1, 3], null, [0, -1, 2])`. A range is `[start, end, step]`, end exclusive, each
   * part optional; `null`, or no range, takes the whole dimension. Negative bounds count from the end; steps are positive.
   * @throws TesseraeError ERR_SHAPE for bounds outside the dimension (they are not clamped), ERR_ARGUMENT for bounds that
   * are not integers
   */
  slice(...ranges: SliceRange[]): Tensor<D> {
    this.checkUsable('slice');
    return this.#view(layoutFor(slicedLayout, this, ranges, 'slice'));
  }

  /** Broadcasts to a larger shape without a copy: dimensions of size 1 are repeated, new ones are added in front. */
  expand(shape: readonly number[]): Tensor<D> {
    this.checkUsable('expand');
    return this.#view(layoutFor(expandedLayout, this, shape, 'expand'));
  }

  /** Drops one dimension of size 1; without an axis, all of them. */
  squeeze(axis?: number): Tensor<D> {
    this.checkUsable('squeeze');
    return this.#view(squeezedLayout(this, axis));
  }

  /** Adds a dimension of size 1 before dimension `axis`; -1 adds it at the end. */
  unsqueeze(axis: number): Tensor<D> {
    this.checkUsable('unsqueeze');
    return this.#view(unsqueezedLayout(this, axis));
  }

  /**
   * Gives the memory back to its pool; a view gives nothing back. A running program keeps the memory until it ends.
   * @throws TesseraeError ERR_DISPOSED if this object was disposed before
   */
  dispose(): void {
    if (this.#disposed) throw new TesseraeError('ERR_DISPOSED', `${this.toString()} was disposed twice`);
    this[Symbol.dispose]();
  }

  /** Like {@link dispose}, but does nothing the second time, so that `using` allows an early dispose(). */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#data = undefined;
    this.#keeper?.forget(this);
    this.#keeper = undefined;
    if (this.base === undefined && !this.#storage.disposed) this.#storage.release?.();
  }

  /** `f32 tensor [2, 3]`, as in error messages. */
  toString(): string {
    return `${this.dtype} tensor ${formatShape(this.shape)}`;
  }

  #view({ shape, strides, offset }: ViewLayout): Tensor<D> {
    const dtype = this.#dtype;
    const storage = this.#storage;
    return new Tensor(internal, { dtype, shape, strides, offset: this.offset + offset, storage, base: this });
  }

  /** Number of elements in memory from the first one to the last. */
  #span(): number {
    const { start, end } = byteExtent(this);
    return (end - start) / dtypes[this.dtype].sizeBytes;
  }

  /** A typed array over the shared memory, from the first element on. */
  #elements(length: number, op: string): TypedArrayOf[D] {
    const storage = this.#storage;
    if (storage.buffer === undefined) {
      throw argumentError(`${this.toString()} is a program's temporary, which only programs can read`, op);
    }
    const byteOffset = storage.byteOffset + this.offset * dtypes[this.dtype].sizeBytes;
    return sharedView(this.dtype, storage.buffer, length === 0 ? storage.byteOffset : byteOffset, length);
  }
}

seal(Tensor);

/** The layout of a view; an argument that throws when it is read gives a typed error. */
function layoutFor<Argument>(
  layoutOf: (source: Tensor, argument: Argument) => ViewLayout,
  source: Tensor,
  argument: Argument,
  op: string,
): ViewLayout {
  try {
    return layoutOf(source, argument);
  } catch (cause) {
    throw unreadable(cause, 'the argument', op);
  }
}

function isIndex(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
