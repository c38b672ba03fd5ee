// The step loop: what it asks of its runner and its clients, in which order, and when it waits.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { TesseraeError } from '../../../src/base/errors.js';
import { TimeSlice } from '../../../src/base/time-slice.js';
import type { StepSlice } from '../../../src/serving/scheduling/step-planner.js';
import { arrangedLoop, stopTimeSlices } from './arranged-loop.js';

stopTimeSlices();

test('a request is computed in steps, and its texts are delivered while the next one is computed', async () => {
  const { loop, submit, taken, next, scheduler } = arrangedLoop();
  expect(loop.isStepping).toBe(false);
  submit('a', 5, 3);
  const first = await next();
  expect(loop.isStepping).toBe(true);
  expect(taken()).toEqual([
    ['a', 'begun', 0, 5],
    ['a', 'sampled'],
  ]);
  first.end();
  const second = await next();
  expect(taken()).toEqual([
    ['a', 'choose', 7],
    ['step', 5, 5],
    ['a', 'begun', 5, 1],
    ['a', 'sampled'],
    ['a', 'deliver'],
  ]);
  second.end();
  const third = await next();
  expect(taken()).toEqual([
    ['a', 'choose', 7],
    ['step', 1, 5],
    ['a', 'begun', 6, 1],
    ['a', 'sampled'],
    ['a', 'deliver'],
  ]);
  third.end();
  await nextTurn();
  expect(taken()).toEqual([
    ['a', 'choose', 7],
    ['a', 'end', undefined],
    ['step', 1, 5],
  ]);
  expect([loop.isStepping, scheduler.isIdle]).toEqual([false, true]);
  const { steps, rowsPerStep, computeMs, overheadMs } = loop.stats;
  expect([steps, rowsPerStep, computeMs]).toEqual([3, 5 + 0.1 * (1 - 5) + 0.1 * (1 - 4.6), 15]);
  expect(overheadMs).toBeGreaterThan(-15);
  expect(scheduler.rate.expectedMs(1)).toBe(5);
});

test('requests that come side by side are in the same step, and one that comes later in the next', async () => {
  const { submit, next, names } = arrangedLoop();
  submit('a', 3, 2);
  submit('b', 3, 2);
  const first = await next();
  expect(names(first.plan)).toEqual([0, 1]);
  submit('c', 3);
  first.end();
  expect(names((await next()).plan).toSorted()).toEqual([0, 1, 2]);
});

test('its time is that of its programs and the rest', async () => {
  const clock = { now: 100 };
  vi.spyOn(performance, 'now').mockImplementation(() => clock.now);
  const { loop, submit, next } = arrangedLoop();
  submit('a', 5, 2);
  for (const ms of [12, 8]) {
    const step = await next();
    clock.now += ms;
    step.end();
  }
  await nextTurn();
  expect(loop.stats).toMatchObject({ steps: 2, computeMs: 10, overheadMs: 10 });
});

test('there is one loop, which takes a turn for each step, and one signal for many', async () => {
  const { submit, next, turns } = arrangedLoop();
  const acquired = vi.spyOn(turns, 'acquire');
  submit('a', 3, 2);
  const first = await next();
  submit('b', 3, 2);
  submit('c', 3, 2);
  first.end();
  const second = await next();
  expect(second.signal).toBe(first.signal);
  second.end();
  (await next()).end();
  for (let turn = 0; turn < 3; turn++) await nextTurn();
  expect(acquired).toHaveBeenCalledTimes(3);
});

test('a client need do nothing but end', async () => {
  const { loop, submit, next, taken } = arrangedLoop();
  const none = { begun: undefined, deliver: undefined, preempted: undefined };
  const a = submit('a', 3, 1, { ...none, sampled: undefined });
  submit('b', 3, 1, { ...none, choose: undefined });
  submit('c', 3, 2, none);
  submit('d', 3, 1, { ...none, pooled: () => ({}) }, { output: 'hidden' });
  loop.preempted(a);
  (await next()).end();
  (await next()).end();
  await nextTurn();
  const ends = taken().filter((one) => (one as unknown[])[1] === 'end');
  expect(ends.toSorted()).toEqual(['b', 'c', 'd'].map((name) => [name, 'end', undefined]));
  loop.cancel(a, 'A');
  expect(taken()).toContainEqual(['a', 'end', 'A']);
  loop.preempted(a);
});

