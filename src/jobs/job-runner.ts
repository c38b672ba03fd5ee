// Runs the jobs of a queue on one model: what all queues have in common. Knows no queue: `tesserae/bullmq` is an end for one,
// and users write others. Jobs of one process share the steps of the model, so many at once are the batch.
import { AbortWatch } from '../base/abort-watch.js';
import { describe } from '../base/describe.js';
import { TesseraeError } from '../base/errors.js';
import { checkKeys, checkPositive, checkRange, checkWord } from '../base/options.js';
import type { Model } from '../index.js';
import { type ReportProgress, ThrottledProgress } from './job-progress.js';
import {
  type ChatJob,
  type ChatJobOptions,
  type EmbedJob,
  type EmbedJobOptions,
  type EmbedJobResult,
  type GenerateJob,
  type GenerateJobOptions,
  type GenerateJobResult,
  type JobKind,
  type VectorEncoding,
  workOf,
} from './job-work.js';
import { RoomWaiting } from './room-waiting.js';

export interface JobOptionsOf {
  readonly embed: EmbedJobOptions;
  readonly generate: GenerateJobOptions;
  readonly chat: ChatJobOptions;
}

export interface JobRunnerOptions<K extends JobKind = JobKind> {
  /** What the jobs compute. */
  readonly kind: K;
  /** Options for all jobs, as the model's method takes them. */
  readonly options?: JobOptionsOf[K] | undefined;
  /** How vectors are written, for jobs of the kind `embed`; `numbers` by default. */
  readonly vectors?: VectorEncoding | undefined;
  /** The least time between two reports of a job's progress; 1000 by default. */
  readonly progressMs?: number | undefined;
}

export interface JobDataOf {
  readonly embed: EmbedJob;
  readonly generate: GenerateJob;
  readonly chat: ChatJob;
}

export interface JobResultOf {
  readonly embed: EmbedJobResult;
  readonly generate: GenerateJobResult;
  readonly chat: GenerateJobResult;
}

/** A signal by its shape: some queues bring a class of their own. */
export interface SignalLike {
  readonly aborted: boolean;
  readonly reason?: unknown;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** How one job is run. */
export interface JobRun {
  /** Cancels the job. */
  readonly signal?: SignalLike | undefined;
  /** Told of the progress now and then. Its failures are ignored. */
  readonly onProgress?: ReportProgress | undefined;
  /** The number of the attempt, part of each report of progress; 1 by default. */
  readonly attempt?: number | undefined;
}

export interface DrainOptions {
  /** How long the jobs that run may take; 10 s by default. */
  readonly graceMs?: number | undefined;
}

const defaultProgressMs = 1000;
const defaultGraceMs = 10_000;
const longestMs = 2 ** 31 - 1;

/** Many jobs may have one signal. */
const cancellations = new AbortWatch<AbortController>((stop, { reason }) => stop.abort(reason));

/** Made by {@link createJobRunner}. */
export class JobRunner<K extends JobKind = JobKind> {
  readonly kind: K;
  readonly #model: Model;
  readonly #options: object;
  readonly #vectors: VectorEncoding;
  readonly #progressMs: number;
  readonly #room = new RoomWaiting();
  readonly #running = new Set<AbortController>();
  #isDraining = false;
  #whenIdle: (() => void) | undefined;

  /** @internal */
  constructor(model: Model, given: JobRunnerOptions<K>) {
    const op = 'createJobRunner';
    checkKeys(given, ['kind', 'options', 'vectors', 'progressMs'], op);
    const { options = {}, vectors, progressMs } = given;
    if (given.kind === undefined) throw new TesseraeError('ERR_ARGUMENT', 'kind is missing', { op });
    this.kind = checkWord(given.kind, ['embed', 'generate', 'chat'] as const, 'kind', op) as K;
    if (vectors !== undefined && this.kind !== 'embed') {
      throw new TesseraeError('ERR_ARGUMENT', 'vectors is an option of embed jobs alone', { op });
    }
    if (typeof options !== 'object' || options === null) {
      throw new TesseraeError('ERR_ARGUMENT', `options must be an object, got ${describe(options)}`, { op });
    }
    this.#model = model;
    this.#options = { ...options };
    this.#vectors = checkWord(vectors, ['numbers', 'base64'] as const, 'vectors', op);
    this.#progressMs = checkRange(progressMs, 'progressMs', op, 0, longestMs) ?? defaultProgressMs;
  }

