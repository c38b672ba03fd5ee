// How much memory an engine may use. In WebAssembly there is less than the process may have. Called by the engine when it is made.
import { totalmem } from 'node:os';
import { TesseraeError } from '../base/errors.js';
import { checkPositive } from '../base/options.js';
import type { Addon } from './addon.js';
import { wasmMemoryBytes } from './wasm/load-wasm.js';

/**
 * What an engine may use: what its caller wants, else a part of what the process has.
 * @throws TesseraeError ERR_ARGUMENT
 */
export function checkBudget(wanted: number | undefined, { wasm }: Addon, op: string): number {
  if (wasm === undefined) return checkPositive(wanted ?? defaultBudget(), 'memoryBudget', op);
  const bytes = checkPositive(wanted ?? Math.min(defaultBudget(), wasmMemoryBytes), 'memoryBudget', op);
  if (bytes <= wasmMemoryBytes) return bytes;
  const message = `memoryBudget may be ${wasmMemoryBytes} bytes at most in WebAssembly, got ${bytes}`;
  throw new TesseraeError('ERR_ARGUMENT', message, { op });
}

function defaultBudget(): number {
  const constrained = process.constrainedMemory();
  const available = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return Math.floor(available * 0.75);
}
