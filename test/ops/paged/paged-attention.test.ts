// The two ops of a paged cache, recorded in programs: the bits of `attention` in any layout of their operands, for one
// sequence and for steps of many, and a refusal of what does not fit. (native/test/paged_attention_test.cpp has the types
// and the shapes.)
import { describe, expect, test } from 'vitest';
import { attention } from '../../../src/ops/attention/attention.js';
import type { ProgramBuilder } from '../../../src/ops/calls/program-builder.js';
import { pageLayout, positionsPerPage } from '../../../src/ops/paged/key-value-pages.js';
import { itemFields, type StepRows } from '../../../src/ops/paged/step-rows.js';
import type { Tensor } from '../../../src/tensor/tensor.js';
import { firstBitDifference, Numbers } from '../../support/numbers.js';
import { expectRejection } from '../../support/rejections.js';
import { isas, sharedEngines } from '../../support/running/engines.js';
import { type StepCache, stepCache } from '../../support/running/step-cache.js';

const engines = sharedEngines();
const sizes = { layers: 2, kvHeads: 2, headDim: 16, vDim: 24 };
const heads = 6;
const tokens = 70;

async function makeCache(threads: number, isa = isas.at(-1) as (typeof isas)[number], lengths = [tokens]) {
  const engine = await engines({ threads, isa });
  const scope = engine.scope();
  const cache = stepCache(scope, sizes, { slots: lengths.length, capacity: 128 });
  for (const [slot, length] of lengths.entries()) cache.grow(slot, length);
  return { engine, scope, cache };
}

/** Random values in [tokens, heads, dim], as they are, or as a slice out of wider rows. */
function operand(
  scope: { tensor: (shape: number[], data: Float32Array) => Tensor<'f32'> },
  shape: number[],
  seed: number,
): Tensor<'f32'> {
  const [rows, count, dim] = shape as [number, number, number];
  const values = new Numbers(seed).floats(rows * (count + 1) * dim, 1);
  return scope.tensor([rows, count + 1, dim], values).slice(null, [1, count + 1]);
}

/** Inputs for rows whose work is one list of one item for each row. */
function rowInputs(p: ProgramBuilder, count: number, lists = 1) {
  const input = (shape: number[]) => p.input(shape, 'i32');
  const work = { starts: input([lists + 1]), items: input([count, itemFields]) };
  const rows = { positions: input([count]), sequences: input([count]), work };
  const place = (places: readonly (readonly [slot: number, position: number])[]) => {
    let item = 0;
    for (const [row, [slot, position]] of places.entries()) {
      rows.sequences.data[row] = slot;
      rows.positions.data[row] = position;
      if (slot >= 0) work.items.data.set([row, 1, slot, 0], itemFields * item++);
    }
    for (let list = 0; list <= lists; list++) work.starts.data[list] = Math.floor((item * list) / lists);
  };
  return { rows, place };
}

const inOrder = (count: number, from = 0) => Array.from({ length: count }, (_, index) => [0, from + index] as const);

