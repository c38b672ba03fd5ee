// src/hardware: what the machine is, that the probes compute what they claim, and that the roofline is measured with
// them.
import { describe, expect, test } from 'vitest';
import { packageVersion } from '../../src/base/package-files.js';
import {
  probeDotLanes,
  probeLanes,
  probeQuad,
  readPatterns,
  runProbeDot,
  runProbeFma,
  runProbeRead,
} from '../../src/hardware/probes.js';
import { describeMachine, Engine, type IsaName, probeRoofline } from '../../src/index.js';
import { loadAddon } from '../../src/native/load.js';
import { expectAbort, expectRejection } from '../support/rejections.js';

describe.each(loadAddon().isas as IsaName[])('the probes, %s', (isa) => {
  test('compute what they claim, on the workers', async () => {
    await using engine = await Engine.create({ threads: 2, isa });
    using scope = engine.scope();
    const lanes = scope.tensor([5, probeLanes]);
    const expected = Array.from({ length: lanes.size }, (_, index) => index % probeLanes);
    await runProbeFma(engine, lanes, 1000);
    expect([...lanes.data]).toEqual(expected);
    await runProbeFma(engine, lanes, 1001);
    expect([...lanes.data]).toEqual(expected.map((lane) => 1 - lane));
    const products = scope.tensor([5, probeDotLanes], 'i32');
    await runProbeDot(engine, products, 1000);
    expect(products.data.every((sum) => sum === 1000 * probeQuad)).toBe(true);
    const x = scope.tensor(
      [100_003],
      Array.from({ length: 100_003 }, (_, index) => index % 7),
    );
    const sums = scope.tensor([7]);
    const total = [...x.data].reduce((sum, value) => sum + value, 0);
    for (const pattern of readPatterns) {
      sums.data.fill(0);
      await runProbeRead(engine, x, sums, pattern);
      expect([...sums.data].reduce((sum, value) => sum + value, 0)).toBe(total);
    }
    const { kernels, runs } = engine.stats().team;
    expect(runs.inline).toBe(0);
    expect(kernels.find(({ op }) => op === 'probe_fma')?.tiles).toBe(10);
    expect(kernels.find(({ op }) => op === 'probe_dot')?.tiles).toBe(5);
    expect(kernels.find(({ op }) => op === 'probe_read')?.tiles).toBe(7 * readPatterns.length);
  });
});

test('the machine, and its kernel sets', async () => {
  const machine = await describeMachine();
  expect(machine).toMatchObject({ node: process.version, tesserae: packageVersion, kernelSets: loadAddon().isas });
  for (const { name, level } of machine.caches) expect(name).toMatch(new RegExp(`^L${level}[di]?$`));
});

describe('probeRoofline', () => {
  test('gives a roofline for each number of workers, with the best kernel set', async () => {
    const progress: string[] = [];
    const rooflines = await probeRoofline([1, 2], { onProgress: (what) => progress.push(what) });
    expect(rooflines.map(({ workers, isa }) => [workers, isa])).toEqual([
      [1, loadAddon().isas.at(-1)],
      [2, loadAddon().isas.at(-1)],
    ]);
    for (const { fmaGflops, dotGmacs, readGBs } of rooflines) {
      expect(fmaGflops).toBeGreaterThan(0);
      expect(dotGmacs).toBeGreaterThan(0);
      expect(readGBs).toBeGreaterThan(0);
    }
    expect(progress).toEqual([
      'the peaks of FMAs and of 8-bit products',
      'the read bandwidth, 1 worker',
      'the read bandwidth, 2 workers',
    ]);
  });

  test('refuses what is no list of numbers of workers, and unknown options', async () => {
    await expectRejection(probeRoofline([]), 'ERR_ARGUMENT', /counts/);
    await expectRejection(probeRoofline(2 as unknown as number[]), 'ERR_ARGUMENT', /counts/);
    await expectRejection(probeRoofline([0]), 'ERR_ARGUMENT', /threads/);
    await expectRejection(probeRoofline([1], { rounds: 2 } as object), 'ERR_ARGUMENT', /there is no option rounds/);
  });

  test('ends with an abort', async () => {
    const reason = new Error('enough');
    await expectAbort(probeRoofline([1], { signal: AbortSignal.abort(reason) }), reason);
  });
});
