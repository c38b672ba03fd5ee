// The team's coordinator, on the main thread: publishes programs to the workers, calls workers to shifts, hears of
// endings, cancels, and heals after a worker's death. Does not know which ops exist. The protocol is in README.md.
import { AbortError, TesseraeError } from '../base/errors.js';
import { type Addon, CallerNext, RunState, SeatState, seatStateIndex } from '../native/addon.js';
import { AbortWatch } from './abort-watch.js';
import { alignedBlock } from './aligned-block.js';
import { OwnTime } from './own-time.js';
import { PromisedRun, type TeamProgram, type TeamRun } from './team-run.js';
import { findWorkerFile } from './worker-file.js';
import { WorkerPool } from './worker-pool.js';

export interface TeamOptions {
  readonly addon: Addon;
  /** Worker threads; at least 1. */
  readonly threads: number;
  /** One of the addon's kernel sets. */
  readonly isa: string;
  /** How long a worker waits for the next program before its shift ends. */
  readonly lingerUs?: number;
  /** CPUs that this process may use: decides whether idle workers may spin. */
  readonly cpus: number;
  /** Another worker entry, for tests. */
  readonly workerFile?: string;
}

export interface TeamStats {
  readonly threads: number;
  /** Runs begun, by how they ended; inline runs are those computed on the calling thread. */
  readonly runs: {
    readonly started: number;
    readonly finished: number;
    readonly failed: number;
    readonly aborted: number;
    readonly inline: number;
  };
  /** Runs that are published or wait for a slot. */
  readonly running: number;
  readonly queued: number;
  /** Workers that are on shift now, or on the way to one; the others sleep, and cost nothing. */
  readonly onShift: number;
  /** Shifts begun by workers, and workers that died. */
  readonly shifts: number;
  readonly workersLost: number;
  /** Times that a worker slept on the futex; waits that were over before it came to that. */
  readonly sleeps: number;
  readonly spinsWon: number;
  /** Per kernel: tiles computed, and the time in them summed over all threads. */
  readonly kernels: readonly { readonly op: string; readonly tiles: number; readonly ns: number }[];
}

/** What hearing of an ending at once counts as: it as well keeps the event loop from turning. */
const endingNs = 10_000;

/** Consecutive deaths of workers, per seat, after which the team gives up. */
const lossesTolerated = 3;

const teams = new Set<Team>();

// process.exit() waits for the workers' native calls: tell them to come back after the tile in hand.
function closeAllTeams(): void {
  for (const team of teams) team.leaveNow();
}

export class Team {
  readonly threads: number;
  readonly #cpus: number;
  readonly #addon: Addon;
  readonly #control: Uint8Array;
  readonly #endings: Int32Array;
  readonly #pool: WorkerPool;
  readonly #runs: TeamRun[] = [];
  readonly #queue: TeamRun[] = [];
  /**
   * The program last published in each slot. Keeps its block from being garbage-collected while a worker that was late
   * may still look into it.
   */
  readonly #slotPrograms: (TeamProgram | undefined)[];
  readonly #calledSeats: Uint8Array;
  /** The words of the control block; the state of a seat is the one that {@link #stateIndex} names. */
  readonly #words: Int32Array;
  /** Keeps the process alive while there are runs: of the workers, which sleep between shifts, none does. */
  readonly #hold = setInterval(() => {}, 2 ** 31 - 1).unref();
  readonly #aborts = new AbortWatch<TeamRun>((run, signal) => this.#abort(run, new AbortError(signal.reason)));
  readonly #counts = { started: 0, finished: 0, failed: 0, aborted: 0, inline: 0, shifts: 0, lost: 0 };
  #lossesInARow = 0;
  readonly #ownTime = new OwnTime();
  #listening = false;
  #closed = false;
  #broken: TesseraeError | undefined;

