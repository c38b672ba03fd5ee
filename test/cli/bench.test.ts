// The benchmark suites and the demonstration through the command: each runs, and its rows are complete. Speeds are not
// checked.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { peersDocument } from '../support/bench/report-fixture.js';
import { writeRandomModel } from '../support/models/random-model.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { runCli, runJson } from './run-cli.js';

const origin = { isa: expect.any(String), cpu: expect.any(String) };

describe('bench', () => {
  test('matmul, with shares of the probed peaks', async () => {
    const shapes = ['square_64', 'odd_511', 'gemv'];
    const report = await runJson(['bench', 'matmul', '--shape', ...shapes, '--rounds', '1', '--threads', '2']);
    expect(report.machine).toMatchObject({ node: process.version });
    expect(report.roofline.map(({ workers }: { workers: number }) => workers)).toEqual([1, 2]);
    const [{ suite, rows }] = report.suites;
    expect(suite).toBe('matmul');
    expect(rows.map(({ name, workers }: { name: string; workers: number }) => [name, workers])).toEqual(
      shapes.flatMap((name) => [
        [name, 1],
        [name, 2],
      ]),
    );
    for (const row of rows) {
      expect(row).toMatchObject(origin);
      const peak = report.roofline.find(({ workers }: { workers: number }) => workers === row.workers);
      expect(row.gflops).toBeCloseTo(row.flops / row.medianMs / 1e6, 6);
      expect(row.peakShare).toBeCloseTo(row.gflops / peak.fmaGflops, 6);
      expect(row.readShare === null).toBe(row.name !== 'gemv');
    }
  });

  test('scaling, on every number of workers, as a table', async () => {
    const args = ['bench', 'scaling', '--shape', 'square_64', 'attention_128', '--rounds', '1', '--threads', '3'];
    const { code, stdout, stderr } = await runCli(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(
      [...stdout.matchAll(/^ +(square_64|attention_128) +(\d) /gm)].map(([, name, count]) => `${name}${count}`),
    ).toEqual(['square_64', 'attention_128'].flatMap((name) => [`${name}1`, `${name}2`, `${name}3`]));
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  test('allocations', async () => {
    const report = await runJson(['bench', 'allocations', '--threads', '2']);
    const [{ rows }] = report.suites;
    for (const row of rows) {
      expect(row).toMatchObject({ ...origin, calls: 1000, rentedGrowthBytes: 0, majorGcs: expect.any(Number) });
    }
  });

  test('latency', async () => {
    const report = await runJson(['bench', 'latency', '--rounds', '1', '--threads', '2']);
    const [{ rows }] = report.suites;
    expect(rows.map(({ name }: { name: string }) => name)).toContain('abort_matmul_4096');
    for (const row of rows) {
      expect(row).toMatchObject(origin);
      expect(row.samples).toBeGreaterThan(0);
      expect(row.median).toBeLessThanOrEqual(row.max);
    }
  });

  test('model', async () => {
    const args = ['bench', 'model', '--prompt-tokens', '32', '--max-tokens', '8', '--rounds', '2', '--threads', '2'];
    const [{ rows, loads }] = (await runJson(args)).suites;
    expect(loads).toMatchObject([
      { from: 'files', mappedBytes: 0, samples: 2 },
      { from: 'image', samples: 2 },
    ]);
    for (const { medianMs } of loads) expect(medianMs).toBeGreaterThan(0);
    expect(loads[1].mappedBytes).toBeGreaterThan(0);
    expect(rows.map(({ phase, tokens, workers }: Record<string, unknown>) => [phase, tokens, workers])).toEqual([
      ['prefill', 32, 1],
      ['prefill', 32, 2],
      ['decode', 7, 1],
      ['decode', 7, 2],
    ]);
  });

  test('http, beside direct calls', async () => {
    const args = ['bench', 'http', '--concurrency', '1', '3', '--rounds', '1', '--threads', '1'];
    const [{ rows }] = (await runJson(args)).suites;
    expect(rows.map(({ clients }: { clients: number }) => clients)).toEqual([1, 3]);
    for (const row of rows) {
      expect(row).toMatchObject({ ...origin, requests: 32, rounds: 1, promptTokens: 32, newTokens: 32 });
      for (const { requestsPerSecond, firstMs, wholeMs } of [row.http, row.direct]) {
        expect(requestsPerSecond).toBeGreaterThan(0);
        expect(wholeMs.p50).toBeGreaterThan(firstMs.p50);
      }
    }
  });

  test('model --profile, whose ops add up to the pass', async () => {
    const [{ rows }] = (await runJson(['bench', 'model', '--profile', '--prompt-tokens', '32', '--threads', '2']))
      .suites;
    expect(rows.map(({ phase, tokens }: Record<string, unknown>) => [phase, tokens])).toEqual([
      ['prefill', 32],
      ['decode', 32],
    ]);
    for (const { ms, rows: ops } of rows) {
      const total = ops.reduce((sum: number, op: { ms: number }) => sum + op.ms, 0);
      expect(total / ms).toBeCloseTo(1, 3);
      expect(ops.map(({ kernel }: { kernel: string }) => kernel)).toEqual(
        expect.arrayContaining(['matmul', 'rms_norm', 'hand-over']),
      );
    }
  });
});

test('bench model --profile of an encoder: a group of texts', async () => {
  const folder = temporaryFolder();
  try {
    const model = folder.file('encoder.gguf');
    await writeRandomModel(model, { architecture: 'bert' });
    const args = ['bench', 'model', '--profile', '--model', model, '--prompt-tokens', '24', '--threads', '2'];
    const [{ rows }] = (await runJson(args)).suites;
    expect(rows).toMatchObject([{ phase: 'texts', tokens: 504, model }]);
    const [{ ms, rows: ops }] = rows;
    expect(ops.reduce((sum: number, op: { ms: number }) => sum + op.ms, 0) / ms).toBeCloseTo(1, 3);
    const kernels = ops.map(({ kernel }: { kernel: string }) => kernel);
    expect(kernels).toEqual(expect.arrayContaining(['matmul', 'sequence_attention', 'layer_norm', 'pool_rows']));
  } finally {
    folder.remove();
  }
});

describe('bench --report', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tesserae-report-'));
  const file = join(folder, 'out.html');
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('writes a page beside the rows on stdout', async () => {
    const peers = join(folder, 'peers.json');
    writeFileSync(peers, JSON.stringify(peersDocument));
    const args = ['bench', 'matmul', '--shape', 'square_64', '--rounds', '1', '--threads', '2'];
    const report = await runJson([...args, '--report', file, '--peers', peers]);
    const page = readFileSync(file, 'utf8');
    expect(page).toContain('<section id="roofline"');
    expect(page).toContain('onnxruntime');
    expect(page).toContain(report.machine.cpu);
  });

  test('is refused before anything is measured', async () => {
    const cases: [args: string[], code: number, message: RegExp][] = [
      [['--peers', file], 2, /--peers with a file goes with --report/],
      [['--report', join(folder, 'absent/out.html')], 1, /out\.html: ENOENT/],
      [['--report', file, '--peers', join(folder, 'absent.json')], 1, /absent\.json: ENOENT/],
      [['--report', file, '--peers', file], 1, /out\.html: /],
    ];
    for (const [args, code, message] of cases) {
      const result = await runCli(['bench', 'latency', ...args]);
      expect({ code: result.code, stdout: result.stdout }).toEqual({ code, stdout: '' });
      expect(result.stderr).toMatch(message);
      expect(result.stderr.trim()).not.toContain('\n');
    }
  });
});

test('demo, where there is no terminal: all of it, in plain text, in 80 columns', async () => {
  const { code, stdout, stderr } = await runCli(['demo', '--threads', '2']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  for (const part of ['machine', 'GFLOPS of FMA', 'MatMul', 'Attention', '2 workers', 'tokens/s']) {
    expect(stdout).toContain(part);
  }
  expect(stdout).not.toContain('\x1b');
  expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
});
