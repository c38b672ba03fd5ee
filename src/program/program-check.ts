// Lets native code check a program that has been compiled, once: opcodes, counts, and that every tile stays within the
// storages that the program names and its arena (native/core/program_check.h). Called by compiled-program.ts.
import { TesseraeError } from '../base/errors.js';
import type { Addon } from '../native/addon.js';
import type { Storage } from '../tensor/memory/storage.js';

/**
 * Where the arena counts as located during the check: above every address of user space. A line further on, since in WebAssembly
 * an address whose lower 32 bits are 0 counts as none.
 */
export const arenaOfCheck = 2 ** 50 + 64;

export interface CheckedProgram {
  readonly block: Uint8Array;
  readonly kernels: readonly string[];
  readonly externals: readonly Storage[];
  /** Those of the externals that it writes to. */
  readonly written: ReadonlySet<Storage>;
  readonly arenaBytes: number;
}

/** Numbers of a region: its address, its size, and whether it is written to. */
const regionNumbers = 3;

/** Grows; used by one check at a time. */
let regions = new Float64Array(8 * regionNumbers);

/** @throws TesseraeError ERR_NATIVE: an op of this library has recorded what it must not */
export function checkProgram(addon: Pick<Addon, 'checkProgram'>, program: CheckedProgram): void {
  const { block, kernels, externals, written, arenaBytes } = program;
  const count = (externals.length + 1) * regionNumbers;
  if (regions.length < count) regions = new Float64Array(2 * count);
  let at = 0;
  const add = (address: number, sizeBytes: number, isWritable: boolean) => {
    regions[at++] = address;
    regions[at++] = sizeBytes;
    regions[at++] = isWritable ? 1 : 0;
  };
  for (const storage of externals) add(storage.address, storage.sizeBytes, written.has(storage));
  add(arenaOfCheck, arenaBytes, true);
  const fault = addon.checkProgram(block, regions.subarray(0, at));
  if (fault === undefined) return;
  throw new TesseraeError('ERR_NATIVE', `op ${fault.op} of a program, ${kernels[fault.op]}, ${fault.problem}`);
}
