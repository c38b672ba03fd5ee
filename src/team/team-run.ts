// What the team runs: programs, and their runs. Implemented by the room program.
import type { NativeFailure } from '../native/addon.js';

/** A program as the team sees it: shared memory in the layout of native/core/control.h. */
export interface TeamProgram {
  readonly block: Uint8Array;
  /** The most tiles that can be computed at the same time: the team calls at most this many workers. */
  readonly width: number;
  /** How long the calling thread works on it in parallel with the workers, in microseconds; 0 for not at all. */
  readonly assistUs: number;
  /** The same in a team with fewer workers than CPUs, where the calling thread is one thread more than the workers. */
  readonly extraAssistUs: number;
  /** The same if the value above is 0 and all workers sleep and must be woken first. */
  readonly wakeAssistUs: number;
  /** Makes the error for a kernel's failure; the team does not know the ops. */
  describeFailure(failure: NativeFailure): Error;
}

/** The runs of one program, one at a time. Its owner keeps it and uses it again, so that a run makes no objects. */
export abstract class TeamRun {
  abstract readonly program: TeamProgram;
  /** @internal The team's own. */
  signal: AbortSignal | undefined;
  /** @internal The team's own: the slot, or -1 while the run waits for one. */
  slot = -1;
  /** @internal The team's own: why the run does not finish, once known. */
  error: Error | undefined;

  /** Called at the end of each run, with the reason if it did not finish. */
  abstract ended(error: Error | undefined): void;
}
