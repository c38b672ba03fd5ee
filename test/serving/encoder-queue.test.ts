// The queue of an encoder: whose turn it is, how groups are filled, and that texts that are put back keep their place.
import { describe, expect, test } from 'vitest';
import { encoderBucketFor, groupRows, groupTexts } from '../../src/forward/encoder/encoder-buckets.js';
import { EncoderQueue, type QueuedText } from '../../src/serving/encoder-queue.js';
import { Numbers } from '../support/numbers.js';

interface Given {
  readonly priority?: number;
  readonly tenant?: string;
}

function textOf(tokens: number, { priority = 0, tenant = '' }: Given = {}): QueuedText {
  const turn = { priority, tenant, deadlineAt: undefined };
  return { ids: Array.from({ length: tokens }, () => 1), turn, isPatient: false };
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

  test('are shared between tenants by tokens, within a group as well', () => {
    const many = Array.from({ length: 20 }, () => textOf(100, { tenant: 'many' }));
    const queue = queueOf([...many, textOf(101, { tenant: 'few' }), textOf(101, { tenant: 'few' })]);
    expect(lengthsOf(queue.take(0, groupRows))).toEqual([100, 101, 100, 101, 100]);
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
