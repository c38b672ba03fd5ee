// Copies elements between callers' arrays and tensor memory: checks values, converts f16 and bf16, follows strides.
// Works on layouts and typed arrays, not on tensors. Called by Tensor and TensorPool.
import { describe } from '../../base/describe.js';
import { formatShape, TesseraeError } from '../../base/errors.js';
import { argumentError, collapse, elementCount, isContiguous, type Layout, shapeError } from '../layout/layout.js';
import { type DType, dtypes, type TypedArrayOf } from './dtype.js';
import { narrowAll, sixteenBitFormats, widenAll } from './half.js';

/** What a tensor can be filled from. A Uint16Array contains f16 or bf16 bits; every other array contains numbers. */
export type TensorData =
  | readonly number[]
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array;

/** The unshared arrays that `toArray` gives: f16 and bf16 are widened to f32. */
export interface PackedArrayOf {
  f32: Float32Array;
  f16: Float32Array;
  bf16: Float32Array;
  i8: Int8Array;
  i32: Int32Array;
}

/** The element type of data when the caller names none. */
export type DTypeOfData<A extends TensorData> = A extends Int8Array
  ? 'i8'
  : A extends Int32Array
    ? 'i32'
    : A extends Uint16Array
      ? 'f16'
      : 'f32';

/** By array type: the element type if the caller names none, and the integer types that fit all of its values. */
const arrayTypes: Readonly<Record<string, { inferred?: DType; fits?: readonly DType[] }>> = {
  Array: { inferred: 'f32' },
  Float32Array: { inferred: 'f32' },
  Float64Array: { inferred: 'f32' },
  Int8Array: { inferred: 'i8', fits: ['i8', 'i32'] },
  Uint8Array: { fits: ['i32'] },
  Int16Array: { fits: ['i32'] },
  Uint16Array: { inferred: 'f16' },
  Int32Array: { inferred: 'i32', fits: ['i32'] },
  Uint32Array: {},
};

const packedTypes = {
  f32: Float32Array,
  f16: Float32Array,
  bf16: Float32Array,
  i8: Int8Array,
  i32: Int32Array,
} as const;
const integerRange: Readonly<Partial<Record<DType, number>>> = { i8: 2 ** 7, i32: 2 ** 31 };

function formatOf(dtype: DType) {
  return dtype === 'f16' || dtype === 'bf16' ? sixteenBitFormats[dtype] : undefined;
}

/** The name of an array's type. Works for arrays of another realm, unlike instanceof. */
function arrayTypeOf(data: unknown): string {
  try {
    return Object.prototype.toString.call(data).slice(8, -1);
  } catch {
    // A proxy, or a getter of its tag, has thrown.
    return 'Object';
  }
}

/** @throws TesseraeError ERR_DTYPE if the array's type does not decide it, ERR_ARGUMENT unless it is an array of numbers */
export function inferDType(data: unknown, op: string): DType {
  const name = arrayTypeOf(data);
  const type = arrayTypes[name];
  if (type === undefined) throw argumentError(`expected an array of numbers, got ${describe(data)}`, op);
  if (type.inferred !== undefined) return type.inferred;
  throw new TesseraeError('ERR_DTYPE', `${name} data needs an element type: pass one before the data`, { op });
}

/**
 * Checks that every value of `data` can be an element of a `dtype` tensor of this shape.
 * @throws TesseraeError ERR_SHAPE for a wrong length, ERR_ARGUMENT for a value that is not a number or does not fit
 */
export function checkData(data: unknown, dtype: DType, shape: readonly number[], op: string): TensorData {
  const name = arrayTypeOf(data);
  const type = arrayTypes[name];
  if (type === undefined) throw argumentError(`expected an array of numbers, got ${describe(data)}`, op);
  const values = data as TensorData;
  if (values.length !== elementCount(shape)) {
    throw shapeError(`${formatShape(shape)} has ${elementCount(shape)} elements, got ${values.length} values`, op);
  }
  if (name === 'Uint16Array' && formatOf(dtype) === undefined) {
    throw argumentError(`a Uint16Array holds f16 or bf16 bits and does not fit a ${dtype} tensor`, op);
  }
  const range = integerRange[dtype];
  if (range !== undefined && !type.fits?.includes(dtype)) {
    for (let index = 0; index < values.length; index++) {
      const value = values[index];
      if (!Number.isInteger(value) || (value as number) < -range || (value as number) >= range) {
        throw argumentError(`value ${index} does not fit ${dtype}: ${describe(value)}`, op);
      }
    }
  } else if (name === 'Array') {
    for (let index = 0; index < values.length; index++) {
      if (typeof values[index] !== 'number') {
        throw argumentError(`value ${index} must be a number, got ${describe(values[index])}`, op);
      }
    }
  }
  return values;
}

/** Calls `visit` for each run of elements along the innermost dimension after collapsing, in row-major order. */
function forEachRun(
  shape: readonly number[],
  ownStrides: readonly number[],
  visit: (start: number, count: number, stride: number) => void,
): void {
  const collapsed = collapse(shape, [ownStrides]);
  const strides = collapsed.strides[0] as number[];
  const count = collapsed.shape.pop() ?? 1;
  const stride = strides.pop() ?? 1;
  const outer = collapsed.shape;
  const index = outer.map(() => 0);
  let start = 0;
  for (;;) {
    visit(start, count, stride);
    let dim = outer.length - 1;
    for (; dim >= 0; dim--) {
      start += strides[dim] as number;
      index[dim] = (index[dim] as number) + 1;
      if ((index[dim] as number) < (outer[dim] as number)) break;
      start -= (outer[dim] as number) * (strides[dim] as number);
      index[dim] = 0;
    }
    if (dim < 0) return;
  }
}

/** A packed copy of the elements; `source` starts at the layout's first element. */
export function readElements<D extends DType>(
  source: TypedArrayOf[D],
  { dtype, shape, strides }: Layout & { readonly dtype: D },
): PackedArrayOf[D] {
  const packed = new packedTypes[dtype](elementCount(shape)) as PackedArrayOf[D];
  const format = formatOf(dtype);
  if (isContiguous(shape, strides)) {
    if (format !== undefined) widenAll(format, source, packed as Float32Array);
    else packed.set(source);
    return packed;
  }
  let position = 0;
  forEachRun(shape, strides, (start, count, stride) => {
    for (let index = 0; index < count; index++) {
      const element = source[start + index * stride] as number;
      packed[position++] = format?.toNumber(element) ?? element;
    }
  });
  return packed;
}

/** Writes values that {@link checkData} has checked; `target` starts at the layout's first element. */
export function writeElements<D extends DType>(
  values: TensorData,
  target: TypedArrayOf[D],
  { dtype, shape, strides }: Layout & { readonly dtype: D },
): void {
  const format = arrayTypeOf(values) === 'Uint16Array' ? undefined : formatOf(dtype);
  if (isContiguous(shape, strides)) {
    if (format !== undefined) narrowAll(format, values, target as Uint16Array);
    else target.set(values);
    return;
  }
  let position = 0;
  forEachRun(shape, strides, (start, count, stride) => {
    for (let index = 0; index < count; index++) {
      const value = values[position++] as number;
      target[start + index * stride] = format?.fromNumber(value) ?? value;
    }
  });
}

/** A typed array over shared memory from a byte offset on. */
export function sharedView<D extends DType>(
  dtype: D,
  buffer: SharedArrayBuffer,
  byteOffset: number,
  length: number,
): TypedArrayOf[D] {
  return new dtypes[dtype].view(buffer, byteOffset, length) as TypedArrayOf[D];
}
