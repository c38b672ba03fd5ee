// Runs compiled programs: keeps their tensors in place, lends them an arena, and chooses between the team and the
// calling thread. Used by one-shot calls and recorded programs alike.
import { AbortError } from '../base/errors.js';
import type { Team } from '../team/team.js';
import { TeamRun } from '../team/team-run.js';
import type { PooledStorage, Storage } from '../tensor/memory/storage.js';
import type { TensorPool } from '../tensor/tensor-pool.js';
import type { CompiledProgram } from './compiled-program.js';

export interface ProgramRunOptions {
  /** Memory for temporaries that is the owner's; without it some is rented for each run. */
  readonly arena?: Storage | undefined;
  /** Called at the end of each run, before its promise settles. */
  readonly onEnd?: (failed: boolean) => void;
}

/**
 * A program as one owner runs it: one run at a time, as often as wanted. Kept from run to run, so that a repeated run
 * makes hardly more objects than its promise.
 */
export class ProgramRun extends TeamRun {
  readonly program: CompiledProgram;
  /** A run is on: until it has ended there can be no other. */
  running = false;
  readonly #options: ProgramRunOptions;
  #lent: PooledStorage | undefined;
  #result: unknown;
  #resolve: (result: unknown) => void = () => {};
  #reject: (error: Error) => void = () => {};

  constructor(program: CompiledProgram, options: ProgramRunOptions = {}) {
    super();
    this.program = program;
    this.#options = options;
  }

  /** @internal Pins the operands and places the arena. When it throws, nothing has begun. */
  begin(pool: TensorPool): void {
    const { program } = this;
    const { arena } = this.#options;
    pinAll(program.externals);
    try {
      if (program.arenaBytes > 0 && arena === undefined) this.#lent = pool.rent(program.arenaBytes);
      program.placeArena((arena ?? this.#lent)?.address ?? 0);
    } catch (error) {
      this.#letGo();
      throw error;
    }
    this.running = true;
  }

  /** @internal What the promise of the run will resolve with. */
  resolveWith(result: unknown): void {
    this.#result = result;
  }

  /** @internal The executor of the run's promise. */
  readonly attach = (resolve: (result: never) => void, reject: (error: Error) => void): void => {
    this.#resolve = resolve as (result: unknown) => void;
    this.#reject = reject;
  };

  /** @internal Called by the team. */
  ended(error: Error | undefined): void {
    const result = this.#result;
    this.#result = undefined;
    this.end(error !== undefined);
    if (error === undefined) this.#resolve(result);
    else this.#reject(error);
  }

  /** @internal Gives back what was lent, and tells the owner. */
  end(failed: boolean): void {
    this.#letGo();
    this.running = false;
    this.#options.onEnd?.(failed);
  }

  #letGo(): void {
    this.#lent?.release();
    this.#lent = undefined;
    const { externals } = this.program;
    for (let i = 0; i < externals.length; i++) (externals[i] as Storage).unpin();
  }
}

export class Runner {
  readonly #team: Team;
  readonly #pool: TensorPool;

  constructor(team: Team, pool: TensorPool) {
    this.#team = team;
    this.#pool = pool;
  }

  /** Workers of the team. */
  get threads(): number {
    return this.#team.threads;
  }

  /** Memory for the trace of a program's runs; the caller releases it. */
  rentTrace(program: CompiledProgram): PooledStorage {
    return this.#pool.rent(program.traceBytes);
  }

  /**
   * Runs the program once. A tiny one is computed before this returns, on the calling thread: the hand-over would
   * cost more than the work. Not so when the event loop has not turned for long: promises that are fulfilled at once, one
   * after the other, would keep it from turning.
   * @param result what the promise resolves with
   * @throws TesseraeError ERR_ENGINE_CLOSED, ERR_WORKER_LOST, ERR_DISPOSED when an operand's memory was released,
   * ERR_BUDGET when no arena is to be had, ERR_INDEX; AbortError. The promise rejects with what comes up later.
   */
  run<T>(run: ProgramRun, signal: AbortSignal | undefined, result: T): Promise<T> {
    if (signal?.aborted) throw new AbortError(signal.reason);
    this.#team.checkUsable();
    run.begin(this.#pool);
    const { kernels, isTiny, inlineNs } = run.program;
    if (kernels.length === 0 || (isTiny && this.#team.takeTurnTime(inlineNs))) {
      let failed = true;
      try {
        if (kernels.length > 0) this.#team.runInline(run.program);
        failed = false;
      } finally {
        run.end(failed);
      }
      return Promise.resolve(result);
    }
    run.resolveWith(result);
    const promise = new Promise<T>(run.attach);
    this.#team.start(run, signal);
    return promise;
  }
}

/** Pins all or, when one was released, none. */
function pinAll(storages: readonly Storage[]): void {
  let count = 0;
  try {
    for (; count < storages.length; count++) (storages[count] as Storage).pin();
  } catch (error) {
    for (let i = 0; i < count; i++) (storages[i] as Storage).unpin();
    throw error;
  }
}
