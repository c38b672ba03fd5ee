// The server of a decoder: what it submits for a job, who hears of which end, what it reports, and what it frees.
import { describe, expect, test, vi } from 'vitest';
import { TesseraeError } from '../../../src/base/errors.js';
import type { Page } from '../../../src/forward/page-table.js';
import { mostRows } from '../../../src/forward/row-buckets.js';
import { Sequence } from '../../../src/forward/sequence.js';
import { StepPrograms } from '../../../src/forward/step-programs.js';
import { Scheduler } from '../../../src/serving/scheduling/scheduler.js';
import { PooledPages } from '../../../src/serving/steps/pooled-pages.js';
import { StepLoop } from '../../../src/serving/steps/step-loop.js';
import { arranged, arrangeSteps, isError, settled, steps } from './arranged-decoder.js';

arrangeSteps();

describe('a generation', () => {
  test('is submitted with its prompt and its turn, and its stream hears of the end', async () => {
    const { generate, taken, logged, specs, served } = arranged();
    expect(served.lanes).toBe(512);
    expect(served.decoder()).toBe(served);
    const ids = [1, 2, 3];
    await generate('a', ids, 2);
    const observed = { kind: 'generate', promptTokens: 3, priority: 3, tenant: 't', deadlineAt: undefined };
    expect(logged()).toEqual([['request', observed, 5], 'queued']);
    expect(specs()).toEqual([
      {
        ids,
        priority: 3,
        tenant: 't',
        deadlineAt: undefined,
        onRelease: undefined,
        salt: '',
        output: 'sample',
        isPatient: undefined,
      },
    ]);
    await settled();
    await steps[0]?.end();
    expect(ids).toEqual([1, 2, 3]);
    expect(taken()).toEqual([]);
    await steps[1]?.end();
    expect(taken()).toEqual([['a', [7, 7], 9]]);
    await generate('b', [4], 1, { isChat: true, salt: 'own' });
    expect(logged()).toContainEqual(['request', { ...observed, kind: 'chat', promptTokens: 1 }, 5]);
    expect(specs()[1]).toMatchObject({ salt: 'own' });
    const uncached = arranged({ prefixCache: false });
    await uncached.generate('c', [4], 1);
    await uncached.generate('d', [4], 1, { salt: 'own' });
    expect(
      uncached
        .specs()
        .map(({ salt }) => salt)
        .slice(-2),
    ).toEqual([undefined, 'own']);
  });

  test('is cancelled by its signal, or by its stream', async () => {
    const { generate, taken, attached } = arranged();
    const reason = new Error('enough');
    const stop = new AbortController();
    void generate('a', [1, 2], 5, { signal: stop.signal });
    void generate('b', [3, 4], 5);
    await settled();
    stop.abort(reason);
    await settled();
    expect(taken()).toEqual([['a', expect.objectContaining({ name: 'AbortError', cause: reason })]]);
    await steps[0]?.end();
    attached[1]?.park();
    await steps[1]?.end();
    expect(steps).toHaveLength(2);
    attached[1]?.resume();
    await settled();
    expect(steps).toHaveLength(3);
    attached[1]?.cancel(reason);
    await steps[2]?.end();
    expect(taken()).toEqual([['b', reason]]);
    void generate('c', [5], 5, { signal: AbortSignal.abort(reason) });
    await settled();
    expect(taken()).toEqual([['c', expect.objectContaining({ name: 'AbortError', cause: reason })]]);
    expect(steps).toHaveLength(3);
  });

  test('does not listen to its signal any more when it is over', async () => {
    const { generate, embed, taken } = arranged();
    const cancelled = vi.spyOn(StepLoop.prototype, 'cancel');
    const stop = new AbortController();
    void generate('a', [1, 2], 1, { signal: stop.signal });
    embed('b', [3, 4], { signal: stop.signal });
    await settled();
    await steps[0]?.end();
    expect(taken()).toHaveLength(2);
    stop.abort();
    expect(cancelled).not.toHaveBeenCalled();
  });

  test('waits for room where it is patient, and is refused otherwise', async () => {
    const { generate, taken, specs } = arranged({ maxQueued: 1 });
    // Nothing is admitted before the first step.
    void generate('a', [1], 1);
    void generate('b', [2], 1);
    await settled();
    expect(taken()).toEqual([['b', isError('ERR_QUEUE_FULL')]]);
    await steps[0]?.end();
    expect(taken()).toEqual([['a', [7], 9]]);
    for (const name of ['c', 'd', 'e']) void generate(name, [3], 1, { isPatient: true });
    await settled();
    // One runs and one waits; the last one is not submitted before that.
    expect(specs()).toHaveLength(4);
    const ended: unknown[] = [];
    for (let step = 1; ended.length < 3; step++) {
      if (step > 9) throw new Error('they do not end');
      await settled();
      await steps[step]?.end();
      ended.push(...taken());
    }
    expect(ended).toEqual(['c', 'd', 'e'].map((name) => [name, [7], 9]));
  });

  test('goes on from what a session has lent, and gives it back', async () => {
    const { generate, taken, specs, layout } = arranged();
    const page = { release: () => {}, share: () => page, isShared: false, directory: {}, bytes: {} } as unknown as Page;
    const returned: unknown[] = [];
    const lend = (tokens: number) => ({
      pages: [page],
      computed: 3,
      layout: { ...layout, type: 'q8_0' } as never,
      giveBack: (ids: readonly number[], pages: Page[], computed: number, isComplete: boolean) =>
        returned.push([[...ids], pages.length, computed, isComplete, tokens]),
    });
    const ids = [1, 2, 3, 4];
    const lent = lend(2);
    await generate('a', ids, 2, { lent, salt: 'x' });
    expect(specs()[0]).toMatchObject({ pages: [page], computed: 3, salt: undefined });
    expect(specs()[0]?.pages).not.toBe(lent.pages);
    await settled();
    await steps[0]?.end();
    await steps[1]?.end();
    // The last token was chosen, and not computed.
    expect(returned).toEqual([[[1, 2, 3, 4, 7, 7], 1, 5, true, 2]]);
    expect(taken()).toEqual([['a', [7, 7], 9]]);
    const stop = new AbortController();
    void generate('b', ids, 5, { lent: lend(5), signal: stop.signal });
    await settled();
    await steps[2]?.end();
    stop.abort();
    await steps[3]?.fail(new Error('stopped'));
    expect(returned[1]).toEqual([[1, 2, 3, 4, 7], 1, 4, false, 5]);
  });
});

