// Runs compiled programs: keeps their tensors in place, lends them an arena, and chooses between the team and the
// calling thread. Used by one-shot calls and recorded programs alike.
import { AbortError } from '../errors.js';
import type { Team } from '../team/team.js';
import type { TensorPool } from '../tensor/pool.js';
import type { Storage } from '../tensor/storage.js';
import type { CompiledProgram } from './compiled-program.js';

export class Runner {
  readonly #team: Team;
  readonly #pool: TensorPool;

  constructor(team: Team, pool: TensorPool) {
    this.#team = team;
    this.#pool = pool;
  }

  /**
   * Runs the program once. A tiny one is computed before this returns, on the calling thread: the hand-over would
   * cost more than the work.
   * @param arena memory that the program owns; without it one is rented for the run
   * @throws TesseraeError ERR_ENGINE_CLOSED, ERR_DISPOSED when an operand's memory was released, ERR_BUDGET when no arena
   * is to be had
   */
  async run(program: CompiledProgram, signal: AbortSignal | undefined, arena?: Storage): Promise<void> {
    if (signal?.aborted) throw new AbortError(signal.reason);
    this.#team.checkOpen();
    if (program.kernels.length === 0) return;
    const pinned = pinAll(program.externals);
    try {
      const lent = arena === undefined && program.arenaBytes > 0 ? this.#pool.rent(program.arenaBytes) : undefined;
      try {
        program.placeArena((arena ?? lent)?.address ?? 0);
        if (program.isTiny) this.#team.runInline(program);
        else await this.#team.run(program, signal);
      } finally {
        lent?.release();
      }
    } finally {
      for (const storage of pinned) storage.unpin();
    }
  }
}

/** Pins all or, when one was released, none. */
function pinAll(storages: readonly Storage[]): readonly Storage[] {
  let count = 0;
  try {
    for (; count < storages.length; count++) (storages[count] as Storage).pin();
  } catch (error) {
    for (let i = 0; i < count; i++) (storages[i] as Storage).unpin();
    throw error;
  }
  return storages;
}