describe.each(isas)('on %s', (isa) => {
  test.each([1, 2, 3])('attention to pages is attention, on %i threads', async (threads) => {
    const { engine, scope, cache } = await makeCache(threads, isa);
    using _ = scope;
    const q = operand(scope, [tokens, heads, 16], 1);
    const k = operand(scope, [tokens, 2, 16], 2);
    const v = operand(scope, [tokens, 2, 24], 3);
    const slopes = scope.tensor([heads], new Numbers(4).floats(heads, 1));
    for (const options of [{}, { window: 9, softcap: 1.5, slopes, scale: 0.3 }]) {
      using program = engine.program((p) => {
        const all = rowInputs(p, tokens, 5);
        const one = rowInputs(p, 1);
        p.storeKeyValues(k, v, { cache: cache.last, rows: all.rows });
        const whole = p.pagedAttention(q, { cache: cache.last, rows: all.rows, ...options });
        // Decoding: the last token alone, from what is stored.
        const last = p.pagedAttention(q.slice([tokens - 1, tokens]), {
          cache: cache.last,
          rows: one.rows,
          ...options,
        });
        const asBatch = (x: Tensor) => x.transpose(1, 0, 2).unsqueeze(0);
        const mixed = p.attention(asBatch(q), asBatch(k), asBatch(v), { causal: true, ...options });
        all.place(inOrder(tokens));
        one.place(inOrder(1, tokens - 1));
        return { whole, last, expected: p.copy(mixed.squeeze(0).transpose(1, 0, 2)) };
      });
      await program.run();
      const { whole, last, expected } = program.tensors;
      expect(whole.shape).toEqual([tokens, heads * 24]);
      expect(firstBitDifference(whole.toArray(), expected.toArray())).toBeUndefined();
      expect(firstBitDifference(last.toArray(), whole.toArray().slice(-heads * 24))).toBeUndefined();
    }
  });

  test.each([1, 3])(
    'rows of their own sequences are normalised, rotated and stored by the step that attends, on %i threads',
    async (threads) => {
      const lengths = [40, 1, 70, 33];
      const places = [...lengths.map((length, slot) => [slot, length - 1] as const), [-1, 0] as const];
      const count = places.length;
      const { engine, scope, cache } = await makeCache(threads, isa, lengths);
      using _ = scope;
      const before = lengths.flatMap((length, slot) =>
        Array.from({ length: length - 1 }, (_, position) => [slot, position] as const),
      );
      const positions = scope.tensor(
        [count],
        Int32Array.from(places, ([, position]) => position),
      );
      // A fused projection: queries, keys and values side by side.
      const all = operand(scope, [count, heads + 4, 24], 1);
      const frequencies = scope.tensor([6], new Numbers(2).floats(6, 1));
      const rotation = { frequencies, magnitude: 1.1, style: 'halfSplit' as const };
      // The weights are views of others, which have to be copied.
      const weights = scope.tensor([16, 2], new Numbers(4).floats(32, 1));
      const norms = { q: weights.slice(null, [0, 1]).squeeze(1), k: weights.slice(null, [1, 2]).squeeze(1), eps: 0.01 };
      for (const changes of [{}, { rotation }, { norms }, { norms, rotation }]) {
        const results: Float32Array[] = [];
        for (const isOwn of [false, true]) {
          using program = engine.program((p) => {
            const earlier = rowInputs(p, before.length);
            earlier.place(before);
            const old = operand(scope, [before.length, 4, 24], 3);
            const keys = old.slice(null, [0, 2], [0, 16]);
            p.storeKeyValues(keys, old.slice(null, [2, 4]), { cache: cache.first, rows: earlier.rows });
            const { rows, place } = rowInputs(p, count, 3);
            place(places);
            const projected = p.copy(all);
            const q = projected.slice(null, [0, heads], [0, 16]);
            const k = projected.slice(null, [heads, heads + 2], [0, 16]);
            const v = projected.slice(null, [heads + 2, heads + 4]);
            if (isOwn) return p.pagedAttention(q, { cache: cache.first, rows, own: { k, v, ...changes } });
            if (changes.norms !== undefined) {
              p.rmsNorm(q, norms.q, { eps: norms.eps, out: q });
              p.rmsNorm(k, norms.k, { eps: norms.eps, out: k });
            }
            if (changes.rotation !== undefined) for (const x of [q, k]) p.rope(x, positions, { ...rotation, out: x });
            p.storeKeyValues(k, v, { cache: cache.first, rows });
            return p.pagedAttention(q, { cache: cache.first, rows });
          });
          await program.run();
          results.push(program.tensors.toArray() as Float32Array);
        }
        expect(firstBitDifference(results[1] as Float32Array, results[0] as Float32Array)).toBeUndefined();
      }
    },
  );

  test.each([1, 3])('a step of many sequences has the bits of each alone, on %i threads', async (threads) => {
    const lengths = [1, 40, 70, 33];
    // The last rows of each sequence, between padding; the keys before them are stored by a step of their own.
    const own = [1, 1, 9, 20];
    const { engine, scope, cache } = await makeCache(threads, isa, lengths);
    using _ = scope;
    const alone = stepCache(scope, sizes, { slots: 1, capacity: 128 });
    const places = lengths.flatMap((length, slot) => [
      ...Array.from({ length: own[slot] as number }, (_, i) => [slot, length - (own[slot] as number) + i] as const),
      [-1, 0] as const,
    ]);
    const before = lengths.flatMap((length, slot) =>
      Array.from({ length: length - (own[slot] as number) }, (_, position) => [slot, position] as const),
    );
    const keys = lengths.map((length, slot) => operand(scope, [length, 2, 16], 10 + slot).toArray());
    const values = lengths.map((length, slot) => operand(scope, [length, 2, 24], 20 + slot).toArray());
    const queries = operand(scope, [places.length, heads, 16], 30);
    const rowsOf = (all: readonly Float32Array[], of: readonly (readonly [number, number])[], width: number) => {
      const rows = new Float32Array(of.length * width).fill(Number.NaN);
      for (const [row, [slot, position]] of of.entries()) {
        if (slot >= 0)
          rows.set((all[slot] as Float32Array).subarray(position * width, (position + 1) * width), row * width);
      }
      return rows;
    };
    const keyValues = (of: readonly (readonly [number, number])[]) =>
      [
        scope.tensor([of.length, 2, 16], rowsOf(keys, of, 32)),
        scope.tensor([of.length, 2, 24], rowsOf(values, of, 48)),
      ] as const;
    const step = (on: StepCache, of: readonly (readonly [number, number])[], q: Tensor) =>
      engine.program((p) => {
        const { rows, place } = rowInputs(p, of.length, 3);
        place(of);
        p.storeKeyValues(...keyValues(of), { cache: on.first, rows });
        return p.pagedAttention(q, { cache: on.first, rows });
      });
    const run = async (on: StepCache, of: readonly (readonly [number, number])[], q: Tensor) => {
      using program = step(on, of, q);
      await program.run();
      return program.tensors.toArray();
    };
    await run(cache, before, operand(scope, [before.length, heads, 16], 31));
    const together = await run(cache, places, queries);
    const width = heads * 24;
    for (const [row, [slot]] of places.entries()) {
      if (slot < 0) expect(together.subarray(row * width, (row + 1) * width).every((x) => x === 0)).toBe(true);
    }
    for (const [slot, length] of lengths.entries()) {
      alone.grow(0, length);
      const first = places.findIndex((place) => place[0] === slot);
      const count = own[slot] as number;
      // The program stores all keys of the sequence, and computes queries of which the last ones are the step's.
      const stored = Array.from({ length }, (_, position) => [0, position] as const);
      using program = engine.program((p) => {
        const all = rowInputs(p, length);
        const last = rowInputs(p, count);
        all.place(stored);
        last.place(stored.slice(length - count));
        const k = scope.tensor([length, 2, 16], keys[slot] as Float32Array);
        const v = scope.tensor([length, 2, 24], values[slot] as Float32Array);
        p.storeKeyValues(k, v, { cache: alone.first, rows: all.rows });
        return p.pagedAttention(queries.slice([first, first + count]), { cache: alone.first, rows: last.rows });
      });
      await program.run();
      const expected = together.subarray(first * width, (first + count) * width);
      expect(firstBitDifference(program.tensors.toArray(), expected)).toBeUndefined();
    }
  });

  test('places without a page end the run with ERR_INDEX', async () => {
    const { engine, scope, cache } = await makeCache(2, isa);
    using _ = scope;
    const k = operand(scope, [1, 2, 16], 2);
    const v = operand(scope, [1, 2, 24], 3);
    const q = operand(scope, [1, heads, 16], 1);
    using program = engine.program((p) => {
      const at = rowInputs(p, 1);
      const from = rowInputs(p, 1);
      p.storeKeyValues(k, v, { cache: cache.last, rows: at.rows });
      p.pagedAttention(q, { cache: cache.last, rows: from.rows });
      // Tensors by their names, for the program to own.
      return { at, from };
    });
    const { at, from } = program.tensors;
    const run = (store: [number, number], attend: [number, number]) => {
      at.place([store]);
      from.place([attend]);
      return program.run();
    };
    await run([0, 95], [0, 95]);
    for (const place of [
      [0, 96],
      [0, -1],
      [1, 0],
      [-2, 0],
    ] as [number, number][]) {
      await expectRejection(run(place, [0, 0]), 'ERR_INDEX', /storeKeyValues/);
    }
    for (const place of [
      [0, 96],
      [0, 128],
      [1, 0],
      [-2, 0],
    ] as [number, number][]) {
      await expectRejection(run([0, 0], place), 'ERR_INDEX', /pagedAttention/);
    }
    await run([0, 0], [0, -1]);
    await run([-1, 1000], [-1, 1000]);
    from.place([[0, 0]]);
    for (const [field, value] of [
      [0, 1],
      [1, 2],
      [1, 0],
      [2, 1],
      [3, 1],
    ] as const) {
      from.place([[0, 0]]);
      from.rows.work.items.data[field] = value;
      await expectRejection(program.run(), 'ERR_INDEX', /pagedAttention/);
    }
    from.place([[0, 0]]);
    from.rows.work.starts.data[1] = 2;
    await expectRejection(program.run(), 'ERR_INDEX', /pagedAttention/);
  });
});