test('where nothing can be computed, no step is begun', async () => {
  const { loop, submit, taken, scheduler, steps, next } = arrangedLoop();
  const empty = { slices: [], rows: 0, outOfMemory: [] } as never;
  const planned = vi.spyOn(scheduler, 'plan').mockReturnValue(empty);
  submit('a', 3);
  for (let turn = 0; turn < 3; turn++) await nextTurn();
  expect(steps).toHaveLength(0);
  planned.mockRestore();
  loop.wake();
  (await next()).end();
  await nextTurn();
  expect(taken()).toContainEqual(['a', 'end', undefined]);
});

test('the loop begins again when it has been idle', async () => {
  const { submit, next, taken, turns } = arrangedLoop();
  const other = turns.open();
  for (const name of ['a', 'b']) {
    submit(name, 2);
    const step = await next();
    step.end();
    await nextTurn();
    expect(taken().at(-2)).toEqual([name, 'end', undefined]);
    expect(turns.others(other)).toEqual({ work: false, starveWithMemory: false });
  }
});

test('what is pooled is handed over, and ends its request with its vector', async () => {
  const { submit, next, log } = arrangedLoop(1000);
  const pooled = ({ count }: StepSlice) => ({ rows: count }) as never;
  const takeVector = (vector?: Float32Array) => log.push(['vector', vector?.[0]]);
  submit('a', 300, 1, { pooled, takeVector }, { output: 'hidden' });
  submit('b', 3, 1, { pooled: () => undefined, takeVector }, { output: 'hidden' });
  const counts: number[] = [];
  for (let left = 300; left > 0; left -= counts.at(-1) as number) {
    expect(log).not.toContainEqual(['a', 'end', undefined]);
    const step = await next();
    counts.push((step.plan.slices[0] as StepSlice).count);
    step.end();
  }
  await nextTurn();
  expect(counts.length).toBeGreaterThan(1);
  expect(log.filter((one) => (one as string[])[0] === 'vector' || (one as string[])[1] === 'end')).toEqual([
    ['vector', counts.at(-1)],
    ['a', 'end', undefined],
  ]);
});

