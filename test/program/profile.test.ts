// engine.profile: that the rows of a profile add up, that its tiles are those of the program, each once, in an order that
// the program allows, and what is refused. And the arithmetic behind it, on made-up runs.
import { afterEach, describe, expect, test } from 'vitest';
import type { Engine } from '../../src/engine.js';
import type { ProgramBuilder } from '../../src/ops/calls/program-builder.js';
import {
  medianRun,
  type ProgramProfile,
  profileRun,
  type StepSummary,
  type TracedRun,
} from '../../src/program/profile.js';
import { expectAbort, expectRejection } from '../support/rejections.js';
import { Checkpoint, checkpointOp, until } from '../support/running/arranged-team.js';
import { sharedEngines } from '../support/running/engines.js';

const engineOf = sharedEngines();

afterEach(async () => {
  for (const threads of [1, 2, 3]) {
    expect((await engineOf({ threads })).stats().pool).toMatchObject({ rentedBytes: 0, liveTensors: 0 });
  }
});

/** Two branches that may overlap, and one step that needs both. */
function recordBranches(p: ProgramBuilder) {
  const x = p.input([256, 256]);
  x.data.fill(1 / 16);
  const left = p.matmul(x, x);
  const right = p.softmax(p.matmul(x, x, { transposeB: true }));
  return { x, y: p.matmul(left, right) };
}

/** Ends of all tiles, by step. */
function stepEnds({ steps, tiles }: ProgramProfile): number[] {
  return steps.map((_, step) => Math.max(...tiles.filter((span) => span.step === step).map(({ endNs }) => endNs)));
}

function checkTiles(profile: ProgramProfile): void {
  const { steps, tiles, threads, wallNs } = profile;
  expect(tiles.map(({ step, tile }) => `${step}/${tile}`)).toEqual(
    steps.flatMap((step, index) => Array.from({ length: step.tiles }, (_, tile) => `${index}/${tile}`)),
  );
  for (const { seat, startNs, endNs } of tiles) {
    expect(seat).toBeLessThanOrEqual(threads);
    expect(startNs).toBeGreaterThanOrEqual(0);
    expect(endNs).toBeGreaterThanOrEqual(startNs);
    expect(wallNs).toBeGreaterThanOrEqual(endNs);
  }
  for (let seat = 0; seat <= threads; seat++) {
    const own = tiles.filter((span) => span.seat === seat).sort((a, b) => a.startNs - b.startNs || a.endNs - b.endNs);
    own.slice(1).forEach((span, index) => {
      expect(span.startNs).toBeGreaterThanOrEqual(own[index]?.endNs as number);
    });
  }
}

function checkSums({ steps, tiles, wallNs, idleNs, threads }: ProgramProfile): void {
  steps.forEach((row, step) => {
    const own = tiles.filter((span) => span.step === step);
    expect(row.threadNs).toBe(own.reduce((sum, { startNs, endNs }) => sum + endNs - startNs, 0));
    expect(row.wallNs).toBeLessThanOrEqual(row.threadNs * (1 + 1e-9));
    expect(row.wallNs * (threads + 1)).toBeGreaterThanOrEqual(row.threadNs * (1 - 1e-9));
    expect(row.wallShare).toBeCloseTo(row.wallNs / wallNs, 12);
  });
  expect(idleNs).toBeGreaterThanOrEqual(-1e-3);
  expect(idleNs + steps.reduce((sum, row) => sum + row.wallNs, 0)).toBeCloseTo(wallNs, 3);
}

