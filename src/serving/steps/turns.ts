// Several models share one team: each computes one step at a time, and the next turn goes to the model that has computed for
// the shortest time so far. Pure but for promises. One for each engine; used by the step loops.

/** One model's account. */
export class Account {
  /** Time computed, in ms, counted from that of the others when it joined. */
  usedMs = 0;
  /** Resolves its wait for a turn. */
  wake: (() => void) | undefined;
}

export class Turns {
  readonly #waiting: Account[] = [];
  #holder: Account | undefined;
  /** What the account had used that was given a turn last: where newcomers and those who were idle begin. */
  #floorMs = 0;

  /** Waits for the turn; to be ended by {@link release}. */
  acquire(account: Account): Promise<void> | undefined {
    account.usedMs = Math.max(account.usedMs, this.#floorMs);
    if (this.#holder === undefined) {
      this.#give(account);
      return undefined;
    }
    return new Promise((resolve) => {
      account.wake = resolve;
      this.#waiting.push(account);
    });
  }

  /** Ends the turn, which took so long. */
  release(account: Account, ms: number): void {
    if (this.#holder !== account) return;
    account.usedMs += ms;
    this.#holder = undefined;
    let least = 0;
    for (let index = 1; index < this.#waiting.length; index++) {
      if ((this.#waiting[index] as Account).usedMs < (this.#waiting[least] as Account).usedMs) least = index;
    }
    const [next] = this.#waiting.splice(least, 1);
    if (next === undefined) return;
    this.#give(next);
    next.wake?.();
    next.wake = undefined;
  }

  #give(account: Account): void {
    this.#holder = account;
    this.#floorMs = Math.max(this.#floorMs, account.usedMs);
  }
}
