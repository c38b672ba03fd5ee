// The scheduler under the simulator: arrivals, aborts, deadlines, failures and little memory in 10,000 random plans, and
// arranged cases of each rule. In every step the simulator checks pages, slices and reference counts.
import { describe, expect, test } from 'vitest';
import { mostRows } from '../../../src/forward/row-buckets.js';
import { Numbers } from '../../support/numbers.js';
import { FakePages, nextToken, type SimulatedRequest, Simulator } from './simulator.js';

/** What a request's tokens are when it is alone. */
function alone(prompt: readonly number[], newTokens: number): number[] {
  const ids = [...prompt];
  for (let i = 0; i < newTokens; i++) ids.push(nextToken(ids));
  return ids;
}

function prompt(length: number, seed = 0): number[] {
  return Array.from({ length }, (_, index) => (index * 7 + seed * 13 + ((index * seed) % 5)) % 50);
}

describe('10,000 random plans', () => {
  for (let seed = 0; seed < 40; seed++) {
    test(`seed ${seed}`, () => {
      const numbers = new Numbers(seed);
      const draw = (most: number) => Math.floor(numbers.next() * most);
      const pages = new FakePages(4, 8 + draw(60));
      const simulator = new Simulator({ pages, maxRunning: 1 + draw(20), stepMs: 5 + draw(40) });
      const all: [SimulatedRequest, number[], number][] = [];
      const shared = prompt(40, draw(100));
      for (let step = 0; step < 250; step++) {
        if (draw(3) === 0) {
          const length = 1 + draw(Math.min(40, pages.most * 4 - 12));
          const ids = [...shared.slice(0, draw(length)), ...prompt(length, draw(1000))].slice(0, length);
          const newTokens = 1 + draw(8);
          const more = {
            priority: draw(3) - 1,
            tenant: `t${draw(3)}`,
            ...(draw(6) === 0 ? { deadlineAt: simulator.now + draw(500) } : {}),
            ...(draw(5) === 0 ? { salt: undefined } : {}),
          };
          all.push([simulator.submit(ids, newTokens, more), ids, newTokens]);
        }
        const victim = [...simulator.open.keys()][draw(simulator.open.size)];
        if (victim !== undefined && draw(25) === 0) simulator.abort(victim);
        const abortsWithin = draw(25) === 0;
        simulator.step({
          fails: draw(30) === 0,
          copies: (['end', 'end', 'go on', 'go on', 'fail'] as const)[draw(5)] ?? 'end',
          during: () => {
            const within = [...simulator.open.keys()].find(({ inStep }) => inStep);
            if (abortsWithin && within !== undefined) simulator.abort(within);
          },
        });
        if (draw(40) === 0 && !simulator.scheduler.evict()) simulator.scheduler.preempt();
      }
      simulator.run(20_000);
      for (const [{ outcome, request }, ids, newTokens] of all) {
        expect(outcome).toBeDefined();
        if (outcome === 'complete') expect(request.ids).toEqual(alone(ids, newTokens));
        expect(['complete', 'aborted', 'overdue']).toContain(outcome);
      }
      pages.endCopies();
      simulator.scheduler.clearCache();
      expect(pages.live).toBe(0);
      expect(pages.peak).toBeLessThanOrEqual(pages.most);
    });
  }
});

