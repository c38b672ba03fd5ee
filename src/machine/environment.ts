// The environment variables that the library obeys, read and checked. The only file that reads process.env;
// what an option and a variable both set, the option decides (src/engine.ts).
import { TesseraeError } from '../base/errors.js';

/**
 * The kernel sets, by instruction set, the better ones later. `ref` is plain scalar code that runs everywhere; `avx_vnni`
 * is `avx2` with 8-bit dot products; `avx512` wants F, BW, VL, DQ and VNNI.
 */
export type IsaName = 'ref' | 'avx2' | 'avx_vnni' | 'avx512';

export const ISA_NAMES: readonly IsaName[] = ['ref', 'avx2', 'avx_vnni', 'avx512'];

/** What the environment asks for; undefined where it is silent. */
export interface Environment {
  /** `TESSERAE_ISA`: the kernel set to use, instead of the best one that this CPU runs. */
  readonly isa: IsaName | undefined;
  /** `TESSERAE_THREADS`: how many workers to start where the caller does not say. */
  readonly threads: number | undefined;
}

/**
 * Reads the variables anew at each call. A variable that is set to nothing counts as not set.
 *
 * @throws {TesseraeError} `ERR_ARGUMENT` where a variable has a value that it cannot have.
 */
export function readEnvironment(variables: Readonly<Record<string, string | undefined>> = process.env): Environment {
  return {
    isa: read(variables, 'TESSERAE_ISA', `one of ${ISA_NAMES.join(', ')}`, parseIsa),
    threads: read(variables, 'TESSERAE_THREADS', 'a positive whole number', parseThreads),
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
