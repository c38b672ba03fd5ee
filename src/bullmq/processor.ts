// The processor of a BullMQ worker: runs its jobs on a model, and says by its errors what BullMQ should do with a job that
// failed. Takes what it needs of a job by shape. Called by BullMQ.
import { DelayedError, type Job, RateLimitError, UnrecoverableError } from 'bullmq';
import type { Model } from '../index.js';
import {
  createJobRunner,
  type JobDataOf,
  type JobKind,
  type JobResultOf,
  type JobRunner,
  type JobRunnerOptions,
  jobFailureOf,
} from '../jobs/index.js';

/** The reason with which a worker cancels a job whose lock it has lost: another worker may have it already. */
export const lockLost = 'the lock of the job was lost';

/** A job that is given back by a process that goes on living is not taken again before this time. */
const returnDelayMs = 1000;

/** A function for BullMQ's `new Worker(queue, processor)`, with what `createWorker` needs besides. */
export interface TesseraeProcessor<K extends JobKind = JobKind> {
  (job: Job<JobDataOf[K], JobResultOf[K]>, token?: string, signal?: AbortSignal): Promise<JobResultOf[K]>;
  readonly runner: JobRunner<K>;
}

/**
 * A processor whose jobs have `{ text }` or `{ texts }` (kind `embed`), `{ prompt }` (`generate`) or `{ messages }` (`chat`)
 * as data, each with `options` of its own if it wants, and plain JSON as return value. All jobs of a process are computed
 * together. Progress is `{ attempt, done, total }`.
 * @throws TesseraeError ERR_ARGUMENT
 */
export function createProcessor<K extends JobKind>(model: Model, options: JobRunnerOptions<K>): TesseraeProcessor<K> {
  const runner = createJobRunner(model, options);
  // Three plain parameters: BullMQ makes a signal only for a processor whose length is 3.
  const processor = async (job: Job<JobDataOf[K], JobResultOf[K]>, token?: string, signal?: AbortSignal) => {
    try {
      const onProgress = (progress: object) => job.updateProgress(progress);
      return await runner.run(job.data, { signal, onProgress, attempt: Math.max(1, job.attemptsStarted) });
    } catch (error) {
      throw await verdictOf(error, { job, token, signal, isDraining: runner.isDraining });
    }
  };
  return Object.assign(processor, { runner });
}

interface FailedRun {
  readonly job: Job;
  readonly token: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly isDraining: boolean;
}

/** What to throw, so that BullMQ does the right thing with the job. */
async function verdictOf(error: unknown, { job, token, signal, isDraining }: FailedRun): Promise<unknown> {
  switch (jobFailureOf(error)) {
    case 'retry':
      return error;
    case 'final':
      return unrecoverable(`${(error as { code: string }).code}: ${(error as Error).message}`, error);
    case 'cancelled':
      // Without the lock BullMQ stores nothing, and whoever gets the job next computes it.
      if (signal?.reason === lockLost) return error;
      return unrecoverable(`cancelled: ${String(signal?.reason ?? 'without a reason')}`, error);
    case 'release':
      // For this error alone, BullMQ moves a job back to the queue and takes no other one: after a WaitingError, versions before 6
      // take the next job even while the worker closes, which then never ends.
      if (isDraining) return new RateLimitError();
      // The engine is closed, and the worker is not: it may get the same job again.
      await job.moveToDelayed(Date.now() + returnDelayMs, token);
      return new DelayedError((error as Error).message);
  }
}

function unrecoverable(message: string, cause: unknown): Error {
  return Object.assign(new UnrecoverableError(message), { cause });
}