describe('steps', () => {
  test('decode many requests in one step, each by one row', () => {
    const simulator = new Simulator({ pages: new FakePages(4, 10_000) });
    for (let i = 0; i < 100; i++) simulator.submit(prompt(1, i), 20, { salt: undefined });
    simulator.run();
    expect(simulator.ended).toHaveLength(100);
    expect(simulator.steps).toBeLessThan(30);
  });

  test('more requests than rows decode in turn', () => {
    const simulator = new Simulator({ pages: new FakePages(4, 10_000), maxRunning: 400 });
    for (let i = 0; i < 400; i++) simulator.submit(prompt(1, i), 10, { salt: undefined });
    simulator.run();
    expect(simulator.ended.every(({ outcome }) => outcome === 'complete')).toBe(true);
  });

  test('a long prompt is computed in the end while short ones keep coming', () => {
    const simulator = new Simulator({ pages: new FakePages(32, 10_000), stepTime: (rows) => 2 + rows * 0.5 });
    const long = simulator.submit(prompt(2000, 77), 1);
    for (let i = 0; long.request.state !== 'ended' && i < 300; i++) {
      for (let k = 0; k < 4; k++) simulator.submit(prompt(24, 4 * i + k), 1);
      simulator.step();
    }
    expect(long.request.state).toBe('ended');
  });

  test('a prompt that is alone is cut into slices of the most rows', () => {
    const simulator = new Simulator({ pages: new FakePages(32, 1000) });
    simulator.submit(prompt(1000), 1);
    simulator.run();
    expect(simulator.steps).toBe(Math.ceil(1000 / mostRows));
  });

  // On a fast machine, and on one that is busy with the rows that decode alone.
  test.each([
    [0.3, 24],
    [1.1, 8],
  ])('a long prompt leaves room: others go on, and a late prompt is soon served, at %d ms a row', (rowMs, length) => {
    const simulator = new Simulator({ pages: new FakePages(32, 10_000), stepTime: (rows) => 2 + rows * rowMs });
    const decoding = Array.from({ length: 32 }, (_, i) => simulator.submit(prompt(8, i), 400));
    while (decoding.some(({ request, promptLength }) => request.ids.length === promptLength)) simulator.step();
    for (let i = 0; i < 20; i++) simulator.step();
    simulator.submit(prompt(2000, 77), 1);
    simulator.step();
    const late = simulator.submit(prompt(length, 99), 4);
    let gap = 0;
    let steps = 0;
    while (late.request.ids.length === late.promptLength) {
      const before = decoding.map(({ request }) => request.ids.length);
      const started = simulator.now;
      simulator.step();
      steps++;
      gap = Math.max(gap, simulator.now - started);
      expect(decoding.every(({ request }, i) => request.ids.length === (before[i] as number) + 1)).toBe(true);
    }
    expect(steps).toBeLessThanOrEqual(4);
    expect(gap).toBeLessThanOrEqual(80);
  });
});

describe('memory', () => {
  test('a thousand requests complete in the memory of four, with the tokens of each alone', () => {
    const pages = new FakePages(4, 4 * 6);
    const simulator = new Simulator({ pages });
    const all = Array.from({ length: 1000 }, (_, i) => ({
      ids: prompt(12, i),
      made: simulator.submit(prompt(12, i), 8),
    }));
    simulator.run();
    for (const { ids, made } of all) expect(made.request.ids).toEqual(alone(ids, 8));
    expect(pages.peak).toBeLessThanOrEqual(pages.most);
  });

  test('what never fits is refused at once', () => {
    const simulator = new Simulator({ pages: new FakePages(4, 3) });
    expect(() => simulator.submit(prompt(13), 1)).toThrow(/13 tokens take 400 bytes, 4 pages; .* has room for 3/);
    expect(simulator.scheduler.isIdle).toBe(true);
  });

  test('what grows beyond all memory ends, and nothing else does', () => {
    const simulator = new Simulator({ pages: new FakePages(4, 3) });
    const large = simulator.submit(prompt(4, 1), 100);
    const small = simulator.submit(prompt(4, 2), 2);
    simulator.run();
    expect(large.outcome).toBe('out of memory');
    expect(small.outcome).toBe('complete');
  });

  test('the youngest is preempted, computed again, and ends with the same tokens', () => {
    const pages = new FakePages(4, 12);
    const simulator = new Simulator({ pages });
    const old = simulator.submit(prompt(8, 1), 30);
    const young = simulator.submit(prompt(8, 2), 20);
    simulator.run();
    expect(simulator.scheduler.stats().preemptions).toBeGreaterThan(0);
    expect(old.request.ids).toEqual(alone(prompt(8, 1), 30));
    expect(young.request.ids).toEqual(alone(prompt(8, 2), 20));
    expect(old.endedAt as number).toBeLessThan(young.endedAt as number);
  });
});

