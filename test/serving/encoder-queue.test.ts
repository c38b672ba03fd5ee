// The queue of an encoder: whose turn it is, how groups are filled, and that texts that are put back keep their place.
import { describe, expect, test } from 'vitest';
import { encoderBucketFor, groupRows, groupTexts } from '../../src/forward/encoder/encoder-buckets.js';
import { EncoderQueue, type QueuedText } from '../../src/serving/encoder-queue.js';
import { Numbers } from '../support/numbers.js';

interface Given {
  readonly priority?: number;
  readonly tenant?: string;
  readonly deadlineAt?: number | undefined;
  readonly isPatient?: boolean;
}

function textOf(tokens: number, given: Given = {}): QueuedText {
  const { priority = 0, tenant = '', deadlineAt, isPatient = false } = given;
  return { ids: Array.from({ length: tokens }, () => 1), turn: { priority, tenant, deadlineAt }, isPatient };
}

function queueOf(texts: readonly QueuedText[], now = 0): EncoderQueue<QueuedText> {
  const queue = new EncoderQueue<QueuedText>();
  for (const text of texts) queue.push(text, now);
  return queue;
}

const lengthsOf = (taken: ReturnType<EncoderQueue<QueuedText>['take']>) =>
  taken?.entries.map(({ text }) => text.ids.length);

describe('buckets', () => {
  test('hold what is asked for, waste little, and are few', () => {
    const buckets = new Set<number>();
    for (let rows = 1; rows <= 8192; rows++) {
      const bucket = encoderBucketFor(rows);
      expect(bucket).toBeGreaterThanOrEqual(rows);
      expect(bucket - rows).toBeLessThanOrEqual(Math.max(7, rows / 8));
      expect(encoderBucketFor(bucket)).toBe(bucket);
      buckets.add(bucket);
    }
    expect(buckets.has(groupRows)).toBe(true);
    expect(buckets.size).toBeLessThanOrEqual(64);
  });
});

describe('what waits', () => {
  test('is counted and listed, and is found by its deadline', () => {
    const texts = [textOf(5, { isPatient: true }), textOf(7, { deadlineAt: 100 }), textOf(7, { deadlineAt: 200 })];
    const queue = queueOf(texts);
    const state = () => [queue.size, queue.patient, queue.tokens, queue.overdue(150).length];
    expect(state()).toEqual([3, 1, 19, 1]);
    expect(queue.values()).toEqual(texts);
    expect(queue.overdue(99)).toEqual([]);
    expect(queue.overdue(100)).toEqual([texts[1]]);
    expect(queue.overdue(200)).toEqual(texts.slice(1));
    const taken = queue.take(0, 12) as NonNullable<ReturnType<typeof queue.take>>;
    expect(taken.tokens).toBe(12);
    expect(state()).toEqual([1, 0, 7, 0]);
    queue.putBack(taken);
    expect(state()).toEqual([3, 1, 19, 1]);
    for (let again = 0; again < 2; again++) queue.remove(texts[1] as QueuedText);
    expect(state()).toEqual([2, 1, 12, 0]);
    expect(queue.values()).not.toContain(texts[1]);
  });
});

test('a deadline is found where all texts have one, and none where no text has one', () => {
  const texts = [textOf(5, { deadlineAt: 100 })];
  expect(queueOf(texts).overdue(100)).toEqual(texts);
  expect(queueOf([textOf(5)]).overdue(1e9)).toEqual([]);
});

