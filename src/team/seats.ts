// The seats of a team: one for each worker thread. Gives each seat to a thread of the pool, and calls seats whose workers
// are away to a shift. Used by the team, which decides when; the states of a seat are described in README.md.
import { type Addon, SeatState, seatStateIndex } from '../native/addon.js';
import type { ControlBlock } from './control-block.js';
import { WorkerPool } from './worker-pool.js';

export interface SeatsOptions {
  readonly addon: Addon;
  readonly block: ControlBlock;
  readonly threads: number;
  /** URL of the built worker entry. */
  readonly workerFile: string;
  /** Called once for each worker that died, with its seat. */
  readonly onLoss: (seat: number, cause: unknown) => void;
  /** Called when the last worker died and cannot be replaced. */
  readonly onEmpty: () => void;
}

export class Seats {
  readonly #addon: Addon;
  readonly #block: ControlBlock;
  readonly #threads: number;
  readonly #pool: WorkerPool;
  /** The addon writes here which seats it called. */
  readonly #called: Uint8Array;
  #shifts = 0;

  constructor({ addon, block, threads, workerFile, onLoss, onEmpty }: SeatsOptions) {
    this.#addon = addon;
    this.#block = block;
    this.#threads = threads;
    this.#called = new Uint8Array(threads);
    // The workers find the scratch memory through the control block; it is posted to keep it alive as long as they live.
    const workerData = { control: block.bytes, scratch: block.scratch };
    this.#pool = new WorkerPool({ workerFile, threads, workerData, onLoss, onEmpty });
  }

  /** Shifts begun so far. */
  get shifts(): number {
    return this.#shifts;
  }

  /** Seats that are on shift; the workers of the others sleep. */
  get onShift(): number {
    let count = 0;
    for (let seat = 0; seat < this.#threads; seat++) {
      if (Atomics.load(this.#block.words, this.#stateIndex(seat)) !== SeatState.away) count += 1;
    }
    return count;
  }

  /**
   * Lets a worker without a seat take this one; resolves when it has. The worker begins with a shift: the seat counts as
   * on shift from now on.
   */
  async give(seat: number): Promise<void> {
    Atomics.store(this.#block.words, this.#stateIndex(seat), SeatState.onShift);
    this.#shifts += 1;
    await this.#pool.giveSeat(seat);
  }

  /** Calls workers until `wanted` are on shift. `next` is a CallerNext: which workers to prefer. */
  callToShift(wanted: number, next: number): void {
    const count = this.#addon.callToShift(this.#block.bytes, this.#called, wanted, next);
    this.#shifts += count;
    for (let i = 0; i < count; i++) Atomics.notify(this.#block.words, this.#stateIndex(this.#called[i] as number));
  }

  /** Ends all threads, as soon as they are out of native code. */
  destroy(): Promise<void> {
    return this.#pool.destroy();
  }

  #stateIndex(seat: number): number {
    return seatStateIndex(this.#addon.layout, seat);
  }
}
