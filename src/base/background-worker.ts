// A worker thread for work on untrusted input that cannot be cut into time slices: one job at a time, each with a deadline,
// all with a heap limit. What is over a limit ends with its thread, and the next job gets a new one. The thread starts with
// the first job and does not keep the process alive while it is idle. Used by generation/chat and constraint.
import { Worker } from 'node:worker_threads';
import { whenAborted } from './abort-watch.js';
import { AbortError, TesseraeError } from './errors.js';
import { findWorkerFile } from './package-files.js';

export interface BackgroundWorkerOptions {
  readonly heapMb: number;
}

export interface JobOptions {
  /** The time that the job may take once it runs. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** The error of a job that was over a limit, or failed. */
  readonly failure: (problem: string, code: string | undefined) => Error;
}

/** What the thread answers to a job. */
export type JobAnswer = { readonly value: unknown } | { readonly problem: string; readonly code?: string | undefined };

interface Job extends JobOptions {
  readonly data: unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** Ends listening to the signal. */
  leave: () => void;
}

export class BackgroundWorker {
  readonly #options: BackgroundWorkerOptions;
  readonly #waiting: Job[] = [];
  #worker: Worker | undefined;
  #isReady = false;
  #running: Job | undefined;
  #deadline: NodeJS.Timeout | undefined;

  constructor(options: BackgroundWorkerOptions) {
    this.#options = options;
  }

  /**
   * @param data is copied to the thread
   * @throws the job's failure; TesseraeError ERR_WORKER_START; AbortError when the signal fires
   */
  run(data: unknown, options: JobOptions): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { signal } = options;
      if (signal?.aborted) throw new AbortError(signal.reason);
      const job: Job = { ...options, data, resolve, reject, leave: () => {} };
      job.leave = whenAborted(signal, () => this.#abort(job));
      this.#waiting.push(job);
      this.#next();
    });
  }

  #next(): void {
    if (this.#running !== undefined) return;
    if (this.#waiting.length === 0) {
      this.#worker?.unref();
      return;
    }
    if (this.#worker === undefined) this.#start();
    if (!this.#isReady) return;
    const job = this.#waiting.shift() as Job;
    const worker = this.#worker as Worker;
    this.#running = job;
    worker.ref();
    // An answer that is there already counts, although a process that was held up finds the timer first.
    const late = () => {
      if (this.#running === job) this.#stop(`takes more than ${job.timeoutMs} ms`);
    };
    this.#deadline = setTimeout(() => setImmediate(late), job.timeoutMs);
    worker.postMessage(job.data);
  }

  #start(): void {
    const { heapMb } = this.#options;
    let worker: Worker;
    try {
      worker = new Worker(findWorkerFile(), {
        workerData: { tesserae: 'text' },
        execArgv: [],
        env: {},
        resourceLimits: { maxOldGenerationSizeMb: heapMb, maxYoungGenerationSizeMb: 16 },
      });
    } catch (error) {
      this.#refuse(error);
      return;
    }
    this.#worker = worker;
    worker.on('message', (answer: JobAnswer | 'ready') => {
      if (this.#worker !== worker) return;
      if (answer === 'ready') this.#isReady = true;
      else this.#answer(answer);
      this.#next();
    });
    worker.on('error', (error: NodeJS.ErrnoException) => {
      if (this.#worker !== worker) return;
      const isMemory = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
      this.#lost(isMemory ? `takes more than ${heapMb} MiB of memory` : `fails: ${error.message}`, error);
    });
    worker.on('exit', () => {
      if (this.#worker === worker) this.#lost('has lost its worker thread', undefined);
    });
  }

  /** The thread is gone. If it was never ready, the next one would not be either. */
  #lost(problem: string, cause: unknown): void {
    if (this.#isReady) {
      this.#stop(problem);
      return;
    }
    this.#worker = undefined;
    this.#refuse(cause);
  }

  /** All jobs that wait fail, because no thread starts. */
  #refuse(cause: unknown): void {
    const message = 'a worker thread for untrusted input could not be started';
    const error = cause instanceof TesseraeError ? cause : new TesseraeError('ERR_WORKER_START', message, { cause });
    for (const job of this.#waiting.splice(0)) {
      job.leave();
      job.reject(error);
    }
  }

  #answer(answer: JobAnswer): void {
    const job = this.#end();
    if ('value' in answer) job?.resolve(answer.value);
    else job?.reject(job.failure(answer.problem, answer.code));
  }

  /** Ends the thread and the job that it runs. */
  #stop(problem: string): void {
    const worker = this.#worker as Worker;
    this.#worker = undefined;
    this.#isReady = false;
    const job = this.#end();
    void worker.terminate();
    job?.reject(job.failure(problem, undefined));
    this.#next();
  }

  #abort(job: Job): void {
    job.reject(new AbortError(job.signal?.reason));
    if (job === this.#running) this.#stop('was aborted');
    else {
      job.leave();
      this.#waiting.splice(this.#waiting.indexOf(job), 1);
    }
  }

  /** @returns the job that ran; none if the thread was idle */
  #end(): Job | undefined {
    const job = this.#running;
    this.#running = undefined;
    clearTimeout(this.#deadline);
    job?.leave();
    return job;
  }
}
