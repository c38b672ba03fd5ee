// The worker threads: the one file that knows Piscina. Starts them, gives one shift to one of them, ends them.
// Which seats exist and what a shift does is the team's and the worker entry's business.
import { Piscina } from 'piscina';

export interface WorkerPoolOptions {
  /** URL of the built worker entry. */
  readonly workerFile: string;
  readonly threads: number;
  readonly workerData: unknown;
  /** Called when a worker dies that had no shift. */
  readonly onStrayError: (error: unknown) => void;
  /** Called when the last worker is gone and could not be replaced: shifts that still wait will never begin. */
  readonly onEmpty: () => void;
}

export class WorkerPool {
  readonly #piscina: Piscina;
  #ending = false;

  constructor(options: WorkerPoolOptions) {
    this.#piscina = new Piscina({
      filename: options.workerFile,
      minThreads: options.threads,
      maxThreads: options.threads,
      idleTimeout: Number.POSITIVE_INFINITY,
      recordTiming: false,
      workerData: options.workerData,
    });
    this.#piscina.on('error', options.onStrayError);
    // A dead worker is replaced at once, but not when one died before it was ready: Piscina then starts no more.
    this.#piscina.on('workerDestroy', () => {
      queueMicrotask(() => {
        if (this.threads === 0 && !this.#ending) options.onEmpty();
      });
    });
  }

  /** Resolves when the shift ends; rejects when its worker dies. */
  shift(seat: number): Promise<void> {
    return this.#piscina.run(seat) as Promise<void>;
  }

  /** Worker threads that exist at the moment. */
  get threads(): number {
    return this.#piscina.threads.length;
  }

  /** Ends all workers. Shifts must have ended before; those that never began are rejected. */
  destroy(): Promise<void> {
    this.#ending = true;
    return this.#piscina.destroy();
  }
}
