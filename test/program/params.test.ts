// What native code is given of a program: the words of an op's parameters, and the regions that a check knows.
import { describe, expect, test } from 'vitest';
import { internal } from '../../src/base/internal.js';
import { ParamWriter } from '../../src/program/param-writer.js';
import { arenaOfCheck, checkProgram } from '../../src/program/program-check.js';
import { TemporaryStorage } from '../../src/program/temporary-storage.js';
import type { Storage } from '../../src/tensor/memory/storage.js';
import { Tensor } from '../../src/tensor/tensor.js';

test('parameters are words: whole numbers, doubles, pointers that are known later, and codes of element types', () => {
  const storage = new TemporaryStorage(64);
  const tensor = new Tensor(internal, { dtype: 'bf16', shape: [2, 3], offset: 5, storage });
  const writer = new ParamWriter().int(7).int(true).int(false).ints([3, 1]).ints([]).double(0.5);
  expect(writer.pointer(tensor).pointer(undefined).dtype(tensor).words).toEqual([
    7,
    1,
    0,
    3,
    1,
    { kind: 'double', value: 0.5 },
    { kind: 'pointer', storage, byteOffset: 10 },
    0,
    4,
  ]);
});

describe('the check of a program', () => {
  const storageOf = (index: number) => ({ address: 4096 * (index + 1), sizeBytes: 64 * index }) as Storage;
  const block = new Uint8Array(8);

  test.each([0, 1, 7, 8, 40])('is given its %i storages and its arena', (count) => {
    const externals = Array.from({ length: count }, (_, index) => storageOf(index));
    const written = new Set(externals.filter((_, index) => index % 2 === 1));
    let given: unknown[] = [];
    const addon = {
      checkProgram: (bytes: Uint8Array, regions: Float64Array) => {
        given = [bytes, [...regions]];
        return undefined;
      },
    };
    checkProgram(addon, { block, kernels: [], externals, written, arenaBytes: 640 });
    const regions = externals.flatMap(({ address, sizeBytes }, index) => [address, sizeBytes, index % 2]);
    expect(given).toEqual([block, [...regions, arenaOfCheck, 640, 1]]);
  });

  test('names the op that native code refuses', () => {
    const addon = { checkProgram: () => ({ op: 1, problem: 'reads outside of its storages' }) };
    const program = { block, kernels: ['copy', 'add'], externals: [], written: new Set<Storage>(), arenaBytes: 0 };
    const message = 'op 1 of a program, add, reads outside of its storages';
    expect(() => checkProgram(addon, program)).toThrow(expect.objectContaining({ code: 'ERR_NATIVE', message }));
  });
});
