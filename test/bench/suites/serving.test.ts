// The suite serving on a tiny model: every part of it runs, its rows are complete, results are checked, and nothing stays in
// memory. Speeds are not checked.
import { dirname } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { BenchContext } from '../../../bench/measuring/context.js';
import { formatReport } from '../../../bench/reports/report-text.js';
import { benchServing } from '../../../bench/suites/serving/serving.js';
import { Requests } from '../../../bench/suites/serving/workload.js';
import { writeRandomLlama } from '../../support/models/random-llama.js';
import { temporaryFolder } from '../../support/temporary-folder.js';

const folder = temporaryFolder();
afterAll(() => folder.remove());

const sizes = {
  concurrency: [1, 3],
  promptTokens: 6,
  newTokens: 5,
  oneByOne: 2,
  decoding: { atOnce: 3, sessionTokens: 20, newTokens: 4 },
  mixed: { decoding: 3, longPrompt: 300, shortPrompt: 4 },
  prefix: { tokens: 70, suffix: 3, pairs: 1 },
  separateCalls: 3,
  embedCalls: { calls: 4, fewest: 2, most: 5 },
  mixedCalls: { calls: 16, vocabulary: 300, newTokens: 3 },
  mainThread: [2],
};

test('all parts of it', async () => {
  const path = folder.file('tiny.gguf');
  const shape = { layers: 2, dim: 32, heads: 4, kvHeads: 2, ffn: 64, vocab: 300, context: 2048 };
  await writeRandomLlama(path, { ...shape, type: 'F32', tied: true });
  await using context = await BenchContext.open({ threads: 2, probe: false, rounds: 2 });
  const report = await benchServing(context, { folder: dirname(path), path, peer: 'none', sizes });
  expect(report).toMatchObject({ model: path, workers: 2, stepMs: 40, peer: { missing: expect.any(String) } });

  expect(report.points.map(({ concurrency }) => concurrency)).toEqual([1, 3]);
  for (const point of report.points) {
    expect(point).toMatchObject({ promptTokens: 6, newTokens: 5, rounds: 2, peer: null, isa: expect.any(String) });
    for (const figure of [point.tokensPerSecond, point.oneByOne, point.ratio]) expect(figure).toBeGreaterThan(0);
    for (const { p50, p99 } of [point.firstMs, point.betweenMs]) expect(p50).toBeLessThanOrEqual(p99);
  }

  expect(report.rows.map(({ name }) => name)).toEqual([
    'decode_3_over_1',
    'short_request_beside',
    'longest_gap',
    'shared_prefix',
    'generate_3_calls',
    'main_thread_2',
    'loop_delay_p99',
    'loop_delay_max',
    'embed_4_calls',
  ]);
  for (const row of report.rows) {
    expect(row.value, row.name).toBeGreaterThanOrEqual(row.unit === 'steps' ? -1 : 0);
    // What is asked is asked of the shape with random weights alone.
    expect(row, row.name).toMatchObject({ target: null, holds: null, workers: 2 });
  }
  expect(context.widest.stats().pool).toMatchObject({ rentedBytes: 0, liveTensors: 0 });

  const { machine, origin } = context;
  const text = formatReport({ machine, isa: origin.isa, roofline: [], suites: [{ suite: 'serving', ...report }] });
  expect(text).toContain('llama.cpp was not asked for');
  expect(text).toMatch(/F32 +3 /);
  expect(text).not.toMatch(/NaN|undefined/);
});

test('tokens that differ from those of the same request are no figure', () => {
  const requests = new Requests('requests', 300, 2, 4);
  requests.check(0, [1, 2, 3]);
  requests.check(2, [1, 2]);
  requests.check(0, [1, 2, 3, 4]);
  requests.check(1, [5]);
  expect(() => requests.check(0, [1, 2, 3, 5])).toThrow(/requests, prompt 0: the result is wrong/);
});
