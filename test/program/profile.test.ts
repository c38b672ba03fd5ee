// engine.profile: the rows of a profile add up; its tiles are those of the program, each once, in an allowed order; misuse
// is refused. And src/program/profile.ts on made-up runs.
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

/** Two branches that may run at the same time, and one step that needs both. */
function recordBranches(p: ProgramBuilder) {
  const x = p.input([256, 256]);
  x.data.fill(1 / 16);
  const left = p.matmul(x, x);
  const right = p.softmax(p.matmul(x, x, { transposeB: true }));
  return { x, y: p.matmul(left, right) };
}

/** The end times of all tiles, by step. */
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
    // The first profile of an engine also measures the peak.
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

  test('has no step that begins before the steps whose results it reads have ended', async () => {
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

  test('of a tiny program names the calling thread', async () => {
    const engine = await engineOf({ threads: 2 });
    using program = engine.program((p) => p.scale(p.scale(p.input([8]), 2), 3));
    const profile = await engine.profile(program);
    expect(profile.tiles.map(({ seat }) => seat)).toEqual([2, 2]);
    expect(profile.runs).toBe(5);
    checkTiles(profile);
    checkSums(profile);
  });

  test('alone, every tile is computed by the calling thread, one after the other', async () => {
    const engine = await engineOf({ threads: 3 });
    using program = engine.program(recordBranches);
    const profile = await engine.profile(program, { runs: 2, alone: true });
    const together = await engine.profile(program, { runs: 1 });
    expect(profile.steps.map(({ kernel, tiles, after }) => ({ kernel, tiles, after }))).toEqual(
      together.steps.map(({ kernel, tiles, after }) => ({ kernel, tiles, after })),
    );
    expect(profile.steps[0]?.after).toBe(0);
    for (const [index, { after }] of profile.steps.entries()) expect(after).toBeLessThanOrEqual(index);
    expect(new Set(profile.tiles.map(({ seat }) => seat))).toEqual(new Set([3]));
    for (let i = 1; i < profile.tiles.length; i++) {
      expect(profile.tiles[i]?.startNs).toBeGreaterThanOrEqual(profile.tiles[i - 1]?.endNs as number);
    }
    checkTiles(profile);
    checkSums(profile);
    await expectRejection(
      engine.profile(program, { alone: 1 as unknown as boolean }),
      'ERR_ARGUMENT',
      /alone must be a boolean/,
    );
    await expectAbort(engine.profile(program, { alone: true, signal: AbortSignal.abort('stop') }), 'stop');
    await program.run();
  });

  test('counts the bytes of operands and results, repeated elements only once', async () => {
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

  test('computes what a run computes, and does not change the program', async () => {
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
  test('refuses other runs of the program until it ends', async () => {
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

  test('refuses anything but a program of the engine, and unknown options', async () => {
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

  test('is refused for a disposed program, and fails if the program is disposed meanwhile', async () => {
    const engine = await engineOf({ threads: 2 });
    const program = engine.program(recordBranches);
    const profile = engine.profile(program, { runs: 1000 });
    program.dispose();
    await expectRejection(profile, 'ERR_DISPOSED');
    await expectRejection(engine.profile(program), 'ERR_DISPOSED');
  });

  test('can be aborted, and the program can be run and profiled again', async () => {
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

/** A run that starts at 1000 ns, with the begin, end and seat of each tile, in the order of the steps. */
function tracedRun(wallNs: number, tiles: readonly (readonly [begin: number, end: number, seat: number])[]): TracedRun {
  const words = tiles.flatMap(([begin, end, seat]) => [BigInt(1000 + begin), BigInt(1000 + end), BigInt(seat)]);
  return { startedNs: 1000n, endedNs: BigInt(1000 + wallNs), words: BigUint64Array.from(words) };
}

const step = (kernel: string, tiles: number): StepSummary => ({
  kernel,
  tiles,
  after: 0,
  flops: 1,
  bytesRead: 1,
  bytesWritten: 1,
});

describe('profileRun', () => {
  test('divides each moment among the tiles that are computed then', () => {
    const run = tracedRun(100, [
      [10, 50, 0],
      [20, 30, 1],
      [40, 90, 1],
    ]);
    const profile = profileRun([step('a', 1), step('b', 2)], run, { threads: 2, runs: 1 });
    // Tile a is alone in 10..20 and 30..40; a and b share 20..30 and 40..50; b is alone in 50..90.
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

  test('handles adjacent tiles, and tiles of length 0', () => {
    const run = tracedRun(30, [
      [0, 10, 0],
      [10, 10, 0],
      [10, 30, 0],
    ]);
    const profile = profileRun([step('a', 1), step('b', 1), step('c', 1)], run, { threads: 1, runs: 1 });
    expect(profile.steps.map(({ wallNs }) => wallNs)).toEqual([10, 0, 20]);
    expect(profile.idleNs).toBe(0);
  });

  test('medianRun gives the median, and the shorter of two runs', () => {
    const runs = [30, 10, 20].map((wallNs) => tracedRun(wallNs, []));
    expect(medianRun(runs)).toBe(runs[2]);
    expect(medianRun(runs.slice(0, 2))).toBe(runs[1]);
  });
});

test('shares are relative to the peak of the kernel set, which is measured once', async () => {
  const engine = await engineOf({ threads: 2 });
  using program = engine.program(recordBranches);
  const first = await engine.profile(program, { runs: 1 });
  const { peakGflops, steps } = await engine.profile(program, { runs: 3 });
  expect(peakGflops).toBe(first.peakGflops);
  expect(peakGflops).toBeGreaterThan(0);
  for (const { flops, wallNs, peakShare } of steps) expect(peakShare).toBeCloseTo(flops / wallNs / peakGflops, 10);
});

test('if all workers sleep, the calling thread begins a program', async () => {
  const engine = await engineOf({ threads: 2 });
  using program = engine.program((p) => p.scale(p.input([2048, 1024]), 2));
  // A worker that was woken computes all tiles if the system does not run the calling thread meanwhile: try again.
  let hasBegun = false;
  for (let tries = 0; !hasBegun && tries < 100; tries++) {
    await until(() => engine.stats().team.onShift === 0);
    const { tiles } = await engine.profile(program, { runs: 1 });
    hasBegun = tiles.some(({ seat }) => seat === engine.threads);
  }
  expect(hasBegun).toBe(true);
});
