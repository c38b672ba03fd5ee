// The parameters and results of the rows of a `sample` op, in shared memory, in the layout of native/kernels/sample.h. The
// owner of the program writes the parameters before each run and reads the results afterwards; the program stays the same.
import { TesseraeError } from '../../base/errors.js';
import { internal } from '../../base/internal.js';
import type { Storage } from '../../tensor/memory/storage.js';
import { storageOf, Tensor } from '../../tensor/tensor.js';

/** The checked sampling options of a request, as in src/sampling/sampling-options.ts. */
export interface SampleSettings {
  readonly temperature: number;
  readonly topK: number;
  readonly typicalP: number;
  readonly topP: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
}

/** The options and the state of a request's sampling. Implemented by SamplingState (src/sampling/sampling-state.ts). */
export interface SampleState {
  readonly settings: SampleSettings;
  /** A random number in [0, 1). */
  readonly random: number;
  /** Pairs of id and bias, sorted by id, in shared memory. */
  readonly biases: Float64Array | undefined;
  /** Pairs of id and count, sorted by id, in shared memory, and their number. */
  readonly window: { readonly pairs: Int32Array; readonly size: number } | undefined;
}

/** Options that may differ from token to token. */
export interface RowOptions {
  /** The ids that may be chosen, a bit each, from the lowest bit of each word up, in shared memory; all by default. */
  readonly allowed?: Uint32Array | undefined;
  /** Compute log probabilities: of the chosen token, and of this many most likely ones. */
  readonly logprobs?: number | undefined;
}

/** Natural logarithms of the probabilities softmax(logits), before bias, penalties and temperature. */
export interface SampledLogprobs {
  /** The chosen token's. */
  readonly logprob: number;
  /** The most likely tokens, best first. */
  readonly ids: Int32Array;
  /** Those of {@link ids}. */
  readonly logprobs: Float64Array;
}

export interface SampleRowsSizes {
  readonly rows: number;
  readonly vocabulary: number;
  /** The largest value of {@link RowOptions.logprobs}. */
  readonly alternatives: number;
}

/** Memory that no tensor of a user reaches; implemented by Compute. */
export interface PrivateMemory {
  /** Zeros, i32. */
  privateTensor(shape: readonly number[]): Tensor<'i32'>;
  /** The absolute address of the first byte of an array in shared memory. */
  addressOf(array: ArrayBufferView): number;
}

/** The struct SampleRow: doubles, then addresses, then 32-bit integers. The offsets are in 32-bit words. */
const rowBytes = 128;
const addressesAt = 16;
const integersAt = 22;
/** The structs SampleResult and SampleAlternative. */
const resultBytes = 24;
const alternativeBytes = 16;
const cacheLineBytes = 64;
/** The numbers of SampleStatus. */
const UNUSED = 0;
const CHOSEN = 1;
const NOTHING = 2;
const NAN = 3;

const MOST_INTEGER = 2 ** 31 - 1;

export class SampleRows {
  readonly sizes: SampleRowsSizes;
  /** i32 [rows, 32]: the parameters of each row. Its storage keeps the arrays alive that the rows point to. */
  readonly parameters: Tensor<'i32'>;
  /** i32 [rows, words]: the results of each row. */
  readonly results: Tensor<'i32'>;
  readonly #storage: RowStorage;
  readonly #doubles: Float64Array;
  readonly #integers: Int32Array;
  readonly #resultDoubles: Float64Array;
  readonly #resultIntegers: Int32Array;
  readonly #addressOf: (array: ArrayBufferView) => number;
  readonly #addresses = new WeakMap<ArrayBufferView, number>();
  readonly #resultBytes: number;

