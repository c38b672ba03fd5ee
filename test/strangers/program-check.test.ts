// The native check of compiled programs (native/core/program_check.h): takes every op as it is recorded, and refuses
// records in which one word was changed so that a tile would leave its operands. What it takes is run, with guards around
// every operand: the check must not let through what the kernels then do.
import { describe, expect, test } from 'vitest';
import { internal } from '../../src/base/internal.js';
import type { ProductTraits } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/load.js';
import { ProgramBuilder } from '../../src/ops/calls/program-builder.js';
import { imageSize, PackedMatrix, pack } from '../../src/ops/matmul/pack.js';
import { PagedKeyValues, pageLayout } from '../../src/ops/paged/key-value-pages.js';
import { type AttentionWork, itemFields, runFields } from '../../src/ops/paged/step-rows.js';
import { packQuantized, QuantizedMatrix } from '../../src/ops/quantized/quantized-matrix.js';
import { imageBytes, type QuantizedType } from '../../src/ops/quantized/quantized-type.js';
import { BlockStorage } from '../../src/program/block-storage.js';
import { CompiledProgram } from '../../src/program/compiled-program.js';
import { Recorder } from '../../src/program/recorder.js';
import { alignedBlock } from '../../src/team/aligned-block.js';
import { makeControlBlock } from '../../src/team/control-block.js';
import { type DType, dtypes } from '../../src/tensor/elements/dtype.js';
import { elementCount } from '../../src/tensor/layout/layout.js';
import { storageOf, Tensor } from '../../src/tensor/tensor.js';
import type { OpCase } from '../support/ops/op-case.js';
import { opCases } from '../support/ops/op-cases.js';

const addon = loadAddon();
const { recordBytes, recordParamsBytes, headerBytes } = addon.layout;
const guardBytes = 4096;
const guard = 0xa5;
const guards = Buffer.alloc(guardBytes, guard);

/** Memory in which each operand is surrounded by guards. */
class GuardedMemory {
  readonly #bytes: Uint8Array;
  readonly #gaps: [number, number][] = [];
  #used = 0;

  constructor(sizeBytes: number) {
    this.#bytes = alignedBlock(addon, sizeBytes).fill(guard);
  }

  storage(sizeBytes: number): BlockStorage {
    const start = this.#used + guardBytes;
    this.#gaps.push([this.#used, start]);
    this.#used = start + guardBytes + Math.ceil(sizeBytes / 64) * 64;
    this.#gaps.push([start + sizeBytes, start + sizeBytes + guardBytes]);
    const bytes = this.#bytes.subarray(start, start + sizeBytes).fill(0);
    return new BlockStorage(bytes, addon.addressOf(bytes), this);
  }

  tensor<D extends DType>(shape: readonly number[], dtype: D): Tensor<D> {
    return new Tensor(internal, { dtype, shape, storage: this.storage(elementCount(shape) * dtypes[dtype].sizeBytes) });
  }

  /** Whether nothing wrote beside an operand. */
  get isIntact(): boolean {
    return this.#gaps.every(([from, to]) => guards.equals(Buffer.copyBytesFrom(this.#bytes, from, to - from)));
  }
}

/** The reference and the best kernels. */
const controls = [addon.isas[0] as string, addon.isas.at(-1) as string].map((isa) =>
  makeControlBlock(addon, { isa, threads: 1, cpus: 2, lingerUs: 1000 }),
);

/** A program of one call, and how it was checked. */
function compile(memory: GuardedMemory, record: (p: ProgramBuilder) => void) {
  const isa = addon.isas.at(-1) as string;
  const blockSizes = addon.defaultBlockSizes;
  const products = addon.products[isa] as ProductTraits;
  const recorder = new Recorder({ threads: 2, blockSizes, products, zero: memory.tensor([1], 'f32') });
  record(new ProgramBuilder(recorder, memory as never));
  let regions = new Float64Array();
  const spy = {
    ...addon,
    checkProgram(block: Uint8Array, given: Float64Array) {
      regions = given.slice();
      return addon.checkProgram(block, given);
    },
  };
  const compiling = CompiledProgram.compile(spy, recorder.steps);
  for (;;) {
    const { done, value } = compiling.next();
    if (done !== true) continue;
    const arena = memory.storage(value.arenaBytes);
    value.placeArena(arena.address);
    regions.set([arena.address, arena.sizeBytes, 1], regions.length - 3);
    return { program: value, regions };
  }
}

