// src/program/plan.ts against naive checkers: temporaries that are alive at the same time never share bytes, steps that
// access the same bytes are ordered, and any order of tiles that the plan allows gives the results of the recorded order.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { internal } from '../../src/base/internal.js';
import { planArena, planOrder, planWidth } from '../../src/program/plan.js';
import type { Step } from '../../src/program/recorder.js';
import { TemporaryStorage } from '../../src/program/temporary-storage.js';
import type { Storage } from '../../src/tensor/memory/storage.js';
import { storageOf, Tensor } from '../../src/tensor/tensor.js';
import { TensorPool } from '../../src/tensor/tensor-pool.js';

/** A range of bytes of a storage that a step accesses. */
interface Piece {
  readonly storage: number;
  readonly start: number;
  readonly length: number;
}

interface StepSpec {
  readonly reads: readonly Piece[];
  readonly writes: readonly Piece[];
  readonly tiles: number;
}

interface Plan {
  /** Sizes in bytes, some of them 0. The first `external` storages have memory of their own. */
  readonly sizes: readonly number[];
  readonly external: number;
  readonly steps: readonly StepSpec[];
}

const piece: fc.Arbitrary<Piece> = fc.record({ storage: fc.nat(), start: fc.nat(), length: fc.nat() });
const arbitraryPlan: fc.Arbitrary<Plan> = fc.record({
  sizes: fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 400 })), { minLength: 1, maxLength: 8 }),
  external: fc.nat({ max: 3 }),
  steps: fc.array(
    fc.record({
      reads: fc.array(piece, { maxLength: 3 }),
      writes: fc.array(piece, { minLength: 1, maxLength: 2 }),
      tiles: fc.integer({ min: 1, max: 5 }),
    }),
    { maxLength: 12 },
  ),
});

let nextAddress = 64;
const pool = new TensorPool({ budgetBytes: 2 ** 30, addressOf: () => (nextAddress += 2 ** 20) });

/** The steps, with tensors of bytes. A temporary may be read before it was written. */
function build({ sizes, external, steps }: Plan) {
  const storages = sizes.map((size, index) => (index < external ? pool.rent(size) : new TemporaryStorage(size)));
  const tensorOf = ({ storage, start, length }: Piece) => {
    const owner = storages[storage % storages.length] as TemporaryStorage;
    const offset = owner.sizeBytes === 0 ? 0 : start % owner.sizeBytes;
    return new Tensor(internal, {
      dtype: 'i8',
      shape: [Math.min(length % 97, owner.sizeBytes - offset)],
      offset,
      storage: owner,
    });
  };
  const built = steps.map(
    ({ reads, writes, tiles }): Step => ({
      kernel: 'copy',
      tiles,
      flops: 0,
      reads: reads.map(tensorOf),
      writes: writes.map(tensorOf),
      params: [],
    }),
  );
  return { storages, steps: built };
}

const isTemporary = (storage: unknown): storage is TemporaryStorage => storage instanceof TemporaryStorage;

/** A name for each byte of a tensor; the same memory has the same name. */
function* bytesOf(tensor: Tensor): Generator<string> {
  const { offset, size } = tensor;
  const storage = storageOf(tensor);
  for (let byte = offset; byte < offset + size; byte++) {
    yield isTemporary(storage) ? `arena ${storage.arenaOffset + byte}` : `${storage.address} ${byte}`;
  }
}

function touches(tensors: readonly Tensor[]): Set<string> {
  return new Set(tensors.flatMap((tensor) => [...bytesOf(tensor)]));
}

