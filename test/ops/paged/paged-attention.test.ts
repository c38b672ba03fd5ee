// The two ops on a paged cache, recorded in programs: the same bits as `attention` for any layout of their operands, and
// errors for operands that do not fit. (native/test/paged_attention_test.cpp covers the types and the shapes.)
import { describe, expect, test } from 'vitest';
import { Page, PageTable } from '../../../src/forward/page-table.js';
import { attention } from '../../../src/ops/attention/attention.js';
import { PagedKeyValues, pageLayout, positionsPerPage } from '../../../src/ops/paged/key-value-pages.js';
import type { Tensor } from '../../../src/tensor/tensor.js';
import { firstBitDifference, Numbers } from '../../support/numbers.js';
import { expectRejection } from '../../support/rejections.js';
import { isas, sharedEngines } from '../../support/running/engines.js';

const engines = sharedEngines();
const sizes = { layers: 2, kvHeads: 2, headDim: 16, vDim: 24 };
const layout = pageLayout(sizes, 'f32');
const heads = 6;
const tokens = 70;

async function makeCache(threads: number, isa = isas.at(-1) as (typeof isas)[number]) {
  const engine = await engines({ threads, isa });
  const scope = engine.scope();
  const pageCount = Math.ceil(tokens / positionsPerPage);
  const pages = Array.from({ length: pageCount }, () => new Page(scope.tensor([layout.pageBytes], 'i8')));
  const table = new PageTable(scope.tensor([4, 2], 'i32'));
  table.load(pages);
  return { engine, scope, table, pages, cache: new PagedKeyValues(table.tensor, layout, 1) };
}

/** A tensor [rows, count, dim] of random values, as a slice out of wider rows. */
function operand(scope: { tensor: (shape: number[], data: Float32Array) => Tensor }, shape: number[], seed: number) {
  const [rows, count, dim] = shape as [number, number, number];
  const values = new Numbers(seed).floats(rows * (count + 1) * dim, 1);
  return scope.tensor([rows, count + 1, dim], values).slice(null, [1, count + 1]);
}

describe.each(isas)('on %s', (isa) => {
  test.each([1, 2, 3])('attention to pages is attention, on %i threads', async (threads) => {
    const { engine, scope, cache } = await makeCache(threads, isa);
    using _ = scope;
    const q = operand(scope, [tokens, heads, 16], 1);
    const k = operand(scope, [tokens, 2, 16], 2);
    const v = operand(scope, [tokens, 2, 24], 3);
    const positions = scope.tensor(
      [tokens],
      'i32',
      Int32Array.from({ length: tokens }, (_, index) => index),
    );
    const slopes = scope.tensor([heads], new Numbers(4).floats(heads, 1));
    for (const options of [{}, { window: 9, softcap: 1.5, slopes, scale: 0.3 }]) {
      using program = engine.program((p) => {
        p.storeKeyValues(k, v, positions, { cache });
        const whole = p.pagedAttention(q, positions, { cache, ...options });
        // As in decoding: the last token alone attends to the stored keys.
        const last = p.pagedAttention(q.slice([tokens - 1, tokens]), positions.slice([tokens - 1, tokens]), {
          cache,
          ...options,
        });
        const asBatch = (x: Tensor) => x.transpose(1, 0, 2).unsqueeze(0);
        const mixed = p.attention(asBatch(q), asBatch(k), asBatch(v), { causal: true, ...options });
        return { whole, last, expected: p.copy(mixed.squeeze(0).transpose(1, 0, 2)) };
      });
      await program.run();
      const { whole, last, expected } = program.tensors;
      expect(whole.shape).toEqual([tokens, heads * 24]);
      expect(firstBitDifference(whole.toArray(), expected.toArray())).toBeUndefined();
      expect(firstBitDifference(last.toArray(), whole.toArray().slice(-heads * 24))).toBeUndefined();
    }
  });

  test('positions without a page end the run with ERR_INDEX', async () => {
    const { engine, scope, cache } = await makeCache(2, isa);
    using _ = scope;
    const k = operand(scope, [1, 2, 16], 2);
    const v = operand(scope, [1, 2, 24], 3);
    const q = operand(scope, [1, heads, 16], 1);
    using program = engine.program((p) => {
      const at = p.input([1], 'i32');
      const from = p.input([1], 'i32');
      p.storeKeyValues(k, v, at, { cache });
      p.pagedAttention(q, from, { cache });
      return { at, from };
    });
    const run = (at: number, from: number) => {
      program.tensors.at.data[0] = at;
      program.tensors.from.data[0] = from;
      return program.run();
    };
    await run(95, 95);
    await expectRejection(run(96, 0), 'ERR_INDEX', /storeKeyValues/);
    await expectRejection(run(-1, 0), 'ERR_INDEX', /storeKeyValues/);
    await expectRejection(run(0, 96), 'ERR_INDEX', /pagedAttention/);
    await expectRejection(run(0, 128), 'ERR_INDEX', /pagedAttention/);
    await run(0, -1);
  });
});

