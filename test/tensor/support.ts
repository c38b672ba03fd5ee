// Shared by the tensor tests: pools with made-up addresses, garbage collection on demand, and a naive oracle of views.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { expect } from 'vitest';
import { type ErrorCode, TesseraeError } from '../../src/base/errors.js';
import { TensorPool, type TensorPoolOptions } from '../../src/tensor/tensor-pool.js';

/** Addresses that are unique, do not overlap, and are aligned to 8 bytes only, as V8's may be. */
export function makeAddressOf(): (bytes: Uint8Array) => number {
  const starts = new Map<ArrayBufferLike, number>();
  let next = 4096 + 8;
  return (bytes) => {
    let start = starts.get(bytes.buffer);
    if (start === undefined) {
      start = next;
      starts.set(bytes.buffer, start);
      next += Math.ceil(bytes.buffer.byteLength / 8) * 8 + 24;
    }
    return start + bytes.byteOffset;
  };
}

export function makePool(options: Partial<TensorPoolOptions> = {}): TensorPool {
  return new TensorPool({ budgetBytes: 2 ** 26, addressOf: makeAddressOf(), ...options });
}

/** Asserts that `action` throws a TesseraeError of this code whose message matches. */
export function expectError(action: () => unknown, code: ErrorCode, message: RegExp = /./): void {
  let thrown: unknown;
  try {
    action();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(TesseraeError);
  expect((thrown as TesseraeError).code).toBe(code);
  expect((thrown as TesseraeError).message).toMatch(message);
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Collects garbage and lets finalizers run until `done`, for at most this many rounds. */
export async function collectGarbage(done: () => boolean = () => false, rounds = 20): Promise<void> {
  for (let round = 0; round < rounds && !done(); round++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** An array with a shape that is indexed in the simplest way. */
export interface Naive {
  readonly shape: readonly number[];
  readonly at: (index: readonly number[]) => number;
}

/** All indices of a shape in row-major order. */
export function* indicesOf(shape: readonly number[]): Generator<number[]> {
  if (shape.length === 0) {
    yield [];
    return;
  }
  const [size, ...rest] = shape as [number, ...number[]];
  for (let first = 0; first < size; first++) for (const index of indicesOf(rest)) yield [first, ...index];
}

export function flatten({ shape, at }: Naive): number[] {
  return [...indicesOf(shape)].map(at);
}

/** A naive array over values in row-major order. */
export function naive(shape: readonly number[], values: ArrayLike<number>): Naive {
  const at = (index: readonly number[]): number => {
    let position = 0;
    for (let dim = 0; dim < shape.length; dim++) position = position * (shape[dim] as number) + (index[dim] as number);
    return values[position] as number;
  };
  return { shape, at };
}

export const smallShape = (sizes = { min: 0, max: 4 }): fc.Arbitrary<number[]> =>
  fc.array(fc.integer(sizes), { maxLength: 4 });