  /** Jobs that run. */
  get running(): number {
    return this.#running.size;
  }

  /** Whether no jobs are taken any more. */
  get isDraining(): boolean {
    return this.#isDraining;
  }

  /**
   * Computes one job. Waits for room where the model's queue is full. The result is plain JSON.
   * @throws what {@link jobFailureOf} judges: TesseraeError as `embed`, `generate` or `chat` of the model; AbortError when the
   * signal fires; ERR_ENGINE_CLOSED when the runner drains, for jobs that are given back
   */
  async run(data: JobDataOf[K], { signal, onProgress, attempt = 1 }: JobRun = {}): Promise<JobResultOf[K]> {
    checkPositive(attempt, 'attempt', 'run');
    if (this.#isDraining) throw drained();
    const stop = new AbortController();
    if (signal?.aborted === true) stop.abort(signal.reason);
    else if (signal !== undefined) cancellations.add(signal as AbortSignal, stop);
    this.#running.add(stop);
    const progress = onProgress === undefined ? undefined : new ThrottledProgress(onProgress, this.#progressMs);
    const context = {
      model: this.#model,
      options: this.#options,
      vectors: this.#vectors,
      signal: stop.signal,
      startedAt: performance.now(),
      onProgress: progress && ((done: number, total: number | null) => progress.update({ attempt, done, total })),
    };
    try {
      const work = async () => workOf[this.kind](data, context);
      return (await this.#room.run(work, stop.signal)) as JobResultOf[K];
    } catch (error) {
      throw stop.signal.reason === givenBack ? drained() : error;
    } finally {
      progress?.end();
      if (signal !== undefined) cancellations.remove(signal as AbortSignal, stop);
      this.#running.delete(stop);
      this.#room.wakeOne();
      if (this.#running.size === 0) this.#whenIdle?.();
    }
  }

  /**
   * Takes no jobs any more, and resolves when none runs. Those that still run after `graceMs` stop: they reject with
   * ERR_ENGINE_CLOSED, and belong back into the queue. Returns how many those were.
   */
  async drain(options: DrainOptions = {}): Promise<number> {
    checkKeys(options, ['graceMs'], 'drain');
    const graceMs = checkRange(options.graceMs, 'graceMs', 'drain', 0, longestMs) ?? defaultGraceMs;
    this.#isDraining = true;
    if (this.#running.size === 0) return 0;
    const idle = new Promise<void>((resolve) => {
      const before = this.#whenIdle;
      this.#whenIdle = () => {
        before?.();
        resolve();
      };
    });
    let returned = 0;
    const timer = setTimeout(() => {
      returned = this.#running.size;
      for (const stop of this.#running) stop.abort(givenBack);
    }, graceMs);
    await idle;
    clearTimeout(timer);
    return returned;
  }
}

/** The reason for which jobs stop whose time of grace is over. */
const givenBack = Symbol('given back');

function drained(): TesseraeError {
  return new TesseraeError('ERR_ENGINE_CLOSED', 'this process takes no more jobs: the job goes back to its queue');
}

/** Runs jobs of one kind on a model, for a queue of any make. @throws TesseraeError ERR_ARGUMENT */
export function createJobRunner<K extends JobKind>(model: Model, options: JobRunnerOptions<K>): JobRunner<K> {
  return new JobRunner(model, options);
}
