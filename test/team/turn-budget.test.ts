// src/team/turn-budget.ts: what the calling thread computes never keeps the event loop from turning. Counts turns, no times.
import { expect, test } from 'vitest';
import { sharedEngines } from '../support/running/engines.js';

const engineOf = sharedEngines();

test.each([
  ['on the calling thread', 16],
  ['on the workers and the calling thread', 128],
])('the event loop turns while small products %s are awaited in a loop', async (_what, size) => {
  const engine = await engineOf({ threads: 2 });
  using scope = engine.scope();
  const [a, out] = [scope.tensor([size, size]), scope.tensor([size, size])];
  let turns = 0;
  const turn = () => {
    turns += 1;
  };
  for (let round = 0; round < 3; round++) {
    const before = turns;
    setImmediate(turn);
    // Ends only after a turn; a loop of microtasks alone would never end.
    while (turns === before) await engine.matmul(a, a, { out });
  }
  expect(turns).toBe(3);
});