test('a text is embedded, and fails with what its step fails with', async () => {
  const { embed, taken, logged, specs } = arranged();
  const ids = [1, 2, 3];
  embed('a', ids);
  const observed = { kind: 'embed', promptTokens: 3, priority: 3, tenant: 't', deadlineAt: undefined };
  expect(logged()).toEqual([['request', observed, 5], 'queued']);
  expect(specs()[0]).toEqual({
    ids,
    priority: 3,
    tenant: 't',
    deadlineAt: undefined,
    salt: undefined,
    output: 'hidden',
    isPatient: undefined,
  });
  await settled();
  await steps[0]?.end();
  expect(taken()).toEqual([['a', 5]]);
  const error = new Error('failed');
  embed('b', ids, { isPatient: true });
  await settled();
  await steps[1]?.fail(error);
  expect(taken()).toEqual([['b', error]]);
  expect(specs()[1]).toMatchObject({ isPatient: true });
  const reason = new Error('enough');
  const stop = new AbortController();
  embed('c', ids, { signal: stop.signal });
  await settled();
  stop.abort(reason);
  await steps[2]?.fail(new Error('stopped'));
  embed('d', ids, { signal: AbortSignal.abort(reason) });
  await settled();
  const aborted = expect.objectContaining({ name: 'AbortError', cause: reason });
  expect(taken()).toEqual([
    ['c', aborted],
    ['d', aborted],
  ]);
});

