// The element types of tensors. native/core/op.h uses the same codes.
import { describe } from '../../base/describe.js';
import { TesseraeError } from '../../base/errors.js';

/** f32: IEEE single; f16: IEEE half; bf16: bfloat16; i8 and i32: two's complement. */
export type DType = 'f32' | 'f16' | 'bf16' | 'i8' | 'i32';

/** The typed array over a tensor's elements. For f16 and bf16 it contains their 16 bits. */
export interface TypedArrayOf {
  f32: Float32Array;
  f16: Uint16Array;
  bf16: Uint16Array;
  i8: Int8Array;
  i32: Int32Array;
}

export interface DTypeInfo {
  readonly code: number;
  readonly sizeBytes: number;
  readonly view: new (buffer: SharedArrayBuffer, byteOffset: number, length: number) => TypedArrayOf[DType];
}

export const dtypes: Readonly<Record<DType, DTypeInfo>> = {
  f32: { code: 0, sizeBytes: 4, view: Float32Array },
  f16: { code: 1, sizeBytes: 2, view: Uint16Array },
  i8: { code: 2, sizeBytes: 1, view: Int8Array },
  i32: { code: 3, sizeBytes: 4, view: Int32Array },
  bf16: { code: 4, sizeBytes: 2, view: Uint16Array },
};

/** @throws TesseraeError ERR_DTYPE unless the value is the name of an element type */
export function checkDType(value: unknown, op?: string): DType {
  if (typeof value === 'string' && Object.hasOwn(dtypes, value)) return value as DType;
  throw new TesseraeError('ERR_DTYPE', `expected one of ${Object.keys(dtypes).join(', ')}, got ${describe(value)}`, {
    ...(op === undefined ? {} : { op }),
  });
}
