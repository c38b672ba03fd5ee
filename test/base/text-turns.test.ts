// Long work of many callers takes turns: all of it together has one slice in each turn of the event loop.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
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

describe('with a clock that steps move', () => {
  const clock = { now: 1000 };
  let log: string[] = [];
  const idle = async () => {
    for (let turn = 0; turn < 3; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
  };

  let spy: { mockRestore(): void };
  beforeEach(async () => {
    await idle();
    log = [];
    spy = vi.spyOn(performance, 'now').mockImplementation(() => clock.now);
  });
  afterEach(() => spy.mockRestore());

  /** So many steps of so many milliseconds each; those that are done are in the log. */
  function* steps(name: string, count: number, ms: number, atStep: (step: number) => void = () => {}) {
    for (let step = 1; step <= count; step++) {
      clock.now += ms;
      log.push(`${name}${step}`);
      atStep(step);
      yield;
    }
  }

  test('work has the 3 ms of a turn at once, and all other work waits for the next one', async () => {
    const first = runInTurns(steps('a', 4, 1));
    expect(log).toEqual(['a1', 'a2', 'a3']);
    const second = runInTurns(steps('b', 1, 0));
    expect(log).toHaveLength(3);
    await Promise.all([first, second]);
    expect(log).toEqual(['a1', 'a2', 'a3', 'a4', 'b1']);
  });

  test('nothing begins in a turn whose time was used up by work that is over', async () => {
    const whole = function* (): Generator<void, void> {
      yield;
      clock.now += 3;
      log.push('a');
    };
    const first = runInTurns(whole());
    expect(log).toEqual(['a']);
    const second = runInTurns(steps('b', 1, 0));
    expect(log).toEqual(['a']);
    await Promise.all([first, second]);
    expect(log).toEqual(['a', 'b1']);
  });

  test('all that wait have one slice in a turn, which ends exactly with its 3 ms', async () => {
    const turns = vi.spyOn(globalThis, 'setImmediate');
    const works = [runInTurns(steps('-', 1, 3)), ...['a', 'b'].map((name) => runInTurns(steps(name, 3, 1)))];
    const { length } = turns.mock.calls;
    turns.mockRestore();
    expect(length).toBe(1);
    await new Promise<void>((resolve) => setImmediate(resolve));
    expect(log).toEqual(['-1', 'a1', 'b1', 'a2']);
    await Promise.all(works);
    expect(log.slice(4)).toEqual(['b2', 'a3', 'b3']);
  });

  test('several have 1 ms each by turns, and what is left of the 3 at the end', async () => {
    const used = runInTurns(steps('-', 1, 3));
    const works = ['a', 'b'].map((name) => runInTurns(steps(name, 6, 0.4)));
    await Promise.all([used, ...works]);
    // 1.2 ms, 1.2 ms, and 0.6 ms of a third, which ends with the step that is begun.
    expect(log.slice(1, 9)).toEqual(['a1', 'a2', 'a3', 'b1', 'b2', 'b3', 'a4', 'a5']);
    expect(log.slice(9)).toEqual(['b4', 'b5', 'b6', 'a6']);
  });

  test('work that begins other work does so behind what waits', async () => {
    const used = runInTurns(steps('-', 1, 3));
    const inner: Promise<void>[] = [];
    const outer = runInTurns(steps('a', 1, 0, () => void inner.push(runInTurns(steps('c', 1, 0)))));
    const second = runInTurns(steps('b', 1, 0));
    await Promise.all([used, outer, second]);
    await Promise.all(inner);
    expect(log).toEqual(['-1', 'a1', 'b1', 'c1']);
  });

  test('the signal ends work before its first step, while it waits, and behind the step that fires it', async () => {
    await expectAbort(runInTurns(steps('a', 1, 0), AbortSignal.abort('early')), 'early');
    expect(log).toEqual([]);
    const [waiting, own] = [new AbortController(), new AbortController()];
    const used = runInTurns(steps('-', 1, 3));
    const waits = runInTurns(steps('b', 1, 0), waiting.signal);
    const stops = runInTurns(
      steps('c', 3, 0, (step) => step === 2 && own.abort('own')),
      own.signal,
    );
    waiting.abort('meanwhile');
    await expectAbort(waits, 'meanwhile');
    await expectAbort(stops, 'own');
    await used;
    expect(log).toEqual(['-1', 'c1', 'c2']);
  });

  test('work that is over leaves no turn behind, whether it ends, fails or is aborted', async () => {
    const controller = new AbortController();
    const fail = () => {
      throw new Error('mine');
    };
    await runInTurns(steps('a', 1, 0));
    const failing = runInTurns(steps('b', 1, 0, fail));
    const next = runInTurns(steps('x', 1, 0));
    expect(log).toEqual(['a1', 'b1', 'x1']);
    await expect(failing).rejects.toThrow('mine');
    await next;
    await expectAbort(
      runInTurns(
        steps('c', 2, 0, () => controller.abort('own')),
        controller.signal,
      ),
      'own',
    );
    // In the same turn, with nothing before it: at once.
    const last = runInTurns(steps('d', 1, 0));
    expect(log).toEqual(['a1', 'b1', 'x1', 'c1', 'd1']);
    await last;
    await idle();
    const turns = vi.spyOn(globalThis, 'setImmediate');
    await new Promise((resolve) => setTimeout(resolve, 5));
    const { length } = turns.mock.calls;
    turns.mockRestore();
    expect(length).toBe(0);
  });
});
