// Seeded random numbers: those of xoshiro128** and splitmix32, computed again with integers of any size.
import { expect, test } from 'vitest';
import { MAX_SEED, nthSeed, RandomSource } from '../../src/sampling/random.js';

const word = (value: bigint) => BigInt.asUintN(32, value);
const rotated = (value: bigint, by: bigint) => word((value << by) | (word(value) >> (32n - by)));

function* splitmix32(seed: bigint): Generator<bigint, never> {
  for (let state = word(seed); ; ) {
    state = word(state + 0x9e3779b9n);
    let mixed = word((state ^ (state >> 16n)) * 0x85ebca6bn);
    mixed = word((mixed ^ (mixed >> 13n)) * 0xc2b2ae35n);
    yield mixed ^ (mixed >> 16n);
  }
}

function* xoshiro(seed: number): Generator<bigint, never> {
  const low = splitmix32(BigInt(seed));
  const high = splitmix32(BigInt(seed) >> 32n);
  let [a, b, c, d] = [low.next().value, low.next().value, high.next().value, high.next().value | 1n];
  for (;;) {
    yield word(rotated(word(b * 5n), 7n) * 9n);
    const shifted = word(b << 9n);
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotated(d, 11n);
  }
}

test.each([0, 1, 5, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 40 + 12_345, MAX_SEED])('seed %i', (seed) => {
  const words = xoshiro(seed);
  const source = new RandomSource(seed);
  for (let i = 0; i < 100; i++) expect(source.next32()).toBe(Number(words.next().value));
  for (let i = 0; i < 100; i++) {
    const [high, low] = [words.next().value >> 5n, words.next().value >> 6n];
    expect(source.next()).toBe(Number((high << 26n) | low) / 2 ** 53);
  }
});

test('the seeds of several continuations count up, and on from 0', () => {
  expect([nthSeed(7, 0), nthSeed(7, 3)]).toEqual([7, 10]);
  expect([0, 1, 2, 3].map((index) => nthSeed(MAX_SEED - 1, index))).toEqual([MAX_SEED - 1, MAX_SEED, 0, 1]);
});
