// A seeded random number generator that gives the same numbers on every machine: xoshiro128** 1.1 (Blackman and Vigna,
// "Scrambled linear pseudorandom number generators", 2021; public domain), seeded by splitmix32 (the 32-bit variant of
// Steele, Lea and Flood's SplitMix with MurmurHash3's finalizer). Not for secrets. Called by sampling-state.ts.

/** The largest seed; the smallest is 0. */
export const MAX_SEED = Number.MAX_SAFE_INTEGER;

/** The seed of continuation `index` of several that begin with one seed: seed + index; 0 follows the largest seed. */
export function nthSeed(seed: number, index: number): number {
  const room = MAX_SEED - seed;
  return index <= room ? seed + index : index - room - 1;
}

export class RandomSource {
  readonly #state = new Uint32Array(4);

  /** @param seed an integer from 0 to MAX_SEED; all of its 53 bits are used */
  constructor(seed: number) {
    const low = splitmix32(seed >>> 0);
    const high = splitmix32(Math.floor(seed / 2 ** 32));
    this.#state[0] = low();
    this.#state[1] = low();
    this.#state[2] = high();
    // The state must not be all zero: the last word never is.
    this.#state[3] = high() | 1;
  }

  /** The next 32 random bits. */
  next32(): number {
    const s = this.#state;
    const [s0, s1, s2, s3] = [s[0] as number, s[1] as number, s[2] as number, s[3] as number];
    const result = Math.imul(rotateLeft(Math.imul(s1, 5), 7), 9) >>> 0;
    s[0] = s0 ^ s3 ^ s1;
    s[1] = s1 ^ s2 ^ s0;
    s[2] = s2 ^ s0 ^ (s1 << 9);
    s[3] = rotateLeft(s3 ^ s1, 11);
    return result;
  }

  /** A number in [0, 1) made of 53 random bits. */
  next(): number {
    const high = this.next32() >>> 5;
    const low = this.next32() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }
}

function rotateLeft(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}

function splitmix32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let word = state ^ (state >>> 16);
    word = Math.imul(word, 0x85ebca6b);
    word ^= word >>> 13;
    word = Math.imul(word, 0xc2b2ae35);
    return (word ^ (word >>> 16)) >>> 0;
  };
}
