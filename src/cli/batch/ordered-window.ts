// Computes the lines of a batch side by side and writes their outcomes in order, as soon as they are there. Bounded in lines
// and bytes, whatever the size of the input. Called by commands/batch.ts.

/** Lines that are computed, or wait for earlier ones to be written, and the bytes of their texts. */
const mostLines = 256;
const mostBytes = 16 << 20;

interface Entry {
  readonly outcome: Promise<string>;
  readonly bytes: number;
}

export class OrderedWindow {
  readonly #write: (text: string) => Promise<void>;
  readonly #entries: Entry[] = [];
  #bytes = 0;
  #isOver = false;
  #failure: { readonly error: unknown } | undefined;
  readonly #changes: (() => void)[] = [];
  readonly #writing: Promise<void>;

  /** @param write gets whole lines, one or several */
  constructor(write: (text: string) => Promise<void>) {
    this.#write = write;
    this.#writing = this.#writeAll().catch((error: unknown) => {
      this.#failure = { error };
      this.#change();
    });
  }

  /** Takes the outcome of the next line when there is room for it. @throws what an earlier line or the writing threw */
  async add(begin: () => Promise<string>, bytes: number): Promise<void> {
    const isFull = () =>
      this.#entries.length >= mostLines || (this.#entries.length > 0 && this.#bytes + bytes > mostBytes);
    while (isFull() && this.#failure === undefined) await this.#changed();
    this.#throwFailure();
    const outcome = begin();
    // It is awaited in its turn.
    outcome.catch(() => {});
    this.#entries.push({ outcome, bytes });
    this.#bytes += bytes;
    this.#change();
  }

  /** Resolves when all lines are written. @throws as {@link add} */
  async end(): Promise<void> {
    this.#isOver = true;
    this.#change();
    await this.#writing;
    this.#throwFailure();
  }

  /** Resolves when nothing is computed any more. The lines were aborted before. */
  async settle(): Promise<void> {
    this.#isOver = true;
    this.#change();
    await Promise.allSettled(this.#entries.map(({ outcome }) => outcome));
    await this.#writing;
  }

  async #writeAll(): Promise<void> {
    for (;;) {
      const [first] = this.#entries;
      if (first === undefined) {
        if (this.#isOver) return;
        await this.#changed();
        continue;
      }
      await this.#write(`${await first.outcome}\n`);
      this.#entries.shift();
      this.#bytes -= first.bytes;
      this.#change();
    }
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => this.#changes.push(resolve));
  }

  #change(): void {
    for (const wake of this.#changes.splice(0)) wake();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
