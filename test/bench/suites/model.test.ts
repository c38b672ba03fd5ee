// The suite model computes its prompt anew in each round: what a prefix cache gives is no speed of a prefill.
import diagnostics from 'node:diagnostics_channel';
import { expect, test } from 'vitest';
import { BenchContext } from '../../../bench/measuring/context.js';
import { benchModel } from '../../../bench/suites/model.js';
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
