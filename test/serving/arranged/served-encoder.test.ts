// The server of an encoder: what is computed together, and who hears of which end.
import { getEventListeners } from 'node:events';
import { describe, expect, test, vi } from 'vitest';
import { TesseraeError } from '../../../src/base/errors.js';
import { groupRows } from '../../../src/forward/encoder/encoder-buckets.js';
import { EncoderPrograms } from '../../../src/forward/encoder/encoder-programs.js';
import {
  arranged,
  arrangeGroups,
  budget,
  deadlineAt,
  dim,
  groups,
  isError,
  names,
  settled,
} from './arranged-encoder.js';

arrangeGroups();

test('texts that come together are computed together, and what is told of it', async () => {
  const { served, embed, taken, logged } = arranged();
  vi.advanceTimersByTime(1000);
  embed(1, 3);
  embed(2, 5);
  const observed = { kind: 'embed', promptTokens: 3, priority: 0, tenant: '', deadlineAt: undefined };
  expect(logged().slice(0, 2)).toEqual([['request', observed, 5], 'queued']);
  expect(served.stats()).toMatchObject({ queued: 2, running: 0, steps: 0, expectedWaitMs: 0 });
  await settled();
  expect(names()).toEqual([[1, 2]]);
  expect(served.stats()).toMatchObject({ queued: 0, running: 2, steps: 0 });
  expect(logged().filter((one) => Array.isArray(one) && one[0] === 'begun')).toEqual([
    ['begun', 0],
    ['begun', 0],
  ]);
  vi.advanceTimersByTime(16);
  await groups[0]?.end();
  expect(taken().toSorted()).toEqual([
    [1, 1],
    [2, 2],
  ]);
  expect(logged()).toEqual([
    ['end', undefined],
    ['end', undefined],
    ['step', 8, 16],
  ]);
  expect(served.stats()).toMatchObject({
    queued: 0,
    running: 0,
    steps: 1,
    rowsPerStep: 8,
    pagesFree: Number.POSITIVE_INFINITY,
  });
  embed(3, 18);
  await settled();
  await groups[1]?.end();
  expect(served.stats()).toMatchObject({ steps: 2, rowsPerStep: 8 + 0.1 * (18 - 8) });
});

test('two groups are computed at a time, by programs of their own, and the next one when one is over', async () => {
  const { served, embed, taken, turns, other } = arranged();
  for (const name of [1, 2, 3, 4]) embed(name, groupRows);
  await settled();
  expect(names()).toEqual([[1], [2]]);
  expect(groups[0]?.programs).not.toBe(groups[1]?.programs);
  expect(turns.others(other)).toEqual({ work: true, starveWithMemory: false });
  vi.advanceTimersByTime(1024);
  await groups[1]?.end();
  expect(names()).toEqual([[1], [2], [3]]);
  expect(groups[2]?.programs).toBe(groups[1]?.programs);
  expect(served.stats()).toMatchObject({ queued: 1, running: 2, expectedWaitMs: 1024 });
  for (const at of [0, 2, 3]) await groups[at]?.end();
  expect(taken()).toEqual([
    [2, 2],
    [1, 1],
    [3, 3],
    [4, 4],
  ]);
  expect(turns.others(other)).toEqual({ work: false, starveWithMemory: false });
});