describe('a profile', () => {
  test.each([1, 2, 3])('has every tile once and adds up, on %i workers', async (threads) => {
    const engine = await engineOf({ threads });
    using program = engine.program(recordBranches);
    // The first profile of an engine also probes the peak.
    const ofProgram = () =>
      engine.stats().team.kernels.reduce((sum, { op, tiles }) => (op === 'probe_fma' ? sum : sum + tiles), 0);
    const before = ofProgram();
    const profile = await engine.profile(program, { runs: 4 });
    expect(profile).toMatchObject({ threads, runs: 4 });
    expect(profile.steps.map(({ kernel }) => kernel)).toEqual(program.kernels);
    expect(profile.steps.reduce((sum, { flops }) => sum + flops, 0)).toBe(program.flops);
    checkTiles(profile);
    checkSums(profile);
    expect(ofProgram() - before).toBe(4 * profile.tiles.length);
  });

  test('has no step that begins before what it reads is complete', async () => {
    const engine = await engineOf({ threads: 3 });
    using program = engine.program((p) => {
      let y = p.input([192, 192]);
      for (let step = 0; step < 20; step++) y = p.matmul(y, y) as typeof y;
      return y;
    });
    const profile = await engine.profile(program, { runs: 3 });
    const ends = stepEnds(profile);
    for (const { step, startNs } of profile.tiles) {
      if (step > 0) expect(startNs).toBeGreaterThanOrEqual(ends[step - 1] as number);
    }
  });

  test('of a tiny program tells of the calling thread', async () => {
    const engine = await engineOf({ threads: 2 });
    using program = engine.program((p) => p.scale(p.scale(p.input([8]), 2), 3));
    const profile = await engine.profile(program);
    expect(profile.tiles.map(({ seat }) => seat)).toEqual([2, 2]);
    expect(profile.runs).toBe(5);
    checkTiles(profile);
    checkSums(profile);
  });

  test('counts the bytes of operands and results, repeated elements once', async () => {
    const engine = await engineOf({ threads: 2 });
    using program = engine.program((p) => {
      const x = p.input([64, 32]);
      const row = p.input([32]);
      return p.add(x, row.expand([64, 32]));
    });
    const { steps } = await engine.profile(program);
    expect(steps).toMatchObject([{ bytesRead: 4 * (64 * 32 + 32), bytesWritten: 4 * 64 * 32 }]);
  });

  test('of an empty program has no rows', async () => {
    const engine = await engineOf({ threads: 2 });
    using program = engine.program(() => null);
    expect(await engine.profile(program)).toMatchObject({ steps: [], tiles: [] });
  });

  test('computes what a run computes, and leaves the program as it was', async () => {
    const engine = await engineOf({ threads: 2 });
    using program = engine.program(recordBranches);
    await program.run();
    const expected = program.tensors.y.toArray();
    program.tensors.y.data.fill(Number.NaN);
    await engine.profile(program, { runs: 2 });
    expect(program.tensors.y.toArray()).toEqual(expected);
    program.tensors.y.data.fill(Number.NaN);
    await program.run();
    expect(program.tensors.y.toArray()).toEqual(expected);
  });
});

describe('engine.profile', () => {
  test('keeps others from the program for its whole length', async () => {
    const engine = await engineOf({ threads: 2 });
    using program = engine.program(recordBranches);
    const profile = engine.profile(program, { runs: 3 });
    await expectRejection(program.run(), 'ERR_BUSY', /profiled/);
    await expectRejection(engine.profile(program), 'ERR_BUSY', /profiled/);
    await profile;
    const run = program.run();
    await expectRejection(engine.profile(program), 'ERR_BUSY', /running/);
    await run;
  });

  test('refuses what is no program of the engine, and options that it does not know', async () => {
    const engine = await engineOf({ threads: 2 });
    using program = engine.program(recordBranches);
    const profile = (value: unknown, options?: object) => (engine as Engine).profile(value as never, options as never);
    await expectRejection(profile({}), 'ERR_ARGUMENT', /expected a program/);
    await expectRejection((await engineOf({ threads: 1 })).profile(program), 'ERR_ARGUMENT', /another engine/);
    await expectRejection(profile(program, { rounds: 3 }), 'ERR_ARGUMENT', /no option rounds/);
    for (const runs of [0, -1, 1.5, Number.NaN, '3'])
      await expectRejection(profile(program, { runs }), 'ERR_ARGUMENT', /runs/);
    await expectRejection(profile(program, { signal: 1 }), 'ERR_ARGUMENT', /signal/);
  });

  test('is refused for a disposed program, and ends with the program that is disposed in between', async () => {
    const engine = await engineOf({ threads: 2 });
    const program = engine.program(recordBranches);
    const profile = engine.profile(program, { runs: 1000 });
    program.dispose();
    await expectRejection(profile, 'ERR_DISPOSED');
    await expectRejection(engine.profile(program), 'ERR_DISPOSED');
  });

  test('obeys its signal, and the program runs and can be profiled again', async () => {
    const engine = await engineOf({ threads: 2 });
    using checkpoint = new Checkpoint(engine);
    using program = engine.program((p) => {
      p.record(checkpointOp, { gate: checkpoint.gate, tiles: 4, mode: 'wait', out: checkpoint.arrived } as object);
    });
    const controller = new AbortController();
    const profile = engine.profile(program, { signal: controller.signal });
    await checkpoint.reached(1);
    const reason = new Error('enough');
    controller.abort(reason);
    checkpoint.open();
    await expectAbort(profile, reason);
    await program.run();
    const { tiles } = await engine.profile(program, { runs: 1 });
    expect(tiles).toHaveLength(4);
  });
});

