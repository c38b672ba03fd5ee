// Serves an encoder: the texts of all callers wait in one queue, and are computed in groups, without padding. Owns programs
// and weights.
import { AbortWatch } from '../base/abort-watch.js';
import { AbortError, type ErrorCode, TesseraeError } from '../base/errors.js';
import { groupRows } from '../forward/encoder/encoder-buckets.js';
import { type EncoderParts, EncoderPrograms } from '../forward/encoder/encoder-programs.js';
import type { ModelRecorder } from '../metrics/model-recorder.js';
import type { RequestRecord } from '../metrics/request-record.js';
import type { ProgramProfile } from '../program/profile.js';
import type { ProfileOptions } from '../program/program.js';
import { EncoderQueue, type QueuedText, type TakenTexts } from './encoder-queue.js';
import type { EmbeddingJob } from './jobs.js';
import { QueueRoom } from './queue-room.js';
import type { ServedModel, Shared } from './served-model.js';
import { type DrainKind, noServing, type ServingOptions, type ServingStats } from './serving-options.js';
import { patienceMs, retryMs } from './steps/starvation.js';
import type { Account, Turns } from './steps/turns.js';

/** Groups that are computed side by side: one program is filled and emptied while the other computes. */
const groupsAtOnce = 2;
/** Texts that one call brings at the same time: enough to make full groups from. */
const lanes = 512;

/** Texts that are computed together. */
interface Group {
  readonly texts: readonly Waiting[];
  readonly stop: AbortController;
  /** Who hears of an end when the group is over. */
  readonly ended: (() => void)[];
}

interface Waiting extends QueuedText {
  readonly job: EmbeddingJob;
  readonly record: RequestRecord;
  readonly resolve: (vector: Float32Array) => void;
  readonly reject: (error: unknown) => void;
  isOver: boolean;
  group: Group | undefined;
}

/** There was no memory for the smallest group. */
interface Starvation {
  /** Since nothing of the engine could have freed any. */
  readonly since: number;
  /** Looks for memory again; undefined when it has fired. */
  timer: NodeJS.Timeout | undefined;
}

export class ServedEncoder implements ServedModel {
  readonly lanes = lanes;
  readonly #parts: EncoderParts;
  /** Those of each group that is computed at the same time. */
  readonly #programs: readonly EncoderPrograms[];
  readonly #options: ServingOptions;
  readonly #turns: Turns;
  readonly #recorder: ModelRecorder;
  readonly #account: Account;
  readonly #queue = new EncoderQueue<Waiting>();
  readonly #room: QueueRoom;
  readonly #aborts = new AbortWatch<Waiting>((text, signal) => this.#end(text, new AbortError(signal.reason)));
  readonly #unregister: () => void;
  readonly #watchers: (() => void)[] = [];
  #running = 0;
  readonly #inGroups = new Set<Waiting>();
  /** Why no texts are taken any more. */
  #refusal: Error | undefined;
  /** Groups at a time, and tokens of a group: fewer where memory is short. */
  #mostGroups = groupsAtOnce;
  #mostTokens = groupRows;
  #starvation: Starvation | undefined;
  #groups = 0;
  #rowsPerGroup = 0;
  #msPerRow = 0;

  constructor(parts: EncoderParts, options: ServingOptions, { turns, recorder }: Shared) {
    this.#parts = parts;
    this.#programs = Array.from({ length: groupsAtOnce }, () => new EncoderPrograms(parts));
    this.#options = options;
    this.#turns = turns;
    this.#recorder = recorder;
    this.#account = turns.open();
    const hasRoom = () => this.#queue.patient < options.maxQueued;
    this.#room = new QueueRoom(hasRoom, () => this.#change());
    const freeMemory = () => this.#programs.some((programs) => programs.freeMemory());
    this.#unregister = parts.compute.pool.onShortage('programs', freeMemory);
  }

  decoder(op: string): never {
    const message = `a model of architecture ${this.#parts.config.architecture} gives embeddings only`;
    throw new TesseraeError('ERR_UNSUPPORTED', message, { op });
  }

