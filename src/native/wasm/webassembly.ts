// The types of the parts of WebAssembly that are used here; Node's own types have none. Used by this folder alone.

export interface WasmMemory {
  readonly buffer: SharedArrayBuffer;
  grow(pages: number): number;
}

/** A compiled module: only handed on. */
export type WasmModule = object;

export interface WasmInstance {
  readonly exports: unknown;
}

export const { WebAssembly } = globalThis as unknown as {
  readonly WebAssembly: {
    readonly Memory: new (options: { initial: number; maximum: number; shared: true }) => WasmMemory;
    readonly Module: new (bytes: Uint8Array) => WasmModule;
    readonly Instance: new (module: WasmModule, imports: object) => WasmInstance;
    validate(bytes: Uint8Array): boolean;
  };
};

/** Memory is made in pages of this size. */
export const pageBytes = 65536;