describe('the ops refuse', () => {
  test('what does not fit', async () => {
    const { engine, scope, cache: caches } = await makeCache(1);
    using _ = scope;
    const cache = caches.first;
    const q = operand(scope, [3, heads, 16], 1);
    const k = operand(scope, [3, 2, 16], 2);
    const v = operand(scope, [3, 2, 24], 3);
    const ints = (...shape: number[]) => scope.tensor(shape, 'i32');
    const work = { starts: ints(2), items: ints(3, itemFields) };
    const rows: StepRows = { positions: ints(3), sequences: ints(3), work };
    const record = (what: Parameters<typeof engine.program>[0]) => () => engine.program(what);
    const three = operand(scope, [3, 3, 16], 4);
    const store = (change: object, x = k, y = v) =>
      record((p) => p.storeKeyValues(x, y, { cache, rows, ...change } as never));
    const attend = (change: object, x = q) => record((p) => p.pagedAttention(x, { cache, rows, ...change } as never));
    const withRows = (change: object) => ({ rows: { ...rows, ...change } });
    const withWork = (change: object) => withRows({ work: { ...work, ...change } });
    for (const [what, code] of [
      [store({}, three), 'ERR_SHAPE'],
      [store({}, k, k), 'ERR_SHAPE'],
      [store(withRows({ positions: ints(2) })), 'ERR_SHAPE'],
      [store(withRows({ sequences: ints(2) })), 'ERR_SHAPE'],
      [store(withRows({ positions: scope.tensor([3]) })), 'ERR_DTYPE'],
      [store(withRows({ sequences: scope.tensor([3]) })), 'ERR_DTYPE'],
      [store(withRows({ sequences: undefined })), 'ERR_ARGUMENT'],
      [store({ rows: undefined }), 'ERR_ARGUMENT'],
      [store({ cache: undefined }), 'ERR_ARGUMENT'],
      [store({ out: rows.positions }), 'ERR_ARGUMENT'],
      [attend({}, v), 'ERR_SHAPE'],
      [attend({ own: { k: three, v } }), 'ERR_SHAPE'],
      [attend({ own: { k, v: k } }), 'ERR_SHAPE'],
      [attend({ own: { k } }), 'ERR_ARGUMENT'],
      [attend({ own: { k, v, rotation: { frequencies: scope.tensor([9]) } } }), 'ERR_SHAPE'],
      [attend({ own: { k, v, rotation: { frequencies: ints(8) } } }), 'ERR_DTYPE'],
      [attend({ own: { k, v, rotation: { frequencies: scope.tensor([8]), style: 'none' } } }), 'ERR_ARGUMENT'],
      [attend({ own: { k, v, norms: { q: scope.tensor([16]) } } }), 'ERR_ARGUMENT'],
      [attend({ own: { k, v, norms: { k: scope.tensor([16]) } } }), 'ERR_ARGUMENT'],
      [attend({ own: { k, v, norms: { q: scope.tensor([16]), k: scope.tensor([15]) } } }), 'ERR_SHAPE'],
      [attend({ own: { k, v, norms: { q: scope.tensor([1, 16]), k: scope.tensor([16]) } } }), 'ERR_SHAPE'],
      [attend({ own: { k, v, norms: { q: ints(16), k: scope.tensor([16]) } } }), 'ERR_DTYPE'],
      [attend({ own: { k, v, norms: { q: scope.tensor([16]), k: scope.tensor([16]), eps: '1' } } }), 'ERR_ARGUMENT'],
      [attend({}, operand(scope, [3, 5, 16], 5)), 'ERR_SHAPE'],
      [attend(withRows({ positions: ints(2) })), 'ERR_SHAPE'],
      [attend(withWork({ starts: ints(1) })), 'ERR_SHAPE'],
      [attend(withWork({ starts: ints(2, 2) })), 'ERR_SHAPE'],
      [attend(withWork({ starts: scope.tensor([2]) })), 'ERR_DTYPE'],
      [attend(withWork({ items: ints(2, itemFields) })), 'ERR_SHAPE'],
      [attend(withWork({ items: undefined })), 'ERR_ARGUMENT'],
      [attend(withRows({ work: undefined })), 'ERR_ARGUMENT'],
      [attend({ rows: undefined }), 'ERR_ARGUMENT'],
      [attend({ cache: {} }), 'ERR_ARGUMENT'],
      [attend({ window: 0 }), 'ERR_ARGUMENT'],
      [attend({ window: 1.5 }), 'ERR_ARGUMENT'],
      [attend({ softcap: -1 }), 'ERR_ARGUMENT'],
      [attend({ slopes: scope.tensor([3]) }), 'ERR_SHAPE'],
      [attend({ causal: true }), 'ERR_ARGUMENT'],
    ] as const) {
      await expectRejection(what, code);
    }
    expect(attention.parameters).toContain('window');
    expect(() => pageLayout({ ...sizes, headDim: 48 }, 'q8_0')).toThrow(/48 and 24/);
    expect(positionsPerPage).toBe(32);
  });
});
