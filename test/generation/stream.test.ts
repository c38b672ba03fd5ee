// The stream between the server of a request and its consumer, without a model: order, endings, and who is asked to wait.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { AbortError, TesseraeError } from '../../src/base/errors.js';
import { Generation, GenerationStream } from '../../src/generation/generation.js';
import type { GenerationResult } from '../../src/generation/generation-result.js';

const result = { text: 'the result' } as GenerationResult;
const pieceOf = (id: number) => ({ id, text: `${id}` });
const failure = new TesseraeError('ERR_WORKER_LOST', 'a worker is gone');

/** A stream whose server records the calls that it gets. */
function served(onFail?: (error: unknown) => void) {
  const stream = new GenerationStream(onFail);
  const told: string[] = [];
  const errors: Error[] = [];
  stream.attach({
    cancel: (error) => {
      told.push('cancel');
      errors.push(error);
    },
    park: () => void told.push('park'),
    resume: () => void told.push('resume'),
  });
  return { stream, generation: new Generation(stream), told, errors };
}

const done = { done: true, value: result };
const doneAfterFailure = { done: true, value: undefined };

describe('pieces', () => {
  test('that came before anybody read are given in order, then the result, again and again', async () => {
    const { stream, generation } = served();
    for (const id of [1, 2]) stream.push(pieceOf(id));
    expect(stream.isOver).toBe(false);
    stream.finish(result);
    expect(stream.isOver).toBe(true);
    for (const id of [1, 2]) expect(await generation.next()).toEqual({ done: false, value: pieceOf(id) });
    for (let i = 0; i < 2; i++) expect(await generation.next()).toEqual(done);
    expect(await generation.result).toBe(result);
  });

  test('go to those that wait for one, in order; all that still wait at the end get the result', async () => {
    const { stream, generation } = served();
    const reads = Array.from({ length: 4 }, () => generation.next());
    for (const id of [1, 2]) stream.push(pieceOf(id));
    stream.finish(result);
    expect(await Promise.all(reads)).toEqual([
      { done: false, value: pieceOf(1) },
      { done: false, value: pieceOf(2) },
      done,
      done,
    ]);
  });

  test('that come after the end are not given', async () => {
    const { stream, generation } = served();
    stream.finish(result);
    stream.push(pieceOf(1));
    expect(await generation.next()).toEqual(done);
  });

  test('are iterated by for await', async () => {
    const { stream, generation } = served();
    for (const id of [1, 2]) stream.push(pieceOf(id));
    stream.finish(result);
    const ids: number[] = [];
    for await (const { id } of generation) ids.push(id);
    expect(ids).toEqual([1, 2]);
  });
});

describe('a failure', () => {
  test('comes once, after the pieces before it; then the iteration is done', async () => {
    const { stream, generation } = served();
    stream.push(pieceOf(1));
    stream.fail(failure);
    expect(await generation.next()).toEqual({ done: false, value: pieceOf(1) });
    await expect(generation.next()).rejects.toBe(failure);
    expect(await generation.next()).toEqual(doneAfterFailure);
    await expect(generation.result).rejects.toBe(failure);
  });

  test('goes to the first that waits; the others are done, and so is who comes later', async () => {
    const { stream, generation } = served();
    const reads = Array.from({ length: 3 }, () => generation.next());
    stream.fail(failure);
    expect(await Promise.allSettled(reads)).toEqual([
      { status: 'rejected', reason: failure },
      { status: 'fulfilled', value: doneAfterFailure },
      { status: 'fulfilled', value: doneAfterFailure },
    ]);
    expect(await generation.next()).toEqual(doneAfterFailure);
  });

  test('by an abort drops the pieces that nobody has read', async () => {
    const { stream, generation } = served();
    stream.push(pieceOf(1));
    const aborted = new AbortError(new Error('enough'));
    stream.fail(aborted);
    await expect(generation.next()).rejects.toBe(aborted);
  });

  test('is the only end: what comes after it changes nothing, nor does a failure after the result', async () => {
    const seen: unknown[] = [];
    const failed = served((error) => seen.push(error));
    failed.stream.fail(failure);
    failed.stream.finish(result);
    failed.stream.fail(new Error('another'));
    await expect(failed.generation.result).rejects.toBe(failure);
    await expect(failed.generation.next()).rejects.toBe(failure);
    const finished = served((error) => seen.push(error));
    finished.stream.finish(result);
    finished.stream.fail(failure);
    finished.stream.finish({ text: 'another' } as GenerationResult);
    expect(await finished.generation.result).toBe(result);
    expect(await finished.generation.next()).toEqual(done);
    expect(seen).toEqual([failure]);
  });

  test('settles `over`, which does not reject', async () => {
    const { stream } = served();
    let isOver = false;
    const over = stream.over.then(() => {
      isOver = true;
    });
    await nextTurn();
    expect(isOver).toBe(false);
    stream.fail(failure);
    await over;
    expect(stream.resultWanted).toBe(false);
  });
});

