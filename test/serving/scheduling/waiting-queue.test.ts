// The queue of requests alone, given the time: who may be admitted next, who is refused, and what a tenant has had.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ScheduledRequest } from '../../../src/serving/scheduling/scheduled-request.js';
import { WaitingQueue } from '../../../src/serving/scheduling/waiting-queue.js';

interface Given {
  readonly priority?: number;
  readonly tenant?: string;
  readonly deadlineAt?: number | undefined;
  readonly arrivedAt?: number;
  readonly isPatient?: boolean;
}

let arrivals = 0;

function requestOf({ arrivedAt = 0, priority = 0, tenant = '', deadlineAt, isPatient }: Given = {}): ScheduledRequest {
  const spec = { ids: [1], priority, tenant, deadlineAt, salt: undefined, output: 'sample', isPatient } as const;
  return new ScheduledRequest({ ...spec, ids: [1] }, arrivals++, arrivedAt);
}

function queueOf(...requests: readonly ScheduledRequest[]): WaitingQueue {
  const queue = new WaitingQueue(1000);
  for (const request of requests) queue.push(request);
  return queue;
}

/** Takes all out, always the best. */
function drain(queue: WaitingQueue, now = 0): ScheduledRequest[] {
  const order: ScheduledRequest[] = [];
  while (queue.size > 0) {
    const [first] = queue.candidates(now) as [ScheduledRequest];
    expect(queue.remove(first)).toBe(true);
    order.push(first);
  }
  return order;
}

