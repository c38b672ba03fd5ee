// Loads a model's tensors into pooled memory, without blocking the event loop: vectors widened, matrices repacked as products
// read them, tables as they are. The architecture says which tensors there are; what they mean does not matter here.
// Nothing is mapped here: when the load ends, the model does not need its files any more. Called by loadModel.

import type { Weight, Weights } from '../architectures/architecture.js';
import { TesseraeError } from '../base/errors.js';
import { internal } from '../base/internal.js';
import { quote } from '../base/quote.js';
import { TimeSlice } from '../base/time-slice.js';
import type { Compute } from '../ops/calls/compute.js';
import { copy } from '../ops/rowwise/copy.js';
import { type DType, dtypes } from '../tensor/elements/dtype.js';
import { elementCount } from '../tensor/layout/layout.js';
import { bytesOf, type Tensor } from '../tensor/tensor.js';
import { Workspace } from '../tensor/workspace.js';
import type { CheckpointTensor } from './checkpoint.js';
import type { PlacedTensor, Placement } from './placed-tensors.js';
import { WeightMemory } from './weight-memory.js';

/** A tensor is read from the disk in chunks of this size, a few of them at once. */
const chunkBytes = 8 << 20;
const chunksAtOnce = 2;
/** The next quantized matrix is read while the workers repack this one; matrices of floats are larger, and repacked sooner. */
const stagedAtOnce = { quantized: 2, floats: 1 };

/** Bytes of tensor data: loaded so far, and in total. */
export interface LoadProgress {
  readonly loadedBytes: number;
  readonly totalBytes: number;
}

export interface WeightLoadOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
}

/**
 * Loads the tensors. The caller disposes of them; after a failure none is left. Memory is rented, or checked to be free,
 * before the first tensor is read: a model that exceeds the budget fails at once.
 * @throws TesseraeError ERR_BUDGET, ERR_FILE, ERR_MODEL_FILE for a file that has become shorter; AbortError
 */
export async function loadWeights(
  compute: Compute,
  tensors: readonly PlacedTensor[],
  options: WeightLoadOptions,
): Promise<Weights> {
  const loading = new WeightLoad(compute, tensors, options);
  try {
    return await loading.run();
  } catch (error) {
    loading.disposeAll();
    throw error;
  } finally {
    loading.end();
  }
}

export function disposeWeights(weights: Weights): void {
  for (const weight of weights.values()) weight.dispose();
}

/** One load: the tensors made so far, the staging memory, and the progress. */
class WeightLoad {
  readonly #compute: Compute;
  readonly #steps: readonly PlacedTensor[];
  readonly #neededBytes: number;
  readonly #options: WeightLoadOptions;
  readonly #timeSlice: TimeSlice;
  readonly #weights = new Map<string, Weight>();
  readonly #memory: WeightMemory;
  /** For the bytes of matrices that are repacked, in turn. */
  readonly #staging: Workspace;
  #stages = 0;
  #staged = 0;
  readonly #totalBytes: number;
  #loadedBytes = 0;

  constructor(compute: Compute, steps: readonly PlacedTensor[], options: WeightLoadOptions) {
    this.#compute = compute;
    // Without room for staging memory, matrices of floats stay as they are.
    const { freeBytes } = compute.pool;
    const needed = neededBytes(steps);
    this.#steps = needed <= freeBytes ? steps : steps.map(unpacked);
    this.#neededBytes = needed <= freeBytes ? needed : neededBytes(this.#steps);
    this.#options = options;
    this.#timeSlice = new TimeSlice(options.signal);
    this.#memory = new WeightMemory(compute.pool, sizesInOrder(this.#steps));
    this.#staging = new Workspace(internal, compute.pool);
    this.#totalBytes = steps.reduce((sum, { tensor }) => sum + tensor.sizeBytes, 0);
  }