describe('prefixes', () => {
  test('are computed once for requests that come together, and found by later ones', () => {
    const simulator = new Simulator({ pages: new FakePages(4, 1000) });
    const common = prompt(40, 3);
    for (let i = 0; i < 10; i++) simulator.submit([...common, i, i], 2);
    let rows = 0;
    for (let i = 0; i < 60 && !simulator.scheduler.isIdle; i++) simulator.step();
    expect(simulator.ended).toHaveLength(10);
    rows = simulator.ended.reduce((sum, { request }) => sum + request.reached - request.cachedTokens, 0);
    expect(rows).toBeLessThan(42 + 10 * 8);
    const late = simulator.submit([...common, 49], 1);
    simulator.run();
    expect(late.request.cachedTokens).toBe(40);
    expect(late.request.ids).toEqual(alone([...common, 49], 1));
  });

  test('leave at least one token to compute', () => {
    const simulator = new Simulator({ pages: new FakePages(4, 1000) });
    simulator.submit(prompt(8), 1);
    simulator.run();
    const again = simulator.submit(prompt(8), 1);
    simulator.run();
    expect(again.request.cachedTokens).toBe(7);
  });

  test('of which a part of a page matches are copied once, and only the rest is computed', () => {
    const pages = new FakePages(32, 1000);
    const simulator = new Simulator({ pages });
    const first = prompt(100, 3);
    simulator.submit(first, 4);
    simulator.run();
    for (const [common, cached] of [
      [72, 72],
      [71, 64],
      [64 + 31, 64 + 31],
      [40, 40],
      [39, 32],
      [8, 8],
      [7, 0],
    ] as const) {
      const ids = [...first.slice(0, common), 1000, ...prompt(30, 900 + common)];
      const made = simulator.submit(ids, 5);
      const before = pages.copies;
      simulator.run();
      expect(made.request.cachedTokens).toBe(cached);
      expect(pages.copies - before).toBe(cached % 32 === 0 ? 0 : 1);
      expect(made.request.ids).toEqual(alone(ids, 5));
    }
    // The page of the first prompt is as it was.
    const again = simulator.submit(first, 4);
    simulator.run();
    expect(again.request.ids).toEqual(alone(first, 4));
    simulator.scheduler.clearCache();
    expect(pages.live).toBe(0);
  });

  test('that are copied for a request that ends, or whose copy fails, harm nobody', () => {
    for (const what of ['abort', 'preempt', 'fail'] as const) {
      const pages = new FakePages(8, 1000);
      const simulator = new Simulator({ pages });
      const first = prompt(30, 3);
      simulator.submit(first, 1);
      simulator.run();
      const ids = [...first.slice(0, 20), 49, 48, 47];
      const made = simulator.submit(ids, 5);
      simulator.step({ copies: 'go on' });
      expect(made.request.computed).toBe(16);
      if (what === 'abort') simulator.abort(made.request);
      // It would give nothing back yet.
      if (what === 'preempt') expect(simulator.scheduler.preempt()).toBe(false);
      // Whoever takes the page meanwhile must not find the copy in it.
      const other = simulator.submit(prompt(30, 77), 5);
      for (let i = 0; i < 3; i++) simulator.step({ copies: 'go on' });
      if (what === 'fail') pages.endCopies(false);
      simulator.run();
      expect(other.request.ids).toEqual(alone(prompt(30, 77), 5));
      if (what !== 'abort') expect(made.request.ids).toEqual(alone(ids, 5));
      simulator.scheduler.clearCache();
      expect(pages.live).toBe(0);
    }
  });

  test('are not shared without a salt, nor between salts', () => {
    const simulator = new Simulator({ pages: new FakePages(4, 1000) });
    for (const salt of ['a', 'b', undefined, undefined]) {
      const made = simulator.submit(prompt(20), 1, { salt });
      simulator.run();
      expect(made.request.cachedTokens).toBe(0);
    }
    simulator.scheduler.forget('a');
    const made = simulator.submit(prompt(20), 1, { salt: 'a' });
    simulator.run();
    expect(made.request.cachedTokens).toBe(0);
  });

  test('of a step that failed are not found', () => {
    const simulator = new Simulator({ pages: new FakePages(4, 1000) });
    const failed = simulator.submit(prompt(20), 1);
    simulator.step({ fails: true });
    simulator.abort(failed.request);
    const made = simulator.submit(prompt(20), 1);
    simulator.run();
    expect(made.request.cachedTokens).toBe(0);
  });
});

