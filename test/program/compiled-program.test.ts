// A compiled program without an engine: its records in shared memory, what it is estimated to take, and its errors.
import { describe, expect, test } from 'vitest';
import { internal } from '../../src/base/internal.js';
import { runAtOnce } from '../../src/base/time-slice.js';
import { type Addon, KernelStatus } from '../../src/native/addon.js';
import { BlockStorage } from '../../src/program/block-storage.js';
import { CompiledProgram } from '../../src/program/compiled-program.js';
import { arenaOfCheck } from '../../src/program/program-check.js';
import type { Step } from '../../src/program/recorder.js';
import { TemporaryStorage } from '../../src/program/temporary-storage.js';
import type { Storage } from '../../src/tensor/memory/storage.js';
import { Tensor } from '../../src/tensor/tensor.js';

const layout = {
  headerBytes: 64,
  headerTraceBytes: 16,
  tileTraceBytes: 24,
  recordBytes: 96,
  recordParamsBytes: 32,
  counterBytes: 64,
};

/** Native code as far as compiling calls it, and what it was given. */
function fakeAddon() {
  const checked: { words: Uint32Array; regions: number[] }[] = [];
  const addon = {
    layout,
    kernels: [
      { name: 'none', paramWords: 0 },
      { name: 'add', paramWords: 4 },
      { name: 'row_gather', paramWords: 1 },
    ],
    // Blocks are 64-byte aligned, and so are not at the beginning of their buffers.
    addressOf: () => 4096 + 40,
    checkProgram: (block: Uint8Array, regions: Float64Array) => {
      checked.push({ words: wordsOf(block).slice(), regions: [...regions] });
      return undefined;
    },
  };
  return { addon: addon as unknown as Addon, checked };
}

const wordsOf = ({ buffer, byteOffset, byteLength }: Uint8Array) => new Uint32Array(buffer, byteOffset, byteLength / 4);
const tensorOf = (storage: Storage, size = 8) => new Tensor(internal, { dtype: 'i8', shape: [size], storage });
const block = (sizeBytes: number, address: number) =>
  new BlockStorage(new Uint8Array(new SharedArrayBuffer(sizeBytes)), address);
const stepOf = (given: Partial<Step> = {}): Step => {
  return { kernel: 'none', tiles: 1, flops: 0, reads: [], writes: [], params: [], ...given };
};
const compile = (steps: readonly Step[], { addon } = fakeAddon()) => runAtOnce(CompiledProgram.compile(addon, steps));

describe('is written as native code reads it', () => {
  const { addon, checked } = fakeAddon();
  const [input, output] = [block(64, 2 ** 33 + 64), block(128, 2 ** 20)];
  const [temporary, backed] = [new TemporaryStorage(100), new TemporaryStorage(64)];
  backed.back(block(64, 2 ** 21));
  const steps = [
    stepOf({
      kernel: 'add',
      tiles: 3,
      flops: 10,
      reads: [tensorOf(input), tensorOf(input)],
      writes: [tensorOf(temporary, 100)],
      params: [
        -1,
        { kind: 'pointer', storage: input, byteOffset: 8 },
        { kind: 'pointer', storage: temporary, byteOffset: 16 },
        { kind: 'double', value: 0.1 },
      ],
    }),
    stepOf({ tiles: 2 }),
    stepOf({
      kernel: 'row_gather',
      flops: 5,
      reads: [tensorOf(temporary)],
      writes: [tensorOf(output), tensorOf(backed)],
      params: [2 ** 40 + 5],
    }),
  ];
  const program = runAtOnce(CompiledProgram.compile(addon, steps));
  const words = wordsOf(program.block);
  const low = (value: number) => value % 2 ** 32;
  const high = (value: number) => Math.floor(value / 2 ** 32);

  test('with a header, and a record and a counter for each step', () => {
    expect(program.block.byteLength).toBe(64 + 3 * (96 + 64));
    expect(program.block.byteOffset % 64).toBe(24);
    expect(words[0]).toBe(3);
    // The kernel, its tiles, the steps that must be complete, and the tiles before.
    expect([...words.subarray(16, 20)]).toEqual([1, 3, 0, 0]);
    expect([...words.subarray(40, 44)]).toEqual([0, 2, 0, 3]);
    expect([...words.subarray(64, 68)]).toEqual([2, 1, 1, 5]);
    expect([...words.subarray(24, 28)]).toEqual([2 ** 32 - 1, 2 ** 32 - 1, 72, 2]);
    expect(Buffer.from(words.slice(30, 32).buffer).readDoubleLE()).toBe(0.1);
    expect([...words.subarray(72, 74)]).toEqual([5, 256]);
  });

  test('with the arena where it is placed, and a trace', () => {
    for (const address of [2 ** 34 + 128, 0, 640]) {
      program.placeArena(address);
      expect([...words.subarray(28, 30)]).toEqual([low(address + 16), high(address + 16)]);
    }
    program.placeTrace(2 ** 35 + 8);
    expect([...words.subarray(4, 6)]).toEqual([8, 8]);
    program.placeTrace(0);
    expect([...words.subarray(4, 6)]).toEqual([0, 0]);
  });

  test('and is checked once, with all that it accesses', () => {
    expect(program.externals).toEqual([input, output, backed]);
    expect(program.arenaBytes).toBe(128);
    expect(checked).toHaveLength(1);
    expect(checked[0]?.regions).toEqual([
      ...[input.address, 64, 0],
      ...[output.address, 128, 1],
      ...[backed.address, 64, 1],
      ...[arenaOfCheck, 128, 1],
    ]);
    expect([...(checked[0]?.words.subarray(28, 30) ?? [])]).toEqual([low(arenaOfCheck + 16), high(arenaOfCheck)]);
  });

  test('reports its kernels, steps and sizes', () => {
    expect(program.kernels).toEqual(['add', 'none', 'row_gather']);
    expect(program.steps.map(({ kernel, tiles, after, flops }) => [kernel, tiles, after, flops])).toEqual([
      ['add', 3, 0, 10],
      ['none', 2, 0, 0],
      ['row_gather', 1, 1, 5],
    ]);
    expect([program.flops, program.width, program.traceBytes]).toEqual([15, 5, 6 * 24]);
    // 15 flops, and 24 + 100 + 8 + 8 + 8 bytes... of which each tensor counts.
    expect(program.inlineNs).toBeCloseTo(15 / 60 + (8 + 8 + 100 + 8 + 8 + 8) / 15 + 500);
  });
});

