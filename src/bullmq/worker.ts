// A BullMQ worker that loses no job when its process is asked to end, and stops computing what it may no longer store.
import { type ConnectionOptions, Worker, type WorkerOptions } from 'bullmq';
import { TesseraeError } from '../base/errors.js';
import { checkRange } from '../base/options.js';
import type { Engine } from '../index.js';
import type { JobDataOf, JobKind, JobResultOf } from '../jobs/index.js';
import { lockLost, type TesseraeProcessor } from './processor.js';

export interface TesseraeWorkerOptions extends Omit<WorkerOptions, 'connection'> {
  readonly connection: ConnectionOptions;
  /** Jobs of this process at once, which is how many the model may compute together; 64 by default. */
  concurrency?: number;
  /** Closed when the worker is. */
  readonly engine?: Engine | undefined;
  /** How long jobs may go on when the worker closes, before they are given back; 10 s by default. */
  readonly graceMs?: number | undefined;
  /**
   * At one of these signals the worker closes and the process exits with 0; a second one exits at once with 1. SIGTERM and
   * SIGINT by default; with an empty array the application calls `close` itself.
   */
  readonly signals?: readonly NodeJS.Signals[] | undefined;
}

const defaultConcurrency = 64;
const longestMs = 2 ** 31 - 1;
/** How long BullMQ may take to store outcomes and to disconnect, when all jobs have ended. */
const closeMs = 5000;

/** Made by {@link createWorker}: BullMQ's worker, whose `close` gives jobs back instead of waiting for them forever. */
export class TesseraeWorker<K extends JobKind> extends Worker<JobDataOf[K], JobResultOf[K]> {
  readonly #processor: TesseraeProcessor<K>;
  readonly #engine: Engine | undefined;
  readonly #graceMs: number | undefined;
  #draining: Promise<void> | undefined;

  /** @internal */
  constructor(
    queue: string,
    processor: TesseraeProcessor<K>,
    { engine, graceMs, signals = ['SIGTERM', 'SIGINT'], ...options }: TesseraeWorkerOptions,
  ) {
    super(queue, processor, { concurrency: defaultConcurrency, ...given(options) });
    this.#processor = processor;
    this.#engine = engine;
    this.#graceMs = graceMs;
    this.on('lockRenewalFailed', (ids) => {
      for (const id of ids) this.cancelJob(id, lockLost);
    });
    this.#exitAt(signals);
  }

  /**
   * Takes no more jobs, lets those that run finish for `graceMs`, gives the others back to the queue, and closes the engine.
   * @param force does not wait: the jobs that run are found by other workers when their locks expire
   */
  override close(force = false): Promise<void> {
    this.#draining ??= this.#drain(force);
    return this.#draining;
  }

  async #drain(force: boolean): Promise<void> {
    // BullMQ takes no jobs from here on, and waits for those that run.
    const closed = super.close(force);
    await this.#processor.runner.drain({ graceMs: force ? 0 : this.#graceMs });
    await closed;
    await this.#engine?.close();
  }

  #exitAt(signals: readonly NodeJS.Signals[]): void {
    let isEnding = false;
    const end = () => {
      if (isEnding) process.exit(1);
      isEnding = true;
      this.close().then(
        () => process.exit(0),
        () => process.exit(1),
      );
      // Redis may be away. Then the locks of what is left expire, and other workers compute it.
      const giveUp = () => setTimeout(() => process.exit(0), closeMs).unref();
      this.#processor.runner.drain({ graceMs: this.#graceMs }).then(giveUp, giveUp);
    };
    for (const signal of signals) process.on(signal, end);
    this.once('closed', () => {
      if (!isEnding) for (const signal of signals) process.off(signal, end);
    });
  }
}

/** BullMQ takes a member that is undefined for one that is wrong; here it is one that is missing. */
function given<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

/**
 * A worker that computes the jobs of a queue with a processor of {@link createProcessor}. `options` are those of BullMQ's
 * `Worker`, with 64 jobs at once by default, and those named in {@link TesseraeWorkerOptions}.
 * @throws TesseraeError ERR_ARGUMENT
 */
export function createWorker<K extends JobKind>(
  queue: string,
  processor: TesseraeProcessor<K>,
  options: TesseraeWorkerOptions,
): TesseraeWorker<K> {
  const op = 'createWorker';
  if (typeof processor !== 'function' || processor.runner === undefined) {
    throw new TesseraeError('ERR_ARGUMENT', 'expected a processor of createProcessor', { op });
  }
  checkRange(options.graceMs, 'graceMs', op, 0, longestMs);
  return new TesseraeWorker(queue, processor, options);
}