describe('where memory is short', () => {
  const budget = new TesseraeError('ERR_BUDGET', 'no memory');

  test('a smaller step is tried', async () => {
    const { submit, next, taken } = arrangedLoop();
    submit('a', 64);
    const step = await next();
    expect(step.plan.rows).toBe(64);
    step.fail(budget);
    const smaller = await next();
    expect(smaller.plan.rows).toBe(32);
    expect(taken()).not.toContainEqual(['a', 'end', budget]);
    smaller.end();
  });

  test('the smallest one is tried again and again, and its request ends when nobody has freed any', async () => {
    const { submit, next, taken, time, turns } = arrangedLoop();
    const other = turns.open();
    submit('a', 1);
    for (const now of [0, 500, 999]) {
      time.now = now;
      (await next()).fail(budget);
      expect(taken()).not.toContainEqual(['a', 'end', budget]);
      await nextTurn();
      expect(turns.others(other)).toEqual({ work: false, starveWithMemory: true });
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    time.now = 1000;
    (await next()).fail(budget);
    await nextTurn();
    expect(taken()).toContainEqual(['a', 'end', budget]);
    expect(turns.others(other)).toEqual({ work: false, starveWithMemory: false });
  });
});

describe('a request that is not ready', () => {
  test('is held until what it prepares is there', async () => {
    const { submit, next, taken, steps } = arrangedLoop();
    let goOn = () => {};
    const prepare = () =>
      new Promise<void>((resolve) => {
        goOn = resolve;
      });
    submit('a', 3, 2, { prepare });
    (await next()).end();
    for (let turn = 0; turn < 5; turn++) await nextTurn();
    expect(steps).toHaveLength(0);
    expect(taken()).toContainEqual(['a', 'deliver']);
    goOn();
    (await next()).end();
    await nextTurn();
    expect(taken()).toContainEqual(['a', 'end', undefined]);
  });

  test('fails with what it prepares', async () => {
    const { submit, next, taken, scheduler } = arrangedLoop();
    const error = new Error('not prepared');
    submit('a', 3, 2, { prepare: () => Promise.reject(error) });
    (await next()).end();
    for (let turn = 0; turn < 3; turn++) await nextTurn();
    expect(taken()).toContainEqual(['a', 'end', error]);
    expect(scheduler.isIdle).toBe(true);
  });

  test('is parked until its consumer keeps up', async () => {
    const { loop, submit, next, taken, steps } = arrangedLoop();
    const a = submit('a', 3, 3);
    const step = await next();
    const timers = vi.spyOn(globalThis, 'setTimeout');
    loop.park(a);
    step.end();
    for (let turn = 0; turn < 5; turn++) await nextTurn();
    expect(steps).toHaveLength(0);
    expect(timers).not.toHaveBeenCalled();
    taken();
    loop.unpark(a);
    await next();
    expect(taken()).toContainEqual(['a', 'begun', 3, 1]);
  });

  test('is told that its memory went to others', async () => {
    const { loop, submit, next, taken } = arrangedLoop();
    const a = submit('a', 3, 3);
    await next();
    taken();
    loop.preempted(a);
    expect(taken()).toEqual([['a', 'preempted']]);
  });
});

test('steps wait for the turn of their model, and texts are delivered meanwhile', async () => {
  const { submit, next, taken, turns, steps } = arrangedLoop();
  const other = turns.open();
  submit('a', 3, 2);
  const first = await next();
  const turn = turns.acquire(other);
  taken();
  first.end();
  await turn;
  await nextTurn();
  expect(taken()).toEqual([
    ['a', 'choose', 7],
    ['step', 3, 5],
    ['a', 'deliver'],
  ]);
  expect(steps).toHaveLength(0);
  turns.release(other, 1);
  (await next()).end();
  await nextTurn();
  expect(turns.acquire(other)).toBeUndefined();
});

describe('the event loop runs between steps', () => {
  test('where the time of a slice is over, and texts are delivered before', async () => {
    const { submit, next, taken } = arrangedLoop();
    vi.spyOn(TimeSlice.prototype, 'isOver').mockReturnValue(true);
    submit('a', 3, 2);
    const step = await next();
    taken();
    let hasRun = false;
    setImmediate(() => {
      hasRun = true;
    });
    step.end();
    await new Promise<void>((resolve) => void Promise.resolve().then(resolve));
    expect(hasRun).toBe(false);
    await next();
    expect(hasRun).toBe(true);
    expect(taken()).toEqual([
      ['a', 'choose', 7],
      ['step', 3, 5],
      ['a', 'deliver'],
      ['a', 'begun', 3, 1],
      ['a', 'sampled'],
    ]);
  });

  test('and a slice begins anew where it has run during a step', async () => {
    const { submit, steps, next } = arrangedLoop();
    const restarted = vi.spyOn(TimeSlice.prototype, 'restart');
    submit('a', 3, 9);
    (await next()).end();
    const second = await next();
    expect(restarted).toHaveBeenCalledTimes(1);
    // Ends before the event loop has run.
    let isOver = false;
    second.end();
    while (!isOver) {
      await Promise.resolve();
      isOver = steps.length > 0;
    }
    steps.shift()?.end();
    while (steps.length === 0) await Promise.resolve();
    expect(restarted).toHaveBeenCalledTimes(2);
  });
});