describe('a group', () => {
  test('takes texts in the order of arrival, and fills up with the longest that fit', () => {
    const queue = queueOf([200, 200, 300, 60, 100, 52, 7, 60].map((tokens) => textOf(tokens)));
    expect(lengthsOf(queue.take(0, groupRows))).toEqual([200, 200, 100, 7]);
    expect(lengthsOf(queue.take(0, groupRows))).toEqual([300, 60, 52, 60]);
    expect(queue.take(0, groupRows)).toBeUndefined();
    expect(queue).toMatchObject({ size: 0, tokens: 0 });
  });

  test('is full as long as enough texts of any length wait', () => {
    const numbers = new Numbers(3);
    const queue = queueOf(Array.from({ length: 1000 }, () => textOf(numbers.integer(8, 256))));
    const taken: number[] = [];
    while (queue.size > 100) taken.push(queue.take(0, groupRows)?.tokens ?? 0);
    expect(Math.max(...taken)).toBe(groupRows);
    expect(Math.min(...taken)).toBeGreaterThan(0.95 * groupRows);
    expect(taken.reduce((sum, tokens) => sum + tokens, 0) / taken.length).toBeGreaterThan(0.99 * groupRows);
  });

  test('fills up with the first to come of equally long ones', () => {
    const texts = [groupRows - 32, 100, 32, 32].map((tokens) => textOf(tokens));
    const taken = queueOf(texts).take(0, groupRows);
    expect(taken?.entries.map(({ text }) => texts.indexOf(text))).toEqual([0, 2]);
  });

  test('fills up by turns, also where that fills it exactly', () => {
    const texts = [textOf(32), textOf(32, { priority: 3 }), textOf(groupRows - 32, { priority: 5 })];
    const taken = queueOf(texts).take(0, groupRows);
    expect(taken?.entries.map(({ text }) => texts.indexOf(text))).toEqual([2, 1]);
  });

  test('fills up with what came first of all, and with nothing that is one token too long', () => {
    const rest = [textOf(100, { priority: 3 }), textOf(groupRows - 32, { priority: 5 })];
    const fitting = [textOf(32), textOf(32), ...rest];
    const taken = queueOf(fitting).take(0, groupRows);
    expect(taken?.entries.map(({ text }) => fitting.indexOf(text))).toEqual([3, 0]);
    expect(lengthsOf(queueOf([textOf(33), ...rest]).take(0, groupRows))).toEqual([groupRows - 32]);
  });

  test('of a text that is longer than groups are takes what fits into its bucket', () => {
    const queue = queueOf([groupRows + 20, 100, 44, 40].map((tokens) => textOf(tokens)));
    expect(lengthsOf(queue.take(0, groupRows))).toEqual([groupRows + 20, 44]);
  });

  test('has at most so many texts', () => {
    const queue = queueOf(Array.from({ length: groupTexts + 3 }, () => textOf(1)));
    expect(queue.take(0, groupRows)?.entries.length).toBe(groupTexts);
    expect(queue.take(0, groupRows)?.entries.length).toBe(3);
  });

  test('is smaller where memory is short; a text that is longer is then alone', () => {
    const queue = queueOf([100, 4, 90, 30].map((tokens) => textOf(tokens)));
    expect(lengthsOf(queue.take(0, 64))).toEqual([100]);
    expect(lengthsOf(queue.take(0, 64))).toEqual([4, 30]);
    expect(lengthsOf(queue.take(0, 64))).toEqual([90]);
  });
});