  async run(): Promise<Weights> {
    this.#checkBudget();
    for (const { spec, tensor, placement } of this.#steps) {
      if (placement.kind === 'read') this.#weights.set(spec.name, this.#memory.empty(tensor.shape, placement.dtype));
      if (this.#timeSlice.isOver()) await this.#timeSlice.yield();
    }
    const sizes = stagingOf(this.#steps);
    this.#stages = sizes.length;
    for (const sizeBytes of sizes) this.#stage([sizeBytes], 'i8');
    if (this.#stages > 1) await this.#runAhead();
    else {
      for (const [index, step] of this.#steps.entries()) {
        const staged = await this.#fetch(index);
        if (staged !== undefined) await this.#pack(step, staged);
      }
    }
    return this.#weights;
  }

  /** The next tensor is read from the disk while the workers repack this one. */
  async #runAhead(): Promise<void> {
    let ahead = this.#fetch(0);
    for (const [index, step] of this.#steps.entries()) {
      const staged = await ahead;
      ahead = this.#fetch(index + 1);
      const settled = ahead.catch(() => {});
      try {
        if (staged !== undefined) await this.#pack(step, staged);
      } catch (error) {
        await settled;
        throw error;
      }
    }
  }

  /** Ends the load: from now on only the tensors keep memory. */
  end(): void {
    this.#memory.end();
    this.#staging[Symbol.dispose]();
    // The staging memory of a large model is not worth to be kept.
    this.#compute.pool.trim();
  }

  disposeAll(): void {
    disposeWeights(this.#weights);
  }

  /** Reads a tensor's bytes from the disk; gives them where they are to be repacked. */
  async #fetch(index: number): Promise<Tensor | undefined> {
    const step = this.#steps[index];
    if (step === undefined) return undefined;
    const { spec, tensor, placement } = step;
    if (placement.kind === 'read') {
      await this.#read(tensor, placement.fileDType, this.#weights.get(spec.name) as Tensor);
      return undefined;
    }
    const staged =
      placement.kind === 'panels'
        ? this.#stage(fileShapeOf(tensor), placement.dtype)
        : this.#stage([tensor.sizeBytes], 'i8');
    // It counts as loaded once it is packed.
    await this.#readBytes(tensor, staged, () => {});
    return staged;
  }

  /** The staging memory whose turn it is. */
  #stage(shape: readonly number[], dtype: DType): Tensor {
    return this.#staging.tensor(String(this.#staged++ % this.#stages), shape, dtype);
  }

  /** Fails before anything is read where the weights will not fit. */
  #checkBudget(): void {
    const needed = this.#neededBytes;
    const { freeBytes } = this.#compute.pool;
    if (needed <= freeBytes) return;
    const message = `the weights need ${needed} bytes, but only ${freeBytes} of the memory budget are free`;
    throw new TesseraeError('ERR_BUDGET', message, { op: 'loadModel' });
  }

  /** Reads the bytes of a tensor into the memory of another, in a few lanes. */
  async #readBytes(tensor: CheckpointTensor, into: Tensor, onRead: (bytes: number) => void): Promise<void> {
    const { file, position, sizeBytes } = tensor;
    const { signal } = this.#options;
    const read = async (start: number) => {
      for (let at = start; at < sizeBytes; at += chunksAtOnce * chunkBytes) {
        const bytes = Math.min(chunkBytes, sizeBytes - at);
        await file.readInto(bytesOf(into, at, bytes), position + at, `tensor ${quote(tensor.name)}`, signal);
        this.#timeSlice.throwIfAborted();
        onRead(bytes);
      }
    };
    const lanes = Array.from({ length: chunksAtOnce }, (_, lane) => read(lane * chunkBytes));
    const [failed] = (await Promise.allSettled(lanes)).filter((lane) => lane.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  /** Repacks a matrix on all workers. */
  async #pack({ spec, tensor, placement }: PlacedTensor, staged: Tensor): Promise<void> {
    const dtype = placement.kind === 'panels' ? placement.dtype : 'i8';
    const image = this.#memory.empty([placement.sizeBytes / dtypes[dtype].sizeBytes], dtype);
    try {
      this.#weights.set(spec.name, await this.#packInto(image, tensor, placement, staged));
    } catch (error) {
      image.dispose();
      throw error;
    }
    this.#count(tensor.sizeBytes);
  }