test('texts wait for room where they are patient', async () => {
  const { embed, taken, specs } = arranged({ maxQueued: 1 });
  for (const name of ['a', 'b', 'c']) embed(name, [1, 2], { isPatient: true });
  await settled();
  expect(specs()).toHaveLength(2);
  const ended: unknown[] = [];
  for (let step = 0; ended.length < 3; step++) {
    if (step > 9) throw new Error('they do not end');
    await settled();
    await steps[step]?.end();
    ended.push(...taken());
  }
  expect(ended).toEqual(['a', 'b', 'c'].map((name) => [name, 5]));
});

test('a lane hears of preemptions and of copies of pages, and keeps its programs for those that are parked', async () => {
  const { generate, attached, shortages, logged } = arranged();
  vi.spyOn(StepPrograms.prototype, 'freeMemory').mockReturnValue(true);
  const rented = vi.spyOn(PooledPages.prototype, 'rent');
  const woken = vi.spyOn(StepLoop.prototype, 'wake');
  void generate('a', [1, 2], 5);
  await settled();
  attached[0]?.park();
  await steps[0]?.end();
  const free = (place: number) => shortages[place]?.[1]();
  expect([steps.length, free(1)]).toEqual([1, false]);
  logged();
  expect(free(3)).toBe(true);
  expect(logged()).toContain('preempted');
  expect(free(1)).toBe(true);
  woken.mockClear();
  const [pages] = rented.mock.contexts as PooledPages[];
  const page = pages?.rent() as Page;
  await new Promise<void>((resolve) => pages?.copy(page, page, () => resolve()));
  await settled();
  expect(woken).toHaveBeenCalledTimes(1);
});

test('what it reports is that of all lanes', async () => {
  const { served, generate, layout } = arranged();
  expect(served.stats()).toMatchObject({ queued: 0, running: 0, steps: 0, declinedTokens: 2, expectedWaitMs: 0 });
  void generate('a', [1, 2, 3, 4], 2);
  await settled();
  await steps[0]?.end();
  expect(served.stats()).toMatchObject({ queued: 0, running: 1, steps: 1, rowsPerStep: 4, computeMs: 6 });
  const lent = { pages: [], computed: 0, layout: { ...layout, type: 'f16' } as never, giveBack: () => {} };
  void generate('b', [1, 2], 2, { lent });
  expect(served.stats()).toMatchObject({ queued: 1, running: 1, declinedTokens: 4 });
  await steps[1]?.end();
  await settled();
  // Two tokens wait in a lane that has had no step yet.
  expect(served.stats().steps).toBe(2);
});

test('how long a request is expected to wait: the tokens before it, by the steps that they take', async () => {
  const { served, generate } = arranged();
  void generate('a', [1, 2, 3, 4], 1);
  await settled();
  await steps[0]?.end();
  for (const name of ['b', 'c']) void generate(name, [1, 2, 3, 4, 5, 6], 1);
  expect(served.stats().expectedWaitMs).toBe((12 / 4) * 6);
});

test('sequences are lent for the length of some work, and not longer than the model is there', async () => {
  const { served } = arranged();
  const disposed = vi.spyOn(Sequence.prototype, 'dispose');
  expect(
    await served.withSequence(async (sequence) => [sequence instanceof Sequence, disposed.mock.calls.length]),
  ).toEqual([true, 0]);
  expect(disposed).toHaveBeenCalledTimes(1);
  const error = new Error('mine');
  await expect(served.withSequence(() => Promise.reject(error))).rejects.toBe(error);
  expect(disposed).toHaveBeenCalledTimes(2);
  let end = () => {};
  const lent = served.withSequence(
    () =>
      new Promise<void>((resolve) => {
        end = resolve;
      }),
  );
  served.dispose();
  expect(disposed).toHaveBeenCalledTimes(3);
  end();
  await lent;
  expect(disposed).toHaveBeenCalledTimes(4);
});

