// bench/machine.ts: that it reports what the addon was built with.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { describeMachine } from '../../bench/machine.js';
import { packageRoot } from '../../src/native/load.js';

test('the block sizes are those of the kernels', async () => {
  const { blockSizes } = await describeMachine();
  const header = readFileSync(join(packageRoot(), 'native/kernels/block_sizes.h'), 'utf8');
  const constants = Object.keys(blockSizes).map((name) => {
    const [, value] =
      new RegExp(`constexpr int64_t k${name[0]?.toUpperCase()}${name.slice(1)} = (\\d+);`).exec(header) ?? [];
    return [name, Number(value)];
  });
  expect(blockSizes).toEqual(Object.fromEntries(constants));
});
