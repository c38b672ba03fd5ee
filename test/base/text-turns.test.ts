// Long work of many callers takes turns: all of it together has one slice in each turn of the event loop.
import { expect, test } from 'vitest';
import { runInTurns } from '../../src/base/text-turns.js';
import { expectAbort } from '../support/rejections.js';

/** Work of so many milliseconds, in steps of a fifth of one. */
function* busy(ms: number): Generator<void, number> {
  for (let step = 0; step < 5 * ms; step++) {
    const end = performance.now() + 0.2;
    while (performance.now() < end);
    yield;
  }
  return ms;
}

test('short work is done before the event loop goes on', async () => {
  let turned = false;
  setImmediate(() => {
    turned = true;
  });
  await new Promise<void>((resolve) => setImmediate(resolve));
  turned = false;
  setImmediate(() => {
    turned = true;
  });
  expect(await runInTurns(busy(0))).toBe(0);
  expect(turned).toBe(false);
});

test('all callers together take one slice in a turn, and all of them go on', async () => {
  const slices: number[] = [];
  let isOver = false;
  let last = performance.now();
  let cpu = process.cpuUsage();
  const turn = () => {
    // The time that this process has computed: the machine may be busy with others.
    const used = process.cpuUsage(cpu);
    slices.push((used.user + used.system) / 1000);
    cpu = process.cpuUsage();
    last = performance.now();
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  const order: number[] = [];
  const works = Array.from({ length: 20 }, (_, i) => runInTurns(busy(i === 0 ? 60 : 6)).then(() => order.push(i)));
  await Promise.all(works);
  isOver = true;
  expect(last).toBeGreaterThan(0);
  expect(order.at(-1)).toBe(0);
  const sorted = [...slices].sort((a, b) => a - b);
  expect(sorted[Math.floor(sorted.length * 0.9)]).toBeLessThan(10);
});

test('a signal ends its own work, also while it waits', async () => {
  const controller = new AbortController();
  const other = runInTurns(busy(20));
  const cancelled = runInTurns(busy(20), controller.signal);
  controller.abort('enough');
  await expectAbort(cancelled, 'enough');
  expect(await other).toBe(20);
  await expectAbort(runInTurns(busy(1), AbortSignal.abort('early')), 'early');
});

test('what work throws is thrown to its caller alone', async () => {
  const failing = function* (): Generator<void, number> {
    yield;
    throw new Error('mine');
  };
  const others = [runInTurns(busy(5)), runInTurns(busy(5))];
  await expect(runInTurns(failing())).rejects.toThrow('mine');
  expect(await Promise.all(others)).toEqual([5, 5]);
});