describe('turns', () => {
  test('go by priority, which rises with time', () => {
    const queue = new EncoderQueue<QueuedText>();
    queue.push(textOf(400, { priority: 0 }), 0);
    queue.push(textOf(401, { priority: 5 }), 0);
    queue.push(textOf(402, { priority: 2 }), 6000);
    expect(lengthsOf(queue.take(6000, groupRows))).toEqual([401]);
    expect(lengthsOf(queue.take(6000, groupRows))).toEqual([400]);
    expect(lengthsOf(queue.take(6000, groupRows))).toEqual([402]);
  });

  test('are raised by whole seconds alone', () => {
    const queue = new EncoderQueue<QueuedText>();
    queue.push(textOf(400, { priority: 0 }), 0);
    queue.push(textOf(401, { priority: 1 }), 500);
    expect(lengthsOf(queue.take(999, 400))).toEqual([401]);
  });

  test('are those of arrival, also behind a text that was removed', () => {
    const texts = ['x', 'y', 'x'].map((tenant, index) => textOf(400 + index, { tenant }));
    const queue = queueOf(texts);
    queue.remove(texts[0] as QueuedText);
    expect(lengthsOf(queue.take(0, 400))).toEqual([401]);
  });

  test('are shared between tenants by tokens, within a group as well', () => {
    const many = Array.from({ length: 20 }, () => textOf(100, { tenant: 'many' }));
    const queue = queueOf([...many, textOf(101, { tenant: 'few' }), textOf(101, { tenant: 'few' })]);
    expect(lengthsOf(queue.take(0, groupRows))).toEqual([100, 101, 100, 101, 100]);
  });

  test('of a tenant that comes later begin with as much as the tenant that has least', () => {
    const queue = queueOf([...Array.from({ length: 9 }, () => textOf(400, { tenant: 'a' }))]);
    const next = () => lengthsOf(queue.take(0, 400))?.[0];
    expect([next(), next()]).toEqual([400, 400]);
    for (let i = 0; i < 3; i++) queue.push(textOf(401, { tenant: 'b' }), 0);
    // 800 each; then 1200 and 800, 1200 and 1201.
    expect([next(), next(), next()]).toEqual([400, 401, 400]);
    // 1600 and 1201: the next one has 1201.
    for (let i = 0; i < 2; i++) queue.push(textOf(402, { tenant: 'c' }), 0);
    expect([next(), next(), next()]).toEqual([401, 402, 400]);
  });

  test('of a tenant whose texts are all done owe nothing for them', () => {
    const queue = queueOf([500, 401, 401, 401].map((tokens, i) => textOf(tokens, { tenant: i === 0 ? 'a' : 'b' })));
    const next = () => lengthsOf(queue.take(0, 400))?.[0];
    expect(next()).toBe(500);
    queue.push(textOf(500, { tenant: 'a' }), 0);
    expect([next(), next(), next()]).toEqual([401, 500, 401]);
  });

  test('are looked for as long as that takes few looks; then the longest follow', () => {
    const tenants = Array.from({ length: 600 }, (_, i) => textOf(i < 599 ? 1 : 50, { tenant: String(i) }));
    const { entries } = queueOf(tenants).take(0, groupRows) as NonNullable<
      ReturnType<EncoderQueue<QueuedText>['take']>
    >;
    // 599 lines are left after the first text, 598 after the next one.
    expect(entries.slice(0, 4).map(({ number }) => number)).toEqual([0, 1, 599, 2]);
    const more = Array.from({ length: 1025 }, (_, i) => textOf(i < 1024 ? 1 : 50, { tenant: String(i) }));
    expect(queueOf(more).take(0, groupRows)?.entries[1]?.number).toBe(1024);
  });

  test('of thousands of tenants take no longer than those of some', () => {
    const queue = queueOf(Array.from({ length: 4000 }, (_, index) => textOf(2, { tenant: String(index) })));
    const { entries } = queue.take(0, groupRows) as NonNullable<ReturnType<typeof queue.take>>;
    expect(entries.length).toBe(groupTexts);
    expect(entries[0]?.number).toBe(0);
  });

  test('are kept by texts that are put back, and lost by those that are removed', () => {
    const texts = [300, 301, 302, 303].map((tokens) => textOf(tokens));
    const queue = queueOf(texts);
    const taken = queue.take(0, groupRows) as NonNullable<ReturnType<typeof queue.take>>;
    queue.remove(texts[1] as QueuedText);
    queue.putBack(taken);
    expect(queue.size).toBe(3);
    expect(lengthsOf(queue.take(0, groupRows))).toEqual([300]);
    expect(lengthsOf(queue.take(0, groupRows))).toEqual([302]);
    expect(lengthsOf(queue.take(0, groupRows))).toEqual([303]);
  });
});
