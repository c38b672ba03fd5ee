// What every suite gets: engines by worker count, the roofline of this run, and a way to report progress.

import { describeMachine, type Machine } from '../../src/hardware/machine.js';
import { probeRoofline, type Roofline } from '../../src/hardware/roofline.js';
import { Engine } from '../../src/index.js';

export interface BenchOptions {
  /** The most workers; by default what an engine takes by default. */
  readonly threads?: number | undefined;
  /** Compare every worker count up to the most, instead of one worker and the most alone. */
  readonly everyCount?: boolean | undefined;
  /** Probe the peaks, of which rows give shares; true by default. */
  readonly probe?: boolean | undefined;
  /** Turns of each variant; medians are over all of them. */
  readonly rounds?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((text: string) => void) | undefined;
}

const defaultRounds = 5;

/** Where a figure comes from, repeated in each row so that a row can be quoted alone. */
export interface Origin {
  readonly isa: string;
  readonly cpu: string;
  readonly commit: string | null;
}

export class BenchContext {
  readonly machine: Machine;
  /** The worker counts to compare, from one to the most. */
  readonly counts: readonly number[];
  readonly rooflines: readonly Roofline[];
  readonly rounds: number;
  readonly signal: AbortSignal | undefined;
  readonly origin: Origin;
  readonly #engines: ReadonlyMap<number, Engine>;
  readonly #onProgress: ((text: string) => void) | undefined;

  private constructor(
    machine: Machine,
    engines: ReadonlyMap<number, Engine>,
    rooflines: readonly Roofline[],
    options: BenchOptions,
  ) {
    this.machine = machine;
    this.#engines = engines;
    this.rooflines = rooflines;
    this.counts = [...engines.keys()].sort((a, b) => a - b);
    this.rounds = options.rounds ?? defaultRounds;
    this.signal = options.signal;
    this.#onProgress = options.onProgress;
    this.origin = { isa: this.widest.isa, cpu: machine.cpu, commit: machine.commit };
  }

  /** Probes the roofline and starts an engine for every worker count. */
  static async open(options: BenchOptions = {}): Promise<BenchContext> {
    const machine = await describeMachine();
    const engines = new Map<number, Engine>();
    try {
      const widest = await Engine.create({ threads: options.threads });
      engines.set(widest.threads, widest);
      const counts = workerCounts(widest.threads, options.everyCount);
      const { signal, onProgress } = options;
      const rooflines =
        options.probe === false
          ? []
          : await probeRoofline(counts, { signal, onProgress: (what) => onProgress?.(`probing ${what}`) });
      for (const threads of counts) {
        if (!engines.has(threads)) engines.set(threads, await Engine.create({ threads }));
      }
      return new BenchContext(machine, engines, rooflines, options);
    } catch (error) {
      await closeAll(engines.values());
      throw error;
    }
  }

  /** The engine of one of {@link counts}. */
  engine(workers: number): Engine {
    return this.#engines.get(workers) as Engine;
  }

  /** The engine with the most workers. */
  get widest(): Engine {
    return this.engine(this.counts.at(-1) as number);
  }

  /** The roofline of one of {@link counts}, in a context that was opened with `probe`. */
  roofline(workers: number): Roofline {
    return this.rooflines.find((roofline) => roofline.workers === workers) as Roofline;
  }

  progress(text: string): void {
    this.#onProgress?.(text);
  }

  async close(): Promise<void> {
    await closeAll(this.#engines.values());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Up to this many workers every count is measured; above, the powers of two and the most. */
const mostCounts = 8;

export function workerCounts(most: number, everyCount = false): number[] {
  if (most === 1) return [1];
  if (!everyCount) return [1, most];
  const counts: number[] = [];
  for (let count = 1; count < most; count = most <= mostCounts ? count + 1 : count * 2) counts.push(count);
  return [...counts, most];
}

async function closeAll(engines: Iterable<Engine>): Promise<void> {
  await Promise.all([...engines].map((engine) => engine.close()));
}
