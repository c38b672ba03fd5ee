// Reports a job's progress to its queue: the latest value, seldom, one report at a time. A report that fails, as for a job
// that was removed meanwhile, harms nobody. Used by job-runner.ts.

export interface JobProgress {
  /** Which attempt of the job reports: a reader discards reports of earlier attempts. */
  readonly attempt: number;
  /** Texts that were embedded, or tokens that were generated. */
  readonly done: number;
  /** Texts in all, or the most tokens; null where the job does not limit them. */
  readonly total: number | null;
}

export type ReportProgress = (progress: JobProgress) => unknown;

export class ThrottledProgress {
  readonly #report: ReportProgress;
  readonly #everyMs: number;
  #latest: JobProgress | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isReporting = false;
  #isOver = false;

  constructor(report: ReportProgress, everyMs: number) {
    this.#report = report;
    this.#everyMs = everyMs;
  }

  /** Reports the value after a while, unless a later one comes. */
  update(progress: JobProgress): void {
    if (this.#isOver) return;
    this.#latest = progress;
    if (this.#timer !== undefined || this.#isReporting) return;
    this.#timer = setTimeout(() => this.#write(), this.#everyMs).unref();
  }

  /** From now on nothing is reported: the job's outcome comes next. */
  end(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  #write(): void {
    this.#timer = undefined;
    const progress = this.#latest as JobProgress;
    this.#latest = undefined;
    this.#isReporting = true;
    const done = () => {
      this.#isReporting = false;
      if (this.#latest !== undefined) this.update(this.#latest);
    };
    // An asynchronous function, so that what the report throws at once is a rejection, too.
    (async () => this.#report(progress))().then(done, done);
  }
}
