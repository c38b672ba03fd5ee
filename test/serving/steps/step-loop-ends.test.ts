// How requests of a step loop end: early, by a failure, or with the loop; and who hears of it when.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { TesseraeError } from '../../../src/base/errors.js';
import type { StepSlice } from '../../../src/serving/scheduling/step-planner.js';
import { arrangedLoop, isError, stopTimeSlices } from './arranged-loop.js';

stopTimeSlices();

describe('an end that is early', () => {
  test('is heard at once where others go on', async () => {
    const { loop, submit, next, taken, pages } = arrangedLoop();
    const a = submit('a', 3, 2);
    submit('b', 3, 2);
    const step = await next();
    taken();
    const error = new Error('enough');
    loop.cancel(a, error);
    loop.cancel(a, new Error('again'));
    expect(taken()).toEqual([['a', 'end', error]]);
    expect(step.signal.aborted).toBe(false);
    step.end();
    expect((await next()).plan.slices).toHaveLength(1);
    expect(taken()).not.toContainEqual(['a', 'choose', 7]);
    expect(pages.live).toBe(1);
  });

  test('of the last request of a step stops it, and is heard when that is over', async () => {
    const { loop, submit, next, taken, pages } = arrangedLoop();
    const [a, b] = [submit('a', 3), submit('b', 3)];
    const step = await next();
    taken();
    loop.cancel(a, 'A');
    expect(step.signal.aborted).toBe(false);
    loop.cancel(b, 'B');
    expect(step.signal.aborted).toBe(true);
    expect(taken()).toEqual([['a', 'end', 'A']]);
    expect(pages.live).toBe(2);
    step.fail(new Error('stopped'));
    await nextTurn();
    expect(taken()).toEqual([['b', 'end', 'B']]);
    expect(pages.live).toBe(0);
    submit('c', 3);
    const other = await next();
    expect(other.signal.aborted).toBe(false);
    other.end();
  });

  test('of a request with lent pages is heard when its step is over', async () => {
    const { loop, submit, next, taken } = arrangedLoop();
    const a = submit('a', 3, 2, {}, { onRelease: (request) => request.releasePages() });
    submit('b', 3, 2);
    const step = await next();
    taken();
    loop.cancel(a, 'A');
    expect(taken()).toEqual([]);
    expect(step.signal.aborted).toBe(false);
    step.end();
    await next();
    expect(taken()).toContainEqual(['a', 'end', 'A']);
    loop.cancel(submit('c', 3, 1, {}, { onRelease: () => {} }), 'C');
    expect(taken()).toContainEqual(['c', 'end', 'C']);
  });

  test('comes with a deadline', async () => {
    const { submit, next, taken, time } = arrangedLoop();
    submit('a', 3, 9, {}, { deadlineAt: 100 });
    const step = await next();
    time.now = 100;
    taken();
    step.end();
    await nextTurn();
    expect(taken()).toContainEqual(['a', 'end', isError('ERR_DEADLINE')]);
  });
});