describe('the queue', () => {
  test('serves the higher priority first, and in time the lower one', () => {
    const simulator = new Simulator({ pages: new FakePages(4, 1000), maxRunning: 1 });
    const low = simulator.submit(prompt(4, 1), 2, { priority: -2 });
    for (let i = 0; i < 400; i++) {
      simulator.submit(prompt(4, i), 2, { priority: 0 });
      simulator.step();
      simulator.step();
    }
    expect(low.outcome).toBe('complete');
    const high = simulator.submit(prompt(4, 9), 2, { priority: 100 });
    for (let i = 0; i < 8; i++) simulator.step();
    expect(high.outcome).toBe('complete');
  });

  test('is fair between tenants, whatever they ask for', () => {
    const simulator = new Simulator({ pages: new FakePages(4, 1000), maxRunning: 2 });
    for (let i = 0; i < 200; i++) simulator.submit(prompt(12, i), 4, { tenant: 'greedy', salt: undefined });
    const modest = Array.from({ length: 10 }, (_, i) =>
      simulator.submit(prompt(12, 500 + i), 4, { tenant: 'modest', salt: undefined }),
    );
    while (modest.some(({ outcome }) => outcome === undefined)) simulator.step();
    const greedyDone = simulator.ended.length - modest.length;
    expect(greedyDone).toBeLessThan(3 * modest.length);
  });

  test('takes the earliest deadline first within a tenant, and ends what is overdue', () => {
    const simulator = new Simulator({ pages: new FakePages(4, 1000), maxRunning: 1 });
    const relaxed = simulator.submit(prompt(4, 1), 1, { deadlineAt: 5000 });
    const urgent = simulator.submit(prompt(4, 2), 1, { deadlineAt: 100 });
    const late = simulator.submit(prompt(4, 3), 1, { deadlineAt: 0 });
    simulator.run();
    expect(late.outcome).toBe('overdue');
    expect(urgent.endedAt as number).toBeLessThan(relaxed.endedAt as number);
  });

  test('has an end', () => {
    const simulator = new Simulator({ pages: new FakePages(4, 1000), maxQueued: 2, maxRunning: 1 });
    simulator.submit(prompt(4, 1), 1);
    simulator.submit(prompt(4, 2), 1);
    expect(() => simulator.submit(prompt(4, 3), 1)).toThrow(/2 requests are waiting/);
    simulator.step();
    simulator.submit(prompt(4, 3), 1);
    simulator.run();
    expect(simulator.ended).toHaveLength(3);
  });
});

test('a request that is held takes part in no step, keeps its pages, and goes on', () => {
  const simulator = new Simulator({ pages: new FakePages(4, 1000) });
  const made = simulator.submit(prompt(8), 5);
  simulator.step();
  simulator.scheduler.hold(made.request);
  const { computed } = made.request;
  for (let i = 0; i < 5; i++) expect(simulator.step()).toBe(false);
  expect(made.request.computed).toBe(computed);
  simulator.scheduler.resume(made.request);
  simulator.run();
  expect(made.request.ids).toEqual(alone(prompt(8), 5));
});
