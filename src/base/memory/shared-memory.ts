// Where shared memory comes from: each range a SharedArrayBuffer of its own, which the garbage collector frees; or all of them
// parts of one memory, once the WebAssembly addon (src/native/wasm) is loaded in this thread, whose code reaches no other. The only
// file that makes a SharedArrayBuffer. Used by all rooms whose memory native code reads.

/** A part of a buffer. */
export interface SharedRange {
  readonly buffer: SharedArrayBuffer;
  readonly byteOffset: number;
  readonly sizeBytes: number;
  /** Whether all bytes are 0; else they are undefined. */
  readonly isZeroed: boolean;
}

export interface SharedMemory {
  /** @throws RangeError if there is not as much */
  allocate(sizeBytes: number): SharedRange;
  free(range: SharedRange): void;
}

const ownBuffers: SharedMemory = {
  allocate: (sizeBytes) => ({ buffer: new SharedArrayBuffer(sizeBytes), byteOffset: 0, sizeBytes, isZeroed: true }),
  free() {},
};

let memory = ownBuffers;
let reclaimed: FinalizationRegistry<SharedRange> | undefined;

/** All ranges that this thread allocates from here on come from `source`. */
export function useSharedMemory(source: SharedMemory): void {
  memory = source;
  reclaimed = new FinalizationRegistry((range) => source.free(range));
}

/** @throws RangeError if the system refuses it */
export function allocateShared(sizeBytes: number): SharedRange {
  return memory.allocate(sizeBytes);
}

/** Nothing may use the range afterwards. Does nothing where the garbage collector frees it. */
export function freeShared(range: SharedRange): void {
  memory.free(range);
}

interface ArrayType<T> {
  new (buffer: SharedArrayBuffer, byteOffset: number, length: number): T;
  readonly BYTES_PER_ELEMENT: number;
}

/** Zeros in shared memory, which is kept as long as this very array is reachable: another view of its buffer is not enough. */
export function sharedArray<T extends ArrayBufferView & { fill(value: number): unknown }>(
  type: ArrayType<T>,
  length: number,
): T {
  const range = allocateShared(length * type.BYTES_PER_ELEMENT);
  const array = new type(range.buffer, range.byteOffset, length);
  if (!range.isZeroed) array.fill(0);
  reclaimed?.register(array, range);
  return array;
}
