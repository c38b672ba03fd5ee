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
}

export class WorkerPool {
  readonly #piscina: Piscina;

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
  }

  /** Resolves when the shift ends; rejects when its worker dies. */
  shift(seat: number): Promise<void> {
    return this.#piscina.run(seat) as Promise<void>;
  }

  /** Worker threads that exist at the moment. */
  get threads(): number {
    return this.#piscina.threads.length;
  }

  /** Ends all workers. Shifts must have ended before. */
  destroy(): Promise<void> {
    return this.#piscina.destroy();
  }
}
