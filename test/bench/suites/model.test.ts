// The suite model computes its prompt anew in each round: what a prefix cache gives is no speed of a prefill. Op by op it gives
// no speed that it does not know, and none above a peak.
import diagnostics from 'node:diagnostics_channel';
import { expect, test } from 'vitest';
import { BenchContext } from '../../../bench/measuring/context.js';
import { benchModel } from '../../../bench/suites/model.js';
import { profileModel } from '../../../bench/suites/model-profile.js';
import { modelPaths } from '../../support/models/model-files.js';

const write = modelPaths();

test('no prompt is taken from a prefix cache', async () => {
  const cached: number[] = [];
  const listen = (message: unknown) => cached.push((message as { cachedTokens: number }).cachedTokens);
  diagnostics.subscribe('tesserae:request:end', listen);
  const path = await write({ architecture: 'llama' });
  await using context = await BenchContext.open({ threads: 2, rounds: 2 });
  await benchModel(context, { path, promptTokens: 100, maxTokens: 3 });
  diagnostics.unsubscribe('tesserae:request:end', listen);
  expect(cached).toEqual(new Array(3 * context.counts.length).fill(0));
});

test.each(['llama', 'bert'])(
  'op by op, %s gives no speed for attention, whose keys are not counted',
  async (architecture) => {
    const path = await write({ architecture, type: 'Q8_0' });
    await using context = await BenchContext.open({ threads: 2, rounds: 2 });
    for (const { rows } of await profileModel(context, { path, promptTokens: 60 })) {
      for (const { kernel, gflops, peakShare, gbs } of rows) {
        const isAttention = kernel.includes('attention');
        if (isAttention || kernel === 'hand-over')
          expect([kernel, gflops, peakShare, gbs]).toEqual([kernel, null, null, null]);
        else expect(gbs).toBeGreaterThanOrEqual(0);
        expect(peakShare ?? 0).toBeLessThan(1);
      }
      expect(rows.some(({ kernel }) => kernel.includes('attention'))).toBe(true);
    }
  },
);
