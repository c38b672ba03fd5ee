// The window of a batch: outcomes are written in order, and no more is computed ahead than it may hold.
import { expect, test } from 'vitest';
import { OrderedWindow } from '../../../src/cli/batch/ordered-window.js';

/** Outcomes that the test settles one by one. */
function gates() {
  const open: (() => void)[] = [];
  const begin = (index: number) => () =>
    new Promise<string>((resolve) => {
      open[index] = () => resolve(String(index));
    });
  return { open, begin };
}

const soon = () => new Promise((resolve) => setImmediate(resolve));

test.each([
  ['lines', 256, 1],
  ['bytes', 4, 4 << 20],
])('it holds so many %s at most, and writes in order', async (_what, most, bytes) => {
  const written: string[] = [];
  const window = new OrderedWindow(async (text) => {
    written.push(text.trimEnd());
  });
  const { open, begin } = gates();
  const count = 2 * most;
  const adding = (async () => {
    for (let index = 0; index < count; index++) await window.add(begin(index), bytes);
    await window.end();
  })();
  await soon();
  expect(open).toHaveLength(most);
  // All but the first end: nothing can be written, and nothing more begins.
  for (const end of open.slice(1)) end();
  await soon();
  expect([open.length, written]).toEqual([most, []]);
  open[0]?.();
  for (let index = most; index < count; index++) {
    while (open[index] === undefined) await soon();
    open[index]?.();
  }
  await adding;
  expect(written).toEqual(Array.from({ length: count }, (_, index) => String(index)));
});

test('one line that is larger than the window goes alone', async () => {
  const window = new OrderedWindow(async () => {});
  const { open, begin } = gates();
  await window.add(begin(0), 1 << 30);
  const second = window.add(begin(1), 1);
  await soon();
  expect(open).toHaveLength(1);
  open[0]?.();
  await second;
  open[1]?.();
  await window.end();
});

test('what cannot be written, or computed, ends the adding', async () => {
  const full = new OrderedWindow(async () => {
    throw new Error('disk full');
  });
  await full.add(async () => 'a', 1);
  await soon();
  await expect(full.add(async () => 'b', 1)).rejects.toThrow('disk full');
  await full.settle();
  const failing = new OrderedWindow(async () => {});
  await failing.add(() => Promise.reject(new Error('no worker')), 1);
  await expect(failing.end()).rejects.toThrow('no worker');
});
