// Several models share one team and one memory: each computes one step at a time, and the next turn goes to the model that
// has computed for the shortest time so far. Knows, too, which of them may free memory, for those that wait for some. Pure but
// for promises. One for each engine; used by the step loops, and by encoders.

/**
 * What a model does. `idle`: nothing that frees memory later, were nobody to ask for it · `working`: requests go on, and their
 * memory becomes free · `starved`: there are requests, and no memory to go on with any of them.
 */
export type Activity = 'idle' | 'working' | 'starved';

/** One model's account. */
export class Account {
  /** Time computed, in ms, counted from that of the others when it joined. */
  usedMs = 0;
  activity: Activity = 'idle';
  /** Whether its requests hold memory. */
  holdsMemory = false;
  /** Resolves its wait for a turn. */
  wake: (() => void) | undefined;
}

export class Turns {
  readonly #accounts = new Set<Account>();
  readonly #waiting: Account[] = [];
  #holder: Account | undefined;
  /** What the account had used that was given a turn last: where newcomers and those who were idle begin. */
  #floorMs = 0;

  /** A new account, for as long as it is not closed. */
  open(): Account {
    const account = new Account();
    this.#accounts.add(account);
    return account;
  }

  close(account: Account): void {
    this.#accounts.delete(account);
  }

  /** Of all others: whether one is working, and whether one that is starved holds memory. */
  others(than: Account): { readonly work: boolean; readonly starveWithMemory: boolean } {
    const others = [...this.#accounts].filter((account) => account !== than);
    return {
      work: others.some(({ activity }) => activity === 'working'),
      starveWithMemory: others.some(({ activity, holdsMemory }) => activity === 'starved' && holdsMemory),
    };
  }

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
