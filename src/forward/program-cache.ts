// Recorded programs that are kept for replay and lent to one user at a time, by a key that says what was recorded. A
// program belongs to no user. Used for what is computed outside of steps: decoder-programs.ts.
import { TesseraeError } from '../base/errors.js';

/** What is kept: it frees its memory when it is disposed. */
export interface Kept {
  dispose(): void;
}

interface Idle<P> {
  readonly key: string;
  readonly program: P;
}

export class ProgramCache<P extends Kept> {
  /** Programs that nobody uses, the one used last at the end; several of one key where several ran at once. */
  readonly #idle: Idle<P>[] = [];
  readonly #mostKept: number;
  #disposed = false;

  /** @param mostKept how many idle programs are kept for replay */
  constructor(mostKept: number) {
    this.#mostKept = mostKept;
  }

  /**
   * A program that is the caller's until {@link giveBack}: one that is kept, or what `record` makes.
   * @throws TesseraeError ERR_BUDGET, ERR_DISPOSED; what `record` throws
   */
  async borrow(key: string, record: () => Promise<P>): Promise<P> {
    this.checkUsable();
    const index = this.#idle.findLastIndex((idle) => idle.key === key);
    if (index >= 0) return (this.#idle.splice(index, 1)[0] as Idle<P>).program;
    const program = await record();
    if (this.#disposed) program.dispose();
    this.checkUsable();
    return program;
  }

  giveBack(key: string, program: P): void {
    if (this.#disposed) {
      program.dispose();
      return;
    }
    this.#idle.push({ key, program });
    if (this.#idle.length > this.#mostKept) this.#idle.shift()?.program.dispose();
  }

  /** Frees the program that has been idle for longest. @returns whether there was one */
  dropIdle(): boolean {
    const idle = this.#idle.shift();
    idle?.program.dispose();
    return idle !== undefined;
  }

  /** Frees the idle programs; those that are lent are freed when they are given back. */
  dispose(): void {
    this.#disposed = true;
    while (this.dropIdle());
  }

  /** @throws TesseraeError ERR_DISPOSED */
  checkUsable(op?: string): void {
    if (this.#disposed)
      throw new TesseraeError('ERR_DISPOSED', 'the model was disposed', op === undefined ? {} : { op });
  }
}
