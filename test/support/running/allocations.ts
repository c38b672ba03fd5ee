// Measures the allocations of JavaScript code: typed arrays, buffers, and arrays of a given length. Replaces their
// constructors until it ends. Used by the fuzzers of model files.

type Constructor = new (...given: unknown[]) => object;

const typedArrays = [
  'Int8Array',
  'Uint8Array',
  'Int16Array',
  'Uint16Array',
  'Int32Array',
  'Uint32Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
] as const;
const bufferCalls = ['alloc', 'allocUnsafe', 'allocUnsafeSlow'] as const;
const pointerBytes = 8;

export class AllocationWatch {
  /** Bytes of the largest allocation since the last {@link reset}. */
  largest = 0;
  /** Bytes of all allocations since then. */
  total = 0;
  readonly #undo: (() => void)[] = [];

  constructor() {
    for (const name of [...typedArrays, 'ArrayBuffer', 'SharedArrayBuffer', 'Array'] as const) this.#watch(name);
    for (const name of bufferCalls) {
      const call = Buffer[name];
      Buffer[name] = ((sizeBytes: number, ...others: []) => {
        this.#count(sizeBytes);
        return call.call(Buffer, sizeBytes, ...others);
      }) as typeof call;
      this.#undo.push(() => {
        Buffer[name] = call as never;
      });
    }
  }

  reset(): void {
    this.largest = 0;
    this.total = 0;
  }

  /** Restores the constructors. */
  end(): void {
    for (const undo of this.#undo) undo();
  }

  #watch(name: (typeof typedArrays)[number] | 'ArrayBuffer' | 'SharedArrayBuffer' | 'Array'): void {
    const globals = globalThis as unknown as Record<string, Constructor>;
    const plain = globals[name] as Constructor & { BYTES_PER_ELEMENT?: number };
    const elementBytes = plain.BYTES_PER_ELEMENT ?? (name === 'Array' ? pointerBytes : 1);
    globals[name] = new Proxy(plain, {
      construct: (target, given, newTarget) => {
        const [first] = given;
        const length = typeof first === 'number' ? first : given.length === 1 ? lengthOf(first) : 0;
        this.#count(length * elementBytes);
        return Reflect.construct(target, given, newTarget === globals[name] ? target : newTarget);
      },
      apply: (target, self, given) => {
        if (typeof given[0] === 'number') this.#count(given[0] * elementBytes);
        return Reflect.apply(target as unknown as (...all: unknown[]) => unknown, self, given);
      },
    });
    this.#undo.push(() => {
      globals[name] = plain;
    });
  }

  #count(sizeBytes: number): void {
    this.largest = Math.max(this.largest, sizeBytes);
    this.total += sizeBytes;
  }
}

/** The number of elements that a typed array copies; one over an existing buffer allocates nothing. */
function lengthOf(from: unknown): number {
  return Array.isArray(from) || ArrayBuffer.isView(from) ? ((from as { length?: number }).length ?? 0) : 0;
}