  private constructor(options: TeamOptions) {
    const { addon, threads } = options;
    const { layout } = addon;
    this.threads = threads;
    this.#cpus = options.cpus;
    this.#addon = addon;
    this.#control = alignedBlock(addon, layout.controlBytes + (threads + 1) * layout.seatBytes);
    const scratch = alignedBlock(addon, (threads + 1) * layout.scratchBytes);
    addon.adviseHugePages(scratch);
    addon.controlInit(this.#control, {
      isa: options.isa,
      seats: threads,
      // With a worker on every core, an idle worker that spins keeps the main thread from its work.
      idleSpins: threads < options.cpus ? 1000 : 0,
      lingerUs: options.lingerUs ?? 10_000,
      scratch,
    });
    this.#endings = new Int32Array(this.#control.buffer, this.#control.byteOffset + layout.endingsOffsetBytes, 1);
    this.#slotPrograms = new Array(layout.slots).fill(undefined);
    this.#calledSeats = new Uint8Array(threads);
    this.#words = new Int32Array(this.#control.buffer, this.#control.byteOffset, this.#control.byteLength / 4);
    this.#pool = new WorkerPool({
      workerFile: options.workerFile ?? findWorkerFile(),
      threads,
      // The scratch memory is found through the control block; it is posted so that it lives as long as the workers.
      workerData: { control: this.#control, scratch },
      onLoss: (seat, cause) => this.#loseWorker(seat, cause),
      onEmpty: () => {
        this.#giveUp(new TesseraeError('ERR_WORKER_LOST', 'the worker threads died and cannot be started again'));
      },
    });
    if (teams.size === 0) process.on('exit', closeAllTeams);
    teams.add(this);
  }

  /** Starts the workers and waits until each has loaded the addon and taken its seat. */
  static async create(options: TeamOptions): Promise<Team> {
    const team = new Team(options);
    const seats = Array.from({ length: team.threads }, (_, seat) => team.#giveSeat(seat));
    try {
      await Promise.all(seats);
    } catch (cause) {
      await team.close();
      throw new TesseraeError('ERR_WORKER_START', `the worker threads did not start: ${messageOf(cause)}`, { cause });
    }
    return team;
  }

  /** Bytes of shared memory that a team of so many workers takes for itself. */
  static sizeBytes({ layout }: Addon, threads: number): number {
    return layout.controlBytes + (threads + 1) * (layout.seatBytes + layout.scratchBytes);
  }

  /**
   * Runs a program on the workers. The program must not be running already, and its memory and operands must stay as
   * they are until the promise settles.
   */
  run(program: TeamProgram, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => this.start(new PromisedRun(program, resolve, reject), signal));
  }

  /**
   * As {@link run}, without a promise. The run hears of its end later, never before this returns.
   * @throws what {@link checkUsable} throws; AbortError when the signal has fired
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

  /** @throws TesseraeError ERR_ENGINE_CLOSED, or ERR_WORKER_LOST when the team has given up */
  checkUsable(): void {
    if (this.#closed) throw closedError();
    if (this.#broken !== undefined) throw this.#broken;
  }

  /** Computes a program at once on the calling thread: for programs of a few microseconds. */
  runInline(program: TeamProgram): void {
    if (this.#closed) throw closedError();
    this.#counts.inline += 1;
    const failure = this.#addon.runInline(this.#control, program.block);
    if (failure !== undefined) throw program.describeFailure(failure);
  }

  /** Whether this thread may compute something that takes so long, before the event loop turns again. If so it counts. */
  takeOwnTime(ns: number): boolean {
    const { isLeft } = this.#ownTime;
    if (isLeft) this.#ownTime.spend(ns);
    return isLeft;
  }

  stats(): TeamStats {
    const native = this.#addon.teamStats(this.#control);
    const { started, finished, failed, aborted, inline, shifts, lost } = this.#counts;
    return {
      threads: this.threads,
      runs: { started, finished, failed, aborted, inline },
      running: this.#runs.length,
      queued: this.#queue.length,
      onShift: this.#onShift,
      shifts,
      workersLost: lost,
      sleeps: native.sleeps,
      spinsWon: native.spinsWon,
      kernels: native.ops,
    };
  }

  /** Cancels what is running (it rejects with ERR_ENGINE_CLOSED), ends the shifts and the threads. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const run of [...this.#queue, ...this.#runs]) this.#abort(run, closedError());
    this.#addon.closeTeam(this.#control);
    await this.#pool.destroy();
    // No worker is left that could tell of an ending, and none that could be in a program.
    for (let seat = 0; seat < this.threads; seat++) this.#addon.bury(this.#control, seat);
    this.#collect();
    clearInterval(this.#hold);
    this.#forget();
  }

  /** Tells the workers to end their shifts, without waiting: for the end of the process. */
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
    // Read before: an ending of this run comes after it.
    const seen = Atomics.load(this.#endings, 0);
    run.slot = slot;
    this.#slotPrograms[slot] = run.program;
    this.#runs.push(run);
    const { block, assistUs, extraAssistUs, wakeAssistUs } = run.program;
    const awakeUs = this.threads < this.#cpus ? extraAssistUs : assistUs;
    const ownUs = awakeUs === 0 && this.#onShift === 0 ? wakeAssistUs : awakeUs;
    if (ownUs > 0 && this.#ownTime.isLeft) {
      const began = performance.now();
      // This thread is one of the workers for once: it begins at once, where a worker must be woken first.
      const others = Math.min(this.threads, this.#cpus) - 1;
      this.#addon.publish(this.#control, slot, block, others, CallerNext.works);
      this.#callShifts({ most: others, ownTiles: 1, next: CallerNext.works });
      this.#addon.assist(this.#control, slot, block, ownUs);
      this.#ownTime.spend((performance.now() - began) * 1e6);
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
   * Sees to it that as many workers are on shift as the running programs can use together: one that is held up in the
   * first must not keep the second waiting. After publish(): a worker that left before it is called again.
   */
  #callShifts({ most, ownTiles, next }: { most: number; ownTiles: number; next: number }): void {
    let useful = -ownTiles;
    for (const run of this.#runs) useful += run.program.width;
    const wanted = Math.max(0, Math.min(useful, most));
    const called = this.#addon.callToShift(this.#control, this.#calledSeats, wanted, next);
    this.#counts.shifts += called;
    for (let i = 0; i < called; i++) Atomics.notify(this.#words, this.#stateIndex(this.#calledSeats[i] as number));
  }

  get #onShift(): number {
    let count = 0;
    for (let seat = 0; seat < this.threads; seat++) {
      if (Atomics.load(this.#words, this.#stateIndex(seat)) !== SeatState.away) count += 1;
    }
    return count;
  }

  #stateIndex(seat: number): number {
    return seatStateIndex(this.#addon.layout, seat);
  }

  /** Lets a worker that has none take the seat. It begins with a shift: the seat counts as on shift from here on. */
  async #giveSeat(seat: number): Promise<void> {
    Atomics.store(this.#words, this.#stateIndex(seat), SeatState.onShift);
    this.#counts.shifts += 1;
    await this.#pool.giveSeat(seat);
  }

  #loseWorker(seat: number, cause: unknown): void {
    if (this.#closed) return;
    this.#counts.lost += 1;
    this.#lossesInARow += 1;
    const slot = this.#addon.bury(this.#control, seat);
    const run = this.#runs.find((candidate) => candidate.slot === slot);
    if (run !== undefined && run.error === undefined) {
      run.error = new TesseraeError('ERR_WORKER_LOST', `a worker thread died: ${messageOf(cause)}`, { cause });
    }
    // The seat is taken again before anything else is called to it. What comes of it is heard as of any other loss.
    if (this.#broken === undefined) this.#giveSeat(seat).catch(() => {});
    // An ending that the worker did not come to tell of is found here.
    this.#collect();
    if (this.#lossesInARow > lossesTolerated * this.threads) {
      this.#giveUp(new TesseraeError('ERR_WORKER_LOST', `worker threads keep dying: ${messageOf(cause)}`, { cause }));
    }
  }

  /** From now on every run is rejected with this error. */
  #giveUp(error: TesseraeError): void {
    if (this.#closed) return;
    this.#broken ??= error;
    for (const run of [...this.#queue, ...this.#runs]) this.#abort(run, this.#broken);
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

  /** Has `onEnding` called once the count of endings is another than `seen`, if it is not so already. */
  #waitForEnding(seen: number): void {
    this.#listening = true;
    const wait = Atomics.waitAsync(this.#endings, 0, seen);
    if (wait.async) void wait.value.then(this.#onEnding);
    else if (this.takeOwnTime(endingNs)) queueMicrotask(this.#onEnding);
    else setImmediate(this.#onEnding);
  }

  readonly #onEnding = (): void => {
    // The count is read before the collection: an ending after it changes the word, and the next wait is over at once.
    const seen = Atomics.load(this.#endings, 0);
    this.#collect();
    this.#listening = !this.#isIdle;
    if (this.#listening) this.#waitForEnding(seen);
  };

  /** Settles the runs that have ended. */
  #collect(): void {
    for (let i = this.#runs.length - 1; i >= 0; i--) {
      const run = this.#runs[i] as TeamRun;
      const state = this.#addon.runState(this.#control, run.slot, run.program.block);
      if (state === RunState.running) continue;
      if (state === RunState.drained && run.error === undefined) {
        const failure = this.#addon.failure(this.#control, run.slot);
        run.error =
          failure === undefined
            ? new TesseraeError('ERR_KERNEL', 'the program was cancelled for no known reason')
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
    } else if (error instanceof AbortError || !wasPublished) this.#counts.aborted += 1;
    else this.#counts.failed += 1;
    run.ended(error);
  }
}

function closedError(): TesseraeError {
  return new TesseraeError('ERR_ENGINE_CLOSED', 'the engine is closed');
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
