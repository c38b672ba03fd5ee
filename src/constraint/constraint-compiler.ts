// Compiles the option `format` to a constraint on a model's tokens, in a worker thread: a format is untrusted. A model owns one
// compiler, which keeps the trie of the model's tokens and the constraints used last. Called by model/requests.ts.
import { whenAborted } from '../base/abort-watch.js';
import { BackgroundWorker } from '../base/background-worker.js';
import { AbortError, TesseraeError } from '../base/errors.js';
import { jsonText } from '../base/json-text.js';
import { RecentlyUsed } from '../base/recently-used.js';
import { TimeSlice } from '../base/time-slice.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { Automaton } from './automaton.js';
import type { FormatJob } from './compile/job.js';
import { type CompiledTerms, readTerms } from './compiled-terms.js';
import { Constraint } from './constraint.js';
import type { Format } from './format.js';
import { Terms } from './term.js';
import { createTokenTrie, type TokenTrie } from './token-trie.js';

/** The default of the option `formatTimeoutMs`. */
export const defaultFormatTimeoutMs = 2000;
const HEAP_MB = 256;
const CONSTRAINTS_KEPT = 8;
const limits = { name: 'members of the format', mostUnits: 4 * 2 ** 20, mostValues: 500_000, deepest: 512 };

/** One thread for all models of the process. */
const worker = new BackgroundWorker({ heapMb: HEAP_MB });

/** A format that is compiled, for all who wait for it. */
interface Pending {
  readonly compiled: Promise<Constraint>;
  readonly stop: AbortController;
  waiting: number;
}

export class ConstraintCompiler {
  readonly #tokenizer: Tokenizer;
  readonly #vocabulary: number;
  readonly #timeoutMs: number;
  #trie: TokenTrie | undefined;
  /** By the format's JSON. */
  readonly #constraints = new RecentlyUsed<string, Constraint>(CONSTRAINTS_KEPT);
  readonly #pending = new Map<string, Pending>();

  /**
   * @param vocabulary the number of logits, which may exceed the number of the tokenizer's tokens
   * @param timeoutMs the time that compiling may take
   */
  constructor(tokenizer: Tokenizer, vocabulary: number, timeoutMs: number) {
    this.#tokenizer = tokenizer;
    this.#vocabulary = vocabulary;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * The constraint of a format. Equal formats share one constraint.
   * @throws TesseraeError ERR_FORMAT for a format that is malformed, not supported, matched by no text, or takes too long;
   * ERR_ARGUMENT for one that is no plain data; AbortError
   */
  async compile(format: Format, signal: AbortSignal | undefined): Promise<Constraint> {
    const json = await jsonText(format, limits, signal);
    const known = this.#constraints.get(json);
    if (known !== undefined) return known;
    return this.#wait(json, this.#pending.get(json) ?? this.#begin(json), signal);
  }

  #begin(json: string): Pending {
    const stop = new AbortController();
    const pending = { compiled: this.#compile(json, stop.signal), stop, waiting: 0 };
    this.#pending.set(json, pending);
    const done = () => {
      if (this.#pending.get(json) === pending) this.#pending.delete(json);
    };
    pending.compiled.then(done, done);
    return pending;
  }

  /** The work ends when nobody waits for it any more. */
  #wait(json: string, pending: Pending, signal: AbortSignal | undefined): Promise<Constraint> {
    pending.waiting += 1;
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        leave();
        pending.waiting -= 1;
        if (pending.waiting === 0) {
          this.#pending.delete(json);
          pending.stop.abort();
        }
        reject(new AbortError(signal?.reason));
      };
      const leave = whenAborted(signal, onAbort);
      if (signal?.aborted) onAbort();
      pending.compiled.finally(leave).then(resolve, reject);
    });
  }

  async #compile(json: string, signal: AbortSignal): Promise<Constraint> {
    const job: FormatJob = { kind: 'format', json };
    const failure = (problem: string, code: string | undefined) =>
      new TesseraeError('ERR_FORMAT', code === 'ERR_FORMAT' ? problem : `the format ${problem}`);
    const compiled = (await worker.run(job, { timeoutMs: this.#timeoutMs, signal, failure })) as CompiledTerms;
    const terms = new Terms();
    const automaton = new Automaton(terms, await readTerms(compiled, terms, new TimeSlice(signal)));
    this.#trie ??= await createTokenTrie(this.#tokenizer, signal);
    const constraint = new Constraint(automaton, this.#trie, this.#tokenizer, this.#vocabulary);
    this.#constraints.set(json, constraint);
    return constraint;
  }
}
