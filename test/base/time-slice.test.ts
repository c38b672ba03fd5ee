// src/base/time-slice.ts: long work lets the event loop run between its slices, and stops when its signal fires.
import { describe, expect, test } from 'vitest';
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

test('runAtOnce gives the result without a turn of the event loop', () => {
  expect(runAtOnce(count(1000))).toBe(1000);
});
