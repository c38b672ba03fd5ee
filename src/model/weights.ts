// Loads a model's tensors without blocking and without a second copy: matrices stand in the mapped file, vectors are
// widened into pooled memory. Knows which tensors are wanted from the architecture, and nothing of what they mean.
import { formatShape, TesseraeError } from '../errors.js';
import { type DType, dtypes } from '../tensor/dtype.js';
import type { MappedFile } from '../tensor/mapped-file.js';
import type { Tensor } from '../tensor/tensor.js';
import type { WeightSpec, Weights } from './architectures/architecture.js';
import { quote } from './gguf/quote.js';
import { supportedTensorTypes } from './gguf/tensor-types.js';
import type { ModelHost } from './host.js';
import type { OpenFile } from './open-file.js';
import { Pace } from './pace.js';
import type { ModelSource, SourceTensor } from './source.js';

const dtypeOfType: Readonly<Record<string, DType>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };

/** A mapped matrix is read from the disk in pieces of this size, a few of them at once. */
const pieceBytes = 8 << 20;
const piecesAtOnce = 2;

/** What a load tells its caller: bytes of tensor data, so far and in all. */
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
  readonly tensor: SourceTensor;
}

/** @throws TesseraeError ERR_UNSUPPORTED when a tensor has a type that no kernel computes with; names both. */
export function requireSupportedTypes(source: ModelSource): void {
  for (const tensor of source.tensors.values()) {
    if (!supportedTensorTypes.has(tensor.type)) throw unsupportedType(tensor);
  }
}

/**
 * The tensors are the caller's to dispose; after a failure none is left. Pooled memory for all of them is rented before
 * the first is read, so that what exceeds the budget fails at once. Mapped files are no part of the budget: the system
 * may drop their pages at any time.
 * @throws TesseraeError ERR_MODEL_FILE for a tensor that is missing or of a wrong shape, ERR_UNSUPPORTED for one that the
 * architecture has no use for: a model computed without it would be another model
 */
export async function loadWeights(
  host: ModelHost,
  source: ModelSource,
  specs: readonly WeightSpec[],
  options: WeightLoadOptions,
): Promise<Weights> {
  const loading = new WeightLoad(host, wantedOf(source, specs), options);
  try {
    return await loading.run();
  } catch (error) {
    loading.disposeAll();
    throw error;
  } finally {
    loading.end();
  }
}

function wantedOf(source: ModelSource, specs: readonly WeightSpec[]): Wanted[] {
  const wanted = specs.flatMap((spec): Wanted[] => {
    const tensor = source.tensors.get(spec.name);
    if (tensor === undefined && !spec.optional) {
      throw new TesseraeError('ERR_MODEL_FILE', `${source.path}: tensor ${quote(spec.name)} is missing`);
    }
    if (tensor !== undefined) checkShapeOf(tensor, spec);
    return tensor === undefined ? [] : [{ spec, tensor }];
  });
  if (wanted.length < source.tensors.size) refuseOthers(source, specs);
  return wanted;
}

function refuseOthers(source: ModelSource, specs: readonly WeightSpec[]): void {
  const known = new Set(specs.map((spec) => spec.name));
  for (const { name, file } of source.tensors.values()) {
    if (known.has(name)) continue;
    const message = `${file.path}: nothing is known of tensor ${quote(name)} in this architecture`;
    throw new TesseraeError('ERR_UNSUPPORTED', message);
  }
}

function checkShapeOf({ file, name, shape }: SourceTensor, spec: WeightSpec): void {
  if (shape.length === spec.shape.length && shape.every((size, dim) => size === spec.shape[dim])) return;
  const shapes = `${formatShape(shape)}, the metadata asks for ${formatShape(spec.shape)}`;
  throw new TesseraeError('ERR_MODEL_FILE', `${file.path}: tensor ${quote(name)} is ${shapes}`);
}

function unsupportedType({ file, name, type }: SourceTensor): TesseraeError {
  const supported = [...supportedTensorTypes].join(', ');
  const message = `${file.path}: tensor ${quote(name)} has type ${type}; supported are ${supported}`;
  return new TesseraeError('ERR_UNSUPPORTED', message);
}

function dtypeOf(tensor: SourceTensor): DType {
  const dtype = dtypeOfType[tensor.type];
  if (dtype === undefined) throw unsupportedType(tensor);
  return dtype;
}

