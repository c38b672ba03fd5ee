// Loads a model's tensors from its file straight into pooled shared memory, without blocking and without a second
// copy. Knows which tensors are wanted from the architecture, and nothing of what they mean.
import { formatShape, TesseraeError } from '../errors.js';
import { type DType, dtypes } from '../tensor/dtype.js';
import type { Tensor } from '../tensor/tensor.js';
import type { WeightSpec, Weights } from './architectures/architecture.js';
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

/** The tensors are the caller's to dispose; after a failure none is left. */
export async function loadWeights(
  host: ModelHost,
  file: GgufFile,
  specs: readonly WeightSpec[],
  { signal, onProgress }: WeightLoadOptions,
): Promise<Weights> {
  const wanted = specs.flatMap((spec) => {
    const info = spec.optional ? file.tensors.get(spec.name) : file.tensor(spec.name);
    if (info !== undefined) checkShapeOf(file, info, spec);
    return info === undefined ? [] : [{ spec, info }];
  });
  const totalBytes = wanted.reduce((sum, { info }) => sum + info.sizeBytes, 0);
  const weights = new Map<string, Tensor>();
  let loadedBytes = 0;
  try {
    for (const { spec, info } of wanted) {
      weights.set(spec.name, await loadTensor(host, file, info, spec.asF32, signal));
      loadedBytes += info.sizeBytes;
      onProgress?.({ loadedBytes, totalBytes });
    }
    return weights;
  } catch (error) {
    for (const tensor of weights.values()) tensor.dispose();
    throw error;
  }
}

function checkShapeOf(file: GgufFile, info: GgufTensorInfo, { shape }: WeightSpec): void {
  if (info.shape.length === shape.length && info.shape.every((size, dim) => size === shape[dim])) return;
  const shapes = `${formatShape(info.shape)}, the metadata asks for ${formatShape(shape)}`;
  throw new TesseraeError('ERR_MODEL_FILE', `${file.path}: tensor ${JSON.stringify(info.name)} is ${shapes}`);
}

async function loadTensor(
  host: ModelHost,
  file: GgufFile,
  info: GgufTensorInfo,
  asF32: boolean,
  signal: AbortSignal | undefined,
): Promise<Tensor> {
  const dtype = dtypeOfType[info.type];
  if (dtype === undefined) {
    throw new TesseraeError(
      'ERR_UNSUPPORTED',
      `${file.path}: tensor ${JSON.stringify(info.name)} has type ${info.type}`,
    );
  }
  const tensor = host.empty(info.shape, dtype);
  try {
    await file.readTensorInto(info, bytesOf(tensor), signal);
    if (!asF32 || dtype === 'f32') return tensor;
    const wide = await host.copy(tensor, { dtype: 'f32', signal });
    tensor.dispose();
    return wide;
  } catch (error) {
    tensor.dispose();
    throw error;
  }
}

function bytesOf(tensor: Tensor): Uint8Array {
  const { buffer, byteOffset } = tensor.storage;
  return new Uint8Array(buffer as SharedArrayBuffer, byteOffset, tensor.size * dtypes[tensor.dtype].sizeBytes);
}