  embed(job: EmbeddingJob): Promise<Float32Array> {
    const submit = () => this.#submit(job);
    return job.isPatient === true ? this.#room.enter(job.signal, submit) : submit();
  }

  async profileTexts(texts: readonly (readonly number[])[], options: ProfileOptions): Promise<ProgramProfile> {
    const pooling = { pooling: 'mean', normalize: true, dimensions: this.#parts.config.dim } as const;
    const programs = new EncoderPrograms(this.#parts);
    try {
      return await programs.profile(
        texts.map((ids) => ({ ids, pooling })),
        options,
      );
    } finally {
      programs.dispose();
    }
  }

  stats(): ServingStats {
    return {
      ...noServing,
      queued: this.#queue.size,
      running: this.#inGroups.size,
      steps: this.#groups,
      rowsPerStep: this.#rowsPerGroup,
      expectedWaitMs: this.#queue.tokens * this.#msPerRow,
    };
  }

  async drain(kind: DrainKind, error: Error): Promise<void> {
    if (kind === 'running') {
      this.#refusal = error;
      for (const text of this.#queue.values()) this.#end(text, error);
    }
    while (this.#queue.size + this.#running > 0) await this.#change();
  }

  end(error: Error): void {
    this.#refusal ??= error;
    for (const text of [...this.#queue.values(), ...this.#inGroups]) this.#end(text, error);
    this.#changed();
  }

  /** Nothing is cached. */
  clearCache(): void {}

  async warmup(): Promise<void> {
    for (const programs of this.#programs) await programs.warmup(groupRows);
  }

  /** Frees programs and weights. What waits or runs fails with ERR_DISPOSED. */
  dispose(): void {
    const { weights, constants } = this.#parts;
    this.end(new TesseraeError('ERR_DISPOSED', 'the model was disposed', { op: 'embed' }));
    clearTimeout(this.#starvation?.timer);
    this.#turns.close(this.#account);
    this.#unregister();
    for (const programs of this.#programs) programs.dispose();
    for (const tensor of [...weights.values(), ...constants.values()]) tensor.dispose();
  }

  #submit(job: EmbeddingJob): Promise<Float32Array> {
    const { signal, turn, ids, isPatient = false } = job;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) throw new AbortError(signal.reason);
      if (this.#refusal !== undefined) throw this.#refusal;
      const others = this.#queue.size - this.#queue.patient;
      if (others >= this.#options.maxQueued && !isPatient) {
        const message = `${others} texts are waiting, as many as serving.maxQueued allows`;
        throw new TesseraeError('ERR_QUEUE_FULL', message);
      }
      const observed = { kind: 'embed', promptTokens: ids.length, ...turn } as const;
      const record = this.#recorder.request(observed, job.askedAt);
      const text = { job, record, ids, turn, isPatient, resolve, reject, isOver: false, group: undefined };
      this.#queue.push(text);
      record.queued();
      if (signal !== undefined) this.#aborts.add(signal, text);
      // Texts that come together are grouped together.
      queueMicrotask(() => this.#start());
    });
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#watchers.push(resolve));
  }

  #changed(): void {
    for (const watcher of this.#watchers.splice(0)) watcher();
  }

  #start(): void {
    if (this.#starvation?.timer !== undefined) return;
    const now = performance.now();
    for (const text of this.#queue.overdue(now)) this.#end(text, overdueError());
    while (this.#running < this.#mostGroups) {
      const taken = this.#queue.take(now, this.#mostTokens);
      if (taken === undefined) break;
      void this.#run(taken);
    }
    this.#account.activity = this.#running > 0 ? 'working' : 'idle';
    if (this.#running > 0) return;
    this.#mostGroups = groupsAtOnce;
    this.#mostTokens = groupRows;
  }

  async #run(taken: TakenTexts<Waiting>): Promise<void> {
    const started = performance.now();
    const texts = taken.entries.map(({ text }) => text);
    const { tokens } = taken;
    const group: Group = { texts, stop: new AbortController(), ended: [] };
    this.#running++;
    for (const text of texts) {
      text.group = group;
      text.record.begun(0);
      this.#inGroups.add(text);
    }
    let failure: unknown;
    try {
      const vectors = await this.#compute(group).catch((error: unknown) => {
        if (!isCode(error, 'ERR_WORKER_LOST')) throw error;
        // It has been replaced.
        return this.#compute(group);
      });
      // The program has been given back: who hears of its vector may dispose the model and find all memory free.
      for (const [index, text] of texts.entries()) this.#endInTime(text, vectors[index]);
      this.#starvation = undefined;
      this.#rowsPerGroup += this.#groups === 0 ? tokens : 0.1 * (tokens - this.#rowsPerGroup);
      this.#groups++;
      const ms = performance.now() - started;
      this.#msPerRow = ms / tokens;
      this.#recorder.step(tokens, ms);
    } catch (error) {
      failure = error;
    }
    this.#running--;
    for (const text of texts) {
      text.group = undefined;
      this.#inGroups.delete(text);
    }
    if (isCode(failure, 'ERR_BUDGET')) this.#tryLess(taken, failure);
    else if (failure !== undefined) for (const text of texts) this.#end(text, failure);
    for (const tell of group.ended) tell();
    this.#changed();
    this.#start();
  }

  #compute({ texts, stop }: Group): Promise<Float32Array[]> {
    const programs = this.#programs.find(({ isRunning }) => !isRunning) as EncoderPrograms;
    const inputs = texts.map(({ ids, job }) => ({ ids, pooling: job.pooling }));
    return programs.compute(inputs, stop.signal);
  }

  /** There was no memory for a group: a smaller one is tried, and the smallest one again as long as any may become free. */
  #tryLess(taken: TakenTexts<Waiting>, error: unknown): void {
    const left = taken.entries.filter(({ text }) => !text.isOver);
    const [single] = left;
    if (single === undefined) return;
    const others = this.#turns.others(this.#account);
    const mayBecomeFree = this.#running > 0 || others.work || others.starveWithMemory;
    const now = performance.now();
    const since = mayBecomeFree ? now : (this.#starvation?.since ?? now);
    if (left.length === 1 && now - since >= patienceMs) {
      this.#starvation = undefined;
      this.#end(single.text, error);
      return;
    }
    this.#queue.putBack({ ...taken, entries: left });
    if (this.#running > 0) {
      this.#mostGroups = 1;
      return;
    }
    if (left.length > 1) {
      this.#mostTokens = Math.min(groupRows, taken.tokens) >> 1;
      return;
    }
    this.#account.activity = 'starved';
    const timer = setTimeout(() => {
      if (this.#starvation !== undefined) this.#starvation.timer = undefined;
      this.#start();
    }, retryMs);
    this.#starvation = { since, timer };
  }

  #endInTime(text: Waiting, vector: Float32Array | undefined): void {
    const { deadlineAt } = text.turn;
    if (deadlineAt !== undefined && deadlineAt <= performance.now()) this.#end(text, overdueError());
    else this.#end(text, undefined, vector);
  }

  #end(text: Waiting, error: unknown, vector?: Float32Array): void {
    if (text.isOver) return;
    text.isOver = true;
    text.record.end({ error });
    this.#queue.remove(text);
    const { signal } = text.job;
    if (signal !== undefined) this.#aborts.remove(signal, text);
    if (vector !== undefined) {
      text.resolve(vector);
      return;
    }
    const { group } = text;
    const tell = () => text.reject(error);
    if (group === undefined || group.texts.some(({ isOver }) => !isOver)) {
      tell();
      return;
    }
    // Nobody waits for the group any more: it stops, and the last of them hears of its end when memory and team are free.
    group.ended.push(tell);
    group.stop.abort();
  }
}

function isCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof TesseraeError && error.code === code;
}

function overdueError(): TesseraeError {
  return new TesseraeError('ERR_DEADLINE', 'the text was not embedded within its deadlineMs');
}
