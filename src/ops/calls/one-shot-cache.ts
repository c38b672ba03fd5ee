// Keeps the programs of the latest one-shot calls, so that a call with the same tensors and options, as in a loop, is
// neither checked nor recorded again. Keeps no tensor alive: it identifies them by their serial numbers.
import type { CompiledProgram } from '../../program/compiled-program.js';
import { ProgramRun } from '../../program/runner.js';
import { Tensor } from '../../tensor/tensor.js';
import { imageOf, MatrixImage } from '../matrix-image.js';

/** A program, and the call for which it was recorded. */
class OneShot {
  readonly run: ProgramRun;
  readonly #op: string;
  readonly #keys: readonly string[];
  /** For each argument the result of {@link idOf}. */
  readonly #ids: readonly (number | undefined)[];
  /** For each argument its value, if it has no id. */
  readonly #values: readonly unknown[];

  constructor(op: string, args: Readonly<Record<string, unknown>>, program: CompiledProgram) {
    this.run = new ProgramRun(program);
    this.#op = op;
    this.#keys = Object.keys(args).filter((key) => key !== 'signal');
    const values = this.#keys.map((key) => args[key]);
    this.#ids = values.map(idOf);
    this.#values = values.map((value) => (idOf(value) === undefined ? value : undefined));
  }

  matches(op: string, args: Readonly<Record<string, unknown>>): boolean {
    if (this.#op !== op) return false;
    let count = 0;
    for (const key in args) {
      if (key === 'signal') continue;
      const position = this.#keys.indexOf(key);
      if (position === -1) return false;
      const value = args[key];
      const id = idOf(value);
      if (id !== this.#ids[position]) return false;
      if (id === undefined && !Object.is(value, this.#values[position])) return false;
      count++;
    }
    return count === this.#keys.length;
  }
}

/** Identifies a tensor or a matrix of weights by a number, so that an entry does not keep it alive. */
function idOf(value: unknown): number | undefined {
  if (value instanceof Tensor) return value.id;
  return value instanceof MatrixImage ? -imageOf(value).id : undefined;
}

/** Enough for loops over a handful of ops. An entry takes a few KiB. */
const capacity = 32;

export class OneShotCache {
  readonly #entries: OneShot[] = [];

  /** The program of an equal call, if there is one that is not running; while it runs, a second call records its own. */
  find(op: string, args: Readonly<Record<string, unknown>>): ProgramRun | undefined {
    const entries = this.#entries;
    for (let index = 0; index < entries.length; index++) {
      const entry = entries[index] as OneShot;
      if (entry.run.running || !entry.matches(op, args)) continue;
      for (let place = index; place > 0; place--) entries[place] = entries[place - 1] as OneShot;
      // The latest is the first.
      entries[0] = entry;
      return entry.run;
    }
    return undefined;
  }

  add(op: string, args: Readonly<Record<string, unknown>>, program: CompiledProgram): ProgramRun {
    const entry = new OneShot(op, args, program);
    this.#entries.unshift(entry);
    if (this.#entries.length > capacity) this.#entries.pop();
    return entry.run;
  }
}
