// The server of an encoder where memory is short: smaller groups, and one text again and again.
import { describe, expect, test, vi } from 'vitest';
import { groupRows } from '../../../src/forward/encoder/encoder-buckets.js';
import { arranged, arrangeGroups, budget, groups, names, settled } from './arranged-encoder.js';

arrangeGroups();

describe('where memory is short', () => {
  test('one group at a time is tried, and two again when all are done', async () => {
    const { embed, taken } = arranged();
    for (const name of [1, 2, 3]) embed(name, groupRows);
    await settled();
    await groups[1]?.fail(budget);
    expect(names()).toEqual([[1], [2]]);
    await groups[0]?.end();
    expect(names()).toEqual([[1], [2], [2]]);
    await groups[2]?.end();
    expect(names()).toEqual([[1], [2], [2], [3]]);
    await groups[3]?.end();
    expect(taken()).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
    ]);
    for (const name of [4, 5]) embed(name, groupRows);
    await settled();
    expect(names().slice(4)).toEqual([[4], [5]]);
  });

  test('smaller groups are tried, of half the tokens each time', async () => {
    const { embed, taken } = arranged();
    for (const name of [1, 2, 3, 4]) embed(name, 100);
    await settled();
    expect(names()).toEqual([[1, 2, 3, 4]]);
    await groups[0]?.fail(budget);
    expect(names().slice(1)).toEqual([
      [1, 2],
      [3, 4],
    ]);
    await groups[2]?.end();
    await groups[1]?.fail(budget);
    expect(names().slice(3)).toEqual([[1], [2]]);
    await groups[3]?.end();
    await groups[4]?.end();
    expect(taken()).toEqual([
      [3, 3],
      [4, 4],
      [1, 1],
      [2, 2],
    ]);
    for (const name of [5, 6]) embed(name, 100);
    await settled();
    expect(names()[5]).toEqual([5, 6]);
  });

  test('texts that nobody waits for any more are not tried again', async () => {
    const { embed, taken } = arranged();
    const stop = new AbortController();
    embed(1, 100, { signal: stop.signal });
    embed(2, 100);
    await settled();
    stop.abort();
    await groups[0]?.fail(budget);
    expect(names()).toEqual([[1, 2]]);
    taken();
    vi.advanceTimersByTime(20);
    await settled();
    expect(names()).toEqual([[1, 2], [2]]);
    const last = arranged();
    const other = new AbortController();
    last.embed(3, 100, { signal: other.signal });
    await settled();
    other.abort();
    await groups[2]?.fail(budget);
    expect(last.taken()).toEqual([[3, expect.objectContaining({ name: 'AbortError' })]]);
    expect(groups).toHaveLength(3);
    last.embed(4, 100);
    await settled();
    expect(names()[3]).toEqual([4]);
  });

  test('a single text is tried again after a while, until it was without hope for a second', async () => {
    const { embed, taken, turns, other, served } = arranged();
    embed(1, 100);
    await settled();
    let tries = 0;
    for (; tries < 51; tries++) {
      expect(groups).toHaveLength(tries + 1);
      await groups[tries]?.fail(budget);
      expect(taken()).toEqual([]);
      if (tries === 49) break;
      expect(turns.others(other)).toEqual({ work: false, starveWithMemory: false });
      expect(served.stats()).toMatchObject({ queued: 1, running: 0 });
      vi.advanceTimersByTime(19);
      await settled();
      expect(groups).toHaveLength(tries + 1);
      vi.advanceTimersByTime(1);
      await settled();
    }
    vi.advanceTimersByTime(20);
    await settled();
    await groups[tries + 1]?.fail(budget);
    expect(taken()).toEqual([[1, budget]]);
    embed(2, 100);
    await settled();
    await groups.at(-1)?.end();
    expect(taken()).toEqual([[2, 2]]);
  });

  test('a text that comes meanwhile does not try, but all when the while is over', async () => {
    const { embed } = arranged();
    embed(1, 100);
    await settled();
    await groups[0]?.fail(budget);
    embed(2, 100);
    await settled();
    expect(groups).toHaveLength(1);
    vi.advanceTimersByTime(20);
    await settled();
    expect(names()[1]).toEqual([1, 2]);
  });

  test.each(['working', 'starved'] as const)('there is hope as long as others may free some: %s', async (activity) => {
    const { embed, taken, other } = arranged();
    other.activity = activity;
    other.holdsMemory = true;
    embed(1, 100);
    await settled();
    const fails = async (times: number) => {
      for (let time = 0; time < times; time++) {
        await groups.at(-1)?.fail(budget);
        vi.advanceTimersByTime(20);
        await settled();
      }
    };
    await fails(60);
    expect(taken()).toEqual([]);
    other.activity = 'idle';
    await fails(49);
    expect(taken()).toEqual([]);
    await fails(2);
    expect(taken()).toEqual([[1, budget]]);
  });

  test.each([
    ['beside another group', false],
    ['with another text', true],
  ])('a text that has waited long is tried again %s', async (_, comesFirst) => {
    const { embed, taken } = arranged();
    embed(1, 100);
    await settled();
    await groups[0]?.fail(budget);
    if (comesFirst) embed(2, 100);
    vi.advanceTimersByTime(990);
    await settled();
    if (!comesFirst) embed(2, 100);
    await settled();
    expect(names().slice(1)).toEqual(comesFirst ? [[1, 2]] : [[1], [2]]);
    vi.advanceTimersByTime(10);
    await groups[1]?.fail(budget);
    expect(taken()).toEqual([]);
  });

  test('the wait begins anew when a group was computed', async () => {
    const { embed, taken } = arranged();
    embed(1, 100);
    await settled();
    await groups[0]?.fail(budget);
    vi.advanceTimersByTime(990);
    await settled();
    await groups[1]?.end();
    embed(2, 100);
    await settled();
    await groups[2]?.fail(budget);
    vi.advanceTimersByTime(990);
    await settled();
    await groups[3]?.fail(budget);
    expect(taken()).toEqual([[1, 1]]);
  });
});
