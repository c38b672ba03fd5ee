// src/machine/block-sizes.ts: the sizes for given caches, refused options, and that results do not depend on the sizes.
import { describe, expect, test } from 'vitest';
import { Engine } from '../../src/index.js';
import {
  type BlockSizeLimits,
  type BlockSizeOptions,
  type BlockSizes,
  chooseBlockSizes,
} from '../../src/machine/block-sizes.js';
import type { Cache } from '../../src/machine/caches.js';
import { loadAddon } from '../../src/native/load.js';
import { firstBitDifference, Numbers } from '../support/numbers.js';
import { expectRejection } from '../support/rejections.js';

const addon = loadAddon();
const limits: BlockSizeLimits = {
  mr: 6,
  nr: 16,
  defaults: addon.defaultBlockSizes,
  valid: (sizes) => addon.blockSizesValid(sizes),
};
const wide = { ...limits, mr: 8, nr: 48 };

function caches(first: number, second: number, sharedBy = 1): Cache[] {
  const cache = (level: number, kind: Cache['kind'], sizeBytes: number): Cache => {
    return { level, kind, sizeBytes, lineBytes: 64, sharedBy };
  };
  return [cache(1, 'instruction', 1 << 20), cache(1, 'data', first), cache(2, 'unified', second)];
}

describe('chooseBlockSizes', () => {
  test.each<[string, Cache[], BlockSizes, BlockSizeLimits?]>([
    ['32 KiB and 512 KiB', caches(32 << 10, 512 << 10), { kc: 512, nc: 128, mc: 192 }],
    ['48 KiB and 2 MiB', caches(48 << 10, 2 << 20), { kc: 1024, nc: 128, mc: 192 }],
    ['48 KiB and 1 MiB, wide micro-tiles', caches(48 << 10, 1 << 20), { kc: 1024, nc: 144, mc: 216 }, wide],
    ['48 KiB and 2 MiB, wide micro-tiles', caches(48 << 10, 2 << 20), { kc: 1024, nc: 128, mc: 192 }, wide],
    ['32 KiB and 1 MiB, wide micro-tiles', caches(32 << 10, 1 << 20), { kc: 512, nc: 192, mc: 288 }, wide],
    ['32 KiB and 1 MiB for two threads', caches(64 << 10, 1 << 20, 2), { kc: 512, nc: 128, mc: 192 }],
    ['32 KiB and 256 KiB', caches(32 << 10, 256 << 10), { kc: 512, nc: 64, mc: 96 }],
    ['tiny caches', caches(1 << 10, 4 << 10), { kc: 128, nc: 16, mc: 24 }],
    ['caches that are not reported', [], { kc: 512, nc: 128, mc: 192 }],
  ])('%s', (_name, found, expected, given = limits) => {
    expect(chooseBlockSizes(given, {}, found)).toEqual(expected);
    expect(addon.blockSizesValid(expected)).toBe(true);
  });

  test('prefers the given sizes to those for the caches', () => {
    expect(chooseBlockSizes(limits, { nc: 64 }, caches(32 << 10, 512 << 10))).toEqual({
      kc: 512,
      nc: 64,
      mc: 192,
    });
  });

  test.each<[string, unknown, RegExp]>([
    ['kc that is not a multiple of 8', { kc: 12 }, /kc 12.*kc must be a multiple of 8/],
    ['nc that is not a multiple of 16', { nc: 8 }, /nc 8/],
    ['mc that is not a multiple of 6', { mc: 10 }, /mc 10/],
    ['more than the scratch holds', { kc: 4096 }, /fit into scratch/],
    ['far more than that', { kc: 2 ** 40 }, /fit into scratch/],
    ['a string', { kc: '8' }, /kc must be a positive integer, got "8"/],
    ['zero', { nc: 0 }, /nc must be a positive integer, got 0/],
    ['an unknown name', { kd: 8 }, /no block size kd/],
    ['a number', 7, /must be an object/],
  ])('refuses %s', async (_name, blockSizes, message) => {
    const creation = Engine.create({ threads: 1, blockSizes: blockSizes as BlockSizeOptions });
    await expectRejection(creation, 'ERR_ARGUMENT', message);
  });
});

test('products have the same bits for all block sizes, packed or not', async () => {
  const numbers = new Numbers(5);
  const [m, k, n] = [150, 300, 90];
  const [a, b] = [numbers.floats(m * k), numbers.floats(k * n)];
  const results: ArrayLike<number>[] = [];
  for (const blockSizes of [{}, { nc: 144 }, { kc: 64, nc: 32, mc: 12 }, { kc: 8, nc: 16, mc: 6 }]) {
    await using engine = await Engine.create({ threads: 2, blockSizes });
    expect(engine.blockSizes).toMatchObject(blockSizes);
    using scope = engine.scope();
    const [x, w] = [scope.tensor([m, k], a), scope.tensor([k, n], b)];
    using packed = await engine.pack(w);
    results.push(scope.track(await engine.matmul(x, w)).toArray());
    results.push(scope.track(await engine.matmul(x, packed)).toArray());
  }
  for (const result of results) expect(firstBitDifference(result, results[0] as Float32Array)).toBeUndefined();
});
