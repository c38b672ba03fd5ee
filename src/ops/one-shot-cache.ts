// Remembers the programs of the latest one-shot calls, so that a call with the same tensors and options, as loops make
// them, neither checks nor records again. Holds no tensor: they are known by their serial numbers.
import type { CompiledProgram } from '../program/compiled-program.js';
import { Tensor } from '../tensor/tensor.js';

export interface OneShot {
  readonly program: CompiledProgram;
  /** The program is being run: a second call at the same time records its own. */
  running: boolean;
}

interface Entry extends OneShot {
  readonly op: string;
  readonly keys: readonly string[];
  /** A tensor's id where `isTensor` is set, else the value itself. */
  readonly values: readonly unknown[];
  readonly isTensor: readonly boolean[];
}

/** Loops over a handful of ops stay within it; what it holds is a few KiB an entry. */
const capacity = 32;

export class OneShotCache {
  readonly #entries: Entry[] = [];

  /** The program of an equal call, if it is at hand and idle. */
  find(op: string, args: Readonly<Record<string, unknown>>): OneShot | undefined {
    const index = this.#entries.findIndex((entry) => !entry.running && matches(entry, op, args));
    if (index === -1) return undefined;
    const entry = this.#entries[index] as Entry;
    if (index > 0) {
      this.#entries.splice(index, 1);
      this.#entries.unshift(entry);
    }
    return entry;
  }

  add(op: string, args: Readonly<Record<string, unknown>>, program: CompiledProgram): OneShot {
    const keys = Object.keys(args).filter((key) => key !== 'signal');
    const entry: Entry = {
      op,
      keys,
      values: keys.map((key) => (args[key] instanceof Tensor ? args[key].id : args[key])),
      isTensor: keys.map((key) => args[key] instanceof Tensor),
      program,
      running: false,
    };
    this.#entries.unshift(entry);
    if (this.#entries.length > capacity) this.#entries.pop();
    return entry;
  }
}

function matches(entry: Entry, op: string, args: Readonly<Record<string, unknown>>): boolean {
  if (entry.op !== op) return false;
  let count = 0;
  for (const key in args) {
    if (key === 'signal') continue;
    const position = entry.keys.indexOf(key);
    if (position === -1) return false;
    const value = args[key];
    const isTensor = value instanceof Tensor;
    if (isTensor !== entry.isTensor[position]) return false;
    if (!Object.is(isTensor ? value.id : value, entry.values[position])) return false;
    count++;
  }
  return count === entry.keys.length;
}