describe('the end', () => {
  const error = new TesseraeError('ERR_ENGINE_CLOSED', 'closed');

  test('ends all requests of all lanes', async () => {
    const { served, generate, taken, layout } = arranged();
    void generate('a', [1], 5);
    void generate('b', [1], 5, {
      lent: { pages: [], computed: 0, layout: { ...layout, type: 'f16' } as never, giveBack: () => {} },
    });
    await settled();
    served.end(error);
    for (const step of [...steps]) await step.fail(new Error('stopped'));
    expect(taken().toSorted()).toEqual([
      ['a', error],
      ['b', error],
    ]);
  });

  test('by a drain waits for all lanes', async () => {
    const { served, generate, taken } = arranged();
    void generate('a', [1], 1);
    await settled();
    void generate('b', [1], 1);
    let isOver = false;
    const drained = served.drain('running', error).then(() => {
      isOver = true;
    });
    await settled();
    expect(taken()).toEqual([['b', error]]);
    expect(isOver).toBe(false);
    await steps[0]?.end();
    await drained;
    expect(taken()).toEqual([['a', [7], 9]]);
  });

  test('of the model frees all that it has', async () => {
    const { served, generate, taken, logged } = arranged();
    const cleared = vi.spyOn(Scheduler.prototype, 'clearCache');
    void generate('a', [1], 5);
    await settled();
    logged();
    served.dispose();
    await steps[0]?.fail(new Error('stopped'));
    expect(taken()).toEqual([['a', isError('ERR_DISPOSED')]]);
    expect(logged().filter((one) => one !== 'page disposed')).toEqual([
      'programs unregistered',
      'programs unregistered',
      'caches unregistered',
      'caches unregistered',
      'requests unregistered',
      'programs disposed',
      ['given back', 'directory'],
      'weight disposed',
      'constant disposed',
    ]);
    expect(cleared).toHaveBeenCalledTimes(1);
    expect(StepPrograms.prototype.dispose).toHaveBeenCalledTimes(1);
  });
});

test('the rest of what a server does', async () => {
  const { served, logged, shortages, generate } = arranged();
  const unsupported = { code: 'ERR_UNSUPPORTED', op: 'profile' };
  await expect(served.profileTexts()).rejects.toMatchObject(unsupported);
  const warmup = vi.spyOn(StepPrograms.prototype, 'warmup').mockResolvedValue();
  await served.warmup();
  expect(warmup.mock.calls).toEqual([[mostRows]]);
  const cleared = vi.spyOn(Scheduler.prototype, 'clearCache');
  served.clearCache();
  expect(cleared).toHaveBeenCalledTimes(1);
  const forgotten = vi.spyOn(Scheduler.prototype, 'forget');
  served.forget('salt');
  expect(forgotten.mock.calls).toEqual([['salt']]);
  expect(shortages.map(([kind]) => kind)).toEqual(['programs', 'programs', 'caches', 'caches', 'requests']);
  logged();
  expect(shortages[0]?.[1]()).toBe(true);
  expect(logged()).toEqual(['idle dropped']);
  const free = vi.spyOn(StepPrograms.prototype, 'freeMemory').mockReturnValue(true);
  const calls = [
    vi.spyOn(Scheduler.prototype, 'evict').mockReturnValue(true),
    vi.spyOn(Scheduler.prototype, 'preemptParked').mockReturnValue(true),
    vi.spyOn(Scheduler.prototype, 'preempt').mockReturnValue(true),
  ];
  expect(shortages[1]?.[1]()).toBe(true);
  expect(free).toHaveBeenCalledTimes(1);
  for (const [index, call] of calls.entries()) {
    expect(shortages[index + 2]?.[1]()).toBe(true);
    expect(call).toHaveBeenCalledTimes(1);
  }
  // While requests are served, what the next step needs is not idle.
  void generate('a', [1], 2);
  await settled();
  expect(shortages[1]?.[1]()).toBe(false);
  await steps[0]?.end();
  expect(shortages[1]?.[1]()).toBe(false);
  await steps[1]?.end();
  expect(shortages[1]?.[1]()).toBe(true);
  expect(free).toHaveBeenCalledTimes(2);
});
