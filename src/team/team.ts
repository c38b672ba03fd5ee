// The team's coordinator, on the main thread: publishes programs to the workers, calls workers to shifts, notices when
// runs end, cancels runs, and recovers from a worker's death. Does not depend on which ops exist. README.md describes the
// protocol.
import { AbortWatch } from '../base/abort-watch.js';
import { messageOf } from '../base/describe.js';
import { AbortError, TesseraeError } from '../base/errors.js';
import { channels } from '../metrics/channels.js';
import { type Addon, CallerNext, RunState } from '../native/addon.js';
import { type ControlBlock, controlBlockBytes, makeControlBlock } from './control-block.js';
import { Seats } from './seats.js';
import type { TeamProgram, TeamRun } from './team-run.js';
import { TurnBudget } from './turn-budget.js';

export interface TeamOptions {
  readonly addon: Addon;
  /** Worker threads; at least 1. */
  readonly threads: number;
  /** One of the addon's kernel sets. */
  readonly isa: string;
  /** How long a worker waits for the next program before its shift ends. */
  readonly lingerUs?: number;
  /** CPUs that this process may use: idle workers may spin only if there are more CPUs than workers. */
  readonly cpus: number;
  /** The file of the addon, for the workers. By default they find it by themselves. */
  readonly addonPath?: string | undefined;
  /** Another file with the workers' task, for tests. */
  readonly workerFile?: string;
}

export interface TeamStats {
  readonly threads: number;
  /** Runs so far, by how they ended. Inline runs, computed by the calling thread alone, are counted only as `inline`. */
  readonly runs: {
    readonly started: number;
    readonly finished: number;
    readonly failed: number;
    readonly aborted: number;
    readonly inline: number;
  };
  /** Runs that are published now. */
  readonly running: number;
  /** Runs that wait for a slot. */
  readonly queued: number;
  /** Workers that are on shift now, or about to be; the others sleep and cost nothing. */
  readonly onShift: number;
  /** Shifts so far. */
  readonly shifts: number;
  /** Workers that are there; the others died and are about to be replaced. None after `engine.close()`. */
  readonly workers: number;
  /** Workers that died so far, or did not start. */
  readonly workersLost: number;
  /** Workers that were started in place of lost ones. */
  readonly workersReplaced: number;
  /** How often a worker slept on the futex. */
  readonly sleeps: number;
  /** How often a worker that waited found work before it had to sleep. */
  readonly spinsWon: number;
  /** For each kernel the tiles computed, and their time summed over all threads. */
  readonly kernels: readonly { readonly op: string; readonly tiles: number; readonly ns: number }[];
}

const defaultLingerUs = 10_000;

/** What {@link TurnBudget} is charged for noticing the end of a run without waiting for a turn of the event loop. */
const endingNs = 10_000;

/** Consecutive losses of workers, per seat, after which what is to be run fails until a worker is there again. */
const lossesTolerated = 3;

/** How long a seat stays vacant after its second loss in a row; twice as long after each further one, up to the most. */
const backOffMs = 10;
const mostBackOffMs = 1000;

const teams = new Set<Team>();

// process.exit() waits for the workers' native calls, so these must return after the tile that they compute.
function closeAllTeams(): void {
  for (const team of teams) team.leaveNow();
}

export class Team {
  readonly threads: number;
  readonly #cpus: number;
  readonly #addon: Addon;
  readonly #control: Uint8Array;
  readonly #endings: Int32Array;
  readonly #scratch: Uint8Array;
  readonly #seats: Seats;
  readonly #runs: TeamRun[] = [];
  readonly #queue: TeamRun[] = [];
  /** The program last published in each slot: keeps its memory alive while a late worker may still read it. */
  readonly #slotPrograms: (TeamProgram | undefined)[];
  /** Keeps the process alive while there are runs; the workers do not. */
  readonly #hold = setInterval(() => {}, 2 ** 31 - 1).unref();
  readonly #aborts = new AbortWatch<TeamRun>((run, signal) => this.#abort(run, new AbortError(signal.reason)));
  readonly #counts = { started: 0, finished: 0, failed: 0, aborted: 0, inline: 0, lost: 0, replaced: 0 };
  /** Since the last run that finished: of all seats, and of each. */
  #lossesInARow = 0;
  readonly #seatLosses: number[];
  readonly #restarts = new Set<NodeJS.Timeout>();
  readonly #turnBudget = new TurnBudget();
  #listening = false;
  #closed = false;
  /** Why nothing can be run, until a worker has taken a seat again. */
  #broken: TesseraeError | undefined;

