// Loads a model's tensors without blocking the event loop and without a second copy: matrices of floats stay in the
// mapped file; quantized matrices are repacked from it, and vectors widened, into pooled memory. The architecture says
// which tensors there are; what they mean does not matter here. Called by loadModel.

import type { Weight, WeightSpec, Weights } from '../architectures/architecture.js';
import { formatShape, TesseraeError } from '../base/errors.js';
import { quote } from '../base/quote.js';
import { TimeSlice } from '../base/time-slice.js';
import type { Compute } from '../ops/calls/compute.js';
import { imageBytes, isQuantizedType, type QuantizedType } from '../ops/quantized/quantized-type.js';
import { copy } from '../ops/rowwise/copy.js';
import { type DType, dtypes } from '../tensor/elements/dtype.js';
import type { FileMappings, MappedFile } from '../tensor/memory/mapped-file.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Checkpoint, CheckpointTensor } from './checkpoint.js';
import { supportedTensorTypes } from './gguf/tensor-types.js';
import type { ModelFile } from './model-file.js';

const dtypeOfType: Readonly<Record<string, DType>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };

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

interface Wanted {
  readonly spec: WeightSpec;
  readonly tensor: CheckpointTensor;
}

/** @throws TesseraeError ERR_UNSUPPORTED when a tensor has a type that no kernel computes with; names both */
export function requireSupportedTypes(checkpoint: Checkpoint): void {
  for (const tensor of checkpoint.tensors.values()) {
    if (!supportedTensorTypes.has(tensor.type)) throw unsupportedType(tensor);
  }
}

/** Where weights are located: in pooled tensors, or in mapped files. */
export interface LoadingMemory {
  readonly compute: Compute;
  readonly mappings: FileMappings;
}

/**
 * Loads all tensors that the architecture names. The caller disposes of them; after a failure none is left. Pooled
 * memory is rented, or checked to be free, before the first tensor is read: a model that exceeds the budget fails at
 * once. Mapped files do not count towards the budget, since the system may drop their pages at any time.
 * @throws TesseraeError ERR_MODEL_FILE for a tensor that is missing or has a wrong shape, ERR_UNSUPPORTED for one that
 * the architecture does not name: computed without it, this would be another model; ERR_BUDGET; AbortError
 */
export async function loadWeights(
  memory: LoadingMemory,
  checkpoint: Checkpoint,
  specs: readonly WeightSpec[],
  options: WeightLoadOptions,
): Promise<Weights> {
  const loading = new WeightLoad(memory, wantedOf(checkpoint, specs), options);
  try {
    return await loading.run();
  } catch (error) {
    loading.disposeAll();
    throw error;
  } finally {
    loading.end();
  }
}

function wantedOf(checkpoint: Checkpoint, specs: readonly WeightSpec[]): Wanted[] {
  const wanted = specs.flatMap((spec): Wanted[] => {
    const tensor = checkpoint.tensors.get(spec.name);
    if (tensor === undefined && !spec.optional) {
      throw new TesseraeError('ERR_MODEL_FILE', `${checkpoint.path}: tensor ${quote(spec.name)} is missing`);
    }
    if (tensor !== undefined) checkShapeOf(tensor, spec);
    return tensor === undefined ? [] : [{ spec, tensor }];
  });
  if (wanted.length < checkpoint.tensors.size) refuseOthers(checkpoint, specs);
  return wanted;
}

function refuseOthers(checkpoint: Checkpoint, specs: readonly WeightSpec[]): void {
  const known = new Set(specs.map((spec) => spec.name));
  for (const { name, file } of checkpoint.tensors.values()) {
    if (known.has(name)) continue;
    const message = `${file.path}: this architecture has no tensor ${quote(name)}`;
    throw new TesseraeError('ERR_UNSUPPORTED', message);
  }
}

function checkShapeOf({ file, name, shape }: CheckpointTensor, spec: WeightSpec): void {
  const isShape = (wanted: readonly number[]) =>
    shape.length === wanted.length && shape.every((size, dim) => size === wanted[dim]);
  if (isShape(spec.shape) || (spec.otherShape !== undefined && isShape(spec.otherShape))) return;
  const shapes = `${formatShape(shape)}, the metadata asks for ${formatShape(spec.shape)}`;
  throw new TesseraeError('ERR_MODEL_FILE', `${file.path}: tensor ${quote(name)} is ${shapes}`);
}

