// Loads a model's tensors without blocking the event loop and without a second copy: matrices of floats stay in the
// mapped file; quantized matrices are repacked from it, and vectors widened, into pooled memory. The architecture says
// which tensors there are; what they mean does not matter here. Called by loadModel.

import type { Weight, Weights } from '../architectures/architecture.js';
import { TesseraeError } from '../base/errors.js';
import { quote } from '../base/quote.js';
import { TimeSlice } from '../base/time-slice.js';
import type { Compute } from '../ops/calls/compute.js';
import { copy } from '../ops/rowwise/copy.js';
import type { DType } from '../tensor/elements/dtype.js';
import type { FileMappings, MappedFile } from '../tensor/memory/mapped-file.js';
import type { Tensor } from '../tensor/tensor.js';
import type { CheckpointTensor } from './checkpoint.js';
import type { ModelFile } from './model-file.js';
import type { PlacedTensor, Placement } from './placed-tensors.js';

/** A mapped matrix is read from the disk in chunks of this size, a few of them at once. */
const chunkBytes = 8 << 20;
const chunksAtOnce = 2;

/** Bytes of tensor data: loaded so far, and in total. */
export interface LoadProgress {
  readonly loadedBytes: number;
  readonly totalBytes: number;
}

export interface WeightLoadOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
}

/** Where weights are located: in pooled tensors, or in mapped files. */
export interface LoadingMemory {
  readonly compute: Compute;
  readonly mappings: FileMappings;
}

/**
 * Loads the tensors. The caller disposes of them; after a failure none is left. Pooled memory is rented, or checked to be
 * free, before the first tensor is read: a model that exceeds the budget fails at once. Mapped files do not count towards
 * the budget, since the system may drop their pages at any time.
 * @throws TesseraeError ERR_BUDGET, ERR_FILE, ERR_MODEL_FILE for a file that has become shorter; AbortError
 */
export async function loadWeights(
  memory: LoadingMemory,
  tensors: readonly PlacedTensor[],
  options: WeightLoadOptions,
): Promise<Weights> {
  const loading = new WeightLoad(memory, tensors, options);
  try {
    return await loading.run();
  } catch (error) {
    loading.disposeAll();
    throw error;
  } finally {
    loading.end();
  }
}

/** One load: the tensors made so far, the mapped files, and the progress. */
class WeightLoad {
  readonly #compute: Compute;
  readonly #mappings: FileMappings;
  readonly #steps: readonly PlacedTensor[];
  readonly #options: WeightLoadOptions;
  readonly #timeSlice: TimeSlice;
  readonly #weights = new Map<string, Weight>();
  readonly #mapped = new Map<ModelFile, MappedFile>();
  readonly #totalBytes: number;
  #loadedBytes = 0;

  constructor({ compute, mappings }: LoadingMemory, steps: readonly PlacedTensor[], options: WeightLoadOptions) {
    this.#compute = compute;
    this.#mappings = mappings;
    this.#steps = steps;
    this.#options = options;
    this.#timeSlice = new TimeSlice(options.signal);
    this.#totalBytes = steps.reduce((sum, { tensor }) => sum + tensor.sizeBytes, 0);
  }

  async run(): Promise<Weights> {
    for (const { spec, tensor, placement } of this.#steps) {
      if (placement.kind === 'mapped') this.#weights.set(spec.name, this.#place(tensor, placement.dtype));
      if (placement.kind === 'read') {
        this.#weights.set(spec.name, this.#compute.pool.empty(tensor.shape, placement.dtype));
      }
      if (this.#timeSlice.isOver()) await this.#timeSlice.yield();
    }
    this.#checkBudget();
    // The next tensor is read from the disk while the workers repack this one.
    let ahead = this.#fetch(0);
    for (const [index, { spec, tensor, placement }] of this.#steps.entries()) {
      await ahead;
      ahead = this.#fetch(index + 1);
      const settled = ahead.catch(() => {});
      try {
        if (placement.kind === 'packed') await this.#pack(spec.name, tensor, placement);
      } catch (error) {
        await settled;
        throw error;
      }
    }
    return this.#weights;
  }

  /** Ends the load: from now on only the tensors keep the files mapped. */
  end(): void {
    for (const file of this.#mapped.values()) file.close();
  }

  disposeAll(): void {
    for (const weight of this.#weights.values()) weight.dispose();
  }

  /** Reads a tensor's bytes from the disk: into pooled memory, or into the pages of the mapped file. */
  async #fetch(index: number): Promise<void> {
    const step = this.#steps[index];
    if (step === undefined) return;
    const { spec, tensor, placement } = step;
    if (placement.kind === 'read') {
      return this.#read(tensor, placement.fileDType, this.#weights.get(spec.name) as Tensor);
    }
    // A quantized matrix counts as loaded once it is packed.
    return this.#pageIn(tensor, placement.kind === 'mapped' ? (bytes) => this.#count(bytes) : () => {});
  }

  /** Fails before anything is read where the quantized matrices will not fit. */
  #checkBudget(): void {
    const needed = this.#steps.reduce(
      (sum, { placement }) => sum + (placement.kind === 'packed' ? placement.sizeBytes : 0),
      0,
    );
    const { freeBytes } = this.#compute.pool;
    if (needed <= freeBytes) return;
    const message = `the quantized weights need ${needed} bytes, but only ${freeBytes} of the memory budget are free`;
    throw new TesseraeError('ERR_BUDGET', message, { op: 'loadModel' });
  }