function wildValues(value: bigint): bigint[] {
  return [value - 1n, value + 1n, value * 2n, value + 64n, value - 16384n, 0n, -1n, 2n ** 40n, 2n ** 63n - 1n];
}

/** Changes each word of each record in turn. Gives how many changes were refused, and how many taken and run. */
function mutate(memory: GuardedMemory, record: (p: ProgramBuilder) => void): { refused: number; taken: number } {
  const { program, regions } = compile(memory, record);
  const { block, kernels } = program;
  const words = new BigInt64Array(block.buffer, block.byteOffset, block.byteLength / 8);
  const counts = { refused: 0, taken: 0 };
  const tryIt = (at: number, value: bigint, what: string) => {
    const before = words[at] as bigint;
    words[at] = BigInt.asIntN(64, value);
    if (words[at] !== before) {
      if (addon.checkProgram(block, regions) !== undefined) counts.refused++;
      else {
        counts.taken++;
        for (const control of controls) addon.runInline(control.bytes, block);
        if (!memory.isIntact) expect.unreachable(`${what} = ${value} (was ${before}) wrote beside its operands`);
      }
    }
    words[at] = before;
  };
  for (const [op, kernel] of kernels.entries()) {
    const paramWords = addon.kernels.find(({ name }) => name === kernel)?.paramWords as number;
    const record = (headerBytes + op * recordBytes) / 8;
    const first = record + recordParamsBytes / 8;
    for (let at = first; at < first + paramWords; at++) {
      for (const value of wildValues(words[at] as bigint)) tryIt(at, value, `${kernel}, word ${at - first}`);
    }
    // Opcode and number of tiles; `after` and the first tile.
    for (const value of [2n ** 32n - 1n, 63n, 64n, 2n ** 32n, 2n ** 63n]) {
      tryIt(record, (words[record] as bigint) ^ value, `${kernel}, opcode and tiles`);
      tryIt(record + 1, (words[record + 1] as bigint) ^ value, `${kernel}, order`);
    }
  }
  return counts;
}

/** Cases that take little time: of each op, a few are enough. */
function smallest(cases: readonly OpCase[]): readonly OpCase[] {
  const sizeOf = ({ shape, operands }: OpCase) =>
    Object.values(operands).reduce((sum, operand) => sum + elementCount(operand.shape), elementCount(shape));
  const some = cases.filter(({ shape }) => elementCount(shape) > 1);
  return some.sort((a, b) => sizeOf(a) - sizeOf(b)).slice(0, 3);
}

