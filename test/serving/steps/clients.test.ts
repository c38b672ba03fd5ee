// What the step loop is answered by a generation and by an embedding: which calls they make of request, stream and record, in
// which order. With requests that are set by hand.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { StepSlice } from '../../../src/serving/scheduling/step-planner.js';
import { EmbeddingClient } from '../../../src/serving/steps/embedding-client.js';
import { GenerationClient, type GenerationClientParts } from '../../../src/serving/steps/generation-client.js';

const sliceOf = (from: number, count: number, cachedTokens = 0) =>
  ({ request: { cachedTokens }, from, count, reachesEnd: false }) as unknown as StepSlice;

function recordOf(log: unknown[], times: object = {}) {
  return {
    begun: (cached: number) => log.push(['begun', cached]),
    preempted: () => log.push('preempted'),
    token: () => log.push('token'),
    end: (ending: object) => log.push(['end', ending]),
    askedAt: 100,
    ...times,
  };
}

describe('a generation', () => {
  const clock = { now: 1000 };
  let spy: { mockRestore(): void };
  beforeEach(() => {
    spy = vi.spyOn(performance, 'now').mockImplementation(() => clock.now);
  });
  afterEach(() => spy.mockRestore());

  function arranged({ times = {}, endsByText = false }: { times?: object; endsByText?: boolean } = {}) {
    const log: unknown[] = [];
    const state = { ending: undefined as string | undefined, endsAt: 7, hasPiece: true };
    const request = {
      get ending() {
        return state.ending;
      },
      chosen: -1,
      tokens: [] as number[],
      endsByText,
      sampling: { name: 'sampling' },
      rowOptions: { name: 'options' },
      choose: (id: number, logprobs: unknown) => {
        request.chosen = id;
        log.push(['choose', id, logprobs]);
      },
      accept: () => {
        log.push('accept');
        request.tokens.push(request.chosen);
        if (request.chosen === state.endsAt) state.ending = 'eos';
      },
      piece: () => {
        log.push('piece');
        return state.hasPiece ? { id: request.chosen } : undefined;
      },
      prepare: () => 'prepared',
      result: (timings: object) => ({ timings }),
    };
    const stream = {
      push: (piece: object) => log.push(['push', piece]),
      finish: (result: object) => log.push(['finish', result]),
      fail: (error: unknown) => log.push(['fail', error]),
    };
    const record = recordOf(log, times);
    const parts = { request, stream, record, loadMs: 3, onEnd: () => log.push('onEnd') };
    const client = new GenerationClient(parts as unknown as GenerationClientParts);
    const taken = () => log.splice(0);
    return { client, state, request, taken };
  }

  test('says how its tokens are chosen, and reports when it begins and is preempted', () => {
    const { client, request, taken } = arranged();
    client.begun(sliceOf(0, 1, 9));
    client.preempted();
    expect(taken()).toEqual([['begun', 9], 'preempted']);
    expect(client.sampled()).toEqual({ state: request.sampling, options: request.rowOptions });
    expect(client.prepare()).toBe('prepared');
  });

  test('makes the text of a token before the next one is chosen, once', () => {
    const { client, taken } = arranged();
    client.deliver();
    expect(taken()).toEqual([]);
    const logprobs = {} as never;
    expect(client.choose(4, logprobs)).toBe(4);
    expect(taken()).toEqual(['token', ['choose', 4, logprobs], 'accept']);
    expect(client.choose(5, undefined)).toBe(5);
    expect(taken()).toEqual(['token', 'piece', ['push', { id: 4 }], ['choose', 5, undefined], 'accept']);
    client.deliver();
    client.deliver();
    expect(taken()).toEqual(['piece', ['push', { id: 5 }]]);
  });

  test('makes it at once where the text may end it, and gives nothing where there is no piece', () => {
    const { client, state, taken } = arranged({ endsByText: true });
    state.hasPiece = false;
    expect(client.choose(4, undefined)).toBe(4);
    expect(taken()).toEqual(['token', ['choose', 4, undefined], 'accept', 'piece']);
  });

  test('has no next token once it has ended, and takes none', () => {
    const { client, taken } = arranged();
    expect(client.choose(7, undefined)).toBeUndefined();
    expect(taken()).toEqual(['token', ['choose', 7, undefined], 'accept']);
    expect(client.choose(8, undefined)).toBeUndefined();
    expect(taken()).toEqual([]);
  });

  test('ends with the last piece, then the record, then the result and its times', () => {
    const { client, taken } = arranged({ times: { begunAt: 150, firstTokenAt: 400 } });
    client.choose(7, undefined);
    taken();
    client.end();
    const timings = { loadMs: 3, prefillMs: 250, decodeMs: 600, timeToFirstTokenMs: 300 };
    expect(taken()).toEqual([
      'onEnd',
      'piece',
      ['push', { id: 7 }],
      ['end', { generatedTokens: 1, stopReason: 'eos', error: undefined }],
      ['finish', { timings }],
    ]);
    const { client: early, taken: takenEarly } = arranged();
    early.end();
    expect(takenEarly().at(-1)).toEqual([
      'finish',
      { timings: { loadMs: 3, prefillMs: 900, decodeMs: 0, timeToFirstTokenMs: 900 } },
    ]);
  });

  test('fails with the error of the loop, behind the pieces that there are', () => {
    const { client, taken } = arranged();
    client.choose(7, undefined);
    taken();
    const error = new Error('lost');
    client.end(error);
    expect(taken()).toEqual([
      'onEnd',
      'piece',
      ['push', { id: 7 }],
      ['end', { generatedTokens: 1, stopReason: undefined, error }],
      ['fail', error],
    ]);
  });
});

describe('an embedding', () => {
  function arranged() {
    const log: unknown[] = [];
    const ended: [unknown, Float32Array][] = [];
    const client = new EmbeddingClient({
      dim: 3,
      tokens: 20,
      pooling: { pooling: 'mean', normalizes: true } as never,
      record: recordOf(log) as never,
      onEnd: (error, vector) => void ended.push([error, vector]),
    });
    return { client, log, ended };
  }

  test('pools each token once, also where it is computed again', () => {
    const { client } = arranged();
    const rest = { total: 20, sums: new Float64Array(3), pooling: 'mean', normalizes: true };
    expect(client.pooled(sliceOf(0, 8))).toEqual({ skipped: 0, rows: 8, from: 0, ...rest });
    // It was preempted, and begins again.
    expect(client.pooled(sliceOf(0, 5))).toBeUndefined();
    expect(client.pooled(sliceOf(5, 3))).toBeUndefined();
    expect(client.pooled(sliceOf(5, 7))).toEqual({ skipped: 3, rows: 4, from: 8, ...rest });
    const last = client.pooled(sliceOf(12, 8));
    expect(last).toEqual({ skipped: 0, rows: 8, from: 12, ...rest });
    expect(client.pooled(sliceOf(19, 1))).toBeUndefined();
  });

  test('ends with its vector, or an error', () => {
    const { client, log, ended } = arranged();
    client.begun();
    client.preempted();
    const vector = Float32Array.of(1, 2, 3);
    client.takeVector(vector);
    client.end();
    expect(ended).toEqual([[undefined, vector]]);
    expect(ended[0]?.[1]).toBe(vector);
    expect(log).toEqual([['begun', 0], 'preempted', ['end', { error: undefined }]]);
    const { client: failing, ended: failed, log: logged } = arranged();
    const error = new Error('lost');
    failing.end(error);
    expect([failed, logged]).toEqual([[[error, new Float32Array(0)]], [['end', { error }]]]);
  });
});
