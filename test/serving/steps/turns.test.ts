// The turns of several models: who computes next, where newcomers begin, and what each reports to the others.
import { expect, test } from 'vitest';
import { type Account, Turns } from '../../../src/serving/steps/turns.js';

/** Accounts whose turns are written into a list when they begin. */
function turnsOf(names: string) {
  const turns = new Turns();
  const order: string[] = [];
  const accounts = new Map([...names].map((name) => [name, turns.open()]));
  const of = (name: string) => accounts.get(name) as Account;
  const acquire = async (name: string) => {
    await turns.acquire(of(name));
    order.push(name);
  };
  const release = async (name: string, ms: number) => {
    turns.release(of(name), ms);
    await Promise.resolve();
    await Promise.resolve();
  };
  return { turns, order, of, acquire, release };
}

test('a turn is free at once where nobody has it, and again when it is released', () => {
  const { turns, of } = turnsOf('ab');
  expect(turns.acquire(of('a'))).toBeUndefined();
  turns.release(of('a'), 5);
  expect(of('a').usedMs).toBe(5);
  expect(turns.acquire(of('b'))).toBeUndefined();
  expect(turns.acquire(of('a'))).toBeInstanceOf(Promise);
});

test('the next turn is that of the model that has computed least, of equal ones the first to ask', async () => {
  const { order, of, acquire, release } = turnsOf('abcd');
  of('b').usedMs = 30;
  of('c').usedMs = 10;
  of('d').usedMs = 10;
  for (const name of 'abcd') void acquire(name);
  await release('a', 1);
  expect(order).toEqual(['a', 'c']);
  void acquire('a');
  await release('c', 1);
  expect(order).toEqual(['a', 'c', 'd']);
  await release('d', 1);
  // a has the 10 ms of the one that had a turn when it asked.
  expect([order.at(-1), of('a').usedMs]).toEqual(['a', 10]);
  await release('a', 1);
  expect(order).toEqual(['a', 'c', 'd', 'a', 'b']);
  await release('b', 1);
  expect(order).toHaveLength(5);
});

test('a model that was idle makes up for nothing, and one that has computed longer keeps that', async () => {
  const { turns, of, order, acquire, release } = turnsOf('ab');
  void acquire('a');
  await release('a', 100);
  void acquire('a');
  expect(of('a').usedMs).toBe(100);
  const late = turns.open();
  expect(turns.acquire(late)).toBeInstanceOf(Promise);
  expect(late.usedMs).toBe(100);
  await release('a', 1);
  expect(late.wake).toBeUndefined();
  // One with less than those before it never makes the beginning of others lower.
  of('b').usedMs = 5;
  void acquire('b');
  turns.release(late, 0);
  await Promise.resolve();
  expect(of('b').usedMs).toBe(100);
  expect(order.at(-1)).toBe('b');
});

test('only the holder ends its turn', () => {
  const { turns, of } = turnsOf('ab');
  expect(turns.acquire(of('a'))).toBeUndefined();
  turns.release(of('b'), 7);
  expect(of('b').usedMs).toBe(0);
  expect(turns.acquire(of('b'))).toBeInstanceOf(Promise);
});

test('each sees what the others do, as long as those are open', () => {
  const { turns, of } = turnsOf('abc');
  const [a, b, c] = [of('a'), of('b'), of('c')];
  const none = { work: false, starveWithMemory: false };
  a.activity = 'working';
  a.holdsMemory = true;
  expect(turns.others(a)).toEqual(none);
  expect(turns.others(b)).toEqual({ work: true, starveWithMemory: false });
  b.activity = 'starved';
  expect(turns.others(a)).toEqual(none);
  c.holdsMemory = true;
  expect(turns.others(a)).toEqual(none);
  b.holdsMemory = true;
  expect(turns.others(a)).toEqual({ work: false, starveWithMemory: true });
  expect(turns.others(b)).toEqual({ work: true, starveWithMemory: false });
  expect(turns.others(c)).toEqual({ work: true, starveWithMemory: true });
  turns.close(b);
  expect(turns.others(a)).toEqual(none);
});
