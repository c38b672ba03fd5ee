// `engine.metrics()`: what it counts of requests that complete, are aborted and fail, of decoders and encoders; read by a strict
// reader of the format.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import { Engine } from '../../src/engine.js';
import { EngineMetrics, type EngineNow } from '../../src/metrics/engine-metrics.js';
import { modelFiles, modelPaths, someIds, tiny } from '../support/models/model-files.js';
import { readPrometheusText } from '../support/prometheus.js';
import { expectAbort, expectRejection } from '../support/rejections.js';
import { preemptOften } from '../support/running/serving.js';

afterEach(() => {
  vi.restoreAllMocks();
});

const write = modelFiles();
const writeAny = modelPaths();
const encoder = { architecture: 'bert', context: 512, vocab: 300 } as const;

/**
 * The value of a sample, by its name and labels: `tesserae_requests{state="queued"}`. Without the label `model` that of all
 * models together.
 */
async function reader(engine: Engine): Promise<(key: string) => number | undefined> {
  const metrics = readPrometheusText(await engine.metrics());
  const sums = new Map<string, number>();
  for (const { samples } of metrics.values()) {
    for (const [key, value] of samples) {
      const summed = key.replace(/\{model="[^"]*"\}/, '').replace(/,model="[^"]*"/, '');
      for (const name of new Set([key, summed])) sums.set(name, (sums.get(name) ?? 0) + value);
    }
  }
  return (key) => sums.get(key);
}

test('counts what requests and steps did, and keeps it when models are disposed', async () => {
  await using engine = await Engine.create({ threads: 2, memoryBudget: 2 ** 28 });
  const before = await reader(engine);
  expect(before('tesserae_requests_total{kind="generate",outcome="completed"}')).toBeUndefined();
  expect(before('tesserae_team_threads')).toBe(2);
  expect(before('tesserae_models')).toBe(0);
  expect(before(`tesserae_info{isa="${engine.isa}"}`)).toBe(1);

  const decoder = await engine.loadModel(await write(tiny), { serving: { maxQueued: 4 } });
  const embedder = await engine.loadModel(await writeAny(encoder));
  const loaded = await reader(engine);
  expect(loaded('tesserae_requests_total{kind="embed",outcome="completed",model="random bert"}')).toBe(0);
  const prompt = someIds(70, tiny.vocab);
  const options = { maxTokens: 12, ignoreEos: true };
  await decoder.generate(prompt, options).result;
  await decoder.generate(prompt, options).result;
  await embedder.embed([someIds(20, encoder.vocab), someIds(30, encoder.vocab)]);
  await decoder.embed(someIds(10, tiny.vocab));
  const stop = new AbortController();
  const aborted = decoder.generate(prompt, { ...options, maxTokens: 100, signal: stop.signal });
  await aborted.next();
  stop.abort('enough');
  await expectAbort(aborted.result, 'enough');
  await expectRejection(decoder.generate(someIds(5000, tiny.vocab), options).result, 'ERR_CONTEXT');
  await expectRejection(decoder.generate(prompt, { ...options, deadlineMs: 1, maxTokens: 200 }).result, 'ERR_DEADLINE');
  const many = await Promise.allSettled(Array.from({ length: 20 }, () => decoder.generate([1, 2], options).result));
  const refused = many.filter(({ status }) => status === 'rejected').length;
  expect(refused).toBe(16);
  await expectRejection(embedder.embed(someIds(600, encoder.vocab)), 'ERR_CONTEXT');

  const read = await reader(engine);
  expect(read('tesserae_models')).toBe(2);
  expect(read('tesserae_requests_total{kind="generate",outcome="completed"}')).toBe(6);
  expect(read('tesserae_requests_total{kind="generate",outcome="aborted"}')).toBe(1);
  expect(read('tesserae_requests_total{kind="embed",outcome="completed"}')).toBe(3);
  expect(read('tesserae_errors_total{code="ERR_CONTEXT"}')).toBe(2);
  expect(read('tesserae_errors_total{code="ERR_DEADLINE"}')).toBe(1);
  expect(read('tesserae_errors_total{code="ERR_QUEUE_FULL"}')).toBe(16);
  expect(read('tesserae_tokens_total{kind="embedded"}')).toBe(60);
  // Two pages and a part of the third are found by the second and the third request.
  expect(read('tesserae_prefix_hits_total')).toBeGreaterThanOrEqual(2);
  expect(read('tesserae_tokens_total{kind="cached"}')).toBeGreaterThanOrEqual(128);
  expect(read('tesserae_tokens_total{kind="cached"}')).toBe(engine.stats().serving.prefixTokens);
  expect(read('tesserae_tokens_total{kind="prompt"}')).toBeGreaterThanOrEqual(3 * 70 + 4 * 2);
  const generated = read('tesserae_tokens_total{kind="generated"}') as number;
  const firsts = read('tesserae_time_to_first_token_seconds_count') as number;
  expect(generated).toBeGreaterThanOrEqual(6 * 12 + 1);
  expect(firsts).toBeGreaterThanOrEqual(7);
  expect(read('tesserae_time_between_tokens_seconds_count')).toBe(generated - firsts);
  expect(read('tesserae_queue_wait_seconds_count{kind="embed"}')).toBe(3);
  expect(read('tesserae_request_duration_seconds_count{kind="embed"}')).toBe(3);
  expect(read('tesserae_step_rows_count')).toBe(engine.stats().serving.steps);
  expect(read('tesserae_step_duration_seconds_count')).toBe(engine.stats().serving.steps);
  expect(read('tesserae_step_rows_sum')).toBeGreaterThan(generated);
  expect(read('tesserae_requests{state="running"}')).toBe(0);
  expect(read('tesserae_pages{state="free"}')).toBeGreaterThan(0);
  expect(read('tesserae_pages{state="cached"}')).toBeGreaterThan(0);
  expect(read('tesserae_pool_bytes{state="rented"}')).toBe(engine.stats().pool.rentedBytes);
  expect(read('tesserae_programs_recorded_total')).toBe(engine.stats().programs);

  expect(read('tesserae_requests_total{kind="embed",outcome="completed",model="random"}')).toBe(1);
  expect(read('tesserae_requests_total{kind="embed",outcome="completed",model="random bert"}')).toBe(2);
  expect(read('tesserae_errors_total{code="ERR_CONTEXT",model="random bert"}')).toBe(1);
  expect(read('tesserae_tokens_total{kind="embedded",model="random bert"}')).toBe(50);
  expect(read('tesserae_tokens_total{kind="cached",model="random bert"}')).toBe(0);
  expect(read('tesserae_time_to_first_token_seconds_count{model="random"}')).toBe(firsts);
  expect(read('tesserae_step_rows_count{model="random bert"}')).toBeGreaterThan(0);

  const counted = /^tesserae_(tokens|requests|prefix_hits|errors|preemptions|step_overhead_seconds)_total/;
  const totals = async () => (await engine.metrics()).split('\n').filter((line) => counted.test(line));
  const last = await totals();
  decoder.dispose();
  embedder.dispose();
  expect(await totals()).toEqual(last);
  expect((await reader(engine))('tesserae_models')).toBe(0);
});

test('counts preemptions and what is computed again', async () => {
  await using engine = await Engine.create({ threads: 1, memoryBudget: 2 ** 26 });
  const model = await engine.loadModel(await write(tiny), { serving: { prefixCache: false } });
  const made = preemptOften(5, 6);
  const prompts = Array.from({ length: 6 }, (_, index) => someIds(30 + index, tiny.vocab));
  await model.generateBatch(prompts, { maxTokens: 40, ignoreEos: true });
  const read = await reader(engine);
  expect(made.count).toBeGreaterThan(0);
  expect(read('tesserae_preemptions_total')).toBe(made.count);
  expect(read('tesserae_tokens_total{kind="recomputed"}')).toBeGreaterThan(0);
  expect(read('tesserae_tokens_total{kind="recomputed"}')).toBe(engine.stats().serving.recomputedTokens);
});

test('measures the delay of the event loop once it is asked', async () => {
  await using engine = await Engine.create({ threads: 1, memoryBudget: 2 ** 26 });
  await engine.metrics();
  await sleep(100);
  const end = performance.now() + 120;
  while (performance.now() < end);
  await sleep(50);
  const read = await reader(engine);
  expect(read('tesserae_event_loop_delay_seconds_count')).toBeGreaterThan(3);
  expect(read('tesserae_event_loop_delay_seconds_sum')).toBeGreaterThan(0.09);
});

test('a closed engine still has its counts, and measures nothing', async () => {
  const engine = await Engine.create({ threads: 1, memoryBudget: 2 ** 26 });
  await engine.close();
  await engine.metrics();
  await sleep(60);
  expect((await reader(engine))('tesserae_event_loop_delay_seconds_count')).toBe(0);
});

test('models of one name share their series, and those above the limit one', () => {
  const metrics = new EngineMetrics();
  const names = ['a', 'a', ...Array.from({ length: 70 }, (_, index) => `b${index}`), 'x'.repeat(500)];
  const recorders = names.map((name) => metrics.recorder(name));
  expect(new Set(recorders.map(({ label }) => label)).size).toBe(65);
  expect(recorders.slice(-1)[0]?.label).toBe('other');
  for (const recorder of recorders) recorder.step(2, 1);
  const nothing = { prefixTokens: 0, preemptions: 0, recomputedTokens: 0, overheadMs: 0 };
  metrics.retire('a', { ...nothing, preemptions: 3 });
  const models = [{ label: 'a', served: { ...nothing, preemptions: 4 } }];
  const state = { isa: 'x', threads: 1, programs: 0 } as unknown as EngineNow;
  const zeros = new Proxy({}, { get: () => 0 });
  const runs = { finished: 0, failed: 0, aborted: 0 };
  const parts = {
    pool: zeros,
    serving: zeros,
    team: { ...runs, runs, onShift: 0, workers: 0, workersLost: 0, workersReplaced: 0 },
  };
  const text = metrics.text({ ...state, ...parts, models } as unknown as EngineNow);
  metrics.close();
  expect(text).toContain('tesserae_step_rows_count{model="a"} 2\n');
  expect(text).toContain('tesserae_step_rows_count{model="other"} 8\n');
  expect(text).toContain('tesserae_preemptions_total{model="a"} 7\n');
  expect(new EngineMetrics().recorder('x'.repeat(500)).label).toHaveLength(128);
});
