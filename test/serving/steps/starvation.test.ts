// What becomes of requests for which there is no memory, with a scheduler and pages that are set by hand.
import { describe, expect, test } from 'vitest';
import { TesseraeError } from '../../../src/base/errors.js';
import type { PageSource } from '../../../src/serving/scheduling/page-source.js';
import type { ScheduledRequest } from '../../../src/serving/scheduling/scheduled-request.js';
import type { Scheduler } from '../../../src/serving/scheduling/scheduler.js';
import { patienceMs, Starvation } from '../../../src/serving/steps/starvation.js';
import { Turns } from '../../../src/serving/steps/turns.js';

function arranged() {
  const state = {
    now: 0,
    free: 3,
    running: 1,
    isProgressing: false,
    awaitsAdmission: false,
    preemptible: 2,
    hopeless: [] as readonly ScheduledRequest[],
    misfits: [] as ScheduledRequest[],
  };
  const never = new TesseraeError('ERR_BUDGET', 'never', { neverFits: true });
  const scheduler = {
    get running() {
      return state.running;
    },
    get awaitsAdmission() {
      return state.awaitsAdmission;
    },
    isProgressing: () => state.isProgressing,
    hopeless: (request: ScheduledRequest) => (state.hopeless.includes(request) ? never : undefined),
    misfits: () => state.misfits,
    preempt: () => state.preemptible-- > 0,
  } as unknown as Scheduler;
  const pages = {
    positions: 4,
    pageBytes: 100,
    get free() {
      return state.free;
    },
  } as PageSource;
  const turns = new Turns();
  const [account, other] = [turns.open(), turns.open()];
  const starvation = new Starvation({ scheduler, pages, turns, account, clock: () => state.now });
  return { state, starvation, account, other, never };
}

const requestOf = (tokens: number, computed: number, pages: number) =>
  ({ ids: new Array(tokens), computed, pages: new Array(pages) }) as unknown as ScheduledRequest;

test('what never fits ends at once, and nothing else is looked at', () => {
  const { state, starvation, account, never } = arranged();
  const [a, b] = [requestOf(9, 0, 0), requestOf(8, 0, 0)];
  state.hopeless = [b];
  expect(starvation.look({ lacking: [a, b] })).toEqual([[b, never]]);
  expect([account.activity, account.holdsMemory]).toEqual(['idle', false]);
});

test('a model is working where others of its requests go on, and idle where nothing waits', () => {
  const { state, starvation, account } = arranged();
  const a = requestOf(9, 0, 0);
  state.isProgressing = true;
  expect(starvation.look({ lacking: [a] })).toEqual([]);
  expect([account.activity, account.holdsMemory]).toEqual(['working', true]);
  state.isProgressing = false;
  state.running = 0;
  expect(starvation.look({ lacking: [] })).toEqual([]);
  expect([account.activity, account.holdsMemory]).toEqual(['idle', false]);
  state.awaitsAdmission = true;
  expect(starvation.look({ lacking: [] })).toEqual([]);
  expect(account.activity).toBe('starved');
  starvation.end();
  expect(account.activity).toBe('working');
  account.holdsMemory = true;
  starvation.idle();
  expect([account.activity, account.holdsMemory]).toEqual(['idle', false]);
});

describe('patience', () => {
  test('lasts a second of the same free memory; then all that lack memory end', () => {
    const { state, starvation } = arranged();
    const [a, b] = [requestOf(9, 8, 2), requestOf(4, 4, 1)];
    const look = () => starvation.look({ lacking: [a, b] });
    state.now = 500;
    expect(look()).toEqual([]);
    state.now += patienceMs - 1;
    expect(look()).toEqual([]);
    state.free = 2;
    state.now += 1;
    expect(look()).toEqual([]);
    state.now += patienceMs - 1;
    expect(look()).toEqual([]);
    state.now += 1;
    const messages = look().map(([request, { code, message }]) => [request, code, message]);
    expect(messages).toEqual([
      [a, 'ERR_BUDGET', expect.stringMatching(/^9 tokens take 300 bytes, 3 pages; there is memory for 4, and nothing/)],
      [b, 'ERR_BUDGET', expect.stringMatching(/^5 tokens take 200 bytes, 2 pages; there is memory for 3, and nothing/)],
    ]);
    // It begins anew.
    expect(look()).toEqual([]);
  });

  test('over what waits to be admitted ends what does not fit, with the error of the step if there was one', () => {
    const { state, starvation } = arranged();
    const a = requestOf(9, 0, 0);
    const error = new TesseraeError('ERR_BUDGET', 'of the step');
    state.awaitsAdmission = true;
    state.misfits = [a];
    expect(starvation.look({ lacking: [], error })).toEqual([]);
    state.now = patienceMs;
    expect(starvation.look({ lacking: [], error })).toEqual([[a, error]]);
  });

  test.each<[string, (parts: ReturnType<typeof arranged>) => void, (parts: ReturnType<typeof arranged>) => void]>([
    ['a step', () => {}, ({ starvation }) => starvation.end()],
    ['having nothing to do', () => {}, ({ starvation }) => starvation.idle()],
    [
      'requests that go on',
      ({ state }) => {
        state.isProgressing = true;
      },
      ({ state }) => {
        state.isProgressing = false;
      },
    ],
    [
      'another model that works',
      ({ other }) => {
        other.activity = 'working';
      },
      ({ other }) => {
        other.activity = 'idle';
      },
    ],
  ])('begins anew after %s', (_what, begin, end) => {
    const parts = arranged();
    const { state, starvation } = parts;
    const lacking = [requestOf(9, 0, 0)];
    expect(starvation.look({ lacking })).toEqual([]);
    state.now = patienceMs;
    begin(parts);
    if (state.isProgressing || parts.other.activity === 'working') expect(starvation.look({ lacking })).toEqual([]);
    end(parts);
    expect(starvation.look({ lacking })).toEqual([]);
    state.now += patienceMs;
    expect(starvation.look({ lacking })).toHaveLength(1);
  });
});

describe('beside another model', () => {
  test('that works, requests wait and keep their memory', () => {
    const { state, starvation, account, other } = arranged();
    other.activity = 'working';
    for (; state.now <= 3 * patienceMs; state.now += patienceMs) {
      expect(starvation.look({ lacking: [requestOf(9, 0, 0)] })).toEqual([]);
    }
    expect([state.preemptible, account.activity]).toEqual([2, 'starved']);
  });

  test('that starves and holds memory, requests give all of theirs away', () => {
    const { state, starvation, account, other } = arranged();
    other.activity = 'starved';
    other.holdsMemory = true;
    state.awaitsAdmission = true;
    expect(starvation.look({ lacking: [] })).toEqual([]);
    expect(state.preemptible).toBe(2);
    expect(starvation.look({ lacking: [requestOf(9, 0, 0)] })).toEqual([]);
    expect([state.preemptible, account.activity]).toEqual([-1, 'starved']);
  });
});
