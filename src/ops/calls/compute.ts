// Compute: ops and programs on one tensor pool and one team. A one-shot call checks, records, compiles and runs one op; a
// program records many ops, to be run often. The engine has one, and models use it. Starts and ends no threads.
import { unreadable } from '../../base/describe.js';
import { TesseraeError } from '../../base/errors.js';
import { internal } from '../../base/internal.js';
import { checkSignal } from '../../base/options.js';
import { runAtOnce, runInSlices, TimeSlice } from '../../base/time-slice.js';
import type { BlockSizes } from '../../machine/block-sizes.js';
import type { Addon, ProductTraits } from '../../native/addon.js';
import { BlockStorage } from '../../program/block-storage.js';
import { CompiledProgram } from '../../program/compiled-program.js';
import type { ProgramProfile } from '../../program/profile.js';
import type { ProfileOptions, Program } from '../../program/program.js';
import { Recorder, type RecorderOptions } from '../../program/recorder.js';
import { ProgramRun, Runner } from '../../program/runner.js';
import type { SharedArena } from '../../program/shared-arena.js';
import { alignedBlock } from '../../team/aligned-block.js';
import type { Team } from '../../team/team.js';
import { elementCount } from '../../tensor/layout/layout.js';
import { MappedFile } from '../../tensor/memory/mapped-file.js';
import { storageOf, Tensor } from '../../tensor/tensor.js';
import type { TensorPool } from '../../tensor/tensor-pool.js';
import { PackedMatrix, type PackOptions, pack, packedShape } from '../matmul/pack.js';
import type { AnyOp } from '../op.js';
import { type PackQuantizedOptions, packQuantized, QuantizedMatrix } from '../quantized/quantized-matrix.js';
import { SampleRows, type SampleRowsSizes } from '../sampling/sample-rows.js';
import { OneShotCache } from './one-shot-cache.js';
import type { ProgramBuilder } from './program-builder.js';
import { ProgramRecording } from './program-recording.js';
import { recordCall } from './record-call.js';

export interface ComputeParts {
  readonly addon: Addon;
  /** The kernel set in use, a key of `addon.products`. */
  readonly isa: string;
  readonly blockSizes: BlockSizes;
  readonly team: Team;
  readonly pool: TensorPool;
}

export interface ProgramOptions {
  /** Memory for intermediate tensors that it shares with other programs, of which one runs at a time; its own by default. */
  readonly arena?: SharedArena;
}

/** Length of a slice of recording: short, because recording makes many objects whose garbage collection takes time, too. */
const recordingSliceMs = 1;

/** A copy of the arguments. @throws TesseraeError ERR_ARGUMENT if they throw when they are read */
function readArgs<Args>(op: string, read: () => Args): Args {
  try {
    return read();
  } catch (cause) {
    throw unreadable(cause, 'the arguments', op);
  }
}

export class Compute {
  readonly threads: number;
  readonly pool: TensorPool;
  readonly #addon: Addon;
  readonly #runner: Runner;
  readonly #recording: RecorderOptions;
  readonly #oneShots = new OneShotCache();
  #recorded = 0;
  #closed = false;