test('temporaries that are alive at the same time do not share bytes, and all are aligned and inside the arena', () => {
  fc.assert(
    fc.property(arbitraryPlan, (plan) => {
      const { steps } = build(plan);
      const arenaBytes = planArena(steps);
      const lives = new Map<TemporaryStorage, { first: number; last: number }>();
      steps.forEach((step, index) => {
        for (const tensor of [...step.reads, ...step.writes]) {
          const storage = storageOf(tensor);
          if (!isTemporary(storage)) continue;
          lives.set(storage, { first: lives.get(storage)?.first ?? index, last: index });
        }
      });
      for (const [a, lifeOfA] of lives) {
        expect(a.arenaOffset % 64).toBe(0);
        expect(a.arenaOffset).toBeGreaterThanOrEqual(0);
        expect(a.arenaOffset + a.sizeBytes).toBeLessThanOrEqual(arenaBytes);
        for (const [b, lifeOfB] of lives) {
          if (a === b || lifeOfA.last < lifeOfB.first || lifeOfB.last < lifeOfA.first) continue;
          const apart = a.arenaOffset + a.sizeBytes <= b.arenaOffset || b.arenaOffset + b.sizeBytes <= a.arenaOffset;
          expect(apart || a.sizeBytes === 0 || b.sizeBytes === 0).toBe(true);
        }
      }
      const total = [...lives.keys()].reduce((sum, { sizeBytes }) => sum + Math.ceil(sizeBytes / 64) * 64, 0);
      expect(arenaBytes).toBeLessThanOrEqual(total);
    }),
    { numRuns: 300 },
  );
});

test('every step waits for all earlier steps that it conflicts with, and for no others', () => {
  fc.assert(
    fc.property(arbitraryPlan, (plan) => {
      const { steps } = build(plan);
      planArena(steps);
      const order = planOrder(steps);
      const reads = steps.map((step) => touches(step.reads));
      const writes = steps.map((step) => touches(step.writes));
      const meet = (a: ReadonlySet<string>, b: ReadonlySet<string>) => [...a].some((byte) => b.has(byte));
      let needed = 0;
      for (let later = 0; later < steps.length; later++) {
        const [ownReads, ownWrites] = [reads[later] as Set<string>, writes[later] as Set<string>];
        for (let earlier = 0; earlier < later; earlier++) {
          const written = writes[earlier] as Set<string>;
          const conflict =
            meet(written, ownReads) || meet(written, ownWrites) || meet(reads[earlier] as Set<string>, ownWrites);
          if (conflict) needed = Math.max(needed, earlier + 1);
        }
        expect(order[later]).toBe(needed);
        expect(order[later]).toBeLessThanOrEqual(later);
      }
    }),
    { numRuns: 300 },
  );
});

/**
 * Runs the steps on an abstract memory in which the value of each byte describes how it was computed. A step reads when it
 * begins and writes when it ends; other steps may run in between, as with a long tile.
 */
function simulate(
  steps: readonly Step[],
  order: readonly number[],
  choose: (count: number) => number,
): Map<string, string> {
  const memory = new Map<string, string>();
  const begun = new Map<number, string>();
  const done = new Set<number>();
  let complete = 0;
  while (complete < steps.length) {
    const startable: number[] = [];
    for (let index = complete; index < steps.length && (order[index] as number) <= complete; index++) {
      if (!begun.has(index) && !done.has(index)) startable.push(index);
    }
    const choice = choose(startable.length + begun.size);
    const starting = startable[choice];
    if (starting !== undefined) {
      const { reads } = steps[starting] as Step;
      const seen = reads.map((tensor) => [...bytesOf(tensor)].map((byte) => memory.get(byte) ?? byte));
      begun.set(starting, `${starting}(${hash(JSON.stringify(seen))})`);
      continue;
    }
    const [ending, value] = [...begun][choice - startable.length] as [number, string];
    for (const tensor of (steps[ending] as Step).writes) for (const byte of bytesOf(tensor)) memory.set(byte, value);
    begun.delete(ending);
    done.add(ending);
    while (done.has(complete)) complete++;
  }
  return memory;
}

function hash(text: string): number {
  let value = 0;
  for (let index = 0; index < text.length; index++) value = (Math.imul(value, 31) + text.charCodeAt(index)) | 0;
  return value;
}

