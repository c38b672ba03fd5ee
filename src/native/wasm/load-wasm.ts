// Loads the addon as WebAssembly: two modules of the same sources, one with the fused multiplication and addition of relaxed
// SIMD, for engines that have it and fuse it, one that emulates it. The main thread makes the one memory; a worker thread gets
// memory and module from there. Called by ../load.ts.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { useSharedMemory } from '../../base/memory/shared-memory.js';
import type { Addon } from '../addon.js';
import type { WasmExports } from './exports.js';
import { RangeAllocator } from './memory.js';
import { WasmAddon } from './wasm-addon.js';
import { pageBytes, type WasmMemory, type WasmModule, WebAssembly } from './webassembly.js';

/** All that an engine can have in WebAssembly, whose addresses have 32 bits. */
export const wasmMemoryBytes = 2 ** 32;

/** In the folder of the other module. */
const fusedName = 'tesserae-fused.wasm';
const initialPages = 256;

interface Shared {
  readonly memory: WasmMemory;
  readonly module: WasmModule;
  readonly fused: boolean;
}

/** What this thread has loaded: a second module would have its data at the same addresses. */
let loaded: { readonly file: string; readonly addon: Addon } | undefined;

/**
 * The addon of this thread. All engines of a thread share its memory.
 * @param file the module without relaxed SIMD; one file in each thread
 * @param shared in a worker thread, what the addon of the main thread has as `wasm.shared`
 */
export function loadWasm(file: string, shared?: unknown): Addon {
  if (shared !== undefined) return joinMemory(shared as Shared);
  loaded ??= { file, addon: makeMemory(file) };
  if (loaded.file !== file) throw new Error(`this thread has already loaded ${loaded.file}`);
  return loaded.addon;
}

function makeMemory(file: string): Addon {
  const memory = newMemory(wasmMemoryBytes / pageBytes);
  const fused = loadFused(join(dirname(file), fusedName));
  const module = fused ?? new WebAssembly.Module(readFileSync(file));
  const exports = instantiate(module, memory);
  const shared: Shared = { memory, module, fused: fused !== undefined };
  const allocator = new RangeAllocator(memory, exports.__heap_base.value, wasmMemoryBytes);
  useSharedMemory(allocator);
  let borrowed = allocator.allocate(0);
  const borrow = (sizeBytes: number) => {
    if (sizeBytes > borrowed.sizeBytes) {
      allocator.free(borrowed);
      borrowed = allocator.allocate(2 * sizeBytes);
    }
    return borrowed.byteOffset;
  };
  return new WasmAddon({
    exports,
    memory,
    owns: (buffer) => allocator.owns(buffer),
    borrow,
    fused: shared.fused,
    shared,
  });
}

function joinMemory(shared: Shared): Addon {
  const { memory, module, fused } = shared;
  const exports = instantiate(module, memory);
  const borrow = () => {
    throw new Error('a worker thread checks no programs');
  };
  // What a worker is given was checked where it comes from.
  return new WasmAddon({ exports, memory, owns: () => true, borrow, fused, shared });
}

/** Undefined where there is no such file, or where the engine has no relaxed SIMD, or does not fuse. */
function loadFused(file: string): WasmModule | undefined {
  if (!existsSync(file)) return undefined;
  const bytes = readFileSync(file);
  if (!WebAssembly.validate(bytes)) return undefined;
  const module = new WebAssembly.Module(bytes);
  // In a memory of its own: the other module's data would be at the same addresses.
  const { fuses } = instantiate(module, newMemory(initialPages));
  return fuses(1 + 2 ** -12, -(1 + 2 ** -11), 1 + 2 ** -27, -(1 + 2 ** -26)) === 0 ? undefined : module;
}

function newMemory(maximum: number): WasmMemory {
  return new WebAssembly.Memory({ initial: initialPages, maximum, shared: true });
}

function instantiate(module: WasmModule, memory: WasmMemory): WasmExports {
  // The clock that all threads share; that of performance.now() begins anew in each.
  const host = { now_ns: () => Number(process.hrtime.bigint()) };
  return new WebAssembly.Instance(module, { env: { memory }, host }).exports as WasmExports;
}
