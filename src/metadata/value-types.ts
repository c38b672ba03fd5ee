// The types of metadata values in GGUF (ggml docs/gguf.md): their codes and sizes, and how they are held in JavaScript.
// Shared by reader and writer, so that a file keeps its types when it is read and written again.
import type { StringList } from './string-list.js';

/** The types of a number that JavaScript holds as a number. */
export type NumberType = 'u8' | 'i8' | 'u16' | 'i16' | 'u32' | 'i32' | 'f32' | 'f64';
export type BigIntType = 'u64' | 'i64';
export type ScalarType = NumberType | BigIntType | 'bool';

/** How an array is held, by the type of its elements. Bools are one byte each, 0 or 1. */
export interface ArrayOf {
  u8: Uint8Array;
  i8: Int8Array;
  u16: Uint16Array;
  i16: Int16Array;
  u32: Uint32Array;
  i32: Int32Array;
  f32: Float32Array;
  bool: Uint8Array;
  string: StringList;
  u64: BigUint64Array;
  i64: BigInt64Array;
  f64: Float64Array;
}
export type ElementType = keyof ArrayOf;

export type MetadataArray = {
  [E in ElementType]: { readonly type: 'array'; readonly element: E; readonly value: ArrayOf[E] };
}[ElementType];

/** One metadata value with its type in the file. 64-bit integers are always bigints. */
export type MetadataValue =
  | { readonly type: NumberType; readonly value: number }
  | { readonly type: BigIntType; readonly value: bigint }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | MetadataArray;

/** The names of the types; the index is the code in the file. */
export const valueTypeNames = [
  'u8',
  'i8',
  'u16',
  'i16',
  'u32',
  'i32',
  'f32',
  'bool',
  'string',
  'array',
  'u64',
  'i64',
  'f64',
] as const;
export type ValueType = (typeof valueTypeNames)[number];

interface ScalarInfo {
  readonly sizeBytes: number;
  /** An array of `length` zeros. */
  readonly array: (length: number) => Exclude<ArrayOf[ElementType], StringList>;
}

export const scalarTypes: Readonly<Record<ScalarType, ScalarInfo>> = {
  u8: { sizeBytes: 1, array: (length) => new Uint8Array(length) },
  i8: { sizeBytes: 1, array: (length) => new Int8Array(length) },
  u16: { sizeBytes: 2, array: (length) => new Uint16Array(length) },
  i16: { sizeBytes: 2, array: (length) => new Int16Array(length) },
  u32: { sizeBytes: 4, array: (length) => new Uint32Array(length) },
  i32: { sizeBytes: 4, array: (length) => new Int32Array(length) },
  f32: { sizeBytes: 4, array: (length) => new Float32Array(length) },
  bool: { sizeBytes: 1, array: (length) => new Uint8Array(length) },
  u64: { sizeBytes: 8, array: (length) => new BigUint64Array(length) },
  i64: { sizeBytes: 8, array: (length) => new BigInt64Array(length) },
  f64: { sizeBytes: 8, array: (length) => new Float64Array(length) },
};

export const GGUF_MAGIC = 'GGUF';
export const DEFAULT_ALIGNMENT = 32;

/** Alignments that the format allows: powers of two, at least 8. */
export function isAlignment(value: number): boolean {
  return value >= 8 && Number.isInteger(Math.log2(value));
}

export type MetadataMap = Map<string, MetadataValue>;
