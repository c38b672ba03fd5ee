// A recorded program as callers use it: it can be run any number of times without recording or allocating again. Made by
// engine.program (src/ops/calls/program-recording.ts).
import { TesseraeError } from '../base/errors.js';
import { checkInternal, type Internal, seal } from '../base/internal.js';
import { checkKeys, checkPositive, checkSignal } from '../base/options.js';
import type { Storage } from '../tensor/memory/storage.js';
import type { Tensor } from '../tensor/tensor.js';
import type { CompiledProgram } from './compiled-program.js';
import { medianRun, type ProgramProfile, profileRun, type TracedRun } from './profile.js';
import { ProgramRun, type Runner } from './runner.js';
import type { SharedArena } from './shared-arena.js';

export interface RunOptions {
  /** Stops the run between two tiles; it then rejects with an AbortError and the outputs are undefined. */
  readonly signal?: AbortSignal | undefined;
}

export interface ProfileOptions extends RunOptions {
  /** Number of runs to measure; 5 by default. */
  readonly runs?: number | undefined;
  /**
   * The calling thread computes the program by itself, and blocks the event loop: so no tile is disturbed by another one.
   * The program is cut into the same tiles, for all workers of the engine.
   */
  readonly alone?: boolean | undefined;
}

const defaultProfileRuns = 5;

/** The memory that a program keeps until its disposal. */
export interface ProgramMemory {
  /** Every tensor that the program reads or writes, so that none is garbage-collected between two runs. */
  readonly tensors: readonly Tensor[];
  readonly arena: Storage | SharedArena | undefined;
  /** Gives back the arena and the memory of inputs and outputs. Called once, when no run is in progress. */
  release(): void;
}

export interface ProgramParts<T> {
  readonly tensors: T;
  readonly compiled: CompiledProgram;
  readonly runner: Runner;
  readonly memory: ProgramMemory;
}

/**
 * A list of ops on fixed tensors. Fill the inputs, `await run()`, read the outputs. Owns its inputs, outputs and
 * intermediate memory until {@link dispose}. It does not own other tensors that it reads (weights); they must outlive it.
 */
export class Program<T = unknown> {
  /** What the recording function returned: the program's inputs and outputs, under the names that it gave them. */
  readonly tensors: T;
  readonly #compiled: CompiledProgram;
  readonly #runner: Runner;
  readonly #memory: ProgramMemory;
  readonly #run: ProgramRun;
  #profiling = false;
  #disposed = false;

  /** Only what was constructed here is a program, and not what has its prototype. */
  static [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === 'object' && value !== null && #compiled in value;
  }

  /** @internal */
  constructor(key: Internal, parts: ProgramParts<T>) {
    checkInternal(key, 'Program', 'engine.program');
    const { tensors, compiled, runner, memory } = parts;
    this.tensors = tensors;
    this.#compiled = compiled;
    this.#runner = runner;
    this.#memory = memory;
    const onEnd = () => {
      if (this.#disposed) this.#release();
    };
    this.#run = new ProgramRun(compiled, { arena: memory.arena, onEnd });
  }

  /** The kernel of each recorded step, in order. */
  get kernels(): readonly string[] {
    return this.#compiled.kernels;
  }

  /** Floating-point operations of one run. */
  get flops(): number {
    return this.#compiled.flops;
  }

  /** Bytes for intermediate tensors; those that are alive at different times share memory. */
  get arenaBytes(): number {
    return this.#compiled.arenaBytes;
  }

  /**
   * Computes all outputs from the current inputs. One run at a time.
   * @throws TesseraeError ERR_BUSY during another run, ERR_DISPOSED, ERR_ENGINE_CLOSED, ERR_INDEX, ERR_WORKER_LOST;
   * AbortError when the signal fires
   */
  run(options?: RunOptions): Promise<void> {
    try {
      if (this.#disposed) throw disposedError();
      const signal = options === undefined ? undefined : checkRunOptions(options, 'program.run', runOptionNames);
      if (this.#profiling) throw new TesseraeError('ERR_BUSY', 'the program is being profiled; await that first');
      this.#checkReady('program.run');
      return this.#runner.run(this.#run, signal, undefined);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * @internal Stops the run in progress, which rejects with the error. Cheaper than a signal where runs are short: adding and
   * removing a listener takes some 50 µs.
   */
  stop(error: Error): void {
    this.#runner.stop(this.#run, error);
  }

  /**
   * @internal See {@link Engine.profile}.
   * @param runner the engine's; the program must have been recorded for this engine
   */
  async profile(runner: Runner, options: ProfileOptions): Promise<ProgramProfile> {
    const op = 'profile';
    const signal = checkRunOptions(options, op, profileOptionNames);
    const { runs: given = defaultProfileRuns, alone = false } = options;
    if (typeof alone !== 'boolean') throw new TesseraeError('ERR_ARGUMENT', 'alone must be a boolean', { op });
    const runs = checkPositive(given, 'runs', op);
    if (runner !== this.#runner) {
      throw new TesseraeError('ERR_ARGUMENT', 'the program belongs to another engine', { op });
    }
    if (this.#profiling) throw new TesseraeError('ERR_BUSY', 'the program is being profiled; await that first', { op });
    this.#checkReady(op);
    const trace = runner.rentTrace(this.#compiled);
    this.#profiling = true;
    try {
      this.#compiled.placeTrace(trace.address);
      const traced: TracedRun[] = [];
      for (let run = 0; run < runs; run++) {
        this.#checkReady(op);
        const startedNs = process.hrtime.bigint();
        if (alone) this.#runner.runAlone(this.#run, signal);
        else await this.#runner.run(this.#run, signal, undefined);
        const endedNs = process.hrtime.bigint();
        const words = new BigUint64Array(trace.buffer, trace.byteOffset, this.#compiled.traceBytes / 8).slice();
        traced.push({ startedNs, endedNs, words });
      }
      return profileRun(this.#compiled.steps, medianRun(traced), { threads: runner.threads, runs });
    } finally {
      this.#compiled.placeTrace(0);
      trace.release();
      this.#profiling = false;
    }
  }

  #checkReady(op: string): void {
    if (this.#disposed) throw disposedError();
    const { tensors } = this.#memory;
    for (let i = 0; i < tensors.length; i++) (tensors[i] as Tensor).checkUsable(op);
    if (this.#run.running) throw new TesseraeError('ERR_BUSY', 'the program is running; await its last run first');
  }

  /** Frees the program's memory; a run in progress keeps it until it ends. */
  dispose(): void {
    if (this.#disposed) throw new TesseraeError('ERR_DISPOSED', 'the program was disposed twice');
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (!this.#run.running) this.#release();
  }

  #release(): void {
    this.#run.dispose();
    this.#memory.release();
  }
}

seal(Program);

const runOptionNames: readonly string[] = ['signal'];
const profileOptionNames: readonly string[] = ['signal', 'runs', 'alone'];

function disposedError(): TesseraeError {
  return new TesseraeError('ERR_DISPOSED', 'the program was disposed');
}

function checkRunOptions(options: unknown, op: string, names: readonly string[]): AbortSignal | undefined {
  checkKeys(options, names, op);
  return checkSignal((options as RunOptions).signal, op);
}