describe('a consumer that does not keep up', () => {
  test('has the request parked at 256 unread pieces, and resumed once 128 are left', async () => {
    const { stream, generation, told } = served();
    for (let id = 1; id < 256; id++) stream.push(pieceOf(id));
    expect(told).toEqual([]);
    stream.push(pieceOf(256));
    expect(told).toEqual(['park']);
    // Those of the step under way.
    stream.push(pieceOf(257));
    expect(told).toEqual(['park']);
    for (let left = 256; left > 128; left--) await generation.next();
    expect(told).toEqual(['park']);
    await generation.next();
    expect(told).toEqual(['park', 'resume']);
    for (let left = 127; left > 0; left--) await generation.next();
    expect(told).toEqual(['park', 'resume']);
    for (let id = 1; id <= 256; id++) stream.push(pieceOf(id));
    expect(told).toEqual(['park', 'resume', 'park']);
  });

  test('is not waited for where the result is wanted', async () => {
    const early = served();
    void early.generation.result;
    for (let id = 1; id < 600; id++) early.stream.push(pieceOf(id));
    expect(early.told).toEqual([]);
    const late = served();
    for (let id = 1; id < 600; id++) late.stream.push(pieceOf(id));
    expect(late.told).toEqual(['park']);
    void late.generation.result;
    expect(late.told).toEqual(['park', 'resume']);
    void late.generation.result;
    for (let id = 1; id < 600; id++) late.stream.push(pieceOf(id));
    expect(late.told).toEqual(['park', 'resume']);
  });

  test('is not an error before the request is served', () => {
    const stream = new GenerationStream();
    for (let id = 1; id < 600; id++) stream.push(pieceOf(id));
    void stream.result;
    expect(stream.isOver).toBe(false);
  });
});

describe('leaving early', () => {
  test.each<[string, unknown, (generation: Generation) => Promise<unknown>]>([
    ['by return', 'the generation was left early', (generation) => generation.return(undefined as never)],
    ['by disposal', 'the generation was disposed', (generation) => generation[Symbol.asyncDispose]()],
    ['by throw', failure, (generation) => generation.throw(failure).catch(() => {})],
  ])('%s drops what is unread, and the server is told why, once', async (_, cause, leave) => {
    const { stream, generation, told, errors } = served();
    for (const id of [1, 2]) stream.push(pieceOf(id));
    await leave(generation);
    await leave(generation);
    expect(stream.isOver).toBe(true);
    expect(told).toEqual(['cancel']);
    expect(errors).toEqual([expect.objectContaining({ code: 'ABORT_ERR', cause })]);
    expect(await generation.next()).toEqual(doneAfterFailure);
    await expect(generation.result).rejects.toBe(errors[0]);
  });

  test('gives what generators give: the value of return, also when it is promised, and the error of throw', async () => {
    const { generation } = served();
    expect(await generation.return(Promise.resolve(result))).toEqual(done);
    await expect(generation.throw(failure)).rejects.toBe(failure);
  });

  test('drops what is unread also of a generation that is complete, and keeps its result', async () => {
    const { stream, generation, told } = served();
    stream.push(pieceOf(1));
    stream.finish(result);
    await generation.return(result);
    expect(told).toEqual([]);
    expect(await generation.next()).toEqual(done);
    expect(await generation.result).toBe(result);
  });

  test('keeps a failure that nobody has read yet', async () => {
    const { stream, generation, told } = served();
    stream.fail(failure);
    await generation.return(result);
    expect(told).toEqual([]);
    await expect(generation.next()).rejects.toBe(failure);
  });

  test('ends the request of whoever begins to serve it afterwards', async () => {
    const stream = new GenerationStream();
    const errors: Error[] = [];
    await new Generation(stream).return(result);
    stream.attach({ cancel: (error) => void errors.push(error), park: () => {}, resume: () => {} });
    expect(errors).toEqual([expect.objectContaining({ code: 'ABORT_ERR', cause: 'the generation was left early' })]);
  });
});

test('a stream whose generation was dropped goes on where the result was asked for, and is cancelled where it was not', async () => {
  const begin = (wants: boolean) => {
    const { stream, generation, told } = served();
    if (wants) void generation.result;
    return { stream, told };
  };
  const wanted = Array.from({ length: 20 }, () => begin(true));
  const unwanted = Array.from({ length: 20 }, () => begin(false));
  for (let round = 0; round < 4; round++) {
    await nextTurn();
    globalThis.gc?.();
  }
  expect(wanted.filter(({ stream }) => stream.isOver)).toHaveLength(0);
  // The last one may still be in a register or on the stack.
  expect(unwanted.filter(({ told }) => told.length === 1).length).toBeGreaterThan(17);
});
