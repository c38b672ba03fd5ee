// Which weights a model is made of, and the tensors of its checkpoint that have them, checked against what its architecture
// names; and how each is loaded. Reads no tensor data. Called by loading and by `engine.inspect`.
import type { WeightSpec } from '../architectures/architecture.js';
import { formatShape, TesseraeError } from '../base/errors.js';
import { quote } from '../base/quote.js';
import { imageSize } from '../ops/matmul/pack.js';
import { imageBytes, isQuantizedType, type QuantizedType } from '../ops/quantized/quantized-type.js';
import { type DType, dtypes } from '../tensor/elements/dtype.js';
import { elementCount } from '../tensor/layout/layout.js';
import type { Checkpoint, CheckpointTensor } from './checkpoint.js';
import { supportedTensorTypes } from './gguf/tensor-types.js';

const dtypeOfType: Readonly<Record<string, DType>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };

/** A weight, and where it is: a tensor of a file, or some rows of one. */
interface Wanted {
  readonly spec: WeightSpec;
  readonly tensor: CheckpointTensor;
}

/** How a tensor is loaded, and the bytes that it then takes. */
export type Placement =
  /** A quantized matrix: read into staging memory, and repacked from there. */
  | {
      readonly kind: 'quantized';
      readonly type: QuantizedType;
      readonly shape: readonly [number, number];
      readonly sizeBytes: number;
    }
  /** A matrix of floats that is used by products alone: the same, into panels of its type. */
  | { readonly kind: 'panels'; readonly dtype: DType; readonly sizeBytes: number }
  /** Another matrix of floats, or a vector, which is widened to `dtype`. */
  | { readonly kind: 'read'; readonly fileDType: DType; readonly dtype: DType; readonly sizeBytes: number };

export interface PlacedTensor extends Wanted {
  readonly placement: Placement;
}

/** @throws TesseraeError ERR_UNSUPPORTED when a tensor has a type that no kernel computes with; names both */
export function requireSupportedTypes(checkpoint: Checkpoint): void {
  for (const tensor of checkpoint.tensors.values()) {
    if (!supportedTensorTypes.has(tensor.type)) throw unsupportedType(tensor);
  }
}

/**
 * The weights of the tensors that the architecture names, in its order.
 * @throws TesseraeError ERR_MODEL_FILE for a tensor that is missing or has a wrong shape, and for a weight that occurs
 * twice; ERR_UNSUPPORTED for a tensor that the architecture does not name: computed without it, this would be another model
 */
export function placedTensors(checkpoint: Checkpoint, specs: readonly WeightSpec[]): PlacedTensor[] {
  const weights = wantedOf(checkpoint, specs).flatMap(partsOf);
  refuseTwice(weights);
  return weights.map((wanted) => ({ ...wanted, placement: placementOf(wanted) }));
}

function wantedOf(checkpoint: Checkpoint, specs: readonly WeightSpec[]): Wanted[] {
  const wanted = specs.flatMap((spec): Wanted[] => {
    const tensor = checkpoint.tensors.get(spec.name);
    if (tensor === undefined && !spec.optional) {
      throw new TesseraeError('ERR_MODEL_FILE', `${checkpoint.path}: tensor ${quote(spec.name)} is missing`);
    }
    if (tensor !== undefined) {
      checkShapeOf(tensor, spec);
      checkBias(checkpoint, tensor);
    }
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

/** Where a matrix may have either of two shapes, its bias must fit the one that it has. */
function checkBias({ tensors }: Checkpoint, { file, name, shape: [length] }: CheckpointTensor): void {
  if (!name.endsWith('.bias')) return;
  const rows = tensors.get(name.replace(/bias$/, 'weight'))?.shape[0];
  if (rows === undefined || rows === length) return;
  const message = `${file.path}: tensor ${quote(name)} has ${length} elements, its matrix has ${rows} rows`;
  throw new TesseraeError('ERR_MODEL_FILE', message);
}

/** A tensor whose rows are several weights, as each of them: rows follow each other in a file, whatever their type. */
function partsOf(whole: Wanted): Wanted[] {
  const { spec, tensor } = whole;
  const [allRows = 0, ...rowShape] = tensor.shape;
  const parts = spec.parts ?? [];
  if (parts.reduce((sum, { rows }) => sum + rows, 0) !== allRows) return [whole];
  if (tensor.transposed === true) throw new TypeError(`${tensor.name} is transposed: its rows are not contiguous`);
  const rowBytes = tensor.sizeBytes / allRows;
  let { position } = tensor;
  return parts.map(({ name, rows }) => {
    const shape = [rows, ...rowShape];
    const part = { ...tensor, shape, position, sizeBytes: rows * rowBytes };
    position += part.sizeBytes;
    return { spec: { ...spec, name, shape }, tensor: part };
  });
}

function refuseTwice(weights: readonly Wanted[]): void {
  const seen = new Map<string, CheckpointTensor>();
  for (const { spec, tensor } of weights) {
    const other = seen.get(spec.name);
    if (other !== undefined) {
      const both = `${quote(other.name)} and ${quote(tensor.name)}`;
      throw new TesseraeError('ERR_MODEL_FILE', `${tensor.file.path}: both ${both} contain ${quote(spec.name)}`);
    }
    seen.set(spec.name, tensor);
  }
}

function unsupportedType({ file, name, type }: CheckpointTensor): TesseraeError {
  const supported = [...supportedTensorTypes].join(', ');
  const message = `${file.path}: tensor ${quote(name)} has type ${type}, which is not supported; supported are ${supported}`;
  return new TesseraeError('ERR_UNSUPPORTED', message);
}

function placementOf({ spec, tensor }: Wanted): Placement {
  const { type, shape } = tensor;
  if (isQuantizedType(type)) {
    if (!spec.asF32 && shape.length === 2) {
      const matrix = shape as readonly [number, number];
      return { kind: 'quantized', type, shape: matrix, sizeBytes: imageBytes(type, matrix) };
    }
    const message = `${tensor.file.path}: tensor ${quote(tensor.name)} has type ${type}, which only matrices may have`;
    throw new TesseraeError('ERR_UNSUPPORTED', message);
  }
  const fileDType = dtypeOfType[type];
  if (fileDType === undefined) throw unsupportedType(tensor);
  if (spec.isFactor && shape.length === 2) {
    const [n, k] = shape as readonly [number, number];
    return { kind: 'panels', dtype: fileDType, sizeBytes: imageSize(k, n) * dtypes[fileDType].sizeBytes };
  }
  const dtype = spec.asF32 ? 'f32' : fileDType;
  const sizeBytes = elementCount(shape) * dtypes[dtype].sizeBytes;
  return { kind: 'read', fileDType, dtype, sizeBytes };
}