describe('what fails', () => {
  test.each(['sampled', 'choose', 'deliver'])('in %s of a client ends its request alone', async (method) => {
    const { submit, next, taken } = arrangedLoop();
    const error = new Error(method);
    submit('a', 3, 3, {
      [method]: () => {
        throw error;
      },
    });
    submit('b', 3, 3);
    (await next()).end();
    (await next()).end();
    const { plan } = await next();
    expect(plan.slices).toHaveLength(1);
    const ends = taken().filter((one) => (one as unknown[])[1] === 'end');
    expect(ends).toEqual([['a', 'end', error]]);
  });

  test('where a token is chosen ends its request alone', async () => {
    const { submit, next, taken, names } = arrangedLoop();
    const error = new Error('no token');
    submit('a', 3, 3);
    submit('b', 3, 3);
    const step = await next();
    const [a, b] = step.plan.slices as [StepSlice, StepSlice];
    const fail = () => {
      throw error;
    };
    step.end({
      sample: async (visit) => {
        visit(a, fail);
        visit(b, () => ({ id: 5, logprobs: undefined }));
      },
    });
    expect(names((await next()).plan)).toEqual([1]);
    expect(taken()).toContainEqual(['a', 'end', error]);
  });

  test('in a step ends all of its requests, and the others go on', async () => {
    const { submit, next, taken, loop } = arrangedLoop();
    submit('a', 3);
    submit('b', 3);
    const step = await next();
    submit('c', 3);
    taken();
    const error = new Error('lost');
    step.fail(error);
    const other = await next();
    expect(taken()).toEqual([
      ['a', 'end', error],
      ['b', 'end', error],
      ['c', 'begun', 0, 3],
      ['c', 'sampled'],
    ]);
    expect(loop.stats.steps).toBe(0);
    other.end();
    await nextTurn();
    expect(taken()).toContainEqual(['c', 'end', undefined]);
    expect(loop.stats.steps).toBe(1);
  });

  test.each([
    ['a lost worker', new TesseraeError('ERR_WORKER_LOST', 'lost')],
    ['what only looks like a lack of memory', Object.assign(new Error('no'), { code: 'ERR_BUDGET' })],
  ])('in a step ends it, too, where it is %s', async (_, error) => {
    const { submit, next, taken } = arrangedLoop();
    submit('a', 64);
    (await next()).fail(error);
    await nextTurn();
    expect(taken()).toContainEqual(['a', 'end', error]);
  });

  test('is nothing to requests that wait for nothing, or have ended', async () => {
    const { loop, submit, next, taken, log } = arrangedLoop();
    const a = submit('a', 3, 1, { sampled: undefined });
    const pooled = { pooled: () => ({}), takeVector: (vector: Float32Array) => log.push(['vector', ...vector]) };
    const b = submit('b', 3, 1, pooled, { output: 'hidden' });
    submit('c', 3, 1, pooled, { output: 'hidden' });
    const d = submit('d', 3, 3);
    const step = await next();
    const sliceOf = (request: unknown) => step.plan.slices.find((slice) => slice.request === request) as StepSlice;
    const others = step.plan.slices.filter(({ request }) => ![a, b, d].includes(request));
    let isRead = false;
    step.end({
      pool: async (_, visit) => {
        loop.cancel(b, 'B');
        for (const slice of [sliceOf(b), ...others]) visit(slice, Float32Array.of(5));
        loop.cancel(d, 'D');
      },
      sample: async (visit) => {
        visit(sliceOf(d), () => {
          isRead = true;
          return { id: 7, logprobs: undefined };
        });
        throw new Error('failed');
      },
    });
    await nextTurn();
    expect(isRead).toBe(false);
    const seen = taken().filter((one) => (one as unknown[])[0] === 'vector' || (one as unknown[])[1] === 'end');
    expect(seen).toEqual([
      ['b', 'end', 'B'],
      ['vector', 5],
      ['c', 'end', undefined],
      ['d', 'end', 'D'],
    ]);
  });

  test('where tokens are chosen, or states are pooled, ends those that wait for it', async () => {
    const error = new Error('failed');
    const { submit, next, taken } = arrangedLoop();
    submit('a', 3, 3);
    submit('b', 3, 1, { pooled: () => ({}), takeVector: () => {} }, { output: 'hidden' });
    submit('c', 3, 1, { pooled: () => undefined }, { output: 'hidden' });
    (await next()).end({
      sample: async () => {
        throw error;
      },
    });
    await nextTurn();
    expect(taken().filter((one) => (one as unknown[])[1] === 'end')).toEqual([
      ['b', 'end', undefined],
      ['a', 'end', error],
    ]);
    const other = arrangedLoop();
    other.submit('a', 3, 3);
    other.submit('b', 3, 1, { pooled: () => ({}), takeVector: () => {} }, { output: 'hidden' });
    (await other.next()).end({
      pool: async () => {
        throw error;
      },
    });
    await nextTurn();
    expect(other.taken().filter((one) => (one as unknown[])[1] === 'end')).toEqual([
      ['a', 'end', error],
      ['b', 'end', error],
    ]);
  });

  test('in the scheduler closes the loop', async () => {
    const { submit, taken, scheduler } = arrangedLoop();
    const error = new Error('broken');
    scheduler.plan = () => {
      throw error;
    };
    submit('a', 3);
    await nextTurn();
    expect(taken()).toEqual([['a', 'end', error]]);
    expect(() => submit('b', 3)).toThrow(error);
  });
});

describe('the end of the loop', () => {
  test('ends all requests, and refuses others', async () => {
    const { loop, submit, next, taken, turns } = arrangedLoop(100, { maxRunning: 1 });
    const others = turns.open();
    submit('a', 3);
    submit('b', 3);
    const step = await next();
    taken();
    const error = new Error('closed');
    loop.close(error);
    expect(taken()).toEqual([['b', 'end', error]]);
    step.fail(new Error('stopped'));
    await nextTurn();
    expect(taken()).toEqual([['a', 'end', error]]);
    expect(() => submit('c', 3)).toThrow(error);
    expect(turns.others(others).work).toBe(false);
  });

  test.each([
    ['running', [['b', 'end', 'refused']]],
    ['all', []],
  ] as const)('by a drain of %s waits for those that are to be finished', async (kind, ends) => {
    const { loop, submit, next, taken } = arrangedLoop(100, { maxRunning: 1 });
    submit('a', 3, 2);
    submit('b', 3);
    (await next()).end();
    const second = await next();
    taken();
    let isOver = false;
    const drained = loop.drain(kind as never, 'refused' as never).then(() => {
      isOver = true;
    });
    expect(taken()).toEqual(ends);
    await nextTurn();
    expect(isOver).toBe(false);
    if (kind === 'running') expect(() => submit('c', 3)).toThrow();
    second.end();
    if (kind !== 'running') (await next()).end();
    await drained;
  });

  test('by a drain is at once where there is nothing', async () => {
    await arrangedLoop().loop.drain('running', new Error('refused'));
  });

  test('who waits for a change hears of each step and each end', async () => {
    const { loop, submit, next } = arrangedLoop();
    let changes = 0;
    const watch = () =>
      void loop.change().then(() => {
        changes += 1;
      });
    const a = submit('a', 3, 9);
    submit('b', 3, 9);
    const step = await next();
    watch();
    await nextTurn();
    expect(changes).toBe(0);
    step.end();
    const second = await next();
    expect(changes).toBe(1);
    watch();
    loop.cancel(a, new Error('enough'));
    await nextTurn();
    expect(changes).toBe(2);
    second.end();
  });
});
