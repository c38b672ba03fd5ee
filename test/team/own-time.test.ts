// That what the calling thread computes by itself never keeps the event loop from turning: counted in turns, not timed.
import { expect, test } from 'vitest';
import { sharedEngines } from '../support/running/engines.js';

const engineOf = sharedEngines();

test.each([
  ['on the calling thread', 16],
  ['with a hand from the calling thread', 128],
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
    // Ends by the turn alone; a loop of microtasks would go on for ever.
    while (turns === before) await engine.matmul(a, a, { out });
  }
  expect(turns).toBe(3);
});
