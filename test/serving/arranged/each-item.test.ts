// Sources of items: what is taken from them when, in which order outcomes come, and what is stopped.
import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { type EachRun, eachItem } from '../../../src/serving/batch.js';
import { argumentError, arrangedWork, failure, settled } from './arranged-work.js';

const open: EachRun = { op: 'test', lanes: 2, ordered: true, checkOpen: () => {} };

/** A source that tells what was asked of it. */
function arrangedSource(items: readonly string[]) {
  const calls: string[] = [];
  let next = 0;
  const source: AsyncIterable<string> = {
    [Symbol.asyncIterator]: () => ({
      next: async () => {
        calls.push('next');
        const value = items[next++];
        return value === undefined ? { done: true, value } : { done: false, value };
      },
      return: async () => {
        calls.push('return');
        return { done: true, value: undefined };
      },
    }),
  };
  return { source, calls };
}

describe('eachItem', () => {
  const upper = async (item: string) => item.toUpperCase();

  test.each([
    ['an array', ['a', 'b']],
    ['a set', new Set(['a', 'b'])],
    [
      'a generator',
      (function* () {
        yield* ['a', 'b'];
      })(),
    ],
    [
      'an asynchronous generator',
      (async function* () {
        yield* ['a', 'b'];
      })(),
    ],
    [
      'a function that can be iterated',
      Object.assign(() => {}, {
        *[Symbol.iterator](): Generator<string> {
          yield* ['a', 'b'];
        },
      }),
    ],
    [
      'what is iterated both ways',
      {
        async *[Symbol.asyncIterator](): AsyncGenerator<string> {
          yield* ['a', 'b'];
        },
        *[Symbol.iterator](): Generator<string> {
          yield 'x';
        },
      },
    ],
  ])('takes %s', async (_, source) => {
    const outcomes = [];
    for await (const outcome of eachItem(source as Iterable<string>, open, upper)) outcomes.push(outcome);
    expect(outcomes).toEqual([
      { index: 0, value: 'A' },
      { index: 1, value: 'B' },
    ]);
  });

  test.each([
    ['a string', 'ab'],
    ['nothing', undefined],
    ['null', null],
    ['a number', 7],
    ['an object', {}],
    ['what only looks like it', { [Symbol.iterator]: 1, [Symbol.asyncIterator]: 2 }],
  ])('refuses %s', async (_, source) => {
    await expect(eachItem(source as never, open, upper).next()).rejects.toMatchObject(
      argumentError('expected something to iterate that is no string'),
    );
  });

  test.each([
    [true, [0, 1, 2]],
    [false, [1, 0, 2]],
  ])('gives outcomes in order: %s', async (ordered, order) => {
    const { work, ends } = arrangedWork();
    const items = eachItem(['a', 'b', 'c'], { ...open, ordered }, work);
    const got: number[] = [];
    const reading = (async () => {
      for await (const { index } of items) got.push(index);
    })();
    await settled();
    ends.get(1)?.resolve('B');
    await settled();
    expect(got).toEqual(ordered ? [] : [1]);
    ends.get(0)?.resolve('A');
    await settled();
    ends.get(2)?.resolve('C');
    await reading;
    expect(got).toEqual(order);
  });

  test('takes as many items as it has lanes, and more only as outcomes are taken', async () => {
    const { source, calls } = arrangedSource(['a', 'b', 'c', 'd']);
    const { begun, work, ends } = arrangedWork();
    const items = eachItem(source, open, work);
    const first = items.next();
    await settled();
    expect([begun, calls.length]).toEqual([[0, 1], 2]);
    ends.get(0)?.resolve('A');
    expect(await first).toEqual({ done: false, value: { index: 0, value: 'A' } });
    await settled();
    expect(calls.length).toBe(2);
    const second = items.next();
    await settled();
    expect([begun, calls.length]).toEqual([[0, 1, 2], 3]);
    ends.get(2)?.resolve('C');
    await settled();
    expect(begun).toEqual([0, 1, 2]);
    ends.get(1)?.resolve('B');
    expect(await second).toMatchObject({ value: { index: 1 } });
    expect(await items.next()).toMatchObject({ value: { index: 2 } });
    const fourth = items.next();
    await settled();
    ends.get(3)?.resolve('D');
    expect(await fourth).toMatchObject({ value: { index: 3 } });
    expect(await items.next()).toEqual({ done: true, value: undefined });
    expect(calls.filter((one) => one === 'return')).toEqual([]);
    expect(calls.length).toBe(5);
  });

  test('gives failures as outcomes, and goes on', async () => {
    const outcomes = [];
    const failing = async (item: string) => {
      if (item === 'a') throw failure();
      return item;
    };
    for await (const outcome of eachItem(['a', 'b'], open, failing)) outcomes.push(outcome);
    expect(outcomes).toEqual([
      { index: 0, reason: expect.objectContaining({ code: 'ERR_CONTEXT', index: 0 }) },
      { index: 1, value: 'b' },
    ]);
  });

  test('completes what was taken before it throws what the source has thrown', async () => {
    const error = new Error('source');
    const { work, ends } = arrangedWork();
    const source = (function* () {
      yield 'a';
      throw error;
    })();
    const items = eachItem(source, open, work);
    const first = items.next();
    await settled();
    ends.get(0)?.resolve('A');
    expect(await first).toMatchObject({ value: { index: 0, value: 'A' } });
    await expect(items.next()).rejects.toBe(error);
  });

  test('ends as if the source had thrown what it is closed by', async () => {
    const error = new Error('closed');
    const { source, calls } = arrangedSource(['a']);
    let isOpen = true;
    const checkOpen = () => {
      if (!isOpen) throw error;
    };
    const items = eachItem(source, { ...open, lanes: 1, checkOpen }, upper);
    expect(await items.next()).toMatchObject({ value: { index: 0 } });
    isOpen = false;
    await expect(items.next()).rejects.toBe(error);
    expect(calls).toEqual(['next']);
  });

  test('stops what runs when it is left, and waits for that', async () => {
    const { source, calls } = arrangedSource(['a', 'b', 'c']);
    const { signals, work, ends } = arrangedWork();
    const items = eachItem(source, open, work);
    const first = items.next();
    await settled();
    ends.get(0)?.resolve('A');
    await first;
    let isClosed = false;
    const closing = items.return().then(() => {
      isClosed = true;
    });
    await settled();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
    expect([calls, isClosed]).toEqual([['next', 'next', 'return'], false]);
    ends.get(1)?.resolve('B');
    await closing;
  });

  test('waits for the end of its source, unless that is waiting for its next item', async () => {
    let end = () => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const source = {
      [Symbol.asyncIterator]: () => ({
        next: async () => ({ done: false, value: 'a' }),
        return: async () => {
          await ended;
          return { done: true, value: undefined };
        },
      }),
    };
    const items = eachItem(source as never, { ...open, lanes: 1 }, upper);
    await items.next();
    let isClosed = false;
    const closing = items.return().then(() => {
      isClosed = true;
    });
    await settled();
    expect(isClosed).toBe(false);
    end();
    await closing;
    const waiting = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => {}),
        return: () => Promise.reject(new Error('late')),
      }),
    };
    const stop = new AbortController();
    const others = eachItem(waiting as never, { ...open, signal: stop.signal }, upper);
    const next = others.next();
    await settled();
    stop.abort(new Error('enough'));
    await expect(next).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('needs no source that can be ended', async () => {
    const source = { [Symbol.iterator]: () => ({ next: () => ({ done: false, value: 'a' }) }) };
    const items = eachItem(source as never, { ...open, lanes: 1 }, upper);
    await items.next();
    expect(await items.return()).toEqual({ done: true, value: undefined });
  });

  test('is stopped by its signal, before and while it runs', async () => {
    const reason = new Error('enough');
    const { source, calls } = arrangedSource(['a']);
    const early = eachItem(source, { ...open, signal: AbortSignal.abort(reason) }, upper);
    await expect(early.next()).rejects.toMatchObject({ name: 'AbortError', cause: reason });
    expect(calls).toEqual([]);
    const { signals, work, ends } = arrangedWork();
    const stop = new AbortController();
    const items = eachItem(source, { ...open, lanes: 1, signal: stop.signal }, work);
    const next = items.next();
    await settled();
    stop.abort(reason);
    expect(signals[0]?.reason).toBe(reason);
    ends.get(0)?.reject(new Error('stopped'));
    await expect(next).rejects.toMatchObject({ name: 'AbortError', cause: reason });
    expect(calls.at(-1)).toBe('return');
  });

  test('listens to its signal as long as it lasts', async () => {
    const { signal } = new AbortController();
    const listening = () => getEventListeners(signal, 'abort').length;
    const items = eachItem(['a'], { ...open, signal }, async () => listening());
    expect(await items.next()).toMatchObject({ value: { value: 1 } });
    await items.next();
    expect(listening()).toBe(0);
  });

  test('begins no item that comes after its signal has fired', async () => {
    let give = (_: unknown) => {};
    const source = {
      [Symbol.asyncIterator]: () => ({
        next: () =>
          new Promise((resolve) => {
            give = resolve;
          }),
      }),
    };
    const { begun, work } = arrangedWork();
    const stop = new AbortController();
    const items = eachItem(source as never, { ...open, signal: stop.signal }, work);
    const next = items.next();
    await settled();
    stop.abort();
    await expect(next).rejects.toMatchObject({ name: 'AbortError' });
    give({ done: false, value: 'a' });
    await settled();
    expect(begun).toEqual([]);
  });
});