describe('records in which one word was changed', () => {
  test.each(Object.keys(opCases))('%s', (name) => {
    let taken = 0;
    let refused = 0;
    for (const opCase of smallest(opCases[name] ?? [])) {
      const memory = new GuardedMemory(4 << 20);
      const tensors = Object.fromEntries(
        Object.entries(opCase.operands).map(([key, { dtype, shape, values }]) => {
          const tensor = memory.tensor(shape, dtype);
          tensor.set(values as Float32Array);
          return [key, tensor];
        }),
      );
      const out = memory.tensor(opCase.shape, opCase.dtype);
      const counts = mutate(memory, (p) => void opCase.call(p, tensors, { out }));
      taken += counts.taken;
      refused += counts.refused;
    }
    // What is taken changes nothing that is accessed: strides of dimensions of size 1, and of operands that are left out.
    expect(refused).toBeGreaterThan(50);
    expect(taken).toBeGreaterThan(0);
  });

  test('pack', () => {
    const memory = new GuardedMemory(4 << 20);
    const b = memory.tensor([40, 50], 'f32');
    const out = memory.tensor([40 * 64], 'f32');
    const { refused } = mutate(memory, (p) => void p.record(pack, { ...pack.args(b), out } as object));
    expect(refused).toBeGreaterThan(100);
  });

  test.each(['Q8_0', 'Q4_K', 'Q3_K'] satisfies QuantizedType[])('products and rows of %s', (type) => {
    const memory = new GuardedMemory(8 << 20);
    const [n, k] = [40, 512];
    const bytes = { Q8_0: 34 * 16, Q4_K: 288, Q3_K: 220 }[type] * n;
    const blocks = memory.tensor([bytes], 'i8');
    const image = memory.tensor([imageBytes(type, [n, k])], 'i8');
    const counts = mutate(
      memory,
      (p) =>
        void p.record(packQuantized, { ...packQuantized.args(blocks, { type, shape: [n, k] }), out: image } as object),
    );
    expect(counts.refused).toBeGreaterThan(30);
    const w = new QuantizedMatrix(internal, type, [n, k], image);
    for (const rows of [2, 40]) {
      const x = memory.tensor([rows, k], 'f32');
      const [out, more] = [memory.tensor([rows, n], 'f32'), memory.tensor([rows, n], 'f32')];
      const products = mutate(memory, (p) => {
        p.matmul(x, w, { transposeB: true, out });
        p.matmul(x, w, { transposeB: true, out: more });
      });
      expect(products.refused).toBeGreaterThan(100);
    }
    const ids = memory.tensor([5], 'i32');
    const out = memory.tensor([5, k], 'f32');
    expect(mutate(memory, (p) => void p.embedding(w, ids, { out })).refused).toBeGreaterThan(50);
  });

  test.each(['none', 'geluTanh'] as const)('products that make a gated unit: %s', (activation) => {
    const memory = new GuardedMemory(8 << 20);
    const [m, n, k] = [2, 32, 64];
    const quantized = new QuantizedMatrix(internal, 'Q8_0', [n, k], memory.tensor([imageBytes('Q8_0', [n, k])], 'i8'));
    const packed = new PackedMatrix(internal, [k, n], memory.tensor([imageSize(k, n)], 'f32'));
    const x = memory.tensor([m, k], 'f32');
    const [gate, up] = [memory.tensor([m, n], 'f32'), memory.tensor([m, n], 'f32')];
    for (const w of [quantized, packed]) {
      const transposeB = w === quantized;
      const record = (p: ProgramBuilder) => {
        p.matmul(x, w, { transposeB, activation, out: gate });
        p.matmul(x, w, { transposeB, out: up });
        if (activation === 'none') p.siluMul(gate, up, { out: gate });
        else p.mul(gate, up, { out: gate });
      };
      expect(compile(memory, record).program.kernels.at(-1)).toMatch(/matmul/);
      expect(mutate(memory, record).refused).toBeGreaterThan(100);
    }
  });
});

