// The worker threads: the only file that uses Piscina. Starts them, gives each its only task, which is to take a seat,
// replaces those that die, and ends them. seats.ts decides who takes which seat; workers/shift.ts is the worker's side.
import { Piscina } from 'piscina';

export interface WorkerPoolOptions {
  /** URL of the built worker entry. */
  readonly workerFile: string;
  readonly threads: number;
  readonly workerData: unknown;
  /** Called once for each worker that dies, with its seat, which must be given again. */
  readonly onLoss: (seat: number, cause: unknown) => void;
  /** Called when the last worker is gone and could not be replaced: seats that wait for a worker will not get one. */
  readonly onEmpty: () => void;
}

export class WorkerPool {
  readonly #piscina: Piscina;
  readonly #onLoss: WorkerPoolOptions['onLoss'];
  /** Ids of the threads that were given their task. Piscina regards them as free again, but they serve their seats. */
  readonly #taken = new Set<number>();
  /** The seat of each thread that has taken one, by the thread's id. */
  readonly #seats = new Map<number, number>();
  #cause: unknown;
  #ending = false;

  constructor(options: WorkerPoolOptions) {
    this.#onLoss = options.onLoss;
    this.#piscina = new Piscina({
      filename: options.workerFile,
      minThreads: options.threads,
      maxThreads: options.threads,
      idleTimeout: Number.POSITIVE_INFINITY,
      recordTiming: false,
      // After its task, a worker must return to its event loop and not wait for another task.
      atomics: 'disabled',
      loadBalancer: (_task, workers) => {
        const free = workers.find(({ id }) => !this.#taken.has(id));
        if (free === undefined) return null;
        this.#taken.add(free.id);
        return free;
      },
      workerData: options.workerData,
    });
    this.#piscina.on('error', (error: unknown) => {
      this.#cause = error;
    });
    // Piscina replaces a dead worker at once. But if a worker dies before it was ready, Piscina starts no more of them.
    this.#piscina.on('workerDestroy', () => {
      queueMicrotask(() => {
        if (this.#ending) return;
        this.#findLosses();
        if (this.#piscina.threads.length === 0) options.onEmpty();
      });
    });
  }

  /** Resolves when a worker has taken the seat, which it keeps until it dies; rejects if it dies before. */
  async giveSeat(seat: number): Promise<void> {
    try {
      const threadId = (await this.#piscina.run(seat)) as number;
      this.#seats.set(threadId, seat);
    } catch (error) {
      if (!this.#ending) this.#onLoss(seat, error);
      throw error;
    }
    // The worker may have died since it took the seat.
    this.#findLosses();
  }

  #findLosses(): void {
    const alive = new Set(this.#piscina.threads.map(({ threadId }) => threadId));
    for (const [threadId, seat] of this.#seats) {
      if (alive.has(threadId)) continue;
      this.#seats.delete(threadId);
      this.#taken.delete(threadId);
      const cause = this.#cause ?? new Error('the thread has ended');
      this.#cause = undefined;
      this.#onLoss(seat, cause);
    }
  }

  /** Ends all workers, as soon as they are out of native code. Pending calls of giveSeat reject. */
  destroy(): Promise<void> {
    this.#ending = true;
    return this.#piscina.destroy();
  }
}