/**
 * Matrices stay in the file. Vectors do not, nor what a file has placed where no element can be read; both are small or
 * rare.
 */
function staysInFile({ spec, tensor }: Wanted): boolean {
  return !spec.asF32 && tensor.position % dtypes[dtypeOf(tensor)].sizeBytes === 0;
}

/** One load: the tensors made so far, the mapped files, and the progress. */
class WeightLoad {
  readonly #host: ModelHost;
  readonly #wanted: readonly Wanted[];
  readonly #options: WeightLoadOptions;
  readonly #pace: Pace;
  readonly #weights = new Map<string, Tensor>();
  readonly #mapped = new Map<OpenFile, MappedFile>();
  readonly #totalBytes: number;
  #loadedBytes = 0;

  constructor(host: ModelHost, wanted: readonly Wanted[], options: WeightLoadOptions) {
    this.#host = host;
    this.#wanted = wanted;
    this.#options = options;
    this.#pace = new Pace(options.signal);
    this.#totalBytes = wanted.reduce((sum, { tensor }) => sum + tensor.sizeBytes, 0);
  }

  async run(): Promise<Weights> {
    for (const wanted of this.#wanted) {
      const { spec, tensor } = wanted;
      this.#weights.set(spec.name, staysInFile(wanted) ? this.#place(tensor) : this.#rent(wanted));
      if (this.#pace.due()) await this.#pace.rest();
    }
    for (const wanted of this.#wanted) {
      if (staysInFile(wanted)) await this.#pageIn(wanted.tensor);
      else await this.#read(wanted.tensor, this.#weights.get(wanted.spec.name) as Tensor);
    }
    return this.#weights;
  }

  /** The load is over: from here on the tensors alone keep the files mapped. */
  end(): void {
    for (const file of this.#mapped.values()) file.close();
  }

  disposeAll(): void {
    for (const weight of this.#weights.values()) weight.dispose();
  }

  #place(tensor: SourceTensor): Tensor {
    const { file, position, shape } = tensor;
    let mapped = this.#mapped.get(file);
    if (mapped === undefined) {
      mapped = this.#host.mapFile(file);
      this.#mapped.set(file, mapped);
    }
    return mapped.tensor(position, shape, dtypeOf(tensor));
  }

  #rent({ spec, tensor }: Wanted): Tensor {
    return this.#host.empty(tensor.shape, spec.asF32 ? 'f32' : dtypeOf(tensor));
  }

  /** Reads a mapped tensor from the disk, so that neither the event loop nor the first forward pass waits for it. */
  async #pageIn({ file, position, sizeBytes }: SourceTensor): Promise<void> {
    const mapped = this.#mapped.get(file) as MappedFile;
    const read = async (start: number) => {
      for (let at = start; at < sizeBytes; at += piecesAtOnce * pieceBytes) {
        this.#pace.check();
        const bytes = Math.min(pieceBytes, sizeBytes - at);
        await mapped.pageIn(position + at, bytes);
        this.#pace.check();
        this.#count(bytes);
      }
    };
    const lanes = Array.from({ length: piecesAtOnce }, (_, lane) => read(lane * pieceBytes));
    const [failed] = (await Promise.allSettled(lanes)).filter((lane) => lane.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  /** Reads into the tensor, by way of a second one where the type must be widened. */
  async #read(tensor: SourceTensor, into: Tensor): Promise<void> {
    const { signal } = this.#options;
    const dtype = dtypeOf(tensor);
    const narrow = dtype === into.dtype ? into : this.#host.empty(tensor.shape, dtype);
    try {
      await tensor.file.readInto(bytesOf(narrow), tensor.position, `tensor ${quote(tensor.name)}`, signal);
      if (narrow !== into) await this.#host.copy(narrow, { out: into, signal });
    } finally {
      if (narrow !== into) narrow.dispose();
    }
    this.#count(tensor.sizeBytes);
  }

  #count(bytes: number): void {
    this.#loadedBytes += bytes;
    this.#options.onProgress?.({ loadedBytes: this.#loadedBytes, totalBytes: this.#totalBytes });
  }
}

function bytesOf(tensor: Tensor): Uint8Array {
  const { buffer, byteOffset } = tensor.storage;
  return new Uint8Array(buffer as SharedArrayBuffer, byteOffset, tensor.size * dtypes[tensor.dtype].sizeBytes);
}