test('any order that the plan allows leaves the same memory as the recorded order', () => {
  fc.assert(
    fc.property(arbitraryPlan, fc.infiniteStream(fc.nat()), (plan, choices) => {
      const { steps } = build(plan);
      planArena(steps);
      const inOrder = simulate(
        steps,
        steps.map((_, index) => index),
        () => 0,
      );
      const inAnyOrder = simulate(steps, planOrder(steps), (count) => (choices.next().value as number) % count);
      expect(inAnyOrder).toEqual(inOrder);
    }),
    { numRuns: 300 },
  );
});

test('the width is the largest number of tiles that may run at the same moment', () => {
  fc.assert(
    fc.property(arbitraryPlan, (plan) => {
      const { steps } = build(plan);
      planArena(steps);
      const order = planOrder(steps);
      let most = 0;
      steps.forEach((_, complete) => {
        const open = steps.filter((_, index) => index >= complete && (order[index] as number) <= complete);
        most = Math.max(
          most,
          open.reduce((sum, { tiles }) => sum + tiles, 0),
        );
      });
      expect(planWidth(steps, order)).toBe(most);
    }),
  );
});

test('a long chain of equal temporaries needs the memory of two of them', () => {
  const temporaries = Array.from({ length: 20 }, () => new TemporaryStorage(1000));
  const tensors = temporaries.map((storage) => new Tensor(internal, { dtype: 'i8', shape: [1000], storage }));
  const steps = tensors.slice(1).map((tensor, index): Step => {
    return { kernel: 'copy', tiles: 1, flops: 0, reads: [tensors[index] as Tensor], writes: [tensor], params: [] };
  });
  expect(planArena(steps)).toBe(2 * 1024);
  expect(planOrder(steps)).toEqual(steps.map((_, index) => index));
});

test('the largest temporary is placed first, and each at the lowest place where it fits exactly', () => {
  const [wide, long, gap, early, last] = [192, 64, 64, 128, 1].map((size) => new TemporaryStorage(size));
  const use = (...storages: readonly (TemporaryStorage | undefined)[]): Step => ({
    kernel: 'copy',
    tiles: 1,
    flops: 0,
    reads: [],
    writes: storages.map((storage) => new Tensor(internal, { dtype: 'i8', shape: [1], storage: storage as Storage })),
    params: [],
  });
  // In the first step early, long and gap are alive; in the second one, wide and long.
  expect(planArena([use(long, gap, early), use(wide, long), use(wide), use(last)])).toBe(256);
  const offsets = [wide, early, long, gap, last].map((storage) => storage?.arenaOffset);
  expect(offsets).toEqual([0, 0, 192, 128, 0]);
});

test('temporaries of one step follow one another, in multiples of 64 bytes', () => {
  const storages = [65, 64, 1].map((size) => new TemporaryStorage(size));
  const writes = storages.map((storage) => new Tensor(internal, { dtype: 'i8', shape: [1], storage }));
  expect(planArena([{ kernel: 'copy', tiles: 1, flops: 0, reads: [], writes, params: [] }])).toBe(256);
  expect(storages.map(({ arenaOffset }) => arenaOffset)).toEqual([0, 128, 192]);
});

test('a temporary with memory of its own has no place in the arena, and meets no other one', () => {
  const [backed, other, planned] = [64, 64, 64].map((size) => new TemporaryStorage(size)) as [
    TemporaryStorage,
    TemporaryStorage,
    TemporaryStorage,
  ];
  for (const storage of [backed, other]) storage.back(pool.rent(64));
  const write = (storage: TemporaryStorage): Step => {
    const tensor = new Tensor(internal, { dtype: 'i8', shape: [64], storage });
    return { kernel: 'copy', tiles: 1, flops: 0, reads: [], writes: [tensor], params: [] };
  };
  const steps = [backed, other, planned, backed].map(write);
  expect(planArena(steps)).toBe(64);
  expect([backed, other, planned].map(({ arenaOffset }) => arenaOffset)).toEqual([-1, -1, 0]);
  // Only the last step writes where another one does.
  expect(planOrder(steps)).toEqual([0, 0, 0, 1]);
});