describe('is estimated by its operations and bytes', () => {
  const flopsPerNs = 60;
  const ofNs = (ns: number, given: Partial<Step> = {}) => stepOf({ flops: ns * flopsPerNs, ...given });

  test('a short one is computed by the calling thread, unless a step has an owner', () => {
    const isTiny = (...steps: Step[]) => compile(steps).isTiny;
    expect([isTiny(), isTiny(ofNs(19_999)), isTiny(ofNs(20_000))]).toEqual([true, true, false]);
    expect([isTiny(ofNs(10_000), ofNs(9_999)), isTiny(ofNs(10_000), ofNs(10_000))]).toEqual([true, false]);
    expect([isTiny(ofNs(1, { by: 'team' })), isTiny(ofNs(1), ofNs(1, { by: 'workers' }))]).toEqual([false, false]);
    // 15 bytes a nanosecond.
    const bytes = (count: number) => stepOf({ reads: [tensorOf(block(count, 64), count)] });
    expect([isTiny(bytes(299_999)), isTiny(bytes(300_000))]).toEqual([true, false]);
    expect(compile([ofNs(1000)]).inlineNs).toBe(1500);
  });

  test('the calling thread assists with those that are not too long, unless a step is for the workers', () => {
    const assists = (...steps: Step[]) => {
      const { assistUs, extraAssistUs, wakeAssistUs } = compile(steps);
      return [assistUs, extraAssistUs, wakeAssistUs];
    };
    expect(assists(ofNs(149_999))).toEqual([400, 150, 150]);
    expect(assists(ofNs(150_000))).toEqual([400, 0, 150]);
    expect(assists(ofNs(299_999))).toEqual([400, 0, 150]);
    expect(assists(ofNs(300_000))).toEqual([400, 0, 0]);
    expect(assists(ofNs(699_999))).toEqual([400, 0, 0]);
    expect(assists(ofNs(700_000))).toEqual([0, 0, 0]);
    // The longest tile counts where workers must be woken.
    expect(assists(ofNs(899_999, { tiles: 3 }), ofNs(1))).toEqual([0, 0, 150]);
    expect(assists(ofNs(900_000, { tiles: 3 }), ofNs(1))).toEqual([0, 0, 0]);
    expect(assists(ofNs(1, { by: 'team' }))).toEqual([400, 150, 150]);
    expect(assists(ofNs(1), ofNs(1, { by: 'workers' }))).toEqual([0, 0, 0]);
  });
});

test('is compiled in slices: after its plans, and after each 32 records', () => {
  const slices = (count: number) => {
    const steps = Array.from({ length: count }, () => stepOf());
    return [...CompiledProgram.compile(fakeAddon().addon, steps)].length;
  };
  expect([slices(0), slices(31), slices(32), slices(63), slices(64)]).toEqual([3, 3, 4, 4, 5]);
});

test('does not keep the tensors of its steps', () => {
  const program = compile([stepOf({ reads: [tensorOf(block(64, 64))] })]);
  expect(Object.keys(program.steps[0] as object)).not.toContain('reads');
});

describe('an error', () => {
  const nativeError = (message: string) => expect.objectContaining({ code: 'ERR_NATIVE', message });

  test('is a kernel that native code has not, or one of other parameters', () => {
    expect(() => compile([stepOf({ kernel: 'gone' })])).toThrow(nativeError('the addon has no kernel gone'));
    const message = "the addon's kernel row_gather takes 1 parameters, 2 were recorded";
    expect(() => compile([stepOf({ kernel: 'row_gather', params: [1, 2] })])).toThrow(nativeError(message));
  });

  test('of a tile names the op as callers know it', () => {
    const program = compile([stepOf(), stepOf({ kernel: 'row_gather', params: [1] })]);
    const { indexOutOfRange, valueOutOfRange, checkpointFailed } = KernelStatus;
    const failure = (status: number, op = 1) => program.describeFailure({ status, op, tile: 7 });
    expect(failure(indexOutOfRange)).toMatchObject({ code: 'ERR_INDEX', op: 'rowGather' });
    expect(failure(valueOutOfRange)).toMatchObject({ code: 'ERR_ARGUMENT', op: 'rowGather' });
    expect(failure(checkpointFailed)).toMatchObject({
      code: 'ERR_KERNEL',
      op: 'rowGather',
      message: expect.stringContaining(`tile 7 failed with status ${checkpointFailed}`),
    });
    expect(failure(indexOutOfRange, 0)).toMatchObject({ op: 'none' });
    expect(failure(indexOutOfRange, 9)).toMatchObject({ op: 'op 9' });
  });
});
