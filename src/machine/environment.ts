// Reads and checks the environment variables of the library. The only file that reads process.env. An option of
// Engine.create takes precedence over its variable (src/engine.ts).
import { TesseraeError } from '../base/errors.js';

/**
 * The kernel sets by instruction set, in ascending order of speed. `portable` runs on any CPU; `avx_vnni` is `avx2` with
 * 8-bit dot products; `avx512_floats` needs F, BW, VL and DQ, `avx512` VNNI as well. `neon`, `neon_dot` (with 8-bit dot
 * products) and `neon_i8mm` (and products of 8-bit matrices) are those of arm64. All of these give the same bits. `ref` is
 * the scalar reference of the tests, which is never chosen by itself, and whose bits differ.
 */
export type IsaName =
  | 'ref'
  | 'portable'
  | 'avx2'
  | 'avx_vnni'
  | 'avx512_floats'
  | 'avx512'
  | 'neon'
  | 'neon_dot'
  | 'neon_i8mm';

export const ISA_NAMES: readonly IsaName[] = [
  'ref',
  'portable',
  'avx2',
  'avx_vnni',
  'avx512_floats',
  'avx512',
  'neon',
  'neon_dot',
  'neon_i8mm',
];

/** The settings in the environment; undefined for a variable that is not set. */
export interface Environment {
  /** `TESSERAE_ISA`: the kernel set to use instead of the best one that this CPU can run. */
  readonly isa: IsaName | undefined;
  /** `TESSERAE_THREADS`: the number of workers to start if the caller does not set it. */
  readonly threads: number | undefined;
  /** `TESSERAE_ADDON`: the file of the native addon. */
  readonly addon: string | undefined;
}

/**
 * Reads the variables at each call. An empty variable counts as not set.
 * @throws TesseraeError ERR_ARGUMENT for a variable with an invalid value
 */
export function readEnvironment(variables: Readonly<Record<string, string | undefined>> = process.env): Environment {
  return {
    isa: read(variables, 'TESSERAE_ISA', `one of ${ISA_NAMES.join(', ')}`, parseIsa),
    threads: read(variables, 'TESSERAE_THREADS', 'a positive whole number', parseThreads),
    addon: read(variables, 'TESSERAE_ADDON', 'a path', (path) => path),
  };
}

function read<T>(
  variables: Readonly<Record<string, string | undefined>>,
  name: string,
  expected: string,
  parse: (text: string) => T | undefined,
): T | undefined {
  const text = variables[name];
  if (text === undefined || text === '') return undefined;
  const value = parse(text);
  if (value === undefined) throw new TesseraeError('ERR_ARGUMENT', `${name} must be ${expected}, got '${text}'`);
  return value;
}

function parseIsa(text: string): IsaName | undefined {
  return ISA_NAMES.find((name) => name === text);
}

function parseThreads(text: string): number | undefined {
  if (!/^[0-9]+$/.test(text)) return undefined;
  const count = Number(text);
  return Number.isSafeInteger(count) && count > 0 ? count : undefined;
}
