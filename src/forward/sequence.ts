// A sequence: token ids with the pages of their keys and values. Extending it computes the new tokens, or leaves it as it
// was. One user at a time. Sessions and generations each hold one; it knows no text.
import { TesseraeError } from '../base/errors.js';
import type { PageLayout } from '../ops/paged/key-value-pages.js';
import type { DecoderParts } from './decoder-programs.js';
import { KeyValues } from './key-values.js';
import type { Page } from './page-table.js';
import { type Extension, Slices } from './slices.js';

/** Tokens with their keys and values. */
export interface SequenceState {
  readonly ids: number[];
  readonly keyValues: KeyValues;
}

export class Sequence {
  readonly #parts: DecoderParts;
  readonly #slices: Slices;
  #keyValues: KeyValues;
  /** Tokens with keys and values. */
  #ids: number[];
  /** Tokens behind them that are computed with the next extension: a generation's last one, for example. */
  #uncomputed: readonly number[] = [];
  #busy = false;
  #disposed = false;

  /** @param state becomes the sequence's own; without one it is empty */
  constructor(parts: DecoderParts, layout: PageLayout = parts.pageLayout, state?: SequenceState) {
    this.#parts = parts;
    this.#slices = new Slices(parts, (op) => this.checkUsable(op));
    this.#keyValues = state?.keyValues ?? new KeyValues(parts, layout);
    this.#ids = state?.ids ?? [];
  }

  /** How many tokens it holds. */
  get length(): number {
    return this.#ids.length + this.#uncomputed.length;
  }

  /** Positions at most. */
  get capacity(): number {
    return this.#parts.capacity;
  }

  get ids(): readonly number[] {
    return [...this.#ids, ...this.#uncomputed];
  }

  get keyValues(): KeyValues {
    return this.#keyValues;
  }

  /**
   * Appends tokens that the caller has checked, and computes for them what the extension asks for, slice by slice.
   * @throws TesseraeError ERR_CONTEXT, ERR_BUSY, ERR_BUDGET, ERR_DISPOSED; AbortError. The sequence is then as it was.
   */
  async forward(extension: Extension): Promise<void> {
    this.checkIdle('append');
    this.checkRoom(this.length + extension.ids.length);
    await this.exclusively(() => this.extend(extension));
  }

  /** Forgets all tokens from `length` on; pages that are then unused go back. */
  cut(length: number): void {
    const computed = Math.min(length, this.#ids.length);
    this.#uncomputed = this.#uncomputed.slice(0, length - computed);
    this.#ids.length = computed;
    this.#keyValues.truncate(computed);
  }

  /** Begins a use by one user, to be ended by {@link leave} or {@link takeBack}. @throws TesseraeError ERR_BUSY, ERR_DISPOSED */
  occupy(op: string): void {
    this.checkIdle(op);
    this.#busy = true;
  }

  /** Ends a use. */
  leave(): void {
    this.#busy = false;
    if (this.#disposed) this.cut(0);
  }

  /**
   * Lends the pages of the first `kept` tokens to a generation that goes on from them, and forgets the others. Within
   * {@link occupy}; {@link takeBack} ends that.
   * @throws TesseraeError ERR_BUDGET, ERR_DISPOSED
   */
  async lend(kept: number): Promise<{ readonly pages: Page[]; readonly computed: number }> {
    const computed = Math.min(kept, this.#ids.length);
    // The last page becomes its own where a fork has it, too.
    this.#keyValues.keep(await this.#keyValues.grow(computed, computed, undefined));
    this.checkUsable('generate');
    this.cut(kept);
    return { pages: this.#keyValues.takePages(), computed };
  }

  /** Takes back what was lent, or what it has become: ids, and the pages of the first `computed` of them. */
  takeBack(ids: readonly number[], pages: readonly Page[], computed: number): void {
    this.#ids = ids.slice(0, computed);
    this.#uncomputed = ids.slice(computed);
    this.#keyValues.givePages(pages);
    this.#keyValues.truncate(computed);
    this.leave();
  }

  /** The same tokens and pages, to go on with independently. */
  fork(): Sequence {
    const state = { ids: [...this.#ids], keyValues: this.#keyValues.fork() };
    const fork = new Sequence(this.#parts, this.#keyValues.layout, state);
    fork.#uncomputed = this.#uncomputed;
    return fork;
  }

  /** Frees the pages. What is running on it keeps what it needs to its end. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (!this.#busy) this.cut(0);
  }

  /** One use at a time. When the sequence is disposed meanwhile, its pages go back at the end. */
  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    this.#busy = true;
    try {
      return await work();
    } catch (error) {
      // A sequence that is disposed under way loses tensors: report the disposal, not the loss of a tensor.
      if (error instanceof TesseraeError && error.code === 'ERR_DISPOSED') this.checkUsable('append');
      throw error;
    } finally {
      this.#busy = false;
      if (this.#disposed) this.cut(0);
    }
  }

  /** As {@link forward}, within {@link exclusively}. */
  async extend(extension: Extension): Promise<void> {
    const start = this.#ids.length;
    const before = this.#uncomputed;
    const ids = before.length === 0 ? extension.ids : [...before, ...Array.from(extension.ids)];
    if (ids.length === 0) return;
    const growth = await this.#keyValues.grow(start, start + ids.length, extension.signal);
    try {
      this.#uncomputed = [];
      await this.#slices.compute({ ...extension, ids }, this.#ids, this.#keyValues);
      this.#keyValues.keep(growth);
    } catch (error) {
      this.#ids.length = start;
      this.#uncomputed = before;
      this.#keyValues.undo(growth);
      throw error;
    }
  }

  /**
   * Keeps the tokens before `keep` and those from `keep + drop` on, computes the latter anew at their new positions, and
   * then the extension; all of it, or the sequence is as it was. Within {@link exclusively}.
   */
  async dropAndExtend(keep: number, drop: number, extension: Extension): Promise<void> {
    await this.extend({ ids: [], output: 'hidden', signal: extension.signal });
    const before = { ids: [...this.#ids], keyValues: this.#keyValues.fork() };
    try {
      const tail = this.#ids.slice(keep + drop);
      this.cut(keep);
      await this.extend({ ids: tail, output: 'hidden', signal: extension.signal });
      await this.extend(extension);
      for (const page of before.keyValues.pages) page.release();
    } catch (error) {
      this.cut(0);
      this.#ids = before.ids;
      this.#keyValues = before.keyValues;
      throw error;
    }
  }

  /** @throws TesseraeError ERR_CONTEXT */
  checkRoom(tokens: number): void {
    if (tokens <= this.capacity) return;
    throw new TesseraeError('ERR_CONTEXT', `${tokens} tokens do not fit into a context of ${this.capacity}`);
  }

  /** @throws TesseraeError ERR_BUSY, ERR_DISPOSED */
  checkIdle(op: string): void {
    this.checkUsable(op);
    if (this.#busy) {
      throw new TesseraeError('ERR_BUSY', 'the session is computing; await its last call first', { op });
    }
  }

  /** @throws TesseraeError ERR_DISPOSED */
  checkUsable(op: string): void {
    if (this.#disposed) throw new TesseraeError('ERR_DISPOSED', 'the session was disposed', { op });
  }
}
