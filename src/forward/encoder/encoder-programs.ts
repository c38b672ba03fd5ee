// The programs of an encoder: the tokens of many texts, one text after the other, and the vectors of the texts. One program
// for each bucket of tokens, recorded when it is met first and kept; all of them share one set of inputs and outputs. One
// group of texts at a time. Knows token ids and no text. Used by serving/served-encoder.ts.
import type { EncoderArchitecture, QueriesKeysValues } from '../../architectures/architecture.js';
import { TesseraeError } from '../../base/errors.js';
import { sequenceItemFields } from '../../ops/attention/sequence-attention.js';
import type { ProgramBuilder } from '../../ops/calls/program-builder.js';
import { type Pooling, poolItemFields, writePoolItem } from '../../ops/rowwise/pool-rows.js';
import type { ProgramProfile } from '../../program/profile.js';
import type { ProfileOptions, Program } from '../../program/program.js';
import { SharedArena } from '../../program/shared-arena.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { WorkCut } from '../attention-work.js';
import { BucketPrograms } from '../bucket-programs.js';
import type { ForwardParts } from '../decoder-programs.js';
import { encoderBucketFor, groupRows, groupTexts } from './encoder-buckets.js';
import { planSequences, sequenceCut } from './sequence-work.js';

/** Everything of a loaded encoder. */
export type EncoderParts = ForwardParts<EncoderArchitecture>;

/** A text of a group. */
export interface TextInput {
  readonly ids: readonly number[];
  readonly pooling: Pooling;
}

/** What all programs read and write. */
interface GroupTensors {
  /** i32: the memory of all inputs. */
  readonly all: Tensor<'i32'>;
  /** i32 [rows]. */
  readonly ids: Tensor<'i32'>;
  readonly positions: Tensor<'i32'>;
  /** i32: the work list of attention. */
  readonly starts: Tensor<'i32'>;
  readonly items: Tensor<'i32'>;
  /** i32 [texts, poolItemFields]: how each text is pooled. */
  readonly pooling: Tensor<'i32'>;
  /** f32 [texts, dim]. */
  readonly vectors: Tensor<'f32'>;
}

interface GroupProgram {
  readonly rows: number;
  readonly cut: WorkCut;
}

export class EncoderPrograms {
  readonly #parts: EncoderParts;
  readonly #arena: SharedArena;
  readonly #programs = new BucketPrograms((rows) => this.#record(rows));
  #tensors: GroupTensors | undefined;
  #isRunning = false;
  #disposed = false;

  constructor(parts: EncoderParts) {
    this.#parts = parts;
    this.#arena = new SharedArena(parts.compute.pool);
  }

  /** Whether a group is computed. */
  get isRunning(): boolean {
    return this.#isRunning;
  }

