// Pages as the scheduler sees them: counted, shared, and given back. The real ones (forward/page-table.ts) hold keys and
// values in pooled memory; those of the simulator hold nothing.

export interface Page {
  /** Whether others use it, too. */
  readonly isShared: boolean;
  /** One user more. */
  share(): this;
  /** One user less; the last one gives the memory back. */
  release(): void;
}

export interface PageSource {
  /** Positions of a page. */
  readonly positions: number;
  /** Bytes of a page, for messages. */
  readonly pageBytes: number;
  /** How many more pages could be rented now. */
  readonly free: number;
  /** How many there could be at most, were nothing else in memory that can be given up. */
  readonly most: number;
  /** One page, with one user; undefined when the budget is used up. */
  rent(): Page | undefined;
  /**
   * Begins to copy what a page holds into another one. Both stay in use until `done` is called, which is never at once: with
   * whether the copy is there.
   */
  copy(from: Page, to: Page, done: (isCopied: boolean) => void): void;
}