  constructor({ addon, isa, blockSizes, team, pool }: ComputeParts) {
    this.threads = team.threads;
    this.pool = pool;
    this.#addon = addon;
    this.#runner = new Runner(team, pool);
    const storage = this.#block(Float32Array.BYTES_PER_ELEMENT);
    this.#recording = {
      threads: team.threads,
      blockSizes,
      products: addon.products[isa] as ProductTraits,
      zero: new Tensor(internal, { dtype: 'f32', shape: [1], storage }),
    };
  }

  /** Programs that were recorded so far, one-shot calls left out. */
  get recorded(): number {
    return this.#recorded;
  }

  /**
   * A tensor of i32 zeros in memory of its own, for addresses or page numbers that kernels read: callers cannot reach it
   * through the buffer of a tensor of theirs. It belongs to no pool and is not disposed.
   */
  privateTensor(shape: readonly number[]): Tensor<'i32'> {
    const storage = this.#block(elementCount(shape) * Int32Array.BYTES_PER_ELEMENT);
    return new Tensor(internal, { dtype: 'i32', shape, storage });
  }

  /** Whether {@link mapFile} can be called: not in WebAssembly. */
  get mapsFiles(): boolean {
    return this.#addon.wasm === undefined;
  }

  /**
   * Maps the first bytes of a file, for tensors that ops read and nobody writes. A file that is shortened while it is mapped
   * ends the process.
   * @throws Error of the system
   */
  mapFile(fd: number, sizeBytes: number): MappedFile {
    const address = this.#addon.mapFile(fd, sizeBytes);
    const unmap = (at: number, bytes: number) => this.#addon.unmapFile(at, bytes);
    return new MappedFile({ address, sizeBytes, owner: this.pool, unmap });
  }

  /** On what the layout of packed matrices depends, beside their shapes. */
  get packedLayout(): object {
    return { kc: this.#recording.blockSizes.kc };
  }

  /** Gives the memory of a private tensor back to the system, when no program runs on it. It reads as zeros then. */
  giveBackPrivate(tensor: Tensor): void {
    (storageOf(tensor) as BlockStorage).giveBack();
  }

  /** As {@link privateTensor}, of f32 zeros. */
  privateFloats(shape: readonly number[]): Tensor<'f32'> {
    const storage = this.#block(elementCount(shape) * Float32Array.BYTES_PER_ELEMENT);
    return new Tensor(internal, { dtype: 'f32', shape, storage });
  }

  /** Refuses all further calls. Closing the team ends those that are running. */
  close(): void {
    this.#closed = true;
  }

  /** @throws TesseraeError ERR_ENGINE_CLOSED */
  checkOpen(op: string): void {
    if (this.#closed) throw new TesseraeError('ERR_ENGINE_CLOSED', 'the engine is closed', { op });
  }

  /** Computes one op. Resolves with its output: `args.out`, or a new tensor that the caller disposes. */
  call(op: AnyOp, args: Record<string, unknown>): Promise<Tensor> {
    try {
      this.checkOpen(op.name);
      const signal = checkSignal(args.signal, op.name);
      const given = args.out as Tensor | undefined;
      return given === undefined ? this.#callNew(op, args, signal) : this.#callInto(op, args, signal, given);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** See `engine.pack`. @param out where the image is written, which the matrix then owns; its own memory by default */
  async pack(b: Tensor, options: PackOptions, out?: Tensor): Promise<PackedMatrix> {
    const args = readArgs(pack.name, () => pack.args(b, options));
    const image = await this.call(pack, { ...args, out });
    return new PackedMatrix(internal, packedShape(b, args.transposeB), image);
  }

  /** See `engine.packQuantized`. @param out as for {@link pack} */
  async packQuantized(blocks: Tensor, options: PackQuantizedOptions, out?: Tensor): Promise<QuantizedMatrix> {
    const args = readArgs(packQuantized.name, () => packQuantized.args(blocks, options));
    const image = await this.call(packQuantized, { ...args, out });
    return new QuantizedMatrix(internal, args.type, args.shape, image as Tensor<'i8'>);
  }

  /** Makes the parameters and results of `sample` ops. */
  sampleRows(sizes: SampleRowsSizes): SampleRows {
    this.checkOpen('sample');
    const addressOf = (array: ArrayBufferView) => this.#addon.addressOf(array);
    return new SampleRows({ privateTensor: (shape) => this.privateTensor(shape), addressOf }, sizes);
  }

  /** Records a program before it returns. If recording fails, nothing is kept. */
  program<T>(record: (builder: ProgramBuilder) => T): Program<T> {
    this.checkOpen('program');
    if (typeof record !== 'function') throw new TesseraeError('ERR_ARGUMENT', 'expected a function that records ops');
    const recording = this.#beginRecording();
    try {
      return runAtOnce(recording.finish(record(recording.builder)));
    } catch (error) {
      recording.release();
      throw error;
    }
  }

  /**
   * Like {@link program}, in slices that do not block the event loop: a deep model has thousands of ops. `record` yields
   * where it may pause.
   * @throws AbortError when the signal fires
   */
  async programInSlices<T>(
    record: (builder: ProgramBuilder) => Generator<void, T>,
    signal: AbortSignal | undefined,
    { arena }: ProgramOptions = {},
  ): Promise<Program<T>> {
    this.checkOpen('program');
    const timeSlice = new TimeSlice(signal, recordingSliceMs);
    const recording = this.#beginRecording();
    try {
      const tensors = await runInSlices(record(recording.builder), timeSlice);
      return await runInSlices(recording.finish(tensors, arena), timeSlice);
    } catch (error) {
      recording.release();
      throw error;
    }
  }

  /** See `engine.profile`. */
  profile(program: Program, options: ProfileOptions): Promise<ProgramProfile> {
    return program.profile(this.#runner, options);
  }

  #block(sizeBytes: number): BlockStorage {
    const bytes = alignedBlock(this.#addon, sizeBytes);
    const giveBack = (given: Uint8Array) => this.#addon.releasePages(given);
    return new BlockStorage(bytes, this.#addon.addressOf(bytes), this.pool, giveBack);
  }

  #beginRecording(): ProgramRecording {
    this.#recorded++;
    return new ProgramRecording({ addon: this.#addon, pool: this.pool, runner: this.#runner, ...this.#recording });
  }

  /** A call that makes its output, and disposes it if it fails. */
  #callNew(op: AnyOp, args: Record<string, unknown>, signal: AbortSignal | undefined): Promise<Tensor> {
    const recorder = new Recorder(this.#recording);
    const out = this.#record(op, args, recorder);
    try {
      const onEnd = (failed: boolean) => {
        if (failed) out[Symbol.dispose]();
      };
      return this.#runner.run(new ProgramRun(this.#compile(recorder), { onEnd }), signal, out);
    } catch (error) {
      out[Symbol.dispose]();
      throw error;
    }
  }

  /** A call whose output is given. If it is repeated with the same arguments, it is recorded only once. */
  #callInto(op: AnyOp, args: Record<string, unknown>, signal: AbortSignal | undefined, out: Tensor): Promise<Tensor> {
    let run = this.#oneShots.find(op.name, args);
    if (run === undefined) {
      const recorder = new Recorder(this.#recording);
      this.#record(op, args, recorder);
      run = this.#oneShots.add(op.name, args, this.#compile(recorder));
    } else {
      for (const key in args) if (args[key] instanceof Tensor) args[key].checkUsable(op.name, this.pool);
    }
    return this.#runner.run(run, signal, out);
  }

  #record(op: AnyOp, args: Record<string, unknown>, recorder: Recorder): Tensor {
    return recordCall(op, args, {
      recorder,
      checkUsable: (tensor, name) => tensor.checkUsable(name, this.pool),
      allocate: ({ shape, dtype }) => this.pool.empty(shape, dtype),
    });
  }

  #compile(recorder: Recorder): CompiledProgram {
    return runAtOnce(CompiledProgram.compile(this.#addon, recorder.steps));
  }
}
