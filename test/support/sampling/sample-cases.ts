// Random options, logits and masks for the tests of sampling: with ties, infinities, NaN, denormals, one likely token, all
// alike. Seeded, so that a failure can be repeated.
import type { RandomSource } from '../../../src/sampling/random.js';
import type { SamplingOptions } from '../../../src/sampling/sampling-options.js';

export const logitKinds = [
  'flat',
  'usual',
  'wide',
  'peaked',
  'ties',
  'equal',
  'zeros',
  'denormal',
  'huge',
  'mostly banned',
  'one left',
  'ascending',
  'descending',
  'nan',
  'infinite',
  'nothing',
] as const;

export type LogitKind = (typeof logitKinds)[number];

export class SampleCases {
  readonly #random: RandomSource;

  constructor(random: RandomSource) {
    this.#random = random;
  }

  /** Below `count`. */
  integer(count: number): number {
    return Math.floor(this.#random.next() * count);
  }

  oneOf<T>(values: readonly T[]): T {
    return values[this.integer(values.length)] as T;
  }

  /** About normal, with deviation 1. */
  normal(): number {
    let sum = -6;
    for (let i = 0; i < 12; i++) sum += this.#random.next();
    return sum;
  }

  logits(kind: LogitKind, count: number): Float32Array {
    const banned = Number.NEGATIVE_INFINITY;
    const value = (id: number): number => {
      switch (kind) {
        case 'flat':
          return 0.3 * this.normal();
        case 'usual':
          return 3 * this.normal();
        case 'wide':
          return 300 * this.normal();
        case 'peaked':
          return this.integer(count) < 3 ? 12 + this.normal() : this.normal();
        case 'ties':
          return this.integer(17) / 4 - 2;
        case 'equal':
          return 1.25;
        case 'zeros':
          return this.oneOf([0, -0]);
        case 'denormal':
          return this.normal() * 1e-40;
        case 'huge':
          return this.normal() * 1e37;
        case 'mostly banned':
          return this.integer(10) > 0 ? banned : this.normal();
        case 'one left':
          return id === count >> 1 ? -3 : banned;
        case 'ascending':
          return (8 * id) / count;
        case 'descending':
          return (-8 * id) / count;
        case 'nan':
          return this.integer(count) < 2 ? Number.NaN : this.normal();
        case 'infinite':
          return this.integer(count) < 2 ? Number.POSITIVE_INFINITY : this.normal();
        case 'nothing':
          return banned;
      }
    };
    return Float32Array.from({ length: count }, (_, id) => value(id));
  }

  options(count: number): SamplingOptions {
    const some = <T>(value: () => T) => (this.integer(3) === 0 ? value() : undefined);
    const probability = () => this.oneOf([0.95, 0.9, 0.5, this.#random.next(), 1e-9, 0.999_999, 1 - 2 ** -53]) || 0.1;
    return {
      temperature: this.oneOf([0, 0.2, 0.8, 1, 1, 1.5, 40, 1e-3, 1e-300, 5 * this.#random.next()]),
      topK: some(() => this.oneOf([1, 2, 40, 1 + this.integer(count), count - 1, count, 2 ** 40])),
      typicalP: some(probability),
      topP: some(probability),
      minP: some(() => this.oneOf([0.05, 0.5, 1, 1e-9, 1e-300, 5e-324, this.#random.next()])),
      seed: this.integer(2 ** 40),
      repetitionPenalty: some(() => this.oneOf([1.3, 0.7, 1000, 1e-3])),
      repetitionWindow: some(() => this.oneOf([1, 3, 64, 1000])),
      presencePenalty: some(() => this.oneOf([0.5, -0.5, 1000])),
      frequencyPenalty: some(() => this.oneOf([0.25, -0.5, 10])),
      logitBias: some(() => this.#bias(count)),
    };
  }

  /** Undefined more often than not. */
  allowed(count: number): Uint32Array | undefined {
    if (this.integer(3) > 0) return undefined;
    const words = new Uint32Array(new SharedArrayBuffer(4 * Math.ceil(count / 32)));
    const share = this.oneOf([0.001, 0.1, 0.9]);
    for (let i = 0; i < words.length; i++) {
      let word = 0;
      for (let bit = 0; bit < 32; bit++) if (this.#random.next() < share) word |= 1 << bit;
      words[i] = this.oneOf([word, word, 0xffffffff]);
    }
    return words;
  }

  #bias(count: number): Map<number, number> {
    const entries = Array.from({ length: this.oneOf([1, 5, 40]) }, (): [unknown, number] => {
      const id = this.integer(count);
      // As text and as a number one id can have two biases.
      return [this.oneOf([id, String(id)]), this.oneOf([1, -2, 0.1, 1000, Number.NEGATIVE_INFINITY])];
    });
    return new Map(entries as [number, number][]);
  }
}