  #packInto(image: Tensor, tensor: CheckpointTensor, placement: Placement, staged: Tensor): Promise<Weight> {
    const { signal } = this.#options;
    if (placement.kind !== 'quantized') {
      return this.#compute.pack(staged, { transposeB: tensor.transposed !== true, signal }, image);
    }
    const { type, shape } = placement;
    return this.#compute.packQuantized(staged, { type, shape, signal }, image);
  }

  /** Reads into the tensor; through a temporary one where the type is widened or the matrix is transposed. */
  async #read(tensor: CheckpointTensor, dtype: DType, into: Tensor): Promise<void> {
    const { signal } = this.#options;
    const { transposed = false, plus = 0 } = tensor;
    if (dtype === into.dtype && !transposed) await this.#readBytes(tensor, into, (bytes) => this.#count(bytes));
    else {
      using narrow = this.#compute.pool.empty(fileShapeOf(tensor), dtype);
      await this.#readBytes(tensor, narrow, () => {});
      await this.#compute.call(copy, { x: transposed ? narrow.transpose() : narrow, out: into, signal });
      this.#count(tensor.sizeBytes);
    }
    // Only norms have an addend: short vectors in f32.
    if (plus !== 0) into.set(Float32Array.from(into.data as Float32Array, (value) => value + plus));
  }

  #count(bytes: number): void {
    this.#loadedBytes += bytes;
    this.#options.onProgress?.({ loadedBytes: this.#loadedBytes, totalBytes: this.#totalBytes });
  }
}

/** Bytes of pooled memory that a model's weights take once they are loaded. */
export function heldByWeights(steps: readonly PlacedTensor[]): number {
  return WeightMemory.bytesFor(sizesInOrder(steps));
}

/** Those that are only read have their memory first. */
function sizesInOrder(steps: readonly PlacedTensor[]): number[] {
  const isRead = ({ placement }: PlacedTensor) => placement.kind === 'read';
  const packed = steps.filter((step) => !isRead(step));
  return [...steps.filter(isRead), ...packed].map(({ placement }) => placement.sizeBytes);
}

/** Bytes of pooled memory that loading takes at most, before each is rounded up to its size class. */
function neededBytes(steps: readonly PlacedTensor[]): number {
  const staging = stagingOf(steps).reduce((sum, bytes) => sum + bytes, 0);
  return steps.reduce((sum, { placement }) => sum + placement.sizeBytes, staging);
}

/** The same, with a matrix of floats as the file has it. */
function unpacked(step: PlacedTensor): PlacedTensor {
  const { placement, tensor } = step;
  if (placement.kind !== 'panels') return step;
  const { dtype } = placement;
  const sizeBytes = elementCount(tensor.shape) * dtypes[dtype].sizeBytes;
  return { ...step, placement: { kind: 'read', fileDType: dtype, dtype, sizeBytes } };
}

function fileShapeOf({ shape, transposed = false }: CheckpointTensor): readonly number[] {
  return transposed ? [...shape].reverse() : shape;
}

/** The sizes of the staging memory: each block takes any matrix that is repacked. */
function stagingOf(steps: readonly PlacedTensor[]): number[] {
  const isPacked = (placement: Placement) => placement.kind !== 'read';
  const atOnce = steps.some(({ placement }) => placement.kind === 'quantized')
    ? stagedAtOnce.quantized
    : stagedAtOnce.floats;
  const sizes = steps.filter(({ placement }) => isPacked(placement)).map(({ tensor }) => tensor.sizeBytes);
  return new Array(Math.min(sizes.length, atOnce)).fill(sizes.reduce((most, size) => Math.max(most, size), 0));
}