describe.each(['in one step', 'in parts'])('attention that normalises, rotates and stores its rows, %s', (kind) => {
  const [rows, dim] = [2, 40];
  const memory = new GuardedMemory(1 << 20);
  const ints = (...shape: number[]) => memory.tensor(shape, 'i32');
  const [q, k, v] = [
    memory.tensor([rows, 4, dim], 'f32'),
    ...[0, 1].map(() => memory.tensor([rows, 2, dim], 'f32')),
  ] as [Tensor, Tensor, Tensor];
  const norms = { q: memory.tensor([dim], 'f32'), k: memory.tensor([dim], 'f32') };
  const frequencies = memory.tensor([dim / 2], 'f32');
  const out = memory.tensor([rows, 4 * dim], 'f32');
  const layout = pageLayout({ layers: 1, kvHeads: 2, headDim: dim }, 'f32');
  const cache = new PagedKeyValues({ directory: ints(4, 2), table: ints(rows, 2) }, layout, 0);
  const inParts = { runs: ints(rows + 1, runFields), partStarts: ints(rows + 1), mostParts: 4 };
  const work = { starts: ints(2), ...(kind === 'in parts' ? inParts : { items: ints(rows, itemFields) }) };
  const step = { positions: ints(rows), sequences: ints(rows), work: work as AttentionWork };
  const own = { k, v, norms, rotation: { frequencies } };
  const { program, regions } = compile(memory, (p) => void p.pagedAttention(q, { cache, rows: step, own, out }));
  const words = new BigInt64Array(program.block.buffer, program.block.byteOffset, program.block.byteLength / 8);
  const addressOf = (tensor: Tensor) => BigInt(storageOf(tensor).address);

  /** What is said of the record in which the addresses of some operands were replaced. */
  function problemWith(...changes: (readonly [operand: Tensor, address: bigint])[]): string | undefined {
    const before = words.slice();
    for (const [operand, address] of changes) words[before.indexOf(addressOf(operand))] = BigInt.asIntN(64, address);
    const refusal = addon.checkProgram(program.block, regions);
    words.set(before);
    return refusal?.problem;
  }

  test('is taken with norms, rotation, both or neither', () => {
    const [noNorms, noRotation] = [
      [norms.q, norms.k].map((weight) => [weight, 0n] as const),
      [[frequencies, 0n] as const],
    ];
    for (const changes of [[], noNorms, noRotation, [...noNorms, ...noRotation]]) {
      expect(problemWith(...changes)).toBeUndefined();
    }
  });

  test.each(['q', 'k'] as const)('is refused with weights for %s that it does not have', (name) => {
    const weight = norms[name];
    for (const address of wildValues(addressOf(weight))) {
      const expected = address === 0n ? 'has norms of queries or keys alone' : 'reads outside of its memory';
      expect(problemWith([weight, address])).toBe(expected);
    }
  });

  test('is refused with norms or a rotation, but no keys', () => {
    const noKeys = [k, v].map((operand) => [operand, 0n] as const);
    const noNorms = [norms.q, norms.k].map((weight) => [weight, 0n] as const);
    for (const changes of [noKeys, [...noKeys, ...noNorms], [...noKeys, [frequencies, 0n] as const]]) {
      expect(problemWith(...changes)).toBe('normalises or rotates no keys');
    }
    expect(problemWith(...noKeys, ...noNorms, [frequencies, 0n])).toBeUndefined();
  });

  test.each([
    { of: 'queries', operand: q },
    { of: 'keys', operand: k },
  ])('changes the $of themselves, which must not be read-only, or copies in parts', ({ operand }) => {
    const begin = storageOf(operand).address;
    const readOnly = regions.slice();
    const region = Array.from({ length: regions.length / 3 }, (_, index) => 3 * index).find(
      (at) => regions[at] === begin,
    );
    readOnly[(region as number) + 2] = 0;
    const expected = kind === 'in parts' ? undefined : { op: 0, problem: 'writes outside of its memory' };
    for (const without of [[], [norms.q, norms.k], [frequencies]]) {
      const before = words.slice();
      for (const tensor of without) words[before.indexOf(addressOf(tensor))] = 0n;
      expect(addon.checkProgram(program.block, readOnly)).toEqual(expected);
      words.set(before);
    }
  });
});

test('a program whose operand is read-only memory, or memory of no storage, is refused', () => {
  const memory = new GuardedMemory(1 << 20);
  const [x, out] = [memory.tensor([8, 8], 'f32'), memory.tensor([8, 8], 'f32')];
  const { program, regions } = compile(memory, (p) => void p.relu(x, { out }));
  expect(addon.checkProgram(program.block, regions)).toBeUndefined();
  const readOnly = regions.map((value, index) => (index % 3 === 2 ? 0 : value));
  expect(addon.checkProgram(program.block, readOnly)).toEqual({ op: 0, problem: 'writes outside of its memory' });
  expect(addon.checkProgram(program.block, regions.subarray(0, 0))).toMatchObject({ op: 0 });
  expect(() => addon.checkProgram(program.block.subarray(0, 64), regions)).toThrow(/too short/);
  expect(() => addon.checkProgram(program.block, new Float32Array(3) as never)).toThrow(/Float64Array/);
});
