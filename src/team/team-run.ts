// What the team runs: programs, and their runs as it keeps account of them. Made by the owners of programs.
import type { NativeFailure } from '../native/addon.js';

/** A program as the team sees it: a block of shared memory in the layout of native/core/control.h. */
export interface TeamProgram {
  readonly block: Uint8Array;
  /** The most tiles of it that can be computed at the same time: more workers than that are not called. */
  readonly width: number;
  /** How long the calling thread works on it as well, in microseconds; 0 for a program that is the workers' alone. */
  readonly assistUs: number;
  /** The same where the workers leave CPUs free, so that it would be one thread more than they are; not more. */
  readonly extraAssistUs: number;
  /** The same when every worker sleeps and must be woken first; not less. */
  readonly wakeAssistUs: number;
  /** Makes the error for a kernel's failure; the team knows no ops. */
  describeFailure(failure: NativeFailure): Error;
}

/** The runs of a program, one at a time. Its owner keeps it: a run that is repeated then makes no further objects. */
export abstract class TeamRun {
  abstract readonly program: TeamProgram;
  /** @internal The four that follow are the team's. */
  signal: AbortSignal | undefined;
  /** @internal The slot, or -1 while it waits for one. */
  slot = -1;
  /** @internal Why it will not finish, once known. */
  error: Error | undefined;

  /** Called at the end of each run, with the reason if it did not finish. */
  abstract ended(error: Error | undefined): void;
}

/** A single run with a promise. */
export class PromisedRun extends TeamRun {
  readonly program: TeamProgram;
  readonly #resolve: () => void;
  readonly #reject: (error: Error) => void;

  constructor(program: TeamProgram, resolve: () => void, reject: (error: Error) => void) {
    super();
    this.program = program;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  ended(error: Error | undefined): void {
    if (error === undefined) this.#resolve();
    else this.#reject(error);
  }
}
