// The worker threads: the one file that knows Piscina. Starts them, gives each the one task of its life, replaces those
// that die, ends them. Which seats exist and what a worker does on one is the team's and the worker entry's business.
import { Piscina } from 'piscina';

export interface WorkerPoolOptions {
  /** URL of the built worker entry. */
  readonly workerFile: string;
  readonly threads: number;
  readonly workerData: unknown;
  /** Called once for each worker that dies, with the seat that it had been given; the seat is to be given anew. */
  readonly onLoss: (seat: number, cause: unknown) => void;
  /** Called when the last worker is gone and could not be replaced: seats that still wait will never be taken. */
  readonly onEmpty: () => void;
}

export class WorkerPool {
  readonly #piscina: Piscina;
  readonly #onLoss: WorkerPoolOptions['onLoss'];
  /** Threads that were given their task, by their ids: to Piscina they are free again, but they are not. */
  readonly #taken = new Set<number>();
  /** The seat of each thread that has taken one. */
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
      // A worker must come back to its event loop after its task, and not wait for another one.
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
    // A dead worker is replaced at once, but not when one died before it was ready: Piscina then starts no more.
    this.#piscina.on('workerDestroy', () => {
      queueMicrotask(() => {
        if (this.#ending) return;
        this.#findLosses();
        if (this.#piscina.threads.length === 0) options.onEmpty();
      });
    });
  }

  /** Resolves when a worker has taken the seat, which it keeps as long as it lives; rejects when it dies before. */
  async giveSeat(seat: number): Promise<void> {
    try {
      const threadId = (await this.#piscina.run(seat)) as number;
      this.#seats.set(threadId, seat);
    } catch (error) {
      if (!this.#ending) this.#onLoss(seat, error);
      throw error;
    }
    // It may have died since.
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

  /** Ends all workers, as soon as they are out of native code. Seats that were not taken yet are refused. */
  destroy(): Promise<void> {
    this.#ending = true;
    return this.#piscina.destroy();
  }
}
