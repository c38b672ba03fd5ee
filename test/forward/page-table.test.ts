// Pages, their numbers in the directory, and the tables that list them.

import { describe, expect, test } from 'vitest';
import { PageDirectory } from '../../src/forward/page-directory.js';
import { Page } from '../../src/forward/page-table.js';
import { storageOf } from '../../src/tensor/tensor.js';
import { expectRejection } from '../support/rejections.js';
import { sharedEngines } from '../support/running/engines.js';
import { privateTensor, stepCache } from '../support/running/step-cache.js';

const engines = sharedEngines();
const sizes = { layers: 1, kvHeads: 1, headDim: 8 };

describe('a directory of pages', () => {
  test('gives numbers out and takes them back, and keeps the whole address', async () => {
    using scope = (await engines({ threads: 1 })).scope();
    const directory = new PageDirectory(privateTensor(scope, [3, 2]));
    const address = 0x7fff_8000_0040;
    expect([directory.add(address), directory.add(64), directory.add(128)]).toEqual([0, 1, 2]);
    expect(new BigInt64Array(directory.tensor.data.slice().buffer)).toEqual(
      new BigInt64Array([0x7fff_8000_0040n, 64n, 128n]),
    );
    await expectRejection(() => directory.add(192), 'ERR_BUDGET', /3 pages/);
    directory.remove(1);
    expect([...directory.tensor.data.slice(2, 4)]).toEqual([0, 0]);
    expect(directory.add(192)).toBe(1);
    await expectRejection(() => directory.add(256), 'ERR_BUDGET');
  });

  test('has room for the pages that the budget allows', async () => {
    using scope = (await engines({ threads: 1 })).scope();
    const layout = {
      type: 'f32',
      layers: 2,
      kvHeads: 3,
      headDim: 4,
      vDim: 6,
      pageBytes: 0,
      layerBytes: 0,
      keysBytes: 0,
    } as const;
    const made: (readonly number[])[] = [];
    const withBudget = (budgetBytes: number) => {
      const privateTensorOf = (shape: readonly number[]) => {
        made.push(shape);
        return privateTensor(scope, [1, 2]);
      };
      PageDirectory.forModel(
        { pool: { stats: () => ({ budgetBytes }) }, privateTensor: privateTensorOf } as never,
        layout,
      );
    };
    withBudget(2 * 3 * 10 * 32 * 7);
    withBudget(2 ** 40);
    expect(made).toEqual([
      [8, 2],
      [2 ** 17, 2],
    ]);
  });
});

describe('a page', () => {
  test('is shared by count, and its number is free with its last user', async () => {
    const engine = await engines({ threads: 1 });
    using scope = engine.scope();
    const directory = new PageDirectory(privateTensor(scope, [2, 2]));
    const empty = (shape: readonly number[]) => scope.tensor([...shape], 'i8');
    const page = Page.rent(directory, { empty } as never, 64);
    expect(page.isShared).toBe(false);
    expect(page.share()).toBe(page);
    expect(page.isShared).toBe(true);
    page.release();
    expect([page.isShared, page.bytes.disposed, directory.tensor.data[0] !== 0]).toEqual([false, false, true]);
    page.release();
    expect([page.bytes.disposed, directory.tensor.data[0]]).toEqual([true, 0]);
    const pages = [Page.rent(directory, { empty } as never, 64), Page.rent(directory, { empty } as never, 64)];
    expect(pages.map(({ number }) => number)).toEqual([0, 1]);
    const live = engine.stats().pool.liveTensors;
    await expectRejection(() => Page.rent(directory, { empty } as never, 64), 'ERR_BUDGET');
    expect(engine.stats().pool.liveTensors).toBe(live);
  });
});

describe('a table of pages', () => {
  test('lists the pages of each slot, and none behind them', async () => {
    using scope = (await engines({ threads: 1 })).scope();
    const { table, grow } = stepCache(scope, sizes, { slots: 2, capacity: 100 });
    const line = () => [...table.table.data];
    expect(line()).toEqual([-1, -1, -1, -1, -1, -1, -1, -1]);
    const pages = grow(1, 65);
    grow(0, 33);
    expect(line()).toEqual([3, 4, -1, -1, 0, 1, 2, -1]);
    table.load(1, pages.slice(1, 2));
    expect(line()).toEqual([3, 4, -1, -1, 1, -1, -1, -1]);
    table.clear(0);
    expect(line()).toEqual([-1, -1, -1, -1, 1, -1, -1, -1]);
    for (const slot of [-1, 2, 0.5, Number.NaN]) await expectRejection(() => table.load(slot, []), 'ERR_ARGUMENT');
    await expectRejection(() => table.load(0, [...pages, ...pages]), 'ERR_ARGUMENT');
  });

  test('takes pages of its own cache only', async () => {
    using scope = (await engines({ threads: 1 })).scope();
    const { table, grow } = stepCache(scope, sizes, { slots: 1, capacity: 100 });
    const other = stepCache(scope, sizes, { slots: 1, capacity: 100 });
    const [page] = grow(0, 1) as [Page];
    const wider = Page.rent(page.directory, { empty: () => scope.tensor([1 << 16], 'i8') } as never, 1 << 16);
    await expectRejection(() => table.load(0, other.grow(0, 1)), 'ERR_ARGUMENT', /another cache/);
    await expectRejection(() => table.load(0, [wider]), 'ERR_ARGUMENT', /another cache/);
  });

  test('is not changed while a program runs on it', async () => {
    using scope = (await engines({ threads: 1 })).scope();
    const { table } = stepCache(scope, sizes, { slots: 1, capacity: 100 });
    const storage = storageOf(table.table);
    storage.pin();
    storage.pin();
    await expectRejection(() => table.load(0, []), 'ERR_BUSY');
    storage.unpin();
    await expectRejection(() => table.load(0, []), 'ERR_BUSY');
    storage.unpin();
    table.load(0, []);
  });
});