describe('an end that is early', () => {
  test('by a signal is heard at once, before and in a group of several', async () => {
    const { served, embed, taken } = arranged();
    const reasons = [1, 2, 3].map((name) => new Error(String(name)));
    const stops = reasons.map(() => new AbortController());
    embed(9, 3, { signal: AbortSignal.abort(reasons[0]) });
    await settled();
    expect(taken()).toEqual([[9, expect.objectContaining({ name: 'AbortError', cause: reasons[0] })]]);
    for (const [index, stop] of stops.entries()) embed(index + 1, 3, { signal: stop.signal });
    stops[0]?.abort(reasons[0]);
    await settled();
    expect(taken()).toEqual([[1, expect.objectContaining({ name: 'AbortError', cause: reasons[0] })]]);
    expect(names()).toEqual([[2, 3]]);
    stops[1]?.abort(reasons[1]);
    await settled();
    expect(taken()).toEqual([[2, expect.objectContaining({ cause: reasons[1] })]]);
    expect(groups[0]?.signal.aborted).toBe(false);
    stops[2]?.abort(reasons[2]);
    await settled();
    expect([groups[0]?.signal.aborted, taken(), served.stats().running]).toEqual([true, [], 2]);
    await groups[0]?.fail(new Error('stopped'));
    expect(taken()).toEqual([[3, expect.objectContaining({ cause: reasons[2] })]]);
    expect(served.stats().running).toBe(0);
  });

  test('by its signal is heard once, and not after its vector', async () => {
    const { embed, taken, logged } = arranged();
    const stop = new AbortController();
    embed(1, 3, { signal: stop.signal });
    await settled();
    await groups[0]?.end();
    logged();
    expect(getEventListeners(stop.signal, 'abort')).toEqual([]);
    stop.abort();
    expect(taken()).toEqual([[1, 1]]);
    expect(logged()).toEqual([]);
  });

  test('comes with a deadline, before it is computed and after', async () => {
    const { embed, taken } = arranged();
    embed(1, 3, deadlineAt(performance.now()));
    embed(2, 3, deadlineAt(performance.now() + 1));
    embed(3, 3, deadlineAt(performance.now() + 11));
    await settled();
    expect(taken()).toEqual([[1, isError('ERR_DEADLINE')]]);
    expect(names()).toEqual([[2, 3]]);
    vi.advanceTimersByTime(10);
    await groups[0]?.end();
    expect(taken()).toEqual([
      [2, isError('ERR_DEADLINE')],
      [3, 3],
    ]);
    embed(4, 3, deadlineAt(performance.now() + 5));
    await settled();
    vi.advanceTimersByTime(5);
    await groups[1]?.end();
    expect(taken()).toEqual([[4, isError('ERR_DEADLINE')]]);
  });
});

test('as many texts wait as may, but for those that wait for room first', async () => {
  const { served, embed, taken } = arranged(2);
  for (const name of [1, 2]) embed(name, groupRows);
  await settled();
  for (const name of [3, 4, 5]) embed(name, groupRows);
  for (const name of [6, 7, 8]) embed(name, groupRows, { isPatient: true });
  await settled();
  expect(taken()).toEqual([[5, isError('ERR_QUEUE_FULL')]]);
  expect(served.stats().queued).toBe(4);
  await groups[0]?.end();
  await groups[1]?.end();
  embed(9, groupRows);
  await settled();
  expect(taken()).toEqual([
    [1, 1],
    [2, 2],
  ]);
  for (let at = 2; at < 9; at++) await groups[at]?.end();
  expect(
    taken()
      .map((one) => (one as unknown[])[0])
      .toSorted(),
  ).toEqual([3, 4, 6, 7, 8, 9]);
});

describe('what fails', () => {
  test('is all texts of a group, and the others go on', async () => {
    const { served, embed, taken, logged } = arranged();
    embed(1, 300);
    embed(2, 200);
    embed(3, groupRows);
    await settled();
    expect(names()).toEqual([[1, 2], [3]]);
    logged();
    const error = new Error('failed');
    await groups[0]?.fail(error);
    expect(taken()).toEqual([
      [1, error],
      [2, error],
    ]);
    expect(logged()).toEqual([
      ['end', error],
      ['end', error],
    ]);
    await groups[1]?.end();
    expect(taken()).toEqual([[3, 3]]);
    expect(served.stats().steps).toBe(1);
  });

  test('by a lost worker is computed once more, and fails the second time', async () => {
    const { embed, taken } = arranged();
    const lost = new TesseraeError('ERR_WORKER_LOST', 'lost');
    embed(1, 3);
    await settled();
    await groups[0]?.fail(lost);
    expect(names()).toEqual([[1], [1]]);
    await groups[1]?.end();
    expect(taken()).toEqual([[1, 1]]);
    embed(2, 3);
    await settled();
    await groups[2]?.fail(lost);
    await groups[3]?.fail(lost);
    expect(taken()).toEqual([[2, lost]]);
    expect(groups).toHaveLength(4);
  });
});

