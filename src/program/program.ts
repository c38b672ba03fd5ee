// A recorded program as its user sees it: replayed as often as wanted, without recording or allocating again.
// Made by the engine.
import { TesseraeError } from '../errors.js';
import type { Storage } from '../tensor/storage.js';
import type { Tensor } from '../tensor/tensor.js';
import type { CompiledProgram } from './compiled-program.js';
import { ProgramRun, type Runner } from './runner.js';

export interface RunOptions {
  /** Stops the run between two tiles; it then rejects with an AbortError and the outputs are undefined. */
  readonly signal?: AbortSignal | undefined;
}

/** What a program holds from its making to its disposal. */
export interface ProgramMemory {
  /** Every tensor that the program reads or writes. Held, so that none is garbage-collected between two runs. */
  readonly tensors: readonly Tensor[];
  readonly arena: Storage | undefined;
  /** Gives back the arena and the memory of inputs and outputs. Called once, while nothing runs. */
  release(): void;
}

/**
 * A list of ops over fixed tensors. Fill the inputs, `await run()`, read the outputs. Owns its inputs, outputs and
 * intermediate memory until {@link dispose}; tensors of others that it reads (weights) stay theirs and must outlive it.
 */
export class Program<T = unknown> {
  /** What the recording function returned: the program's inputs and outputs, by the names given there. */
  readonly tensors: T;
  readonly #compiled: CompiledProgram;
  readonly #runner: Runner;
  readonly #memory: ProgramMemory;
  readonly #run: ProgramRun;
  #disposed = false;

  /** @internal */
  constructor(tensors: T, compiled: CompiledProgram, runner: Runner, memory: ProgramMemory) {
    this.tensors = tensors;
    this.#compiled = compiled;
    this.#runner = runner;
    this.#memory = memory;
    const onEnd = () => {
      if (this.#disposed) memory.release();
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

  /** Bytes of intermediate tensors, after sharing between those that live at different times. */
  get arenaBytes(): number {
    return this.#compiled.arenaBytes;
  }

  /**
   * Computes all outputs from the inputs as they are now. One run at a time.
   * @throws TesseraeError ERR_BUSY while a run is on, ERR_DISPOSED, ERR_ENGINE_CLOSED, ERR_INDEX, ERR_WORKER_LOST;
   * AbortError when the signal fires
   */
  run(options?: RunOptions): Promise<void> {
    try {
      if (this.#disposed) throw new TesseraeError('ERR_DISPOSED', 'the program was disposed');
      const signal = options === undefined ? undefined : checkRunOptions(options);
      const { tensors } = this.#memory;
      for (let i = 0; i < tensors.length; i++) (tensors[i] as Tensor).checkUsable('program.run');
      if (this.#run.running) throw new TesseraeError('ERR_BUSY', 'the program is running; await its last run first');
      return this.#runner.run(this.#run, signal, undefined);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Frees the program's memory; a run in progress keeps it to its end. */
  dispose(): void {
    if (this.#disposed) throw new TesseraeError('ERR_DISPOSED', 'the program was disposed twice');
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (!this.#run.running) this.#memory.release();
  }
}

/** @throws TesseraeError ERR_ARGUMENT unless the value is a signal or undefined. */
export function checkSignal(value: unknown, op: string): AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return value;
  throw new TesseraeError('ERR_ARGUMENT', 'signal must be an AbortSignal', { op });
}

function checkRunOptions(options: unknown): AbortSignal | undefined {
  const op = 'program.run';
  if (typeof options !== 'object' || options === null) {
    throw new TesseraeError('ERR_ARGUMENT', `the options must be an object, got ${String(options)}`, { op });
  }
  for (const key in options) {
    if (key !== 'signal') throw new TesseraeError('ERR_ARGUMENT', `there is no option ${key}`, { op });
  }
  return checkSignal((options as RunOptions).signal, op);
}
