// Serves a decoder: all that is generated and embedded is computed by the steps of one loop, in which the requests of all
// callers share rows. Lends sequences of their own for the rest. Owns programs and weights.
import { AbortWatch } from '../base/abort-watch.js';
import { AbortError, TesseraeError } from '../base/errors.js';
import type { DecoderParts } from '../forward/decoder-programs.js';
import type { Page } from '../forward/page-table.js';
import { mostRows } from '../forward/row-buckets.js';
import { Sequence } from '../forward/sequence.js';
import type { KeyValueType, PageLayout } from '../ops/paged/key-value-pages.js';
import { DecoderLane, maxRunning } from './decoder-lane.js';
import type { EmbeddingJob, GenerationJob } from './jobs.js';
import { QueueRoom } from './queue-room.js';
import type { RequestSpec, ScheduledRequest } from './scheduling/scheduled-request.js';
import type { DecoderService, ServedModel, Shared } from './served-model.js';
import { addStats, type DrainKind, type ServingOptions, type ServingStats } from './serving-options.js';
import { EmbeddingClient } from './steps/embedding-client.js';
import { GenerationClient } from './steps/generation-client.js';
import type { StepClient } from './steps/step-client.js';

/** A request, and the lane that computes it. */
interface Submitted {
  readonly lane: DecoderLane;
  readonly request: ScheduledRequest;
}

