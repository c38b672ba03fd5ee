// Lists of items, some at a time: what comes of them, in which order, and what stops when.
import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { AbortError } from '../../../src/base/errors.js';
import { forEachItem, settleEachItem } from '../../../src/serving/batch.js';
import { argumentError, arrangedWork, failure, settled } from './arranged-work.js';

const run = { op: 'test', lanes: 2 };

describe.each([
  ['forEachItem', forEachItem],
  ['settleEachItem', settleEachItem],
] as const)('%s', (_, many) => {
  test('refuses what is no array, is too long, or cannot be read', async () => {
    const work = async () => 1;
    for (const items of ['ab', new Set(['a']), undefined, { length: 1 }]) {
      await expect(many(items as never, run, work)).rejects.toMatchObject(argumentError('expected an array of texts'));
    }
    const tooLong = argumentError('an array of 1048577 items is longer than 1048576');
    await expect(many(new Array(2 ** 20 + 1), run, work)).rejects.toMatchObject(tooLong);
    const items = new Proxy([1], {
      get: () => {
        throw new Error('no');
      },
    });
    await expect(many(items, run, work)).rejects.toMatchObject({ code: 'ERR_ARGUMENT', op: 'test' });
  });

  test('takes a list of the greatest length', async () => {
    const items = new Array(2 ** 20).fill(1);
    const error = new Error('enough');
    const failing = many(
      items,
      {
        ...run,
        onProgress: () => {
          throw error;
        },
      },
      async () => 1,
    );
    await expect(failing).rejects.toBe(error);
  });

  test('does nothing where there is nothing to do', async () => {
    expect(await many([], run, async () => 1)).toEqual([]);
  });

  test('works on as many items as it has lanes, and copies them first', async () => {
    const { begun, work, ends } = arrangedWork();
    const items = ['a', 'b', 'c'];
    const all = many(items, run, work);
    items.length = 0;
    await settled();
    expect(begun).toEqual([0, 1]);
    ends.get(1)?.resolve('B');
    await settled();
    expect(begun).toEqual([0, 1, 2]);
    ends.get(0)?.resolve('A');
    ends.get(2)?.resolve('C');
    const values = (await all).map((one) => (typeof one === 'string' ? one : (one as { value: string }).value));
    expect(values).toEqual(['A', 'B', 'C']);
  });

  test('has a lane for each item at most', async () => {
    const { begun, work, ends } = arrangedWork();
    const all = many(['a'], { ...run, lanes: 9 }, work);
    await settled();
    expect(begun).toEqual([0]);
    ends.get(0)?.resolve('A');
    expect(await all).toHaveLength(1);
  });

  test('tells its progress, and fails with what that throws', async () => {
    const told: unknown[] = [];
    await many([1, 2, 3], { ...run, onProgress: (progress) => told.push(progress) }, async () => 1);
    expect(told).toEqual([1, 2, 3].map((done) => ({ done, total: 3 })));
    const error = new Error('progress');
    const { begun, work, ends } = arrangedWork();
    const failing = many([1, 2, 3, 4], { ...run, onProgress: () => Promise.reject(error) }, work);
    await settled();
    ends.get(0)?.resolve('A');
    await settled();
    ends.get(1)?.reject(new Error('stopped'));
    await expect(failing).rejects.toBe(error);
    expect(begun).toEqual([0, 1]);
  });

  test('is stopped by its signal', async () => {
    const { begun, signals, work, ends } = arrangedWork();
    const stop = new AbortController();
    const all = many([1, 2, 3], { ...run, signal: stop.signal }, work);
    await settled();
    const reason = new Error('enough');
    stop.abort(reason);
    expect(signals.map(({ aborted, reason }) => [aborted, reason])).toEqual([
      [true, reason],
      [true, reason],
    ]);
    ends.get(0)?.reject(new AbortError(reason));
    await settled();
    ends.get(1)?.resolve('B');
    await expect(all).rejects.toMatchObject({ name: 'AbortError', cause: reason });
    expect(begun).toEqual([0, 1]);
  });

  test('is stopped by its signal where nothing fails', async () => {
    const { work, ends } = arrangedWork();
    const stop = new AbortController();
    const all = many([1, 2], { ...run, signal: stop.signal }, work);
    await settled();
    stop.abort();
    ends.get(0)?.resolve('A');
    ends.get(1)?.resolve('B');
    await expect(all).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('listens to its signal as long as it lasts', async () => {
    const { signal } = new AbortController();
    const listening = () => getEventListeners(signal, 'abort').length;
    const during = await many([1, 2], { ...run, signal }, async () => listening());
    expect(JSON.stringify(during)).toContain('1');
    expect(listening()).toBe(0);
  });

  test('begins nothing where its signal has fired', async () => {
    const { begun, work } = arrangedWork();
    const reason = new Error('before');
    const signal = AbortSignal.abort(reason);
    await expect(many([1], { ...run, signal }, work)).rejects.toMatchObject({ name: 'AbortError', cause: reason });
    expect(begun).toEqual([]);
  });
});

test('forEachItem stops the others at the first failure, and waits for them', async () => {
  const { begun, signals, work, ends } = arrangedWork();
  const all = forEachItem(['a', 'b', 'c'], run, work);
  let isOver = false;
  void all
    .catch(() => {})
    .then(() => {
      isOver = true;
    });
  await settled();
  ends.get(1)?.reject(failure());
  await settled();
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
  expect(isOver).toBe(false);
  ends.get(0)?.resolve('A');
  await expect(all).rejects.toMatchObject({ code: 'ERR_CONTEXT', index: 1 });
  expect(begun).toEqual([0, 1]);
});

test('settleEachItem goes on after failures, each with its index', async () => {
  const outcomes = await settleEachItem(['a', 'b', 'c'], run, async (item, _, index) => {
    if (index === 1) throw failure();
    return item.toUpperCase();
  });
  expect(outcomes).toEqual([
    { status: 'fulfilled', value: 'A' },
    { status: 'rejected', reason: expect.objectContaining({ code: 'ERR_CONTEXT', index: 1 }) },
    { status: 'fulfilled', value: 'C' },
  ]);
});
