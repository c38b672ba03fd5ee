// Generation: what `model.generate` returns. It can be iterated for pieces, and its `result` awaited, or both. The pieces are
// pushed into its stream by the server of the request; a stream whose consumer does not keep up asks to be parked.
import { AbortError } from '../base/errors.js';
import type { GenerationResult, Piece } from './generation-result.js';

/** Pieces that may wait unread before the request is parked, and how few must be left before it goes on. */
const mostUnread = 256;
const leastUnread = 128;

/** What the server of a request is told by its stream. */
export interface StreamControl {
  /** Nobody wants more: the request ends, and its memory goes back. */
  cancel(error: Error): void;
  /** The consumer does not keep up. */
  park(): void;
  resume(): void;
}

interface Reader {
  /** Who reads is not dropped before it has read. */
  readonly owner: unknown;
  resolve(step: IteratorResult<Piece, GenerationResult>): void;
  reject(error: unknown): void;
}

interface Settle {
  resolve(result: GenerationResult): void;
  reject(error: unknown): void;
}

/** The side that the server of a request writes. */
export class GenerationStream {
  readonly #pieces: Piece[] = [];
  readonly #readers: Reader[] = [];
  readonly #settled: Promise<GenerationResult>;
  readonly #onFail: ((error: unknown) => void) | undefined;
  #settle!: Settle;
  #control: StreamControl | undefined;
  #outcome: { readonly result: GenerationResult } | { readonly error: unknown } | undefined;
  /** The failure was delivered to an iteration, which then is done. */
  #delivered = false;
  #parked = false;
  /** Somebody awaits the result: then it is computed whether pieces are read or not. */
  #resultWanted = false;

  /** @param onFail called with the error, if it ends with one */
  constructor(onFail?: (error: unknown) => void) {
    this.#onFail = onFail;
    this.#settled = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // A result that nobody asks for must not be an unhandled rejection.
    this.#settled.catch(() => {});
  }

  /** Whether it has ended, well or not. */
  get isOver(): boolean {
    return this.#outcome !== undefined;
  }

  /** Settles, and never rejects, when it has ended. Unlike {@link result}, it does not ask for anything. */
  get over(): Promise<unknown> {
    return this.#settled.catch(() => {});
  }

  get resultWanted(): boolean {
    return this.#resultWanted;
  }

  /** The result, once it is there. Asking for it makes the request run to its end, read or not. */
  get result(): Promise<GenerationResult> {
    this.#resultWanted = true;
    this.#unpark();
    return this.#settled;
  }

  /** Who serves the request from now on. */
  attach(control: StreamControl): void {
    if (this.isOver) control.cancel(new AbortError('the generation was left early'));
    else this.#control = control;
  }

  push(piece: Piece): void {
    if (this.isOver) return;
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      reader.resolve({ done: false, value: piece });
      return;
    }
    this.#pieces.push(piece);
    if (this.#pieces.length < mostUnread || this.#resultWanted || this.#parked) return;
    this.#parked = true;
    this.#control?.park();
  }

  finish(result: GenerationResult): void {
    if (this.isOver) return;
    this.#end({ result });
    this.#settle.resolve(result);
    for (const reader of this.#readers.splice(0)) reader.resolve({ done: true, value: result });
  }

  fail(error: unknown): void {
    if (this.isOver) return;
    this.#end({ error });
    this.#onFail?.(error);
    // Who aborts does not wait for what was computed before.
    if (error instanceof AbortError) this.#pieces.length = 0;
    this.#settle.reject(error);
    const [first, ...others] = this.#readers.splice(0);
    if (first === undefined) return;
    this.#delivered = true;
    first.reject(error);
    for (const reader of others) reader.resolve(ended);
  }

  /** @param owner is kept alive until there is something to read */
  next(owner: unknown): Promise<IteratorResult<Piece, GenerationResult>> {
    const piece = this.#pieces.shift();
    if (piece !== undefined) {
      if (this.#pieces.length <= leastUnread) this.#unpark();
      return Promise.resolve({ done: false, value: piece });
    }
    const outcome = this.#outcome;
    if (outcome === undefined) {
      return new Promise((resolve, reject) => this.#readers.push({ owner, resolve, reject }));
    }
    if ('result' in outcome) return Promise.resolve({ done: true, value: outcome.result });
    if (this.#delivered) return Promise.resolve(ended);
    this.#delivered = true;
    return Promise.reject(outcome.error);
  }

  /** The consumer leaves: what is not computed yet is not wanted. */
  cancel(reason: unknown): void {
    this.#pieces.length = 0;
    if (this.isOver) return;
    const error = new AbortError(reason);
    const control = this.#control;
    this.#delivered = true;
    this.fail(error);
    control?.cancel(error);
  }

  /**
   * A stream that has ended keeps no server, and so no model, in memory. Nor is it kept by the registry: an error, until its
   * stack is read, keeps the objects whose methods are in it, the generation among them, which would never be collected.
   */
  #end(outcome: { readonly result: GenerationResult } | { readonly error: unknown }): void {
    this.#outcome = outcome;
    this.#control = undefined;
    dropped.unregister(this);
  }

  #unpark(): void {
    if (!this.#parked) return;
    this.#parked = false;
    this.#control?.resume();
  }
}

/** What an iteration gives after a failure. */
const ended = { done: true, value: undefined as unknown as GenerationResult } as const;

/** Streams whose generation was dropped without `return()`: nobody can read them any more. */
const dropped = new FinalizationRegistry<GenerationStream>((stream) => {
  if (!stream.resultWanted) stream.cancel('the generation was dropped');
});

/** A generation that has begun: iterate it for its pieces, await its `result`, or both. */
export class Generation implements AsyncGenerator<Piece, GenerationResult, void> {
  readonly #stream: GenerationStream;

  /** @internal */
  constructor(stream: GenerationStream) {
    this.#stream = stream;
    // A stream may have ended before.
    if (!stream.isOver) dropped.register(this, stream, stream);
  }

  /** The result as a whole; settles without iterating, too. Left unread, a failure is no unhandled rejection. */
  get result(): Promise<GenerationResult> {
    return this.#stream.result;
  }

  next(): Promise<IteratorResult<Piece, GenerationResult>> {
    return this.#stream.next(this);
  }

  /** Ends the generation early, and frees what it holds. */
  async return(
    value: GenerationResult | PromiseLike<GenerationResult>,
  ): Promise<IteratorResult<Piece, GenerationResult>> {
    this.#stream.cancel('the generation was left early');
    return { done: true, value: await value };
  }

  async throw(error: unknown): Promise<IteratorResult<Piece, GenerationResult>> {
    this.#stream.cancel(error);
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stream.cancel('the generation was disposed');
  }
}
