// The programs of a step: rows of many sequences in one run, and the tokens that follow the rows that ask for it in others. One
// program for each bucket of rows, recorded when it is met first and kept; all of them share one set of inputs and outputs.
// One step at a time. Used by serving/steps/step-runner.ts.
import { AbortError, TesseraeError } from '../base/errors.js';
import type { ProgramBuilder } from '../ops/calls/program-builder.js';
import { PagedKeyValues, type PageLayout } from '../ops/paged/key-value-pages.js';
import type { RowOptions, SampledLogprobs, SampleState } from '../ops/sampling/sample-rows.js';
import type { Program } from '../program/program.js';
import type { Tensor } from '../tensor/tensor.js';
import { RunChoice, type RunCut, runCut } from './attention-runs.js';
import { attentionCut } from './attention-work.js';
import { BucketPrograms } from './bucket-programs.js';
import type { DecoderParts } from './decoder-programs.js';
import { type Page, PageTable } from './page-table.js';
import { bucketFor, mostRows } from './row-buckets.js';
import { RowInputs, RowsInParts } from './row-inputs.js';
import { StepMemory, type StepTensors } from './step-memory.js';
import { type PooledSlice, textsAtOnce, type VisitPooled } from './text-pooling.js';

/** Consecutive tokens of one sequence. */
export interface SliceInput {
  readonly ids: readonly number[];
  /** Position of the first of them, which is its index in `ids`, too. */
  readonly from: number;
  readonly count: number;
  /** Of all positions before the slice's end. */
  readonly pages: readonly Page[];
}

/** A slice after whose last token one is to be chosen. */
export interface PickedRow {
  readonly slice: number;
  readonly count: number;
  readonly state: SampleState;
  readonly options: RowOptions;
}

export interface SampledToken {
  readonly id: number;
  readonly logprobs: SampledLogprobs | undefined;
}

/** @param token throws TesseraeError ERR_ARGUMENT where the logits allow none: NaN, or nothing above -Infinity */
export type VisitToken = (slice: number, token: () => SampledToken) => void;

/** The logits that are computed at once take at most so many bytes, or one row. */
const mostLogitBytes = 16 << 20;

/**
 * Up to so many rows, a step whose slices are all one token long, and all followed by a choice, is one program: a dispatch less
 * for each token.
 */
const mostDecodingRows = 64;

/** Rows of any kind; rows that decode, one of each sequence; the same with many keys. */
type ForwardRows = 'any' | 'decoding' | 'long';

/** What a program of so many rows is filled with before each run. */
interface StepInputs {
  readonly ids: Tensor<'i32'>;
  readonly rows: RowInputs;
}

type Forward = Program<StepInputs>;
type Head = Program<{ readonly rows: number }>;

export class StepPrograms {
  readonly #parts: DecoderParts;
  readonly #layout: PageLayout;
  readonly #mostLogitRows: number;
  readonly #slots: number;
  readonly #memory: StepMemory;
  readonly #forwards = new BucketPrograms((rows) => this.#record((p) => this.#recordForward(p, rows, 'any')));
  /** Forward passes that choose a token after each of their rows. */
  readonly #decoders = new BucketPrograms((rows) => this.#record((p) => this.#recordForward(p, rows, 'decoding')));
  /** The same for rows that see many keys, whose attention is cut by key blocks, too. */
  readonly #longDecoders = new BucketPrograms((rows) => this.#record((p) => this.#recordForward(p, rows, 'long')));
  readonly #runChoice: RunChoice;
  /** Whether there was memory for what cutting takes in addition. */
  #partsFit = true;
  readonly #heads = new BucketPrograms((rows) => this.#record((p) => this.#recordHead(p, rows)));
  /** One program, for any number of texts. */
  readonly #poolers = new BucketPrograms(() => this.#record((p) => this.#recordPooling(p)));
  /** Counts how often the shared memory was given up: programs recorded before are of no use. */
  #epoch = 0;
  #table: PageTable | undefined;
  #firstRows: number[] = [];
  #choosesInRun = false;
  #underWay: Program | undefined;
  #signal: AbortSignal | undefined;
  #computeMs = 0;
  #declinedTokens = 0;
  #disposed = false;