  /**
   * At first, no row is sampled.
   * The rows hold addresses: they are in memory that no tensor of a user reaches, which is not part of the pool.
   */
  constructor(memory: PrivateMemory, sizes: SampleRowsSizes) {
    this.sizes = sizes;
    this.#addressOf = (array) => memory.addressOf(array);
    const needed = resultBytes + sizes.alternatives * alternativeBytes;
    this.#resultBytes = Math.ceil(needed / cacheLineBytes) * cacheLineBytes;
    const words = memory.privateTensor([sizes.rows, rowBytes / 4]);
    this.results = memory.privateTensor([sizes.rows, this.#resultBytes / 4]);
    this.#storage = new RowStorage(words, sizes.rows);
    this.parameters = new Tensor(internal, { dtype: 'i32', shape: words.shape, storage: this.#storage });
    this.#integers = words.data;
    this.#doubles = new Float64Array(words.data.buffer, words.data.byteOffset, words.data.length / 2);
    const { data } = this.results;
    this.#resultIntegers = data;
    this.#resultDoubles = new Float64Array(data.buffer, data.byteOffset, data.length / 2);
  }

  /** Distance between the results of two rows, in bytes. */
  get resultStrideBytes(): number {
    return this.#resultBytes;
  }

  /**
   * Sets the parameters of a row for the next runs. A run reads the arrays of `state` and the options directly: change them
   * only between two runs, and set the row again.
   * @throws TesseraeError ERR_BUSY while a program runs on the rows; ERR_ARGUMENT
   */
  set(row: number, state: SampleState, { allowed, logprobs }: RowOptions = {}): void {
    this.#checkRow(row);
    const { vocabulary, alternatives } = this.sizes;
    if (logprobs !== undefined && !(logprobs >= 0 && logprobs <= alternatives)) {
      throw new TesseraeError(
        'ERR_ARGUMENT',
        `the rows have room for ${alternatives} log probabilities, not ${logprobs}`,
      );
    }
    if (allowed !== undefined && allowed.length < Math.ceil(vocabulary / 32)) {
      throw new TesseraeError('ERR_ARGUMENT', `allowed has ${allowed.length} words, too few for ${vocabulary} ids`);
    }
    const { settings, biases, window } = state;
    const doubles = this.#doubles;
    const double = row * (rowBytes / 8);
    doubles[double] = settings.temperature;
    doubles[double + 1] = settings.typicalP;
    doubles[double + 2] = settings.topP;
    doubles[double + 3] = settings.minP;
    doubles[double + 4] = state.random;
    doubles[double + 5] = settings.repetitionPenalty;
    doubles[double + 6] = settings.presencePenalty;
    doubles[double + 7] = settings.frequencyPenalty;
    const word = row * (rowBytes / 4);
    this.#point(word + addressesAt, biases);
    this.#point(word + addressesAt + 2, window?.pairs);
    this.#point(word + addressesAt + 4, allowed);
    const integers = this.#integers;
    integers[word + integersAt] = 1;
    integers[word + integersAt + 1] = Math.min(settings.topK, MOST_INTEGER);
    integers[word + integersAt + 2] = biases === undefined ? 0 : biases.length / 2;
    integers[word + integersAt + 3] = window === undefined ? 0 : window.size;
    integers[word + integersAt + 4] = logprobs ?? -1;
    this.#storage.keep(row, biases, window?.pairs, allowed);
  }

  /** Leaves a row out of the next runs. @throws TesseraeError ERR_BUSY while a program runs on the rows */
  clear(row: number): void {
    this.#checkRow(row);
    this.#integers[row * (rowBytes / 4) + integersAt] = 0;
    this.#storage.keep(row, undefined, undefined, undefined);
  }

  /**
   * The token that the last run chose for a row.
   * @throws TesseraeError ERR_ARGUMENT, like Sampler: if a logit is NaN or Infinity, or if all of them are -Infinity
   */
  idOf(row: number): number {
    const at = row * (this.#resultBytes / 4);
    const status = this.#resultIntegers[at] as number;
    const id = this.#resultIntegers[at + 1] as number;
    if (status === CHOSEN) return id;
    throw new TesseraeError('ERR_ARGUMENT', this.#failure(row, status, id));
  }

  /** The log probabilities that the last run computed for a row; the row must have a token and {@link RowOptions.logprobs}. */
  logprobsOf(row: number): SampledLogprobs {
    const at = row * (this.#resultBytes / 8);
    const doubles = this.#resultDoubles;
    const integers = this.#resultIntegers;
    const count = integers[2 * at + 4] as number;
    const ids = new Int32Array(count);
    const logprobs = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      const alternative = at + (resultBytes + i * alternativeBytes) / 8;
      logprobs[i] = doubles[alternative] as number;
      ids[i] = integers[2 * alternative + 2] as number;
    }
    return { logprob: doubles[at + 1] as number, ids, logprobs };
  }

  /**
   * Whether the vector kernels left a row of the last run to the slow code of the reference, because rounding could have
   * changed the result.
   */
  isDeclined(row: number): boolean {
    return this.#resultIntegers[row * (this.#resultBytes / 4) + 5] === 1;
  }

  #failure(row: number, status: number, id: number): string {
    if (status === UNUSED) return `row ${row} was not sampled`;
    if (status === NOTHING) return `none of ${this.sizes.vocabulary} logits is above -Infinity`;
    return `the logit of token ${id} is ${status === NAN ? Number.NaN : Number.POSITIVE_INFINITY}`;
  }

  #checkRow(row: number): void {
    if (!(row >= 0 && row < this.sizes.rows)) {
      throw new TesseraeError('ERR_ARGUMENT', `row ${row} is none of ${this.sizes.rows} rows`);
    }
    if (this.#storage.isPinned) throw new TesseraeError('ERR_BUSY', 'a program is running on these rows');
  }

  /** Writes the address of a shared array, 0 for none. */
  #point(word: number, array: Float64Array | Int32Array | Uint32Array | undefined): void {
    let address = 0;
    if (array !== undefined) {
      if (!(array.buffer instanceof SharedArrayBuffer)) {
        throw new TesseraeError('ERR_ARGUMENT', 'the arrays of a row must be in shared memory');
      }
      address = this.#addresses.get(array) ?? this.#addressOf(array);
      this.#addresses.set(array, address);
    }
    this.#integers[word] = address | 0;
    this.#integers[word + 1] = Math.floor(address / 2 ** 32);
  }
}

/** The storage of the parameters. A program that keeps it alive also keeps the arrays alive that the rows point to. */
class RowStorage implements Storage {
  readonly #words: Storage;
  /** Three arrays for each row. */
  readonly #kept: unknown[];
  #pins = 0;

  constructor(words: Tensor<'i32'>, rows: number) {
    this.#words = storageOf(words);
    this.#kept = new Array(3 * rows).fill(undefined);
  }

  get isPinned(): boolean {
    return this.#pins > 0;
  }

  keep(row: number, biases: unknown, pairs: unknown, allowed: unknown): void {
    this.#kept[3 * row] = biases;
    this.#kept[3 * row + 1] = pairs;
    this.#kept[3 * row + 2] = allowed;
  }

  get sizeBytes(): number {
    return this.#words.sizeBytes;
  }

  get address(): number {
    return this.#words.address;
  }

  get disposed(): boolean {
    return this.#words.disposed;
  }

  get owner(): object | undefined {
    return this.#words.owner;
  }

  get buffer(): SharedArrayBuffer | undefined {
    return this.#words.buffer;
  }

  get byteOffset(): number {
    return this.#words.byteOffset;
  }

  pin(): void {
    this.#words.pin();
    this.#pins += 1;
  }

  unpin(): void {
    this.#words.unpin();
    this.#pins -= 1;
  }
}
