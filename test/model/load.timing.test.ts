// A large model is loaded without a second copy and without keeping the event loop, and so are its first programs
// recorded. In a child process, on the built package, whose memory and event loop are nobody else's. Runs last and alone.
import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { tinyFolder } from '../support/models/huggingface-folder.js';
import { modelFiles } from '../support/models/model-files.js';
import type { RandomLlama } from '../support/models/random-llama.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const write = modelFiles();
const folder = temporaryFolder();
afterAll(() => folder.remove());
const library = new URL('../../dist/src/index.js', import.meta.url).href;

/** The machine may be busy with something else: the best of so many attempts counts. */
const attempts = 5;

interface Measured {
  /** 99th percentile of the event loop's delay, in milliseconds, and what it must stay under: see LoopDelay. */
  readonly p99: number;
  readonly bound: number;
  /** By how much the process grew, at its end and at most. */
  readonly rssBytes: number;
  readonly peakBytes: number;
}

/** What `body` does to a process that has an engine; the model is at `path`. */
async function measure(path: string, body: string): Promise<Measured> {
  const source = `
    import { readFileSync } from 'node:fs';
    import { monitorEventLoopDelay } from 'node:perf_hooks';
    import { setTimeout as sleep } from 'node:timers/promises';
    import { Engine } from ${JSON.stringify(library)};
    const status = (key) => 1024 * readFileSync('/proc/self/status', 'utf8').match(new RegExp(key + ':\\\\s*(\\\\d+)'))[1];
    const engine = await Engine.create({ threads: 2 });
    const path = ${JSON.stringify(path)};
    const resolution = 1;
    const delay = monitorEventLoopDelay({ resolution });
    const measured = async (work) => {
      gc();
      const before = status('VmRSS');
      await sleep(20);
      delay.enable();
      const start = performance.now();
      await work();
      const bound = Math.max(10, (performance.now() - start) / 20);
      await sleep(2 * resolution);
      delay.disable();
      const p99 = Math.max(0, delay.percentile(99) / 1e6 - resolution);
      const peakBytes = status('VmHWM') - before;
      gc();
      console.log(JSON.stringify({ p99, bound, rssBytes: status('VmRSS') - before, peakBytes }));
    };
    ${body}
    await engine.close();`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', '--input-type=module', '-e', source]);
  return JSON.parse(stdout) as Measured;
}

async function leastDelay(path: string, body: string): Promise<Measured> {
  let best = await measure(path, body);
  for (let attempt = 1; attempt < attempts && best.p99 >= best.bound; attempt++) {
    const next = await measure(path, body);
    if (next.p99 / next.bound < best.p99 / best.bound) best = next;
  }
  return best;
}

const base: RandomLlama = {
  layers: 4,
  dim: 1024,
  heads: 16,
  kvHeads: 4,
  ffn: 2816,
  vocab: 4096,
  context: 512,
  type: 'F32',
  tied: true,
};

test('some 200 MB of weights', { timeout: 120_000 }, async () => {
  const path = await write(base);
  const { size } = await stat(path);
  expect(size).toBeGreaterThan(180e6);
  const { p99, bound, rssBytes, peakBytes } = await leastDelay(
    path,
    'await measured(async () => { globalThis.model = await engine.loadModel(path); });',
  );
  expect(p99).toBeLessThan(bound);
  // What the header, the tokenizer and the reading itself take besides the weights.
  const slackBytes = 24 << 20;
  expect(rssBytes).toBeLessThan(size + slackBytes);
  expect(peakBytes).toBeLessThan(size + slackBytes);
});

test('a model of 40 layers begins to compute', { timeout: 120_000 }, async () => {
  const path = await write({ ...base, layers: 40, dim: 64, heads: 4, ffn: 96, vocab: 300 });
  const body = `const model = await engine.loadModel(path);
    await measured(async () => { for (let tokens = 3; tokens < 12; tokens++) await model.logits(Array(tokens).fill(1)); });`;
  const { p99, bound } = await leastDelay(path, body);
  expect(p99).toBeLessThan(bound);
});

test('a folder whose tokenizer.json has 150,000 tokens', { timeout: 120_000 }, async () => {
  const path = folder.file('large-vocabulary');
  tinyFolder(path, 'llama', 150_000);
  const { p99, bound } = await leastDelay(path, 'await measured(async () => { await engine.loadModel(path); });');
  expect(p99).toBeLessThan(bound);
});