function unsupportedType({ file, name, type }: CheckpointTensor): TesseraeError {
  const supported = [...supportedTensorTypes].join(', ');
  const message = `${file.path}: tensor ${quote(name)} has type ${type}, which is not supported; supported are ${supported}`;
  return new TesseraeError('ERR_UNSUPPORTED', message);
}

function dtypeOf(tensor: CheckpointTensor): DType {
  const dtype = dtypeOfType[tensor.type];
  if (dtype === undefined) throw unsupportedType(tensor);
  return dtype;
}

/** How a tensor is loaded. */
type Placement =
  /** A matrix of floats: stays in the mapped file. */
  | { readonly kind: 'mapped' }
  /** A quantized matrix: repacked from the mapped file into pooled memory; its pages of the file are released. */
  | { readonly kind: 'packed'; readonly type: QuantizedType; readonly shape: readonly [number, number] }
  /** A vector, which is widened, or a matrix that is misaligned in its file: read into pooled memory. */
  | { readonly kind: 'read' };

function placementOf({ spec, tensor }: Wanted): Placement {
  const { type, shape, position } = tensor;
  if (isQuantizedType(type)) {
    const [n, k] = shape;
    if (!spec.asF32 && shape.length === 2) return { kind: 'packed', type, shape: [n as number, k as number] };
    const message = `${tensor.file.path}: tensor ${quote(tensor.name)} has type ${type}, which only matrices may have`;
    throw new TesseraeError('ERR_UNSUPPORTED', message);
  }
  const isAligned = position % dtypes[dtypeOf(tensor)].sizeBytes === 0;
  return { kind: !spec.asF32 && isAligned ? 'mapped' : 'read' };
}

interface Step extends Wanted {
  readonly placement: Placement;
}

/** One load: the tensors made so far, the mapped files, and the progress. */
class WeightLoad {
  readonly #compute: Compute;
  readonly #mappings: FileMappings;
  readonly #steps: readonly Step[];
  readonly #options: WeightLoadOptions;
  readonly #timeSlice: TimeSlice;
  readonly #weights = new Map<string, Weight>();
  readonly #mapped = new Map<ModelFile, MappedFile>();
  readonly #totalBytes: number;
  #loadedBytes = 0;

  constructor({ compute, mappings }: LoadingMemory, wanted: readonly Wanted[], options: WeightLoadOptions) {
    this.#compute = compute;
    this.#mappings = mappings;
    this.#steps = wanted.map((one) => ({ ...one, placement: placementOf(one) }));
    this.#options = options;
    this.#timeSlice = new TimeSlice(options.signal);
    this.#totalBytes = wanted.reduce((sum, { tensor }) => sum + tensor.sizeBytes, 0);
  }

  async run(): Promise<Weights> {
    for (const { spec, tensor, placement } of this.#steps) {
      if (placement.kind === 'mapped') this.#weights.set(spec.name, this.#place(tensor));
      if (placement.kind === 'read') this.#weights.set(spec.name, this.#rent(spec, tensor));
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
    if (placement.kind === 'read') return this.#read(tensor, this.#weights.get(spec.name) as Tensor);
    // A quantized matrix counts as loaded once it is packed.
    return this.#pageIn(tensor, placement.kind === 'mapped' ? (bytes) => this.#count(bytes) : () => {});
  }

  /** Fails before anything is read where the quantized matrices will not fit. */
  #checkBudget(): void {
    const needed = this.#steps.reduce(
      (sum, { placement }) => sum + (placement.kind === 'packed' ? imageBytes(placement.type, placement.shape) : 0),
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

  #place(tensor: CheckpointTensor): Tensor {
    const { file, position, shape, transposed = false } = tensor;
    const strides = transposed ? [1, shape[0] as number] : undefined;
    return this.#map(file).tensor(position, shape, dtypeOf(tensor), strides);
  }

  #rent(spec: WeightSpec, tensor: CheckpointTensor): Tensor {
    return this.#compute.pool.empty(tensor.shape, spec.asF32 ? 'f32' : dtypeOf(tensor));
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
    { type, shape }: { readonly type: QuantizedType; readonly shape: readonly [number, number] },
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
  async #read(tensor: CheckpointTensor, into: Tensor): Promise<void> {
    const { signal } = this.#options;
    const { shape, transposed = false, plus = 0 } = tensor;
    const dtype = dtypeOf(tensor);
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