describe('the ops refuse', () => {
  test('what does not fit', async () => {
    const { engine, scope, cache } = await makeCache(1);
    using _ = scope;
    const q = operand(scope, [3, heads, 16], 1);
    const k = operand(scope, [3, 2, 16], 2);
    const v = operand(scope, [3, 2, 24], 3);
    const positions = scope.tensor([3], 'i32');
    const record = (what: Parameters<typeof engine.program>[0]) => () => engine.program(what);
    const wrong = { shape: operand(scope, [3, 3, 16], 4), length: scope.tensor([2], 'i32'), dtype: scope.tensor([3]) };
    for (const [what, code] of [
      [record((p) => p.storeKeyValues(wrong.shape, v, positions, { cache })), 'ERR_SHAPE'],
      [record((p) => p.storeKeyValues(k, k, positions, { cache })), 'ERR_SHAPE'],
      [record((p) => p.storeKeyValues(k, v, wrong.length, { cache })), 'ERR_SHAPE'],
      [record((p) => p.storeKeyValues(k, v, wrong.dtype, { cache })), 'ERR_DTYPE'],
      [record((p) => p.storeKeyValues(k, v, positions, {} as never)), 'ERR_ARGUMENT'],
      [record((p) => p.storeKeyValues(k, v, positions, { cache, out: positions } as never)), 'ERR_ARGUMENT'],
      [record((p) => p.pagedAttention(v, positions, { cache })), 'ERR_SHAPE'],
      [record((p) => p.pagedAttention(operand(scope, [3, 5, 16], 5), positions, { cache })), 'ERR_SHAPE'],
      [record((p) => p.pagedAttention(q, wrong.length, { cache })), 'ERR_SHAPE'],
      [record((p) => p.pagedAttention(q, positions, { cache: {} } as never)), 'ERR_ARGUMENT'],
      [record((p) => p.pagedAttention(q, positions, { cache, window: 0 })), 'ERR_ARGUMENT'],
      [record((p) => p.pagedAttention(q, positions, { cache, window: 1.5 })), 'ERR_ARGUMENT'],
      [record((p) => p.pagedAttention(q, positions, { cache, softcap: -1 })), 'ERR_ARGUMENT'],
      [record((p) => p.pagedAttention(q, positions, { cache, slopes: wrong.dtype })), 'ERR_SHAPE'],
      [record((p) => p.pagedAttention(q, positions, { cache, causal: true } as never)), 'ERR_ARGUMENT'],
    ] as const) {
      await expectRejection(what, code);
    }
    expect(attention.parameters).toContain('window');
    expect(() => pageLayout({ ...sizes, headDim: 48 }, 'q8_0')).toThrow(/48 and 24/);
  });
});

describe('a table of pages', () => {
  test('keeps its pages while a program runs on it, and is not changed then', async () => {
    const { scope, table, pages } = await makeCache(1);
    using _ = scope;
    table.pin();
    table.pin();
    await expectRejection(() => table.load([]), 'ERR_BUSY');
    for (const page of pages) page.release();
    expect(pages.every((page) => page.bytes.disposed)).toBe(true);
    table.unpin();
    await expectRejection(() => table.load([]), 'ERR_BUSY');
    table.unpin();
    table.load([]);
    expect([...table.tensor.data]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  });

  test('shares pages by count', async () => {
    const engine = await engines({ threads: 1 });
    using scope = engine.scope();
    const page = new Page(scope.tensor([64], 'i8'));
    expect(page.isShared).toBe(false);
    expect(page.share()).toBe(page);
    expect(page.isShared).toBe(true);
    page.release();
    expect([page.isShared, page.bytes.disposed]).toEqual([false, false]);
    page.release();
    expect(page.bytes.disposed).toBe(true);
  });
});
