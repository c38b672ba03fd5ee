// One listener on an AbortSignal, however many runs or actions wait for it.
import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { AbortWatch, whenAborted } from '../../src/base/abort-watch.js';

const listeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;

test('one listener serves all items of a signal, and is removed with the last of them', () => {
  const { signal } = new AbortController();
  const watch = new AbortWatch<object>(() => {});
  const items = Array.from({ length: 20 }, () => ({}));
  for (const item of items) watch.add(signal, item);
  expect(listeners(signal)).toBe(1);
  for (const item of items.slice(1)) watch.remove(signal, item);
  expect(listeners(signal)).toBe(1);
  watch.remove(signal, items[0] as object);
  expect(listeners(signal)).toBe(0);
});

test('every item hears of its own signal, and of no other', () => {
  const [first, second] = [new AbortController(), new AbortController()];
  const heard: string[] = [];
  const watch = new AbortWatch<{ name: string }>(({ name }, signal) => heard.push(`${name} ${signal.reason}`));
  watch.add(first.signal, { name: 'a' });
  watch.add(first.signal, { name: 'b' });
  watch.add(second.signal, { name: 'c' });
  first.abort('now');
  expect(heard).toEqual(['a now', 'b now']);
});

test('twenty actions on one signal are one listener; one that has left is not called', () => {
  const stop = new AbortController();
  let called = 0;
  const leave = Array.from({ length: 20 }, () => whenAborted(stop.signal, () => called++));
  expect(listeners(stop.signal)).toBe(1);
  leave[3]?.();
  leave[3]?.();
  stop.abort();
  expect(called).toBe(19);
  for (const each of leave) each();
  expect(listeners(stop.signal)).toBe(0);
});

test('without a signal there is nothing to leave', () => {
  expect(() => whenAborted(undefined, () => {})()).not.toThrow();
});

test('one item of a signal is told of its firing, unless it was removed; the removal of others changes nothing', () => {
  const told: object[] = [];
  const watch = new AbortWatch<object>((item) => told.push(item));
  const [kept, removed] = [new AbortController(), new AbortController()];
  const [a, b] = [{ a: 1 }, { b: 1 }];
  watch.add(kept.signal, a);
  watch.remove(kept.signal, b);
  watch.add(removed.signal, b);
  watch.remove(removed.signal, b);
  watch.remove(removed.signal, b);
  watch.remove(new AbortController().signal, a);
  removed.abort();
  expect(told).toEqual([]);
  kept.abort();
  expect(told).toEqual([a]);
});

test('signals come and go in any order', () => {
  const told: string[] = [];
  const watch = new AbortWatch<{ name: string }>(({ name }) => told.push(name));
  const [first, second] = [new AbortController(), new AbortController()];
  const [a, b, c] = [{ name: 'a' }, { name: 'b' }, { name: 'c' }];
  watch.add(first.signal, a);
  watch.add(second.signal, b);
  watch.remove(first.signal, a);
  expect([listeners(first.signal), listeners(second.signal)]).toEqual([0, 1]);
  watch.add(first.signal, a);
  watch.add(second.signal, c);
  watch.remove(second.signal, b);
  first.abort();
  second.abort();
  expect(told).toEqual(['a', 'c']);
  watch.remove(first.signal, a);
  watch.remove(second.signal, c);
  expect([listeners(first.signal), listeners(second.signal)]).toEqual([0, 0]);
});
