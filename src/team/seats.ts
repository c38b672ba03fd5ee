// The seats of a team: one for each worker thread. Gives each seat to a thread of the pool, and calls workers that are away to
// a shift; they call further ones (workers/shift.ts). Used by the team, which decides when; the states of a seat are described
// in README.md.
import { type Addon, SeatState, seatStateIndex } from '../native/addon.js';
import type { ControlBlock } from './control-block.js';
import { WorkerPool } from './worker-pool.js';

export interface SeatsOptions {
  readonly addon: Addon;
  readonly block: ControlBlock;
  readonly threads: number;
  readonly addonPath: string | undefined;
  readonly workerFile: string | undefined;
  /** Called once for each worker that died after it had taken its seat. */
  readonly onLoss: (seat: number, cause: unknown) => void;
}

export class Seats {
  readonly #addon: Addon;
  readonly #block: ControlBlock;
  readonly #threads: number;
  readonly #pool: WorkerPool;
  /** The addon writes here which seats it called. */
  readonly #called: Uint8Array;
  /** Seats without a worker. They count as on shift: their workers will begin with a shift. */
  readonly #empty = new Set<number>();
  /** Shifts begun so far, without those that workers called each other to. */
  #shifts = 0;
  #isDestroyed = false;

  constructor({ addon, block, threads, addonPath, workerFile, onLoss }: SeatsOptions) {
    this.#addon = addon;
    this.#block = block;
    this.#threads = threads;
    this.#called = new Uint8Array(addon.layout.callsEach);
    // The workers find the scratch memory through the control block; it is posted to keep it alive as long as they live.
    const shared = addon.wasm?.shared;
    const workerData = { tesserae: 'seat', control: block.bytes, scratch: block.scratch, addonPath, shared };
    this.#pool = new WorkerPool({ workerFile, workerData, onLoss });
  }

  /** Shifts begun so far; `calls` is the number of those that workers called each other to. */
  shifts(calls: number): number {
    return this.#shifts + calls;
  }

  /** Seats that are on shift; the workers of the others sleep. */
  get onShift(): number {
    let count = 0;
    for (let seat = 0; seat < this.#threads; seat++) {
      if (Atomics.load(this.#block.words, this.#stateIndex(seat)) !== SeatState.away) count += 1;
    }
    return count;
  }

  /** Seats that have a worker: none after {@link destroy}. */
  get occupied(): number {
    return this.#isDestroyed ? 0 : this.#threads - this.#empty.size;
  }

  /** The seat has no worker, and must not be called to a shift, until {@link give} has resolved. */
  vacate(seat: number): void {
    Atomics.store(this.#block.words, this.#stateIndex(seat), SeatState.onShift);
    this.#empty.add(seat);
  }

  /** The seat's worker has died: vacates it. Returns the slot that the worker was in, or -1. */
  lose(seat: number): number {
    const slot = this.#addon.bury(this.#block.bytes, seat);
    this.vacate(seat);
    // The worker may have called others and not have notified them: these are on shift, and asleep.
    for (let other = 0; other < this.#threads; other++) {
      const state = this.#stateIndex(other);
      if (Atomics.load(this.#block.words, state) === SeatState.onShift) Atomics.notify(this.#block.words, state);
    }
    return slot;
  }

  /** Starts a worker that takes this vacant seat; resolves when it has. The worker begins with a shift. */
  async give(seat: number): Promise<void> {
    await this.#pool.giveSeat(seat);
    this.#empty.delete(seat);
    this.#shifts += 1;
  }

  /**
   * Calls workers until `wanted` are on shift, the first ones itself. They call the others. `next` is a CallerNext: which
   * workers to prefer.
   */
  callToShift(wanted: number, next: number): void {
    const most = Math.min(this.#threads, wanted + this.#empty.size);
    const count = this.#addon.callToShift(this.#block.bytes, this.#called, most, next);
    this.#shifts += count;
    for (let i = 0; i < count; i++) Atomics.notify(this.#block.words, this.#stateIndex(this.#called[i] as number));
  }

  /** Ends all threads, as soon as they are out of native code. */
  async destroy(): Promise<void> {
    await this.#pool.destroy();
    this.#isDestroyed = true;
  }

  #stateIndex(seat: number): number {
    return seatStateIndex(this.#addon.layout, seat);
  }
}
