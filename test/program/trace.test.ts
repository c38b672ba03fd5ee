// Profiles from traces that are written by hand, without an engine: how the time of a run is divided among its steps.
import { describe, expect, test } from 'vitest';
import { internal } from '../../src/base/internal.js';
import {
  medianRun,
  profileRun,
  type StepSummary,
  summarize,
  type TracedRun,
  withPeak,
} from '../../src/program/profile.js';
import type { Step } from '../../src/program/recorder.js';
import { TemporaryStorage } from '../../src/program/temporary-storage.js';
import { Tensor } from '../../src/tensor/tensor.js';

const stepOf = (kernel: string, tiles: number, flops: number): StepSummary => ({
  kernel,
  tiles,
  after: 0,
  flops,
  bytesRead: 1,
  bytesWritten: 2,
});

/** A run that begins at 1000 ns, of so many ns, with tiles as [start, end, seat]. */
const runOf = (ns: number, tiles: readonly (readonly [number, number, number])[] = []): TracedRun => ({
  startedNs: 1000n,
  endedNs: BigInt(1000 + ns),
  words: BigUint64Array.from(tiles.flatMap(([start, end, seat]) => [1000 + start, 1000 + end, seat].map(BigInt))),
});

test('each moment is divided evenly among the tiles that are computed then', () => {
  const steps = [stepOf('add', 2, 100), stepOf('none', 0, 0), stepOf('copy', 1, 50)];
  const run = runOf(80, [
    [10, 30, 0],
    [20, 40, 1],
    [50, 60, 2],
  ]);
  const profile = profileRun(steps, run, { threads: 2, runs: 3 });
  expect(profile).toMatchObject({ threads: 2, runs: 3, wallNs: 80, idleNs: 40 });
  // 10 to 20 alone, 20 to 30 both, 30 to 40 alone.
  expect(profile.steps).toEqual([
    { ...steps[0], threadNs: 40, wallNs: 30, wallShare: 30 / 80 },
    { ...steps[1], threadNs: 0, wallNs: 0, wallShare: 0 },
    { ...steps[2], threadNs: 10, wallNs: 10, wallShare: 10 / 80 },
  ]);
  expect(profile.tiles).toEqual([
    { step: 0, tile: 0, seat: 0, startNs: 10, endNs: 30 },
    { step: 0, tile: 1, seat: 1, startNs: 20, endNs: 40 },
    { step: 2, tile: 0, seat: 2, startNs: 50, endNs: 60 },
  ]);
  const overlapping = profileRun(
    [stepOf('add', 1, 1), stepOf('copy', 1, 1)],
    runOf(40, [
      [0, 40, 0],
      [10, 30, 1],
    ]),
    {
      threads: 1,
      runs: 1,
    },
  );
  expect(overlapping.steps.map(({ wallNs }) => wallNs)).toEqual([30, 10]);
  expect(overlapping.idleNs).toBe(0);
});

test('the run of a profile is the median one, of two the shorter', () => {
  const of = (...lengths: number[]) => {
    // The later a run began, the shorter may it be.
    const runs = lengths.map(
      (ns): TracedRun => ({ ...runOf(ns), startedNs: BigInt(-100 * ns), endedNs: BigInt(-99 * ns) }),
    );
    const { startedNs, endedNs } = medianRun(runs);
    return Number(endedNs - startedNs);
  };
  expect([of(7), of(9, 3), of(5, 3, 9), of(4, 1, 3, 2)]).toEqual([7, 3, 5, 2]);
});

test('a share of the peak is that of the speed; a step that took no time has none', () => {
  const run = runOf(10, [[0, 10, 0]]);
  const profile = profileRun([stepOf('add', 1, 300), stepOf('none', 0, 5)], run, { threads: 1, runs: 1 });
  const peaked = withPeak(profile, 60);
  expect(peaked).toMatchObject({ peakGflops: 60, wallNs: 10 });
  expect(peaked.steps.map(({ peakShare, kernel }) => [kernel, peakShare])).toEqual([
    ['add', 0.5],
    ['none', 0],
  ]);
});

describe('a step', () => {
  test('counts the bytes of its operands, and those that are repeated once', () => {
    const tensor = (dtype: 'f32' | 'f16', shape: readonly number[], strides?: readonly number[]) =>
      new Tensor(internal, { dtype, shape, ...(strides && { strides }), storage: new TemporaryStorage(1024) });
    const step: Step = {
      kernel: 'add',
      tiles: 3,
      flops: 12,
      reads: [tensor('f32', [2, 3]), tensor('f16', [4, 3], [0, 1])],
      writes: [tensor('f32', [])],
      params: [],
    };
    const summary = { kernel: 'add', tiles: 3, after: 2, flops: 12, bytesRead: 24 + 6, bytesWritten: 4 };
    expect(summarize(step, 2)).toEqual(summary);
  });
});