  /** @param slots sequences in a step, at most */
  constructor(parts: DecoderParts, layout: PageLayout, slots: number) {
    const { config } = parts;
    this.#parts = parts;
    this.#layout = layout;
    const rowBytes = config.vocabulary * Float32Array.BYTES_PER_ELEMENT;
    this.#mostLogitRows = Math.max(1, Math.min(mostRows, Math.floor(mostLogitBytes / rowBytes)));
    this.#memory = new StepMemory(parts, this.#mostLogitRows);
    this.#runChoice = new RunChoice(config, parts.compute.threads, mostDecodingRows);
    this.#slots = slots;
  }

  /**
   * Computes the slices' tokens: writes their keys and values, and their hidden states.
   * @param rows of the program, at least as many as the slices have
   * @param picked after which slices a token will be chosen: the memory for that is taken before anything is computed, too
   * @param signal stops the step, and what follows it until the next one; best the same one for many steps
   * @param meanwhile called once, as soon as this thread has nothing more to do for the step but wait
   * @throws TesseraeError ERR_BUDGET: nothing was computed, and a smaller step may fit; ERR_DISPOSED, ERR_WORKER_LOST and
   * what a program throws; AbortError
   */
  async run(
    slices: readonly SliceInput[],
    rows: number,
    picked: readonly PickedRow[],
    signal: AbortSignal,
    meanwhile: () => void,
  ): Promise<void> {
    this.#watch(signal);
    const most = Math.min(mostDecodingRows, this.#mostLogitRows);
    // Row, slice and pick have the same index then.
    const decodesOnly = picked.length === slices.length && slices.every(({ count }) => count === 1);
    this.#choosesInRun = rows <= most && decodesOnly;
    const needsHead = !this.#choosesInRun && picked.length > 0;
    const long = this.#choosesInRun ? this.#longDecoder(slices, rows) : undefined;
    const programs = [
      long ?? (this.#choosesInRun ? this.#decoders.atLeast(rows) : this.#forwards.atLeast(rows)),
      needsHead ? this.#headFor(Math.min(picked.length, this.#mostLogitRows)) : undefined,
    ] as const;
    const mustWait = programs.some((program) => program instanceof Promise);
    if (mustWait) meanwhile();
    const [preferred, head] = mustWait ? await Promise.all(programs) : (programs as [Forward, Head | undefined]);
    this.#checkUsable();
    const program = preferred === long ? await this.#placeLong(long, rows) : preferred;
    this.#memory.arena.place(Math.max(program.arenaBytes, head?.arenaBytes ?? 0));
    this.#fill(program.tensors, slices);
    if (this.#choosesInRun) this.#setSampling(picked, program.tensors.ids.size);
    this.#computeMs = 0;
    const run = this.#runTwice(program);
    if (!mustWait) meanwhile();
    await run;
  }

  /** How long the programs of the last step have run, its logits included. */
  get computeMs(): number {
    return this.#computeMs;
  }

  /** Tokens that the slow code of the reference chose; see {@link SampleRows.isDeclined}. */
  get declinedTokens(): number {
    return this.#declinedTokens;
  }

  /** Pools hidden states of slices of the last run. */
  async pool(texts: readonly PooledSlice[], visit: VisitPooled): Promise<void> {
    for (let from = 0; from < texts.length; from += textsAtOnce) {
      const group = texts.slice(from, from + textsAtOnce);
      const program = await this.#poolers.exactly(textsAtOnce);
      const { pooling } = this.#memory;
      await this.#runTwice(program, () => pooling.fill(group, this.#firstRows));
      pooling.read(group, visit);
    }
  }

  /** Chooses a token after the last one of some slices of the last run, for as many at once as memory allows. */
  async sample(picked: readonly PickedRow[], visit: VisitToken): Promise<void> {
    if (this.#choosesInRun) {
      this.#visit(picked, visit);
      return;
    }
    for (let from = 0; from < picked.length; from += this.#mostLogitRows) {
      const group = picked.slice(from, from + this.#mostLogitRows);
      const program = await this.#headFor(group.length);
      const { rows } = program.tensors;
      const { data } = this.#shared().picked;
      this.#setSampling(group, rows);
      for (let row = 0; row < rows; row++) {
        const { slice, count } = group[row] ?? (group[0] as PickedRow);
        data[row] = (this.#firstRows[slice] as number) + count - 1;
      }
      await this.#runTwice(program);
      this.#visit(group, visit);
    }
  }

  /** Records the programs that steps of up to so many rows need, and those for as many rows of logits; reserves their memory. */
  async warmup(rows: number): Promise<void> {
    const programs: Program[] = [await this.#poolers.exactly(textsAtOnce)];
    for (let bucket = 1; ; bucket = bucketFor(bucket + 1)) {
      programs.push(await this.#forwards.exactly(bucket));
      if (bucket <= Math.min(mostDecodingRows, this.#mostLogitRows))
        programs.push(await this.#decoders.exactly(bucket));
      programs.push(await this.#headFor(Math.min(bucket, this.#mostLogitRows)));
      if (bucket >= rows) break;
    }
    if (this.#disposed || this.#underWay !== undefined) return;
    this.#memory.arena.reserve(Math.max(...programs.map(({ arenaBytes }) => arenaBytes)));
  }

  /** Gives up memory for whoever needs it, a part at each call. Not during a step. @returns whether there was any */
  freeMemory(): boolean {
    const { arena } = this.#memory;
    if (arena.isHeld) arena.dispose();
    else if (this.#memory.isHeld) this.#dropAll();
    else return false;
    return true;
  }

  dispose(): void {
    this.#disposed = true;
    this.#dropAll();
    this.#memory.dispose();
    this.#table?.dispose();
    if (this.#underWay === undefined) this.#memory.arena.dispose();
  }

  /** Programs, and the memory that they share. What a run needs is freed at its end. */
  #dropAll(): void {
    this.#epoch++;
    this.#partsFit = true;
    for (const programs of [this.#forwards, this.#decoders, this.#longDecoders, this.#heads, this.#poolers]) {
      programs.drop();
    }
    this.#memory.free();
  }

  /** The program whose attention is cut by key blocks, if these rows gain by it and if it is there: nobody waits for it. */
  #longDecoder(slices: readonly SliceInput[], rows: number): Forward | undefined {
    const { mostParts } = this.#runCut(rows);
    const isWorthIt =
      this.#partsFit && this.#runChoice.isWorthIt(slices.length, (row) => (slices[row] as SliceInput).from, mostParts);
    return isWorthIt ? this.#longDecoders.ifRecorded(rows) : undefined;
  }

  /** The program itself if there is memory for its parts, else one that does without. */
  #placeLong(program: Forward, rows: number): Forward | Promise<Forward> {
    try {
      this.#memory.arena.place(program.arenaBytes);
      return program;
    } catch (error) {
      if (!(error instanceof TesseraeError && error.code === 'ERR_BUDGET')) throw error;
      this.#partsFit = false;
      return this.#decoders.atLeast(rows);
    }
  }

  #runCut(rows: number): RunCut {
    const { config, capacity, compute } = this.#parts;
    return runCut(config, rows, compute.threads, { vDim: this.#layout.vDim, capacity });
  }

  /** A worker that was lost has been replaced: the program is run once more, from the same inputs, which `fill` writes. */
  async #runTwice(program: Program, fill = () => {}): Promise<void> {
    const signal = this.#signal;
    if (signal?.aborted) throw new AbortError(signal.reason);
    this.#underWay = program;
    const started = performance.now();
    fill();
    try {
      await program.run();
    } catch (error) {
      if (!(error instanceof TesseraeError && error.code === 'ERR_WORKER_LOST') || signal?.aborted) throw error;
      fill();
      await program.run();
    } finally {
      this.#underWay = undefined;
      this.#computeMs += performance.now() - started;
      if (this.#disposed) this.#memory.arena.dispose();
    }
  }

  /** One listener for all the steps of a signal. */
  #watch(signal: AbortSignal): void {
    if (signal === this.#signal) return;
    this.#signal = signal;
    const stop = () => {
      if (signal === this.#signal) this.#underWay?.stop(new AbortError(signal.reason));
    };
    signal.addEventListener('abort', stop, { once: true });
  }

  #fill({ ids, rows }: StepInputs, slices: readonly SliceInput[]): void {
    const { data } = ids;
    const table = this.#pageTable();
    this.#firstRows = [];
    let row = 0;
    for (const [slot, { ids: own, from, count, pages }] of slices.entries()) {
      this.#firstRows.push(row);
      table.load(slot, pages);
      for (let index = from; index < from + count; index++, row++) {
        data[row] = own[index] as number;
        rows.place(row, slot, index);
      }
    }
    for (; row < ids.size; row++) {
      data[row] = 0;
      rows.pad(row);
    }
    rows.plan();
  }

  /** By what the tokens of the first rows are chosen; of the others, none is. */
  #setSampling(picked: readonly PickedRow[], rows: number): void {
    const { sampling } = this.#shared();
    for (let row = 0; row < rows; row++) {
      const own = picked[row];
      if (own === undefined) sampling.clear(row);
      else sampling.set(row, own.state, own.options);
    }
  }

  #visit(picked: readonly PickedRow[], visit: VisitToken): void {
    const { sampling } = this.#shared();
    for (const [row, { slice, options }] of picked.entries()) {
      visit(slice, () => {
        const id = sampling.idOf(row);
        if (sampling.isDeclined(row)) this.#declinedTokens += 1;
        return { id, logprobs: options.logprobs === undefined ? undefined : sampling.logprobsOf(row) };
      });
    }
  }

  #headFor(rows: number): Promise<Head> | Head {
    return this.#heads.exactly(Math.min(bucketFor(rows), this.#mostLogitRows));
  }

  /** Records a program, again until the shared memory is still the same at the end. */
  async #record<T>(record: (p: ProgramBuilder) => Generator<void, T>): Promise<Program<T>> {
    for (;;) {
      const epoch = this.#epoch;
      this.#checkUsable();
      try {
        const program = await this.#parts.compute.programInSlices(record, undefined, { arena: this.#memory.arena });
        if (epoch === this.#epoch) return program;
        program.dispose();
      } catch (error) {
        if (epoch === this.#epoch) throw error;
      }
    }
  }

  *#recordForward(p: ProgramBuilder, count: number, kind: ForwardRows): Generator<void, StepInputs> {
    const decodes = kind !== 'any';
    const { architecture, config, weights, constants, compute } = this.#parts;
    const layout = this.#layout;
    const shared = this.#shared();
    const ids = shared.ids.slice([0, count]);
    const cut = attentionCut(config, count, compute.threads);
    const rows =
      kind === 'long'
        ? new RowsInParts(shared.rows, count, cut, this.#runCut(count))
        : new RowInputs(shared.rows, count, cut, decodes);
    const table = this.#pageTable();
    const cache = Array.from({ length: layout.layers }, (_, layer) => new PagedKeyValues(table, layout, layer));
    const inputs = { ids, positions: rows.positions, attend: rows.attendTo(p, cache), constants };
    const hidden = yield* architecture.recordHidden(p, config, weights, inputs);
    if (decodes) p.sample(architecture.recordLogits(p, config, weights, hidden), { rows: shared.sampling });
    else p.copy(hidden, { out: shared.hidden.slice([0, count]) });
    return { ids, rows };
  }

  *#recordPooling(p: ProgramBuilder): Generator<void, void> {
    this.#memory.pooling.record(p, this.#shared().hidden);
    yield;
  }

  *#recordHead(p: ProgramBuilder, rows: number): Generator<void, { readonly rows: number }> {
    const { architecture, config, weights } = this.#parts;
    const { hidden, picked, sampling } = this.#shared();
    const chosen = p.embedding(hidden, picked.slice([0, rows]));
    yield;
    p.sample(architecture.recordLogits(p, config, weights, chosen), { rows: sampling });
    return { rows };
  }

  /** Made at first use: a model may be loaded and never asked. */
  #pageTable(): PageTable {
    const { compute, directory, capacity } = this.#parts;
    this.#table ??= new PageTable(compute, directory, this.#layout, { slots: this.#slots, capacity });
    return this.#table;
  }

  #shared(): StepTensors {
    this.#checkUsable();
    return this.#memory.tensors;
  }

  #checkUsable(): void {
    if (this.#disposed) throw new TesseraeError('ERR_DISPOSED', 'the model was disposed');
  }
}