describe('the end', () => {
  const error = new TesseraeError('ERR_ENGINE_CLOSED', 'closed');

  test('ends all texts, and refuses others', async () => {
    const { served, embed, taken } = arranged();
    for (const name of [1, 2, 3]) embed(name, groupRows);
    await settled();
    served.end(error);
    await settled();
    expect(taken()).toEqual([[3, error]]);
    expect(groups.map(({ signal }) => signal.aborted)).toEqual([true, true]);
    for (const group of [...groups]) await group.fail(new Error('stopped'));
    expect(taken()).toEqual([
      [1, error],
      [2, error],
    ]);
    served.end(new Error('again'));
    embed(4, 3);
    await settled();
    expect(taken()).toEqual([[4, error]]);
  });

  test.each(['running', 'all'] as const)('by a drain of %s waits for what is to be finished', async (kind) => {
    const { served, embed, taken } = arranged();
    for (const name of [1, 2, 3]) embed(name, groupRows);
    await settled();
    let isOver = false;
    const drained = served.drain(kind, error).then(() => {
      isOver = true;
    });
    await settled();
    expect(taken()).toEqual(kind === 'running' ? [[3, error]] : []);
    await groups[0]?.end();
    expect(isOver).toBe(false);
    if (kind === 'running') {
      embed(4, 3);
      await settled();
      expect(taken()).toContainEqual([4, error]);
    }
    for (const group of groups.slice(1)) await group.end();
    await drained;
    await arranged().served.drain('all', error);
  });

  test('of the model frees programs and weights', async () => {
    const disposed = vi.spyOn(EncoderPrograms.prototype, 'dispose').mockImplementation(() => {});
    const { served, embed, taken, logged, turns, other } = arranged();
    embed(1, 100);
    await settled();
    await groups[0]?.fail(budget);
    logged();
    served.dispose();
    await settled();
    expect(taken()).toEqual([[1, expect.objectContaining({ code: 'ERR_DISPOSED', op: 'embed' })]]);
    expect(logged().slice(1)).toEqual(['unregistered', 'weight disposed', 'constant disposed']);
    expect(new Set(disposed.mock.contexts).size).toBe(2);
    expect(vi.getTimerCount()).toBe(0);
    const running = arranged();
    running.embed(2, 100);
    await settled();
    running.served.dispose();
    expect(running.turns.others(running.other).work).toBe(false);
    expect(turns.others(other).work).toBe(false);
  });
});

test('the rest of what a server does', async () => {
  const { served, shortages } = arranged();
  expect(served.lanes).toBe(512);
  expect(() => served.decoder('generate')).toThrow('generate: a model of architecture bert gives embeddings only');
  expect(() => served.decoder('generate')).toThrow(isError('ERR_UNSUPPORTED'));
  const warmup = vi.spyOn(EncoderPrograms.prototype, 'warmup').mockResolvedValue();
  await served.warmup();
  expect(warmup.mock.calls).toEqual([[groupRows], [groupRows]]);
  expect(new Set(warmup.mock.contexts).size).toBe(2);
  let frees = [false, true];
  vi.spyOn(EncoderPrograms.prototype, 'freeMemory').mockImplementation(() => frees.shift() as boolean);
  expect(shortages.get('programs')?.()).toBe(true);
  frees = [false, false];
  expect(shortages.get('programs')?.()).toBe(false);
  const disposed = vi.spyOn(EncoderPrograms.prototype, 'dispose').mockImplementation(() => {});
  const profile = vi.spyOn(EncoderPrograms.prototype, 'profile').mockRejectedValue(budget);
  await expect(served.profileTexts([[1, 2]], { runs: 3 } as never)).rejects.toBe(budget);
  const pooled = { pooling: 'mean', normalize: true, dimensions: dim };
  expect(profile.mock.calls).toEqual([[[{ ids: [1, 2], pooling: pooled }], { runs: 3 }]]);
  expect(disposed.mock.contexts).toEqual(profile.mock.contexts);
});