  private constructor(options: TeamOptions, block: ControlBlock) {
    const { addon, threads, cpus } = options;
    this.threads = threads;
    this.#cpus = cpus;
    this.#addon = addon;
    this.#control = block.bytes;
    this.#endings = block.endings;
    this.#scratch = block.scratch;
    this.#slotPrograms = new Array(addon.layout.slots).fill(undefined);
    this.#seats = new Seats({
      addon,
      block,
      threads,
      addonPath: options.addonPath,
      workerFile: options.workerFile,
      onLoss: (seat, cause) => this.#loseWorker(seat, `a worker thread died: ${messageOf(cause)}`, cause),
    });
    this.#seatLosses = new Array(threads).fill(0);
    if (teams.size === 0) process.on('exit', closeAllTeams);
    teams.add(this);
  }

  /** Starts the workers and waits until each has loaded the addon and taken its seat. */
  static async create(options: TeamOptions): Promise<Team> {
    const { addon, isa, threads, cpus, lingerUs = defaultLingerUs } = options;
    const team = new Team(options, makeControlBlock(addon, { isa, threads, cpus, lingerUs }));
    for (let seat = 0; seat < threads; seat++) team.#seats.vacate(seat);
    try {
      await Promise.all(Array.from({ length: threads }, (_, seat) => team.#seats.give(seat)));
    } catch (cause) {
      await team.close();
      throw new TesseraeError('ERR_WORKER_START', `the worker threads did not start: ${messageOf(cause)}`, { cause });
    }
    return team;
  }

  /** Bytes of shared memory that a team with this many workers takes. */
  static sizeBytes(addon: Addon, threads: number): number {
    return controlBlockBytes(addon, threads);
  }

  /**
   * Runs a program on the workers. It must not be running already, and its memory and operands must stay as they are until
   * `run.ended` is called, which happens after this returns.
   * @throws what {@link checkUsable} throws; AbortError if the signal has fired
   */
  start(run: TeamRun, signal: AbortSignal | undefined): void {
    this.checkUsable();
    if (signal?.aborted) throw new AbortError(signal.reason);
    run.signal = signal;
    run.slot = -1;
    run.error = undefined;
    if (signal !== undefined) this.#aborts.add(signal, run);
    this.#counts.started += 1;
    if (this.#isIdle) this.#hold.ref();
    const slot = this.#queue.length > 0 ? -1 : this.#freeSlot();
    if (slot === -1) this.#queue.push(run);
    else this.#publish(run, slot);
  }

  /** Stops a run that has started and has not ended: it ends with the error, between two tiles. */
  stop(run: TeamRun, error: Error): void {
    this.#abort(run, error);
  }

  /** @throws TesseraeError ERR_ENGINE_CLOSED, or ERR_WORKER_LOST while workers keep dying or cannot be started */
  checkUsable(): void {
    if (this.#closed) throw closedError();
    if (this.#broken !== undefined) throw this.#broken;
  }

  /** Computes a program on the calling thread before it returns: for programs of a few microseconds. */
  runInline(program: TeamProgram): void {
    if (this.#closed) throw closedError();
    this.#counts.inline += 1;
    const failure = this.#addon.runInline(this.#control, program.block);
    if (failure !== undefined) throw program.describeFailure(failure);
  }

  /** Whether this thread may compute for `ns` before the event loop turns again; if so, the time is counted as spent. */
  takeTurnTime(ns: number): boolean {
    const { isLeft } = this.#turnBudget;
    if (isLeft) this.#turnBudget.spend(ns);
    return isLeft;
  }

  stats(): TeamStats {
    const native = this.#addon.teamStats(this.#control);
    const { started, finished, failed, aborted, inline, lost, replaced } = this.#counts;
    return {
      threads: this.threads,
      runs: { started, finished, failed, aborted, inline },
      running: this.#runs.length,
      queued: this.#queue.length,
      onShift: this.#seats.onShift,
      shifts: this.#seats.shifts(native.calls),
      workers: this.#seats.occupied,
      workersLost: lost,
      workersReplaced: replaced,
      sleeps: native.sleeps,
      spinsWon: native.spinsWon,
      kernels: native.ops,
    };
  }

  /** Cancels all runs, which end with ERR_ENGINE_CLOSED, and ends the shifts and the threads. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const restart of this.#restarts) clearTimeout(restart);
    for (const run of [...this.#queue, ...this.#runs]) this.#abort(run, closedError());
    this.#addon.closeTeam(this.#control);
    await this.#seats.destroy();
    // No worker is left that could be in a program or report an ending.
    for (let seat = 0; seat < this.threads; seat++) this.#addon.bury(this.#control, seat);
    this.#collect();
    // V8 does not count shared memory when it decides about a garbage collection, and would keep it resident for long.
    this.#addon.releasePages(this.#scratch);
    clearInterval(this.#hold);
    this.#forget();
  }

  /** Makes the workers end their shifts, without waiting for them: for the end of the process. */
  leaveNow(): void {
    this.#addon.closeTeam(this.#control);
  }

  get #isIdle(): boolean {
    return this.#runs.length + this.#queue.length === 0;
  }

  #forget(): void {
    teams.delete(this);
    if (teams.size === 0) process.off('exit', closeAllTeams);
  }

  #publish(run: TeamRun, slot: number): void {
    // Read before the program is published, so that an ending of this run changes the word.
    const seen = Atomics.load(this.#endings, 0);
    run.slot = slot;
    this.#slotPrograms[slot] = run.program;
    this.#runs.push(run);
    const { block, assistUs, extraAssistUs, wakeAssistUs } = run.program;
    const awakeUs = this.threads < this.#cpus ? extraAssistUs : assistUs;
    const ownUs = awakeUs === 0 && this.#seats.onShift === 0 ? wakeAssistUs : awakeUs;
    if (ownUs > 0 && this.#turnBudget.isLeft) {
      const began = performance.now();
      // This thread takes the place of one worker: it can begin at once, while a worker must be woken first.
      const others = Math.min(this.threads, this.#cpus) - 1;
      this.#addon.publish(this.#control, slot, block, others, CallerNext.works);
      this.#callShifts({ most: others, ownTiles: 1, next: CallerNext.works });
      this.#addon.assist(this.#control, slot, block, ownUs);
      this.#turnBudget.spend((performance.now() - began) * 1e6);
      this.#collect();
      if (!this.#runs.includes(run)) return;
    } else {
      this.#addon.publish(this.#control, slot, block, this.threads, CallerNext.rests);
    }
    this.#callShifts({ most: this.threads, ownTiles: 0, next: CallerNext.rests });
    if (!this.#listening) this.#waitForEnding(seen);
  }

  #freeSlot(): number {
    for (let slot = 0; slot < this.#slotPrograms.length; slot++) {
      if (this.#addon.slotIsFree(this.#control, slot)) return slot;
    }
    return -1;
  }

  /**
   * Calls as many workers to shift as all running programs together can use, at most `most`: a worker that is held up in
   * one program must not keep another waiting. Called after publish(), so that a worker that left before it is called.
   */
  #callShifts({ most, ownTiles, next }: { most: number; ownTiles: number; next: number }): void {
    let useful = -ownTiles;
    for (let i = 0; i < this.#runs.length; i++) useful += (this.#runs[i] as TeamRun).program.width;
    this.#seats.callToShift(Math.max(0, Math.min(useful, most)), next);
  }

  /** The worker of a seat is dead, or did not start. */
  #loseWorker(seat: number, message: string, cause: unknown): void {
    if (this.#closed) return;
    this.#counts.lost += 1;
    this.#lossesInARow += 1;
    const error = new TesseraeError('ERR_WORKER_LOST', message, { cause });
    const slot = this.#seats.lose(seat);
    const run = this.#runs.find((candidate) => candidate.slot === slot);
    if (run !== undefined) run.error ??= error;
    this.#replaceLater(seat);
    if (channels.workerLost.hasSubscribers) channels.workerLost.publish({ error });
    // Finds an ending that the worker did not live to report, and calls workers that it did not live to call.
    this.#collect();
    this.#callShifts({ most: this.threads, ownTiles: 0, next: CallerNext.rests });
    if (this.#lossesInARow <= lossesTolerated * this.threads) return;
    this.#broken = error;
    for (const waiting of [...this.#queue, ...this.#runs]) this.#abort(waiting, error);
  }

  /** At once after the first loss of a seat; later after each further one in a row. Goes on as long as the team is open. */
  #replaceLater(seat: number): void {
    const losses = (this.#seatLosses[seat] as number) + 1;
    this.#seatLosses[seat] = losses;
    const delayMs = losses === 1 ? 0 : Math.min(mostBackOffMs, backOffMs * 2 ** (losses - 2));
    const replace = async () => {
      try {
        await this.#seats.give(seat);
        this.#counts.replaced += 1;
        this.#broken = undefined;
      } catch (cause) {
        this.#loseWorker(seat, `a worker thread cannot be started again: ${messageOf(cause)}`, cause);
      }
    };
    if (delayMs === 0) {
      void replace();
      return;
    }
    const restart = setTimeout(() => {
      this.#restarts.delete(restart);
      void replace();
    }, delayMs).unref();
    this.#restarts.add(restart);
  }

  #abort(run: TeamRun, error: Error): void {
    run.error ??= error;
    if (run.slot === -1) {
      this.#queue.splice(this.#queue.indexOf(run), 1);
      this.#settle(run, false);
      return;
    }
    this.#addon.cancel(this.#control, run.slot);
    this.#collect();
  }

  /** Calls `onEnding` once the count of endings differs from `seen`. */
  #waitForEnding(seen: number): void {
    this.#listening = true;
    const wait = Atomics.waitAsync(this.#endings, 0, seen);
    if (wait.async) void wait.value.then(this.#onEnding);
    else if (this.takeTurnTime(endingNs)) queueMicrotask(this.#onEnding);
    else setImmediate(this.#onEnding);
  }

  readonly #onEnding = (): void => {
    // Read before the collection: an ending during it changes the word, and the next wait ends at once.
    const seen = Atomics.load(this.#endings, 0);
    this.#collect();
    this.#listening = !this.#isIdle;
    if (this.#listening) this.#waitForEnding(seen);
  };

  /** Settles the runs that have ended, and publishes queued runs in the slots that became free. */
  #collect(): void {
    for (let i = this.#runs.length - 1; i >= 0; i--) {
      const run = this.#runs[i] as TeamRun;
      const state = this.#addon.runState(this.#control, run.slot, run.program.block);
      if (state === RunState.running) continue;
      if (state === RunState.drained && run.error === undefined) {
        const failure = this.#addon.failure(this.#control, run.slot);
        run.error =
          failure === undefined
            ? new TesseraeError('ERR_KERNEL', 'the program was cancelled for an unknown reason')
            : run.program.describeFailure(failure);
      }
      this.#addon.retire(this.#control, run.slot, run.program.block);
      if (this.#addon.slotIsFree(this.#control, run.slot)) this.#slotPrograms[run.slot] = undefined;
      this.#runs[i] = this.#runs[this.#runs.length - 1] as TeamRun;
      this.#runs.pop();
      this.#settle(run, true);
    }
    while (this.#queue.length > 0) {
      const slot = this.#freeSlot();
      if (slot === -1) break;
      this.#publish(this.#queue.shift() as TeamRun, slot);
    }
  }

  #settle(run: TeamRun, wasPublished: boolean): void {
    const { signal, error } = run;
    if (signal !== undefined) this.#aborts.remove(signal, run);
    if (this.#isIdle) this.#hold.unref();
    if (error === undefined) {
      this.#counts.finished += 1;
      this.#lossesInARow = 0;
      this.#seatLosses.fill(0);
    } else if (error instanceof AbortError || !wasPublished) this.#counts.aborted += 1;
    else this.#counts.failed += 1;
    run.ended(error);
  }
}

function closedError(): TesseraeError {
  return new TesseraeError('ERR_ENGINE_CLOSED', 'the engine is closed');
}
