// Remembers the programs of the latest one-shot calls, so that a call with the same tensors and options, as loops make
// them, neither checks nor records again. Holds no tensor: they are known by their serial numbers.
import type { CompiledProgram } from '../../program/compiled-program.js';
import { ProgramRun } from '../../program/runner.js';
import { Tensor } from '../../tensor/tensor.js';
import { PackedMatrix } from '../matmul/pack.js';
import { QuantizedMatrix } from '../quantized/quantized-matrix.js';

/** A program, and the call that it was recorded for. */
class OneShot {
  readonly run: ProgramRun;
  readonly #op: string;
  readonly #keys: readonly string[];
  /** For each argument what {@link idOf} gives, or else the value itself. */
  readonly #ids: readonly (number | undefined)[];
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

/** What a tensor or a matrix of weights is known by, so that the entry does not keep it from being garbage-collected. */
function idOf(value: unknown): number | undefined {
  if (value instanceof Tensor) return value.id;
  return value instanceof PackedMatrix || value instanceof QuantizedMatrix ? -value.image.id : undefined;
}

/** Loops over a handful of ops stay within it; what it holds is a few KiB an entry. */
const capacity = 32;

export class OneShotCache {
  readonly #entries: OneShot[] = [];

  /** The program of an equal call, if it is at hand and idle: while it runs, a second call records its own. */
  find(op: string, args: Readonly<Record<string, unknown>>): ProgramRun | undefined {
    const entries = this.#entries;
    for (let index = 0; index < entries.length; index++) {
      const entry = entries[index] as OneShot;
      if (entry.run.running || !entry.matches(op, args)) continue;
      for (let place = index; place > 0; place--) entries[place] = entries[place - 1] as OneShot;
      // The latest comes first.
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
