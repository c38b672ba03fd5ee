// src/base/time-slice.ts: long work lets the event loop run between its slices, and stops when its signal fires.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { runAtOnce, runInSlices, TimeSlice } from '../../src/base/time-slice.js';
import { expectAbort } from '../support/rejections.js';

function* count(steps: number): Generator<void, number> {
  let done = 0;
  for (; done < steps; done++) yield;
  return done;
}

describe('runInSlices', () => {
  test('gives the result, and lets the event loop run at each yield after the end of a slice', async () => {
    let turns = 0;
    let stopped = false;
    const turn = () => {
      turns += 1;
      if (!stopped) setImmediate(turn);
    };
    setImmediate(turn);
    // A slice of 0 ms is over at every yield.
    expect(await runInSlices(count(50), new TimeSlice(undefined, 0))).toBe(50);
    stopped = true;
    expect(turns).toBeGreaterThanOrEqual(50);
  });

  test('stops when the signal fires in between', async () => {
    const controller = new AbortController();
    let steps = 0;
    const work = function* (): Generator<void, void> {
      for (;;) {
        if (++steps === 5) controller.abort('enough');
        yield;
      }
    };
    await expectAbort(runInSlices(work(), new TimeSlice(controller.signal, 0)), 'enough');
    expect(steps).toBe(5);
  });

  test('does not begin if the signal has fired', async () => {
    await expectAbort(() => new TimeSlice(AbortSignal.abort('early')), 'early');
  });
});

describe('work of many callers', () => {
  /** Work of so many milliseconds, in steps of a fifth of one. */
  function* busy(ms: number): Generator<void, number> {
    for (let step = 0; step < 5 * ms; step++) {
      const end = performance.now() + 0.2;
      while (performance.now() < end);
      yield;
    }
    return ms;
  }

  test('takes one slice in a turn of the event loop, and all of it goes on', async () => {
    let isOver = false;
    const slices: number[] = [];
    let cpu = process.cpuUsage();
    const turn = () => {
      // The time that this process has computed: the machine may be busy with others.
      const used = process.cpuUsage(cpu);
      slices.push((used.user + used.system) / 1000);
      cpu = process.cpuUsage();
      if (!isOver) setImmediate(turn);
    };
    setImmediate(turn);
    const order: number[] = [];
    const all = Array.from({ length: 20 }, async (_, i) => {
      await runInSlices(busy(i === 0 ? 60 : 6), new TimeSlice());
      order.push(i);
    });
    await Promise.all(all);
    isOver = true;
    expect(order).toHaveLength(20);
    expect(order.at(-1)).toBe(0);
    slices.sort((a, b) => a - b);
    expect(slices[Math.floor(slices.length * 0.9)]).toBeLessThan(10);
  });

  test('whose signal fires ends at once, however much waits before it', async () => {
    const controller = new AbortController();
    const others = Array.from({ length: 20 }, () => runInSlices(busy(20), new TimeSlice()));
    const cancelled = runInSlices(busy(20), new TimeSlice(controller.signal));
    const ended = expectAbort(cancelled, 'enough').then(() => 'ended');
    controller.abort('enough');
    expect(await Promise.race([ended, ...others])).toBe('ended');
    expect(await Promise.all(others)).toEqual(new Array(20).fill(20));
  });
});

describe('with a clock that is set by hand', () => {
  const clock = { now: 1000 };
  const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

  let spy: { mockRestore(): void };
  beforeEach(async () => {
    for (let turn = 0; turn < 3; turn++) await nextTurn();
    spy = vi.spyOn(performance, 'now').mockImplementation(() => clock.now);
  });
  afterEach(() => spy.mockRestore());

  test('all slices that begin in a turn end with its 3 ms, and those of the next turn have their own', async () => {
    const first = new TimeSlice();
    clock.now += 2;
    const second = new TimeSlice();
    const short = new TimeSlice(undefined, 0.5);
    expect([first, second, short].map((slice) => slice.isOver())).toEqual([false, false, false]);
    clock.now += 0.5;
    expect([first, second, short].map((slice) => slice.isOver())).toEqual([false, false, true]);
    clock.now += 0.5;
    expect([first, second].map((slice) => slice.isOver())).toEqual([true, true]);
    await nextTurn();
    const next = new TimeSlice();
    clock.now += 2;
    expect(next.isOver()).toBe(false);
  });

  test('a slice that is restarted has its whole time from then on', () => {
    const slice = new TimeSlice(undefined, 2);
    clock.now += 2;
    expect(slice.isOver()).toBe(true);
    slice.restart();
    clock.now += 1;
    expect(slice.isOver()).toBe(false);
    clock.now += 1;
    expect(slice.isOver()).toBe(true);
  });

  test('work whose signal fires while it waits takes no turn from others', async () => {
    const controller = new AbortController();
    const order: string[] = [];
    const waits = async (name: string, signal?: AbortSignal) => {
      await new TimeSlice(signal).yield();
      order.push(name);
    };
    const [first, aborted, second] = [waits('first'), waits('aborted', controller.signal), waits('second')];
    controller.abort('enough');
    const ended = expectAbort(aborted, 'enough').then(() => order.push('ended'));
    // In the first turn the first goes on, in the next one the second.
    await Promise.all([first, ended]);
    await nextTurn();
    expect(order).toEqual(['first', 'ended', 'second']);
    await second;
  });
});

test('runAtOnce gives the result without a turn of the event loop', () => {
  expect(runAtOnce(count(1000))).toBe(1000);
});
