// What a job queue should do with a job that failed, by its error. Called by the ends for each queue, and by users of
// `createJobRunner` with queues of their own.
import type { ErrorCode } from '../base/errors.js';

/**
 * `final`: repeating cannot help. `retry`: another attempt may succeed. `release`: this process is closing, so the job goes
 * back to the queue unharmed. `cancelled`: somebody cancelled the job.
 */
export type JobFailure = 'final' | 'retry' | 'release' | 'cancelled';

/** What each code of the library means for a job. ERR_BUDGET is final where the request can never fit. */
const failureOf: Readonly<Record<ErrorCode, JobFailure>> = {
  // What the job asks for is wrong, and will be wrong again.
  ERR_ARGUMENT: 'final',
  ERR_SHAPE: 'final',
  ERR_DTYPE: 'final',
  ERR_INDEX: 'final',
  ERR_FOREIGN_TENSOR: 'final',
  ERR_CONTEXT: 'final',
  ERR_TOKENIZER: 'final',
  ERR_FORMAT: 'final',
  ERR_CHAT_TEMPLATE: 'final',
  ERR_SESSION_STATE: 'final',
  ERR_UNSUPPORTED: 'final',
  ERR_MODEL_FILE: 'final',
  // Its time is over.
  ERR_DEADLINE: 'final',
  // The state of this process or machine, which may be different next time.
  ERR_BUDGET: 'retry',
  ERR_BUSY: 'retry',
  ERR_QUEUE_FULL: 'retry',
  ERR_WORKER_LOST: 'retry',
  ERR_WORKER_START: 'retry',
  ERR_NATIVE: 'retry',
  ERR_KERNEL: 'retry',
  ERR_FILE: 'retry',
  ERR_ENGINE_CLOSED: 'release',
  ERR_DISPOSED: 'release',
};

/** What a queue should do with a job that failed with this error. Errors of other libraries are worth a retry. */
export function jobFailureOf(error: unknown): JobFailure {
  const { code, neverFits } = (error ?? {}) as { code?: unknown; neverFits?: unknown };
  if (code === 'ABORT_ERR') return 'cancelled';
  if (code === 'ERR_BUDGET' && neverFits === true) return 'final';
  return typeof code === 'string' && Object.hasOwn(failureOf, code) ? failureOf[code as ErrorCode] : 'retry';
}