describe('within a tenant', () => {
  test('the earliest deadline is first, and none is due 30 s after the arrival; the first to come among equals', () => {
    const due = { deadlineAt: 40_000, arrivedAt: 10_000 };
    const requests = [
      requestOf({ arrivedAt: 10_001 }),
      requestOf({ arrivedAt: 10_000 }),
      requestOf(due),
      requestOf({ deadlineAt: 39_999, arrivedAt: 20_000 }),
      requestOf({ deadlineAt: 1e9, arrivedAt: 0 }),
    ];
    const order = drain(queueOf(...requests)).map((request) => requests.indexOf(request));
    expect(order).toEqual([4, 3, 1, 2, 0]);
  });

  test('the order is that of their deadlines, whatever leaves meanwhile', () => {
    const times = fc.array(fc.nat({ max: 60 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(times, fc.array(fc.nat({ max: 39 }), { maxLength: 20 }), (deadlines, leaving) => {
        const requests = deadlines.map((deadlineAt) => requestOf({ deadlineAt }));
        const queue = queueOf(...requests);
        const left = new Set(requests);
        for (const at of leaving) {
          const request = requests[at];
          if (request === undefined) continue;
          expect(queue.remove(request)).toBe(left.delete(request));
        }
        expect(queue.size).toBe(left.size);
        expect(new Set(queue.values())).toEqual(left);
        const due = ({ deadlineAt }: ScheduledRequest) => deadlineAt as number;
        const sorted = [...left].sort((a, b) => due(a) - due(b) || a.number - b.number);
        expect(drain(queue).map(({ number }) => number)).toEqual(sorted.map(({ number }) => number));
      }),
    );
  });
});

test('one that leaves the middle is replaced by one that is due before those above it', () => {
  const requests = [1, 10, 2, 11, 12, 50, 9].map((deadlineAt) => requestOf({ deadlineAt }));
  const queue = queueOf(...requests);
  queue.remove(requests[3] as ScheduledRequest);
  expect(drain(queue).map(({ deadlineAt }) => deadlineAt)).toEqual([1, 2, 9, 10, 12, 50]);
});

describe('candidates', () => {
  test('are one for each tenant and priority, and stay', () => {
    const requests = [
      requestOf({ tenant: 'a', priority: 1 }),
      requestOf({ tenant: 'a', priority: 1 }),
      requestOf({ tenant: 'a', priority: 2 }),
      requestOf({ tenant: 'b', priority: 2 }),
    ];
    const queue = queueOf(...requests);
    expect(queue.candidates(0)).toEqual([requests[2], requests[3], requests[0]]);
    expect(queue.size).toBe(4);
    expect(queueOf().candidates(0)).toEqual([]);
  });

  test('rise by a step of priority with each second', () => {
    const old = requestOf({ priority: 0, arrivedAt: 0 });
    const late = requestOf({ priority: 2, arrivedAt: 1500 });
    const queue = queueOf(late, old);
    expect(queue.candidates(1999)).toEqual([late, old]);
    // Whole seconds count: 2 + 0 against 0 + 2, of which the one that came first is first.
    for (const now of [2000, 2499]) expect(queue.candidates(now)).toEqual([old, late]);
    expect(queue.candidates(2500)).toEqual([late, old]);
    expect(queue.candidates(3000)).toEqual([old, late]);
  });

  test('of equal priority begin with the tenant that has had the fewest tokens', () => {
    const [a, b] = [requestOf({ tenant: 'a' }), requestOf({ tenant: 'b' })];
    const queue = queueOf(a, b);
    expect(queue.candidates(0)).toEqual([a, b]);
    queue.serve('a', 5);
    expect(queue.candidates(0)).toEqual([b, a]);
    queue.serve('b', 3);
    queue.serve('b', 3);
    expect(queue.candidates(0)).toEqual([a, b]);
  });

  test('of a new tenant begin where the one is that has had least', () => {
    const queue = queueOf(requestOf({ tenant: 'a' }), requestOf({ tenant: 'b' }));
    queue.serve('a', 100);
    queue.serve('b', 40);
    const late = requestOf({ tenant: 'c' });
    queue.push(late);
    const tenants = () => queue.candidates(0).map(({ tenant }) => tenant);
    expect(tenants()).toEqual(['b', 'c', 'a']);
    // One more of a tenant that has work changes nothing of what it has had.
    queue.push(requestOf({ tenant: 'a' }));
    expect(tenants()).toEqual(['b', 'c', 'a']);
    queue.serve('c', 1);
    expect(tenants()).toEqual(['b', 'c', 'a']);
    queue.serve('c', 60);
    expect(tenants()).toEqual(['b', 'a', 'c']);
  });

  test('count each position of a request once, and those that were never computed only until it ends', () => {
    const [a, b] = [requestOf({ tenant: 'a' }), requestOf({ tenant: 'b' })];
    const queue = queueOf(a, b);
    /** How much more tenant a has had than tenant b, which has to have more than it in the end. */
    const ahead = () => {
      for (let tokens = 0; ; tokens++) {
        if (queue.candidates(0)[0] !== b) {
          queue.serve('b', -tokens);
          return tokens;
        }
        queue.serve('b', 1);
      }
    };
    const running = requestOf({ tenant: 'a' });
    queue.charge(running, 10);
    expect(ahead()).toBe(10);
    queue.charge(running, 4);
    expect(ahead()).toBe(10);
    queue.charge(running, 11);
    expect(ahead()).toBe(11);
    // Preempted after seven positions, of which it has computed two again.
    Object.assign(running, { computed: 2, reached: 7 });
    queue.refund(running);
    expect(ahead()).toBe(7);
    queue.refund(running);
    expect(ahead()).toBe(7);
    // The step under way had another one.
    queue.charge(running, 8);
    expect(ahead()).toBe(8);
  });

  test('of a tenant count anew once it has nothing left', () => {
    const a = requestOf({ tenant: 'a' });
    const b = requestOf({ tenant: 'b' });
    const queue = queueOf(a, b);
    queue.serve('a', 100);
    // It still waits.
    queue.forget('a');
    expect(queue.candidates(0)).toEqual([b, a]);
    queue.remove(a);
    queue.forget('a');
    // Nothing counts for a tenant that is gone.
    queue.serve('a', 100);
    const again = requestOf({ tenant: 'a' });
    queue.push(again);
    queue.serve('b', 1);
    expect(queue.candidates(0)).toEqual([again, b]);
  });
});

describe('a full queue', () => {
  const full = expect.objectContaining({
    code: 'ERR_QUEUE_FULL',
    message: '1 requests are waiting, as many as serving.maxQueued allows',
  });

  test('refuses a request that comes anew, and counts none of those that leave', () => {
    const queue = new WaitingQueue(1);
    const first = requestOf();
    queue.push(first);
    expect(() => queue.push(requestOf())).toThrow(full);
    expect(queue.size).toBe(1);
    expect(queue.remove(first)).toBe(true);
    expect(queue.remove(first)).toBe(false);
    expect(queue.size).toBe(0);
    queue.push(requestOf());
    expect(() => queue.push(requestOf())).toThrow(full);
  });

  test('takes back one that was admitted before, which keeps no other out', () => {
    const queue = new WaitingQueue(1);
    const preempted = requestOf();
    preempted.admittedAt = 5;
    queue.push(preempted);
    expect(queue.patient).toBe(0);
    queue.push(requestOf());
    const another = requestOf();
    another.admittedAt = 0;
    queue.push(another);
    expect(queue.size).toBe(3);
    expect(queue.remove(preempted)).toBe(true);
    expect(() => queue.push(requestOf())).toThrow(full);
  });

  test('takes one that has waited for room before it came, which keeps no other out', () => {
    const queue = new WaitingQueue(1);
    const patient = requestOf({ isPatient: true });
    queue.push(patient);
    expect(queue.patient).toBe(1);
    queue.push(requestOf());
    queue.push(requestOf({ isPatient: true }));
    expect(queue.patient).toBe(2);
    expect(() => queue.push(requestOf())).toThrow(full);
    queue.remove(patient);
    expect(queue.patient).toBe(1);
    expect(() => queue.push(requestOf())).toThrow(full);
  });

  test('does not have what was never in it', () => {
    expect(queueOf(requestOf()).remove(requestOf())).toBe(false);
    expect(queueOf().remove(requestOf())).toBe(false);
  });
});
