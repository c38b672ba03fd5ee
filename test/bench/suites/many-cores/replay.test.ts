// bench/suites/many-cores: the replay on programs whose times are known, what it takes from profiles, and the suite once.
import { describe, expect, test } from 'vitest';
import { replaySteps, serialNs, teamCosts } from '../../../../bench/suites/many-cores/costs.js';
import { boundOf, type ReplayCosts, type ReplayStep, replay } from '../../../../bench/suites/many-cores/replay.js';
import type { ProgramProfile } from '../../../../src/index.js';

const free: ReplayCosts = { serialNs: 0, handOverNs: 0, claimNs: 0, readBytesPerNs: Number.POSITIVE_INFINITY };

/** A step of equal tiles. */
function step(after: number, tiles: number, ns: number, bytes = 0): ReplayStep {
  return { after, tileNs: new Array<number>(tiles).fill(ns), bytes };
}

describe('a replay', () => {
  test.each([
    [1, 640],
    [2, 320],
    [3, 220],
    [64, 10],
    [100, 10],
  ])('of 64 equal tiles on %i workers', (workers, ns) => {
    expect(replay([step(0, 64, 10)], workers, free)).toBe(ns);
  });

  test('waits for the steps that a step depends on, and for no others', () => {
    const chain = [step(0, 2, 10), step(1, 2, 10), step(2, 2, 10)];
    expect(replay(chain, 2, free)).toBe(30);
    expect(replay(chain, 4, free)).toBe(30);
    const branches = [step(0, 2, 10), step(0, 2, 10), step(2, 2, 10)];
    expect(replay(branches, 2, free)).toBe(30);
    expect(replay(branches, 4, free)).toBe(20);
  });

  test('goes on with a later step while another worker holds the last tile of an earlier one', () => {
    const steps = [{ after: 0, tileNs: [100], bytes: 0 }, step(0, 5, 20), step(2, 2, 10)];
    expect(replay(steps, 2, free)).toBe(110);
  });

  test('takes the longest tile into account', () => {
    expect(replay([{ after: 0, tileNs: [10, 10, 10, 50], bytes: 0 }], 4, free)).toBe(50);
    expect(replay([{ after: 0, tileNs: [10, 10, 10, 50], bytes: 0 }], 2, free)).toBe(60);
  });

  test('claims one after the other, and hands over once a step', () => {
    expect(replay([step(0, 4, 100)], 4, { ...free, claimNs: 5 })).toBe(4 * 5 + 100);
    expect(replay([step(0, 4, 100)], 1, { ...free, claimNs: 5 })).toBe(4 * 105);
    // The worker that completes the first step begins the next at once; the others learn of it.
    const chain = [step(0, 2, 100), step(1, 2, 100)];
    expect(replay(chain, 2, { ...free, handOverNs: 7 })).toBe(207);
    expect(replay(chain, 1, { ...free, handOverNs: 7 })).toBe(400);
  });

  test('wakes workers in a chain: two, then four more, then eight', () => {
    const costs = { ...free, handOverNs: 7 };
    expect(replay([step(0, 2, 100)], 2, costs)).toBe(100);
    expect(replay([step(0, 6, 100)], 6, costs)).toBe(107);
    expect(replay([step(0, 14, 100)], 14, costs)).toBe(114);
    expect(replay([step(0, 62, 100)], 62, costs)).toBe(128);
    expect(replay([step(0, 63, 100)], 63, costs)).toBe(135);
  });

  test('divides the bandwidth of memory', () => {
    // Each tile reads 10 bytes a nanosecond at full speed.
    const reads = [step(0, 8, 100, 8000)];
    expect(replay(reads, 1, { ...free, readBytesPerNs: 20 })).toBe(800);
    expect(replay(reads, 2, { ...free, readBytesPerNs: 20 })).toBe(400);
    expect(replay(reads, 8, { ...free, readBytesPerNs: 20 })).toBeCloseTo(400, 6);
    expect(replay(reads, 8, { ...free, readBytesPerNs: 40 })).toBeCloseTo(200, 6);
    // A tile that reads little is not slowed down by those that read much, which have the rest until it ends, and then all.
    const mixed = [{ after: 0, tileNs: [100], bytes: 100 }, step(0, 2, 100, 4000)];
    expect(replay(mixed, 3, { ...free, readBytesPerNs: 21 })).toBeCloseTo(100 + 50 / (10.5 / 20), 6);
  });

  test('adds the time of the main thread', () => {
    expect(replay([step(0, 2, 100)], 2, { ...free, serialNs: 30 })).toBe(130);
    expect(replay([], 2, { ...free, serialNs: 30 })).toBe(30);
  });

  test('names what ends the scaling', () => {
    expect(boundOf([step(0, 64, 1000)], 4, { ...free, claimNs: 1 })).toBe('cores');
    expect(boundOf([step(0, 5, 1000)], 64, free)).toBe('tiles');
    expect(boundOf([step(0, 64, 1000, 64_000_000)], 64, { ...free, readBytesPerNs: 2000 })).toBe('memory');
    expect(boundOf([step(0, 64, 1000)], 64, { ...free, serialNs: 5000 })).toBe('main thread');
    const chain = Array.from({ length: 10 }, (_, index) => step(index, 64, 100));
    expect(boundOf(chain, 64, { ...free, handOverNs: 50, claimNs: 2 })).toBe('hand-overs');
  });
});

describe('of a profile', () => {
  const row = { kernel: 'copy', flops: 0, bytesRead: 100, bytesWritten: 10, threadNs: 0, wallNs: 0, wallShare: 0 };
  const profile: ProgramProfile = {
    threads: 2,
    runs: 1,
    wallNs: 1000,
    idleNs: 0,
    steps: [
      { ...row, tiles: 3, after: 0 },
      { ...row, kernel: 'embedding', tiles: 2, after: 1 },
    ],
    tiles: [
      { step: 0, tile: 0, seat: 0, startNs: 50, endNs: 150 },
      { step: 0, tile: 1, seat: 1, startNs: 60, endNs: 200 },
      { step: 0, tile: 2, seat: 0, startNs: 154, endNs: 304 },
      { step: 1, tile: 0, seat: 0, startNs: 310, endNs: 400 },
      { step: 1, tile: 1, seat: 1, startNs: 325, endNs: 900 },
    ],
  };

  test('the time outside of tiles is that of the main thread', () => {
    expect(serialNs(profile)).toBe(50 + 100);
    expect(serialNs({ ...profile, tiles: [] })).toBe(1000);
  });

  test('claims are between two tiles of a step, hand-overs where a worker waited', () => {
    expect(teamCosts([profile])).toEqual({ claimNs: 4, handOverNs: 21 });
    expect(teamCosts([{ ...profile, tiles: [] }])).toEqual({ claimNs: 0, handOverNs: 0 });
  });

  test('a tile takes its shortest time over the runs, and reads from memory what the caches do not hold', () => {
    const slower = { ...profile, tiles: profile.tiles.map((tile) => ({ ...tile, endNs: tile.endNs + 5 * tile.tile })) };
    const slowerAtFirst = { ...profile, tiles: profile.tiles.map((tile) => ({ ...tile, startNs: tile.startNs - 5 })) };
    expect(replaySteps([slower, profile, slowerAtFirst], 109)).toEqual([
      { after: 0, tileNs: [100, 140, 150], bytes: 100 },
      { after: 1, tileNs: [90, 575], bytes: 10 },
    ]);
    expect(replaySteps([profile], 110).map(({ bytes }) => bytes)).toEqual([0, 0]);
  });
});
