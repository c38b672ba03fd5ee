// bench/suites/timeline.ts: the profile that the HTML page draws.
import { expect, test } from 'vitest';
import { BenchContext } from '../../../bench/measuring/context.js';
import { recordTimeline } from '../../../bench/suites/timeline.js';

test('the layer has its kernels and all its tiles, and leaves nothing behind', async () => {
  const progress: string[] = [];
  const options = { threads: 2, probe: false, onProgress: (text: string) => progress.push(text) };
  await using context = await BenchContext.open(options);
  const { what, profile } = await recordTimeline(context);
  expect(what).toContain('transformer layer');
  expect(progress).toEqual(['the tiles of a transformer layer']);
  const kernels = new Set(profile.steps.map(({ kernel }) => kernel));
  expect([...kernels]).toEqual(expect.arrayContaining(['matmul', 'attention', 'rms_norm']));
  expect(profile.tiles).toHaveLength(profile.steps.reduce((sum, { tiles }) => sum + tiles, 0));
  expect(context.widest.stats().pool).toMatchObject({ rentedBytes: 0, liveTensors: 0 });
});
