// Runs compiled programs: pins their storages, provides an arena, and chooses between the team and the calling thread.
// Used by one-shot calls and by recorded programs.
import { AbortError } from '../base/errors.js';
import type { Team } from '../team/team.js';
import { TeamRun } from '../team/team-run.js';
import { KeptPins, pinAll, unpinAll } from '../tensor/memory/kept-pins.js';
import { type PooledStorage, ReleasableStorage, type Storage } from '../tensor/memory/storage.js';
import type { TensorPool } from '../tensor/tensor-pool.js';
import type { CompiledProgram } from './compiled-program.js';
import { SharedArena } from './shared-arena.js';

export interface ProgramRunOptions {
  /** Memory for temporaries; without it, each run rents some. */
  readonly arena?: Storage | SharedArena | undefined;
  /** Called at the end of each run, before its promise settles. */
  readonly onEnd?: (failed: boolean) => void;
}

/**
 * The runs of a program by one owner, one at a time. The owner keeps it, so that a repeated run makes few objects besides
 * its promise.
 */
export class ProgramRun extends TeamRun {
  readonly program: CompiledProgram;
  /** Whether a run is in progress; no other can begin meanwhile. */
  running = false;
  readonly #options: ProgramRunOptions;
  /** Pinned at each run: to some storages, a pin means that a run is in progress. */
  readonly #pinned: readonly Storage[];
  readonly #kept: KeptPins | undefined;
  #rented: PooledStorage | undefined;
  #result: unknown;
  #resolve: (result: unknown) => void = () => {};
  #reject: (error: Error) => void = () => {};

  constructor(program: CompiledProgram, options: ProgramRunOptions = {}) {
    super();
    this.program = program;
    this.#options = options;
    const { externals } = program;
    const keeps = options.arena instanceof SharedArena;
    const mayKeep = (storage: Storage) => keeps && storage instanceof ReleasableStorage;
    this.#pinned = keeps ? externals.filter((storage) => !mayKeep(storage)) : externals;
    if (keeps) this.#kept = new KeptPins(externals.filter(mayKeep));
  }

  /** @internal Pins the operands and places the arena. If it throws, nothing has changed. */
  begin(pool: TensorPool): void {
    const { program } = this;
    const { arena } = this.#options;
    this.#pin();
    try {
      if (arena instanceof SharedArena) program.placeArena(arena.place(program.arenaBytes));
      else {
        if (program.arenaBytes > 0 && arena === undefined) this.#rented = pool.rent(program.arenaBytes);
        program.placeArena((arena ?? this.#rented)?.address ?? 0);
      }
    } catch (error) {
      this.#release();
      throw error;
    }
    this.running = true;
  }

  /** @internal Sets what the promise of the run resolves with. */
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

  /** @internal Gives back what the run used, and calls the owner's `onEnd`. */
  end(failed: boolean): void {
    this.#release();
    this.running = false;
    this.#options.onEnd?.(failed);
  }

  #release(): void {
    this.#rented?.release();
    this.#rented = undefined;
    unpinAll(this.#pinned);
    this.#kept?.keep();
  }

  #pin(): void {
    this.#kept?.take();
    try {
      pinAll(this.#pinned);
    } catch (error) {
      this.#kept?.keep();
      throw error;
    }
  }

  /** @internal The program will not be run again. */
  dispose(): void {
    this.#kept?.letGo();
  }
}

export class Runner {
  readonly #team: Team;
  readonly #pool: TensorPool;

  constructor(team: Team, pool: TensorPool) {
    this.#team = team;
    this.#pool = pool;
  }

  /** Number of workers of the team. */
  get threads(): number {
    return this.#team.threads;
  }

  /** Rents memory for the trace of a program's runs; the caller releases it. */
  rentTrace(program: CompiledProgram): PooledStorage {
    return this.#pool.rent(program.traceBytes);
  }

  /**
   * Runs the program once. The calling thread computes a tiny program before this returns, because the hand-over would
   * cost more than the work; but not if it has computed for long in this turn of the event loop (src/team/turn-budget.ts).
   * @param result what the promise resolves with
   * @throws TesseraeError ERR_ENGINE_CLOSED, ERR_WORKER_LOST, ERR_DISPOSED if an operand's memory was released, ERR_BUDGET
   * if there is no memory for the arena, ERR_INDEX; AbortError. Later errors reject the promise.
   */
  run<T>(run: ProgramRun, signal: AbortSignal | undefined, result: T): Promise<T> {
    if (signal?.aborted) throw new AbortError(signal.reason);
    this.#team.checkUsable();
    run.begin(this.#pool);
    const { kernels, isTiny, inlineNs } = run.program;
    if (kernels.length === 0 || (isTiny && this.#team.takeTurnTime(inlineNs))) {
      this.#computeInline(run);
      return Promise.resolve(result);
    }
    run.resolveWith(result);
    const promise = new Promise<T>(run.attach);
    this.#team.start(run, signal);
    return promise;
  }

  /** Runs the program once on the calling thread, before this returns, whatever its size. @throws what {@link run} throws */
  runAlone(run: ProgramRun, signal: AbortSignal | undefined): void {
    if (signal?.aborted) throw new AbortError(signal.reason);
    this.#team.checkUsable();
    run.begin(this.#pool);
    this.#computeInline(run);
  }

  #computeInline(run: ProgramRun): void {
    let failed = true;
    try {
      if (run.program.kernels.length > 0) this.#team.runInline(run.program);
      failed = false;
    } finally {
      run.end(failed);
    }
  }

  /** Stops a run, if it is in progress: its promise rejects with the error. */
  stop(run: ProgramRun, error: Error): void {
    if (run.running) this.#team.stop(run, error);
  }
}