  /**
   * The vectors of texts, at most {@link groupTexts}, each as long as its pooling wants.
   * @throws TesseraeError ERR_BUDGET: a smaller group may fit; ERR_DISPOSED and what a program throws; AbortError
   */
  async compute(texts: readonly TextInput[], signal: AbortSignal | undefined): Promise<Float32Array[]> {
    this.#isRunning = true;
    let rows = 0;
    try {
      this.#checkUsable();
      const program = await this.#programFor(texts);
      rows = program.tensors.rows;
      this.#prepare(program, texts);
      await program.run({ signal });
      this.#checkUsable();
      const { data } = this.#shared().vectors;
      const { dim } = this.#parts.config;
      return texts.map(({ pooling }, index) => data.slice(index * dim, index * dim + pooling.dimensions));
    } catch (error) {
      if (error instanceof TesseraeError && error.code === 'ERR_DISPOSED') this.#checkUsable();
      throw error;
    } finally {
      this.#isRunning = false;
      // A text that is longer than a group may take much memory, which the groups after it do not need.
      if (this.#disposed || rows > groupRows) this.#arena.dispose();
    }
  }

  /** What computing the vectors of a group spends its time on. Not beside {@link compute}. */
  async profile(texts: readonly TextInput[], options: ProfileOptions): Promise<ProgramProfile> {
    const program = await this.#programFor(texts);
    this.#prepare(program, texts);
    return this.#parts.compute.profile(program, options);
  }

  /** Records the programs for up to so many tokens, and reserves their memory. */
  async warmup(rows: number): Promise<void> {
    let arenaBytes = 0;
    for (let bucket = encoderBucketFor(1); ; bucket = encoderBucketFor(bucket + 1)) {
      const program = await this.#programs.exactly(bucket);
      arenaBytes = Math.max(arenaBytes, program.arenaBytes);
      if (bucket >= rows) break;
    }
    if (!this.#disposed && !this.#isRunning) this.#arena.reserve(arenaBytes);
  }

  /** Gives up memory for whoever needs it, a part at each call. @returns whether there was any that is not in use */
  freeMemory(): boolean {
    if (this.#isRunning || this.#programs.isRecording) return false;
    if (this.#arena.isHeld) this.#arena.dispose();
    else if (this.#tensors !== undefined) this.#dropAll();
    else return false;
    return true;
  }

  /** Frees the programs. What is running fails with ERR_DISPOSED. */
  dispose(): void {
    this.#disposed = true;
    this.#dropAll();
    if (!this.#isRunning) this.#arena.dispose();
  }

  /** Programs, and the memory that they share. What a run needs is freed at its end. */
  #dropAll(): void {
    this.#programs.drop();
    if (this.#tensors === undefined) return;
    this.#tensors.all.dispose();
    this.#tensors.vectors.dispose();
    this.#tensors = undefined;
  }

  /** The program for a group of texts. */
  async #programFor(texts: readonly TextInput[]): Promise<Program<GroupProgram>> {
    const tokens = texts.reduce((sum, { ids }) => sum + ids.length, 0);
    const program = await this.#programs.atLeast(encoderBucketFor(tokens), tokens);
    this.#checkUsable();
    return program;
  }

  /** Places the program's memory, and writes its inputs. */
  #prepare(program: Program<GroupProgram>, texts: readonly TextInput[]): void {
    this.#arena.place(program.arenaBytes);
    this.#fill(texts, program.tensors);
  }

  #fill(texts: readonly TextInput[], { rows, cut }: GroupProgram): void {
    const tensors = this.#shared();
    const ids = tensors.ids.data;
    const positions = tensors.positions.data;
    const pooling = tensors.pooling.data;
    let row = 0;
    for (const [index, text] of texts.entries()) {
      const total = text.ids.length;
      writePoolItem(pooling, index, { firstRow: row, rows: total, from: 0, total, ...text.pooling });
      for (let position = 0; position < total; position++, row++) {
        ids[row] = text.ids[position] as number;
        positions[row] = position;
      }
    }
    for (let index = texts.length; index < groupTexts; index++) writePoolItem(pooling, index, undefined);
    // Padding: a token and a position that every op can look up.
    ids.fill(0, row, rows);
    positions.fill(0, row, rows);
    const lengths = texts.map((text) => text.ids.length);
    planSequences(lengths, rows, cut, { starts: tensors.starts.data, items: tensors.items.data });
  }

  async #record(rows: number): Promise<Program<GroupProgram>> {
    const tensors = this.#shared();
    const record = (p: ProgramBuilder) => this.#recordGroup(p, rows, tensors);
    const program = await this.#parts.compute.programInSlices(record, undefined, { arena: this.#arena });
    if (this.#disposed) program.dispose();
    this.#checkUsable();
    return program;
  }

  *#recordGroup(p: ProgramBuilder, rows: number, tensors: GroupTensors): Generator<void, GroupProgram> {
    const { architecture, config, weights, constants, compute } = this.#parts;
    const cut = sequenceCut(config, rows, compute.threads);
    const work = { starts: tensors.starts.slice([0, cut.lists + 1]), items: tensors.items.slice([0, rows]) };
    const attend = ({ q, k, v }: QueriesKeysValues, slopes?: Tensor) =>
      p.sequenceAttention(q, k, v, { work, ...(slopes && { slopes }) });
    const ids = tensors.ids.slice([0, rows]);
    const positions = tensors.positions.slice([0, rows]);
    const hidden = yield* architecture.recordHidden(p, config, weights, { ids, positions, attend, constants });
    p.poolRows(hidden, { items: tensors.pooling, out: tensors.vectors });
    return { rows, cut };
  }

  /** Taken at the first call: a model may be loaded and never asked. @throws TesseraeError ERR_BUDGET */
  #shared(): GroupTensors {
    this.#checkUsable();
    this.#tensors ??= this.#allocate();
    return this.#tensors;
  }

  #allocate(): GroupTensors {
    const { compute, config, capacity } = this.#parts;
    const rows = Math.max(groupRows, encoderBucketFor(capacity));
    const { lists } = sequenceCut(config, rows, compute.threads);
    const sizes = [rows, rows, lists + 1, rows * sequenceItemFields, groupTexts * poolItemFields];
    const all = compute.pool.zeros([sizes.reduce((sum, size) => sum + size, 0)], 'i32');
    try {
      let end = 0;
      const [ids, positions, starts, items, pooling] = sizes.map((size) => {
        end += size;
        return all.slice([end - size, end]);
      }) as [Tensor<'i32'>, Tensor<'i32'>, Tensor<'i32'>, Tensor<'i32'>, Tensor<'i32'>];
      return {
        all,
        ids,
        positions,
        starts,
        items: items.reshape([rows, sequenceItemFields]),
        pooling: pooling.reshape([groupTexts, poolItemFields]),
        vectors: compute.pool.zeros([groupTexts, config.dim], 'f32'),
      };
    } catch (error) {
      all.dispose();
      throw error;
    }
  }

  #checkUsable(): void {
    if (this.#disposed) throw new TesseraeError('ERR_DISPOSED', 'the model was disposed', { op: 'embed' });
  }
}
