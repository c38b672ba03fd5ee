// How a step is cut, by hand: rows for those that decode, slices of prompts within the time of a step, and what becomes of
// requests that lack memory.
import { describe, expect, test } from 'vitest';
import { mostRows } from '../../../src/forward/row-buckets.js';
import { ScheduledRequest } from '../../../src/serving/scheduling/scheduled-request.js';
import { type StepPlan, StepPlanner } from '../../../src/serving/scheduling/step-planner.js';
import { StepRate } from '../../../src/serving/scheduling/step-rate.js';

let arrivals = 0;

function running(tokens: number, computed: number, priority = 0): ScheduledRequest {
  const ids = new Array<number>(tokens).fill(1);
  const spec = { ids, computed, priority, tenant: '', deadlineAt: undefined, salt: undefined } as const;
  const request = new ScheduledRequest({ ...spec, output: 'sample' }, arrivals++, 0);
  request.state = 'running';
  return request;
}

const promptOf = (tokens: number, priority = 0) => running(tokens, 0, priority);
const decoding = (count: number) => Array.from({ length: count }, () => running(9, 8));

/** A planner of steps that have so many rows for the time of a step: a row takes 1 ms, and a step 32 more. */
function plannerOf(rows: number): StepPlanner {
  const rate = new StepRate();
  rate.observe(1, 33);
  rate.observe(32, 64);
  return new StepPlanner(rate, rows + 32);
}

const always = () => true;

/** Of each of the requests, how many of its rows are in the plan. */
const countsOf = (plan: StepPlan | undefined, requests: readonly ScheduledRequest[]) =>
  requests.map((request) => plan?.slices.find((slice) => slice.request === request)?.count ?? 0);

describe('requests that decode', () => {
  test('have a row each, and padding up to the rows of a program', () => {
    const requests = decoding(9);
    const plan = plannerOf(128).plan(requests, false, always);
    expect(plan).toMatchObject({ rows: 12, outOfMemory: [] });
    expect(plan?.slices.map(({ request }) => request)).toEqual(requests);
    expect(plan?.slices[0]).toEqual({ request: requests[0], from: 8, count: 1, reachesEnd: true });
    expect(requests.every(({ inStep }) => inStep)).toBe(true);
  });

  test('have all rows where there is no prompt, and their turn where they are more', () => {
    const planner = plannerOf(128);
    const requests = decoding(mostRows + 10);
    const first = countsOf(planner.plan(requests, true, always), requests);
    expect(first).toEqual(requests.map((_, i) => (i < mostRows ? 1 : 0)));
    const second = countsOf(planner.plan(requests, true, always), requests);
    // It goes on behind the last one.
    expect(second).toEqual(requests.map((_, i) => (i < mostRows - 10 || i >= mostRows ? 1 : 0)));
    // Where all have room, they are in order again.
    for (const count of [4, mostRows]) {
      const few = requests.slice(0, count);
      const served = planner.plan(few, true, always)?.slices.map(({ request }) => requests.indexOf(request));
      expect(served).toEqual(few.map((_, i) => i));
      expect(countsOf(planner.plan(requests, true, always), requests)).toEqual(first);
      planner.plan(requests, true, always);
    }
  });

  test('leave a quarter of a step to prompts', () => {
    const requests = [...decoding(mostRows), promptOf(500)];
    const plan = plannerOf(128).plan(requests, false, always);
    expect(countsOf(plan, requests.slice(-1))).toEqual([32]);
    expect(plan?.slices).toHaveLength(mostRows - 32 + 1);
    expect(plan?.rows).toBe(mostRows);
    // A quarter of the 96 rows that a step has at least: they end within four times the time of one.
    const busy = [...decoding(mostRows), promptOf(500)];
    expect(countsOf(plannerOf(4).plan(busy, false, always), busy.slice(-1))).toEqual([24]);
  });
});