export class ServedDecoder implements ServedModel, DecoderService {
  readonly parts: DecoderParts;
  readonly #options: ServingOptions;
  readonly #shared: Shared;
  /** By how keys and values are kept. */
  readonly #lanes = new Map<KeyValueType, DecoderLane>();
  readonly #own: DecoderLane;
  readonly #room: QueueRoom;
  readonly #unregister: () => void;
  readonly #lent = new Set<Sequence>();
  readonly #aborts = new AbortWatch<Submitted>(({ lane, request }, signal) =>
    lane.loop.cancel(request, new AbortError(signal.reason)),
  );

  constructor(parts: DecoderParts, options: ServingOptions, shared: Shared) {
    this.parts = parts;
    this.#unregister = parts.compute.pool.onShortage('programs', () => parts.programs.dropIdle());
    this.#options = options;
    this.#shared = shared;
    const own = this.#lane(parts.pageLayout);
    this.#own = own;
    const hasRoom = () => own.scheduler.patientQueued < options.maxQueued;
    this.#room = new QueueRoom(hasRoom, () => own.loop.change());
  }

  /** Twice what can run at the same time: one half waits to take the places of the other. */
  get lanes(): number {
    return 2 * maxRunning;
  }

  decoder(): this {
    return this;
  }

  async profileTexts(): Promise<never> {
    throw new TesseraeError('ERR_UNSUPPORTED', 'a decoder is profiled by session', { op: 'profile' });
  }

  stats(): ServingStats {
    const all = [...this.#lanes.values()].map(({ scheduler, loop, programs }) => {
      const { declinedTokens } = programs;
      const rows = Math.max(1, loop.stats.rowsPerStep);
      const stepMs = scheduler.rate.expectedMs(Math.ceil(rows)) ?? 0;
      const expectedWaitMs = (scheduler.queuedTokens / rows) * stepMs;
      return { ...scheduler.stats(), ...loop.stats, declinedTokens, expectedWaitMs };
    });
    return all.reduce(addStats);
  }

  async withSequence<T>(use: (sequence: Sequence) => Promise<T>): Promise<T> {
    const sequence = new Sequence(this.parts);
    this.#lent.add(sequence);
    try {
      return await use(sequence);
    } finally {
      this.#lent.delete(sequence);
      sequence.dispose();
    }
  }

  async generate(job: GenerationJob): Promise<void> {
    const submit = () => this.#generate(job);
    if (job.isPatient === true) await this.#room.enter(job.request.signal, submit);
    else submit();
  }

  #generate({ request, stream, turn, isChat, loadMs, askedAt, salt, lent, isPatient }: GenerationJob): void {
    const { signal } = request;
    const ids = request.promptIds;
    let submitted: Submitted | undefined;
    const onEnd = () => this.#unwatch(submitted, signal);
    const observed = { kind: isChat ? 'chat' : 'generate', promptTokens: ids.length, ...turn } as const;
    const record = this.#shared.recorder.request(observed, askedAt);
    const client = new GenerationClient({ request, stream, record, loadMs, onEnd });
    const onRelease =
      lent &&
      ((own: ScheduledRequest) => {
        const isComplete = request.ending !== undefined;
        const chosen = isComplete ? request.tokens.slice(own.ids.length - ids.length) : [];
        lent.giveBack([...own.ids, ...chosen], own.pages.splice(0) as Page[], own.computed, isComplete);
      });
    const shared = this.#options.prefixCache ? '' : undefined;
    const spec: RequestSpec = {
      ids: [...ids],
      ...turn,
      ...(lent && { pages: [...lent.pages], computed: lent.computed }),
      onRelease,
      salt: lent === undefined ? (salt ?? shared) : undefined,
      output: 'sample',
      isPatient,
    };
    submitted = this.#submit(spec, client, signal, lent?.layout);
    record.queued();
    const { lane, request: scheduled } = submitted;
    stream.attach({
      cancel: (error) => lane.loop.cancel(scheduled, error),
      park: () => lane.loop.park(scheduled),
      resume: () => lane.loop.unpark(scheduled),
    });
  }

  embed(job: EmbeddingJob): Promise<Float32Array> {
    const submit = () => this.#embed(job);
    return job.isPatient === true ? this.#room.enter(job.signal, submit) : submit();
  }

  #embed({ ids, pooling, turn, askedAt, signal, isPatient }: EmbeddingJob): Promise<Float32Array> {
    return new Promise((resolve, reject) => {
      let submitted: Submitted | undefined;
      const onEnd = (error: unknown, vector: Float32Array) => {
        this.#unwatch(submitted, signal);
        if (error === undefined) resolve(vector);
        else reject(error);
      };
      const { recorder } = this.#shared;
      const record = recorder.request({ kind: 'embed', promptTokens: ids.length, ...turn }, askedAt);
      const client = new EmbeddingClient({ dim: this.parts.config.dim, tokens: ids.length, pooling, record, onEnd });
      const spec: RequestSpec = { ids: [...ids], ...turn, salt: undefined, output: 'hidden', isPatient };
      submitted = this.#submit(spec, client, signal);
      record.queued();
    });
  }

  /** Gives up what was cached under a salt of one call. */
  forget(salt: string): void {
    this.#own.scheduler.forget(salt);
  }

  async drain(kind: DrainKind, error: Error): Promise<void> {
    await Promise.all([...this.#lanes.values()].map(({ loop }) => loop.drain(kind, error)));
  }

  end(error: Error): void {
    for (const { loop } of this.#lanes.values()) loop.close(error);
  }

  clearCache(): void {
    for (const { scheduler } of this.#lanes.values()) scheduler.clearCache();
  }

  async warmup(): Promise<void> {
    await this.#own.programs.warmup(mostRows);
  }

  dispose(): void {
    const { compute, directory, programs, weights, constants } = this.parts;
    const error = new TesseraeError('ERR_DISPOSED', 'the model was disposed');
    this.#unregister();
    for (const lane of this.#lanes.values()) lane.dispose(error);
    for (const sequence of this.#lent) sequence.dispose();
    programs.dispose();
    compute.giveBackPrivate(directory.tensor);
    for (const tensor of [...weights.values(), ...constants.values()]) tensor.dispose();
  }

  #lane(layout: PageLayout): DecoderLane {
    let lane = this.#lanes.get(layout.type);
    if (lane === undefined) {
      lane = new DecoderLane(this.parts, layout, this.#options, this.#shared);
      this.#lanes.set(layout.type, lane);
    }
    return lane;
  }

  #submit(
    spec: RequestSpec,
    client: StepClient,
    signal: AbortSignal | undefined,
    layout = this.parts.pageLayout,
  ): Submitted {
    if (signal?.aborted) throw new AbortError(signal.reason);
    const lane = this.#lane(layout);
    const submitted = { lane, request: lane.loop.submit(spec, client) };
    if (signal !== undefined) this.#aborts.add(signal, submitted);
    return submitted;
  }

  #unwatch(submitted: Submitted | undefined, signal: AbortSignal | undefined): void {
    if (submitted !== undefined && signal !== undefined) this.#aborts.remove(signal, submitted);
  }
}