/** A run from 1000 ns on. A tile is [step's turn implied by order, begin, end, seat]. */
function tracedRun(wallNs: number, tiles: readonly (readonly [begin: number, end: number, seat: number])[]): TracedRun {
  const words = tiles.flatMap(([begin, end, seat]) => [BigInt(1000 + begin), BigInt(1000 + end), BigInt(seat)]);
  return { startedNs: 1000n, endedNs: BigInt(1000 + wallNs), words: BigUint64Array.from(words) };
}

const step = (kernel: string, tiles: number): StepSummary => ({
  kernel,
  tiles,
  flops: 1,
  bytesRead: 1,
  bytesWritten: 1,
});

describe('profileRun', () => {
  test('divides each moment among the tiles under way', () => {
    const run = tracedRun(100, [
      [10, 50, 0],
      [20, 30, 1],
      [40, 90, 1],
    ]);
    const profile = profileRun([step('a', 1), step('b', 2)], run, { threads: 2, runs: 1 });
    // a alone 10..20 and 30..40, shared 20..30 and 40..50; b shared there, alone 50..90.
    expect(profile.steps.map(({ wallNs, threadNs }) => [wallNs, threadNs])).toEqual([
      [30, 40],
      [50, 60],
    ]);
    expect(profile.idleNs).toBe(20);
    expect(profile.tiles.map(({ step: index, tile, seat }) => [index, tile, seat])).toEqual([
      [0, 0, 0],
      [1, 0, 1],
      [1, 1, 1],
    ]);
  });

  test('tiles that meet, and tiles of no length', () => {
    const run = tracedRun(30, [
      [0, 10, 0],
      [10, 10, 0],
      [10, 30, 0],
    ]);
    const profile = profileRun([step('a', 1), step('b', 1), step('c', 1)], run, { threads: 1, runs: 1 });
    expect(profile.steps.map(({ wallNs }) => wallNs)).toEqual([10, 0, 20]);
    expect(profile.idleNs).toBe(0);
  });

  test('the median run, the shorter of two', () => {
    const runs = [30, 10, 20].map((wallNs) => tracedRun(wallNs, []));
    expect(medianRun(runs)).toBe(runs[2]);
    expect(medianRun(runs.slice(0, 2))).toBe(runs[1]);
  });
});

test('shares are of the peak of the kernel set, probed once', async () => {
  const engine = await engineOf({ threads: 2 });
  using program = engine.program(recordBranches);
  const first = await engine.profile(program, { runs: 1 });
  const { peakGflops, steps } = await engine.profile(program, { runs: 3 });
  expect(peakGflops).toBe(first.peakGflops);
  expect(peakGflops).toBeGreaterThan(0);
  for (const { flops, wallNs, peakShare } of steps) expect(peakShare).toBeCloseTo(flops / wallNs / peakGflops, 10);
});

test('while all workers sleep, the calling thread begins a program', async () => {
  const engine = await engineOf({ threads: 2 });
  using program = engine.program((p) => p.scale(p.input([2048, 1024]), 2));
  await until(() => engine.stats().team.onShift === 0);
  const { tiles } = await engine.profile(program, { runs: 1 });
  expect(tiles.some(({ seat }) => seat === engine.threads)).toBe(true);
});
