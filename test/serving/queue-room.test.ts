// Items of large calls wait for room in a queue: one after the other, in the order in which they came.
import { expect, test } from 'vitest';
import { QueueRoom } from '../../src/serving/queue-room.js';

/** A queue of so many places, with a promise for the next change. */
function arranged(places: number) {
  let free = places;
  let changed = () => {};
  let changes = 0;
  const entered: string[] = [];
  const room = new QueueRoom(
    () => free > 0,
    () => {
      changes++;
      return new Promise((resolve) => {
        changed = resolve;
      });
    },
  );
  const enter = (name: string, signal?: AbortSignal) =>
    room.enter(signal, () => {
      free--;
      entered.push(name);
      return name;
    });
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
  const leave = async (count: number) => {
    free += count;
    changed();
    await settle();
  };
  return { room, enter, leave, settle, entered, changes: () => changes };
}

test('they enter at once where there is room, and wait in their order where there is none', async () => {
  const { enter, leave, settle, entered } = arranged(2);
  const all = Promise.all(['a', 'b', 'c', 'd', 'e'].map((name) => enter(name)));
  await settle();
  expect(entered).toEqual(['a', 'b']);
  await leave(1);
  expect(entered).toEqual(['a', 'b', 'c']);
  // A change without room is none.
  await leave(0);
  expect(entered).toHaveLength(3);
  await leave(2);
  expect(await all).toEqual(['a', 'b', 'c', 'd', 'e']);
  expect(entered).toEqual(['a', 'b', 'c', 'd', 'e']);
});

test('an item whose signal has fired enters without room, at its next look, and others go on waiting', async () => {
  const { enter, leave, settle, entered, changes } = arranged(0);
  const controller = new AbortController();
  const first = enter('a', controller.signal);
  const second = enter('b');
  await settle();
  controller.abort();
  expect([entered, changes()]).toEqual([[], 1]);
  await leave(0);
  expect([await first, entered]).toEqual(['a', ['a']]);
  await leave(2);
  expect(await second).toBe('b');
  expect(await enter('c', AbortSignal.abort())).toBe('c');
});

test('an error while it enters is that of the item alone', async () => {
  const { room, enter } = arranged(1);
  const failing = room.enter(undefined, () => {
    throw new Error('mine');
  });
  const next = enter('b');
  await expect(failing).rejects.toThrow('mine');
  expect(await next).toBe('b');
});
