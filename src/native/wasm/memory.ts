// Divides the one shared memory of the WebAssembly addon into ranges: the first free one that is large enough, else the memory
// grows. All ranges begin at cache lines. Only the thread that made the memory allocates. Used by load-wasm.ts.
import type { SharedMemory, SharedRange } from '../../base/memory/shared-memory.js';
import { pageBytes, type WasmMemory } from './webassembly.js';

const alignmentBytes = 64;
/** The memory grows by this much at least. */
const growBytes = 16 << 20;

interface Free {
  start: number;
  end: number;
}

export class RangeAllocator implements SharedMemory {
  readonly #memory: WasmMemory;
  readonly #maxBytes: number;
  /** In ascending order; no two touch. */
  readonly #free: Free[] = [];
  /** Above it, no byte was ever part of a range. */
  #untouched: number;
  readonly #buffers = new WeakSet<object>();

  /** @param start the first byte that ranges may take */
  constructor(memory: WasmMemory, start: number, maxBytes: number) {
    this.#memory = memory;
    this.#maxBytes = maxBytes;
    this.#untouched = roundUp(start, alignmentBytes);
    this.#free.push({ start: this.#untouched, end: this.#noteBuffer().byteLength });
  }

  /** Whether a buffer is that of the memory, as it is or was before it grew. */
  owns(buffer: object): boolean {
    return this.#buffers.has(buffer);
  }

  allocate(sizeBytes: number): SharedRange {
    const needed = roundUp(Math.max(sizeBytes, 1), alignmentBytes);
    const index = this.#find(needed);
    const free = this.#free[index] as Free;
    const { start } = free;
    free.start += needed;
    if (free.start === free.end) this.#free.splice(index, 1);
    const isZeroed = start >= this.#untouched;
    this.#untouched = Math.max(this.#untouched, start + needed);
    return { buffer: this.#noteBuffer(), byteOffset: start, sizeBytes, isZeroed };
  }

  free({ byteOffset, sizeBytes }: SharedRange): void {
    const start = byteOffset;
    const end = byteOffset + roundUp(Math.max(sizeBytes, 1), alignmentBytes);
    let index = this.#free.findIndex((free) => free.start >= end);
    if (index === -1) index = this.#free.length;
    const [before, after] = [this.#free[index - 1], this.#free[index]];
    const joins = before?.end === start;
    if (joins) before.end = end;
    const own = joins ? before : { start, end };
    if (!joins) this.#free.splice(index++, 0, own);
    if (after?.start !== end) return;
    own.end = after.end;
    this.#free.splice(index, 1);
  }

  /** The index of a free part of at least `needed` bytes. @throws RangeError */
  #find(needed: number): number {
    for (;;) {
      const index = this.#free.findIndex(({ start, end }) => end - start >= needed);
      if (index !== -1) return index;
      this.#grow(needed);
    }
  }

  #grow(needed: number): void {
    const end = this.#noteBuffer().byteLength;
    const last = this.#free.at(-1);
    const missing = needed - (last?.end === end ? end - last.start : 0);
    const most = this.#maxBytes - end;
    if (missing > most) throw new RangeError(`the shared memory of WebAssembly ends at ${this.#maxBytes} bytes`);
    const pages = Math.ceil(Math.min(Math.max(missing, growBytes), most) / pageBytes);
    this.#memory.grow(pages);
    this.#noteBuffer();
    this.free({ buffer: this.#memory.buffer, byteOffset: end, sizeBytes: pages * pageBytes, isZeroed: true });
  }

  /** Each growth makes another buffer object. */
  #noteBuffer(): SharedArrayBuffer {
    const { buffer } = this.#memory;
    this.#buffers.add(buffer);
    return buffer;
  }
}

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}
