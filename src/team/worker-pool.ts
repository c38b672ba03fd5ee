// The worker threads: the only file that uses Piscina, which it takes from the built file of the workers, so that a bundle finds
// both together. Starts a thread for each seat, whose only task is to take that seat, reports its death, and ends all of them.
// seats.ts decides when a seat is given; workers/shift.ts is the worker's side.
import type * as piscinaModule from 'piscina';
import { findWorkerFile } from '../base/package-files.js';
import { loadWorkerFile } from '../native/load.js';

export interface WorkerPoolOptions {
  /** The file with the workers' task; by default the one of workers/shift.ts. */
  readonly workerFile: string | undefined;
  readonly workerData: unknown;
  /** Called once for each worker that dies, with its seat, which must be given again; not for one that took no seat. */
  readonly onLoss: (seat: number, cause: unknown) => void;
}

export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  /** A pool of one thread for each seat that has one: Piscina replaces dead threads by rules of its own, the team by others. */
  readonly #threads = new Map<number, piscinaModule.Piscina>();
  #ending = false;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
  }

  /** Resolves when a new worker has taken the seat, which it keeps until it dies; rejects if it dies before. */
  async giveSeat(seat: number): Promise<void> {
    const { workerFile, workerData, onLoss } = this.#options;
    const file = findWorkerFile();
    const { Piscina } = loadWorkerFile(file) as typeof piscinaModule;
    const piscina = new Piscina({
      filename: workerFile ?? file,
      minThreads: 1,
      maxThreads: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      recordTiming: false,
      // After its task, a worker must return to its event loop and not wait for another task.
      atomics: 'disabled',
      workerData,
    });
    this.#threads.set(seat, piscina);
    let cause: unknown = new Error('the thread has ended');
    let isTaken = false;
    piscina.on('error', (error: unknown) => {
      cause = error;
    });
    piscina.once('workerDestroy', () => {
      if (this.#threads.get(seat) === piscina) this.#threads.delete(seat);
      // This event comes before Piscina starts another thread, which it does not do once it is destroyed.
      void piscina.destroy();
      // The event `error` comes after this one.
      if (isTaken && !this.#ending) queueMicrotask(() => onLoss(seat, cause));
    });
    await piscina.run(seat);
    isTaken = true;
  }

  /** Ends all workers, as soon as they are out of native code. Pending calls of giveSeat reject. */
  async destroy(): Promise<void> {
    this.#ending = true;
    await Promise.all([...this.#threads.values()].map((piscina) => piscina.destroy()));
  }
}