  #map(file: ModelFile): MappedFile {
    let mapped = this.#mapped.get(file);
    if (mapped === undefined) {
      mapped = this.#mappings.map(file);
      this.#mapped.set(file, mapped);
    }
    return mapped;
  }

  #place({ file, position, shape, transposed = false }: CheckpointTensor, dtype: DType): Tensor {
    const strides = transposed ? [1, shape[0] as number] : undefined;
    return this.#map(file).tensor(position, shape, dtype, strides);
  }

  /** Reads a mapped tensor from the disk, so that neither the event loop nor a worker waits for it. */
  async #pageIn({ file, position, sizeBytes }: CheckpointTensor, onRead: (bytes: number) => void): Promise<void> {
    const mapped = this.#map(file);
    const read = async (start: number) => {
      for (let at = start; at < sizeBytes; at += chunksAtOnce * chunkBytes) {
        this.#timeSlice.throwIfAborted();
        const bytes = Math.min(chunkBytes, sizeBytes - at);
        await mapped.pageIn(position + at, bytes);
        this.#timeSlice.throwIfAborted();
        onRead(bytes);
      }
    };
    const lanes = Array.from({ length: chunksAtOnce }, (_, lane) => read(lane * chunkBytes));
    const [failed] = (await Promise.allSettled(lanes)).filter((lane) => lane.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  /** Repacks a quantized matrix on all workers, and releases its pages of the mapped file. */
  async #pack(
    name: string,
    { file, position, sizeBytes }: CheckpointTensor,
    { type, shape }: Extract<Placement, { kind: 'packed' }>,
  ): Promise<void> {
    const { signal } = this.#options;
    const mapped = this.#map(file);
    const blocks = mapped.tensor(position, [sizeBytes], 'i8');
    try {
      this.#weights.set(name, await this.#compute.packQuantized(blocks, { type, shape, signal }));
    } finally {
      blocks.dispose();
    }
    await mapped.release(position, sizeBytes);
    this.#count(sizeBytes);
  }

  /** Reads into the tensor; through a temporary one where the type is widened or the matrix is transposed. */
  async #read(tensor: CheckpointTensor, dtype: DType, into: Tensor): Promise<void> {
    const { signal } = this.#options;
    const { shape, transposed = false, plus = 0 } = tensor;
    const isDirect = dtype === into.dtype && !transposed;
    const narrow = isDirect ? into : this.#compute.pool.empty(transposed ? [...shape].reverse() : shape, dtype);
    try {
      await tensor.file.readInto(narrow.asBytes(), tensor.position, `tensor ${quote(tensor.name)}`, signal);
      if (!isDirect) await this.#compute.call(copy, { x: transposed ? narrow.transpose() : narrow, out: into, signal });
      // Only norms have an addend: short vectors in f32.
      if (plus !== 0) into.set(Float32Array.from(into.data, (value) => value + plus));
    } finally {
      if (!isDirect) narrow.dispose();
    }
    this.#count(tensor.sizeBytes);
  }

  #count(bytes: number): void {
    this.#loadedBytes += bytes;
    this.#options.onProgress?.({ loadedBytes: this.#loadedBytes, totalBytes: this.#totalBytes });
  }
}
