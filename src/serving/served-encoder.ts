// Serves an encoder: the texts of all callers wait in one queue, and those of about one length are computed together. Owns
// programs and weights.
import { AbortWatch } from '../base/abort-watch.js';
import { AbortError, TesseraeError } from '../base/errors.js';
import { type EncoderParts, EncoderPrograms } from '../forward/encoder-programs.js';
import { EncoderQueue, type QueuedText } from './encoder-queue.js';
import type { EmbeddingJob } from './jobs.js';
import { PooledStates } from './pooling.js';
import type { ServedModel } from './served-model.js';
import { type DrainKind, noServing, type ServingOptions, type ServingStats } from './serving-options.js';

/** Groups that are computed side by side: one program is filled and emptied while the other computes. */
const groupsAtOnce = 2;
/** Texts that one call brings at the same time: enough to make full groups of one length from. */
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
  readonly resolve: (vector: Float32Array) => void;
  readonly reject: (error: unknown) => void;
  isOver: boolean;
  group: Group | undefined;
}

export class ServedEncoder implements ServedModel {
  readonly lanes = lanes;
  readonly #parts: EncoderParts;
  readonly #programs: EncoderPrograms;
  readonly #options: ServingOptions;
  readonly #queue = new EncoderQueue<Waiting>();
  readonly #aborts = new AbortWatch<Waiting>((text, signal) => this.#end(text, new AbortError(signal.reason)));
  readonly #watchers: (() => void)[] = [];
  #running = 0;
  readonly #inGroups = new Set<Waiting>();
  #drain: { readonly kind: DrainKind; readonly error: Error } | undefined;
  #rowsPerGroup = 0;
  #msPerRow = 0;
  #disposed = false;

  constructor(parts: EncoderParts, options: ServingOptions) {
    this.#parts = parts;
    this.#programs = new EncoderPrograms(parts);
    this.#options = options;
  }

  decoder(op: string): never {
    const message = `a model of architecture ${this.#parts.config.architecture} gives embeddings only`;
    throw new TesseraeError('ERR_UNSUPPORTED', message, { op });
  }

  embed(job: EmbeddingJob): Promise<Float32Array> {
    const { signal, turn, ids, isPatient } = job;
    return new Promise((resolve, reject) => {
      if (this.#disposed) throw new TesseraeError('ERR_DISPOSED', 'the model was disposed', { op: 'embed' });
      if (signal?.aborted) throw new AbortError(signal.reason);
      const { kind, error } = this.#drain ?? {};
      if (kind === 'running' || (kind === 'all' && isPatient !== true)) throw error;
      if (this.#queue.size >= this.#options.maxQueued && isPatient !== true) {
        const message = `${this.#queue.size} texts are waiting, more than serving.maxQueued allows`;
        throw new TesseraeError('ERR_QUEUE_FULL', message);
      }
      const text = { job, ids, resolve, reject, turn, isOver: false, group: undefined };
      this.#queue.push(text);
      if (signal !== undefined) this.#aborts.add(signal, text);
      // Texts that come together are grouped together.
      queueMicrotask(() => this.#start());
    });
  }

  async roomInQueue(signal: AbortSignal): Promise<void> {
    while (this.#queue.size >= this.#options.maxQueued && !signal.aborted) {
      await this.#change();
    }
  }

  stats(): ServingStats {
    return {
      ...noServing,
      queued: this.#queue.size,
      running: this.#inGroups.size,
      rowsPerStep: this.#rowsPerGroup,
      expectedWaitMs: this.#queue.tokens * this.#msPerRow,
    };
  }

  async drain(kind: DrainKind, error: Error): Promise<void> {
    this.#drain = { kind, error };
    if (kind === 'running') for (const text of this.#queue.values()) this.#end(text, error);
    while (this.#queue.size + this.#running > 0) await this.#change();
  }

  end(error: Error): void {
    this.#drain = { kind: 'running', error };
    for (const text of [...this.#queue.values(), ...this.#inGroups]) this.#end(text, error);
  }

  /** Nothing is cached. */
  clearCache(): void {}

  /** Nothing to do: which programs are needed depends on the lengths of the texts. */
  async warmup(): Promise<void> {}

  /** Frees programs and weights. What waits or runs fails with ERR_DISPOSED. */
  dispose(): void {
    const { weights, constants } = this.#parts;
    this.#disposed = true;
    const error = new TesseraeError('ERR_DISPOSED', 'the model was disposed', { op: 'embed' });
    for (const text of [...this.#queue.values(), ...this.#inGroups]) this.#end(text, error);
    this.#programs.dispose();
    for (const tensor of [...weights.values(), ...constants.values()]) tensor.dispose();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#watchers.push(resolve));
  }

  #start(): void {
    while (this.#running < groupsAtOnce && this.#queue.size > 0) {
      for (const text of this.#queue.overdue(performance.now())) {
        this.#end(text, new TesseraeError('ERR_DEADLINE', 'the text was not embedded within its deadlineMs'));
      }
      const group = this.#queue.take(performance.now());
      if (group === undefined) return;
      void this.#run(group.texts, group.tokens);
    }
  }

  async #run(texts: readonly Waiting[], tokens: number): Promise<void> {
    const started = performance.now();
    const ids = texts.map((text) => text.ids);
    const rows = texts.length * tokens;
    const group: Group = { texts, stop: new AbortController(), ended: [] };
    this.#running++;
    for (const text of texts) {
      text.group = group;
      this.#inGroups.add(text);
    }
    try {
      const all = { indices: texts.map((_, index) => index), tokens };
      const vectors: Float32Array[] = [];
      await this.#programs.forward(ids, all, group.stop.signal, (index, states) => {
        const text = texts[index] as Waiting;
        if (text.isOver) return;
        const { dim } = this.#parts.config;
        const pooled = new PooledStates(dim, states.length / dim, text.job.pooling);
        pooled.add(states);
        vectors[index] = pooled.vector();
      });
      // The program has been given back: who hears of its vector may dispose the model and find all memory free.
      for (const [index, text] of texts.entries()) this.#end(text, undefined, vectors[index]);
      this.#rowsPerGroup += 0.1 * (rows - this.#rowsPerGroup);
      this.#msPerRow = (performance.now() - started) / rows;
    } catch (error) {
      for (const text of texts) this.#end(text, error);
    } finally {
      this.#running--;
      for (const text of texts) {
        text.group = undefined;
        this.#inGroups.delete(text);
      }
      for (const tell of group.ended) tell();
      for (const watcher of this.#watchers.splice(0)) watcher();
      this.#start();
    }
  }

  #end(text: Waiting, error: unknown, vector?: Float32Array): void {
    if (text.isOver) return;
    text.isOver = true;
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
