// The pages of a scheduler: how many there can be beside the weights, what renting them may free, and copies.
import { describe, expect, test } from 'vitest';
import { TesseraeError } from '../../../src/base/errors.js';
import { internal } from '../../../src/base/internal.js';
import type { DecoderParts } from '../../../src/forward/decoder-programs.js';
import type { Page } from '../../../src/forward/page-table.js';
import type { PageLayout } from '../../../src/ops/paged/key-value-pages.js';
import { PooledPages } from '../../../src/serving/steps/pooled-pages.js';
import type { Storage } from '../../../src/tensor/memory/storage.js';
import { Tensor } from '../../../src/tensor/tensor.js';

const pageBytes = 100;

function arranged({ budget = 1000, free = 1000, capacity = 50 } = {}) {
  const log: unknown[] = [];
  let address = 0;
  const pool = {
    budgetBytes: budget,
    freeBytes: free,
    empty: (shape: readonly number[], dtype: string, relief: string) => {
      log.push(['rent', ...shape, dtype, relief]);
      return { address: ++address, dispose: () => log.push('disposed') };
    },
  };
  const weights = new Map<string, Tensor>();
  const constants = new Map<string, Tensor>();
  const copies: { readonly given: unknown; readonly resolve: () => void; readonly reject: (error: unknown) => void }[] =
    [];
  const call = (_op: unknown, given: unknown) =>
    new Promise<void>((resolve, reject) => copies.push({ given, resolve, reject }));
  const directory = { capacity, add: (at: number) => at, remove: () => {} };
  const parts = { compute: { pool, call }, weights, constants, directory } as unknown as DecoderParts;
  const pages = new PooledPages(parts, { pageBytes } as PageLayout, () => log.push('copied'));
  /** A tensor of so many bytes: of the pool or of another owner, in memory of its own or in that of a file. */
  const tensor = (bytes: number, owner: unknown = pool, isMapped = false) => {
    const buffer = isMapped ? undefined : new SharedArrayBuffer(8);
    const storage = { owner, buffer, sizeBytes: bytes } as unknown as Storage;
    return new Tensor(internal, { dtype: 'i8', shape: [bytes], storage });
  };
  return { pages, pool, weights, constants, tensor, copies, log };
}

test('as many pages are free as fit into what is free', () => {
  for (const [free, expected] of [
    [1000, 10],
    [999, 9],
    [99, 0],
    [0, 0],
    [-100, 0],
  ] as const) {
    expect(arranged({ free }).pages.free).toBe(expected);
  }
});

test('there can be as many pages as fit beside the weights, and as the directory has numbers for', () => {
  const { pages, pool, weights, constants, tensor } = arranged();
  expect(pages.most).toBe(10);
  weights.set('a', tensor(250));
  expect(pages.most).toBe(7);
  constants.set('b', tensor(60));
  expect(pages.most).toBe(6);
  weights.set('of others', tensor(500, {}));
  weights.set('of a file', tensor(500, pool, true));
  expect(pages.most).toBe(6);
  weights.set('c', tensor(2000));
  expect(pages.most).toBe(0);
  expect(arranged({ capacity: 3 }).pages.most).toBe(3);
});

test('a page is rented at the cost of caches at most, and none where there is no memory', () => {
  const { pages, pool, log } = arranged();
  expect(pages.positions).toBe(32);
  expect(pages.pageBytes).toBe(pageBytes);
  const page = pages.rent();
  expect(page?.isShared).toBe(false);
  expect(log).toEqual([['rent', pageBytes, 'i8', 'caches']]);
  const fail = (error: Error) => {
    pool.empty = () => {
      throw error;
    };
  };
  fail(new TesseraeError('ERR_BUDGET', 'no memory'));
  expect(pages.rent()).toBeUndefined();
  const others = [
    new TesseraeError('ERR_ENGINE_CLOSED', 'closed'),
    Object.assign(new Error('other'), { code: 'ERR_BUDGET' }),
  ];
  for (const error of others) {
    fail(error);
    expect(() => pages.rent()).toThrow(error);
  }
});

describe('a copy', () => {
  test.each([
    [true, 'resolve'],
    [false, 'reject'],
  ] as const)('keeps both pages until it is there: %s', async (isCopied, settle) => {
    const { pages, copies, log } = arranged();
    const [from, to] = [pages.rent() as Page, pages.rent() as Page];
    log.length = 0;
    pages.copy(from, to, (done) => log.push(['done', done, from.isShared, to.isShared]));
    expect([from.isShared, to.isShared]).toEqual([true, true]);
    expect(copies[0]?.given).toEqual({ x: from.bytes, out: to.bytes });
    from.release();
    expect(log).toEqual([]);
    copies[0]?.[settle](new Error('lost'));
    await Promise.resolve();
    await Promise.resolve();
    expect(log).toEqual(['disposed', ['done', isCopied, false, false], 'copied']);
  });
});
