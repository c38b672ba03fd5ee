// Loads a model's tensors from its file straight into pooled shared memory, without blocking and without a second
// copy. Knows which tensors are wanted from the architecture, and nothing of what they mean.
import { formatShape, TesseraeError } from '../errors.js';
import { type DType, dtypes } from '../tensor/dtype.js';
import type { Tensor } from '../tensor/tensor.js';
import type { WeightSpec, Weights } from './architectures/architecture.js';
import { quote } from './gguf/quote.js';
import type { GgufFile, GgufTensorInfo } from './gguf/reader.js';
import type { ModelHost } from './host.js';

const dtypeOfType: Readonly<Record<string, DType>> = { F32: 'f32', F16: 'f16' };

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
  readonly info: GgufTensorInfo;
}

/**
 * The tensors are the caller's to dispose; after a failure none is left. Memory for all of them is rented before the
 * first is read, so that what exceeds the budget fails at once.
 * @throws TesseraeError ERR_MODEL_FILE for a tensor that is missing or of a wrong shape, ERR_UNSUPPORTED for one that the
 * architecture has no use for: a model computed without it would be another model
 */
export async function loadWeights(
  host: ModelHost,
  file: GgufFile,
  specs: readonly WeightSpec[],
  { signal, onProgress }: WeightLoadOptions,
): Promise<Weights> {
  const wanted = specs.flatMap((spec): Wanted[] => {
    const info = spec.optional ? file.tensors.get(spec.name) : file.tensor(spec.name);
    if (info !== undefined) checkShapeOf(file, info, spec);
    return info === undefined ? [] : [{ spec, info }];
  });
  if (wanted.length < file.tensors.size) refuseOthers(file, specs);
  const totalBytes = wanted.reduce((sum, { info }) => sum + info.sizeBytes, 0);
  const weights = new Map<string, Tensor>();
  let loadedBytes = 0;
  try {
    for (const { spec, info } of wanted) {
      weights.set(spec.name, host.empty(info.shape, spec.asF32 ? 'f32' : dtypeOf(file, info)));
    }
    for (const { spec, info } of wanted) {
      await loadTensor(host, file, info, weights.get(spec.name) as Tensor, signal);
      loadedBytes += info.sizeBytes;
      onProgress?.({ loadedBytes, totalBytes });
    }
    return weights;
  } catch (error) {
    for (const tensor of weights.values()) tensor.dispose();
    throw error;
  }
}

function refuseOthers(file: GgufFile, specs: readonly WeightSpec[]): void {
  const known = new Set(specs.map((spec) => spec.name));
  for (const name of file.tensors.keys()) {
    if (known.has(name)) continue;
    const message = `${file.path}: nothing is known of tensor ${quote(name)} in this architecture`;
    throw new TesseraeError('ERR_UNSUPPORTED', message);
  }
}

function checkShapeOf(file: GgufFile, info: GgufTensorInfo, { shape }: WeightSpec): void {
  if (info.shape.length === shape.length && info.shape.every((size, dim) => size === shape[dim])) return;
  const shapes = `${formatShape(info.shape)}, the metadata asks for ${formatShape(shape)}`;
  throw new TesseraeError('ERR_MODEL_FILE', `${file.path}: tensor ${quote(info.name)} is ${shapes}`);
}

function dtypeOf(file: GgufFile, info: GgufTensorInfo): DType {
  const dtype = dtypeOfType[info.type];
  if (dtype !== undefined) return dtype;
  throw new TesseraeError('ERR_UNSUPPORTED', `${file.path}: tensor ${quote(info.name)} has type ${info.type}`);
}

/** Reads into the tensor, by way of a second one where the type must be widened. */
async function loadTensor(
  host: ModelHost,
  file: GgufFile,
  info: GgufTensorInfo,
  into: Tensor,
  signal: AbortSignal | undefined,
): Promise<void> {
  const dtype = dtypeOf(file, info);
  if (dtype === into.dtype) return file.readTensorInto(info, bytesOf(into), signal);
  const narrow = host.empty(info.shape, dtype);
  try {
    await file.readTensorInto(info, bytesOf(narrow), signal);
    await host.copy(narrow, { out: into, signal });
  } finally {
    narrow.dispose();
  }
}

function bytesOf(tensor: Tensor): Uint8Array {
  const { buffer, byteOffset } = tensor.storage;
  return new Uint8Array(buffer as SharedArrayBuffer, byteOffset, tensor.size * dtypes[tensor.dtype].sizeBytes);
}