describe('a prompt', () => {
  test('has the most rows where it is alone, and half of the time of a step where others wait', () => {
    const [alone] = [promptOf(500)];
    const plan = plannerOf(128).plan([alone], false, always);
    expect(plan).toMatchObject({ rows: mostRows, outOfMemory: [] });
    expect(plan?.slices).toEqual([{ request: alone, from: 0, count: mostRows, reachesEnd: false }]);
    const requests = [promptOf(500)];
    expect(countsOf(plannerOf(128).plan(requests, true, always), requests)).toEqual([64]);
  });

  test('ends with its last token', () => {
    const request = running(100, 90);
    const plan = plannerOf(128).plan([request], false, always);
    expect(plan?.slices).toEqual([{ request, from: 90, count: 10, reachesEnd: true }]);
    expect(plan?.rows).toBe(12);
  });

  test('of one token is no decoding: it has nothing computed', () => {
    const requests = [...decoding(mostRows), promptOf(1)];
    expect(countsOf(plannerOf(128).plan(requests, false, always), requests.slice(-1))).toEqual([1]);
  });

  test('beside those that decode has the rest of the time, in at most half of a step', () => {
    const beside = (count: number, tokens = 500) => {
      const requests = [...decoding(count), promptOf(tokens)];
      return countsOf(plannerOf(128).plan(requests, false, always), requests.slice(-1))[0];
    };
    // 64 rows, and what the program of 80 rows has anyway.
    expect(beside(8)).toBe(72);
    expect(beside(16)).toBe(64);
    expect(beside(80)).toBe(48);
    // A quarter, though those that decode take all the time.
    expect(beside(128)).toBe(32);
    expect(beside(16, 5)).toBe(5);
  });

  test('that comes later is served first where it is shorter, and a quarter is certain for the first', () => {
    const requests = [promptOf(500), promptOf(20), promptOf(30), promptOf(300)];
    // 32 for the first; 20, 30; of the 46 that are left, all for the shorter one.
    expect(countsOf(plannerOf(128).plan(requests, false, always), requests)).toEqual([32, 20, 30, 46]);
    const short = [promptOf(10), promptOf(20), promptOf(30)];
    expect(countsOf(plannerOf(128).plan(short, false, always), short)).toEqual([10, 20, 30]);
    const many = [promptOf(500), ...Array.from({ length: 10 }, () => promptOf(24))];
    const plan = plannerOf(128).plan(many, false, always);
    expect(countsOf(plan, many)).toEqual([32, 24, 24, 24, 24, 0, 0, 0, 0, 0, 0]);
    expect(plan?.slices).toHaveLength(5);
  });

  test('of a higher priority comes before a shorter one', () => {
    const requests = [promptOf(500), promptOf(20), promptOf(300, 1), promptOf(10, -1)];
    expect(countsOf(plannerOf(128).plan(requests, false, always), requests)).toEqual([44, 20, 64, 0]);
    const full = [promptOf(500), promptOf(60), promptOf(300, 1), promptOf(50, 1)];
    // Of 96, first 50, then 46 for the other one of that priority.
    expect(countsOf(plannerOf(128).plan(full, false, always), full)).toEqual([32, 0, 46, 50]);
  });

  test('has the rows that the program has anyway', () => {
    // 10 of the first, and of 300 as many as half of a step: 74, of which the program has 80.
    const requests = [promptOf(10), promptOf(300)];
    const plan = plannerOf(128).plan(requests, false, always);
    expect(countsOf(plan, requests)).toEqual([10, 70]);
    expect(plan?.rows).toBe(80);
    // Of 24 rows for prompts, 6 and 18; of 128 rows, 100 decode, and the 4 that are left are for the first.
    const two = [...decoding(100), promptOf(500), promptOf(300)];
    const full = plannerOf(96).plan(two, false, always);
    expect(countsOf(full, two.slice(-2))).toEqual([10, 18]);
    expect(full?.rows).toBe(128);
  });
});

describe('memory', () => {
  test('for which nothing is planned makes no step', () => {
    expect(plannerOf(128).plan([], false, always)).toBeUndefined();
  });

  test('is asked for up to the end of each slice; those that get none are reported and left out', () => {
    const requests = [...decoding(2), promptOf(20)];
    const asked: [number, number][] = [];
    const plan = plannerOf(128).plan(requests, false, (request, end) => {
      asked.push([requests.indexOf(request), end]);
      return request !== requests[1];
    });
    expect(asked).toEqual([
      [0, 9],
      [1, 9],
      [2, 20],
    ]);
    expect(plan?.outOfMemory).toEqual([requests[1]]);
    expect(countsOf(plan, requests)).toEqual([1, 0, 20]);
    expect(plan?.rows).toBe(24);
    expect(requests.map(({ inStep }) => inStep)).toEqual([true, false, true]);
  });

  test('that nobody gets makes a plan without rows', () => {
    const requests = decoding(1);
    const plan = plannerOf(128).plan(requests, false, () => false);
    expect(plan).toEqual({ slices: [], rows: 0, outOfMemory: requests });
  });

  test('taken from a younger request leaves that one out', () => {
    const requests = [...decoding(2), promptOf(20), promptOf(20)];
    const plan = plannerOf(128).plan(requests, false, (request) => {
      if (request === requests[0]) (requests[1] as ScheduledRequest).state = 'waiting';
      if (request === requests[2]) (requests[3] as ScheduledRequest).state = 'waiting';
      return true;
    });
    expect(countsOf(plan, requests)).toEqual([1, 0, 20, 0]);
    expect(plan?.outOfMemory).toEqual([]);
  });

  test('that is short makes steps of fewer rows', () => {
    const planner = plannerOf(128);
    planner.mostRows = 16;
    const [alone] = [promptOf(500)];
    expect(countsOf(planner.plan([alone], false, always), [alone])).toEqual([16]);
    const requests = [...decoding(20), promptOf(500)];
    const plan = planner.plan(requests, false, always);
    expect(plan?.rows).toBe(16);
    expect(countsOf(plan, requests.slice(-1))).toEqual([4]);
  });
});
