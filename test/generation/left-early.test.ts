// Generations that were left early, or ended by an error, are not kept in memory by anything of ours.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Generation, GenerationStream } from '../../src/generation/generation.js';

/** @returns how many of so many generations are left after collections of garbage */
async function leftOf(count: number, end: (generation: Generation, stream: GenerationStream) => unknown) {
  const left: WeakRef<Generation>[] = [];
  for (let index = 0; index < count; index++) {
    const stream = new GenerationStream();
    const generation = new Generation(stream);
    left.push(new WeakRef(generation));
    await end(generation, stream);
  }
  for (let round = 0; round < 10; round++) {
    await nextTurn();
    globalThis.gc?.();
  }
  return left.filter((generation) => generation.deref() !== undefined).length;
}

const leave = (generation: Generation) => generation.return(undefined as never);

test.each<[string, (generation: Generation, stream: GenerationStream) => unknown]>([
  ['left early', leave],
  ['disposed', (generation) => generation[Symbol.asyncDispose]()],
  ['ended by an error of its consumer', (generation) => generation.throw(new Error('enough')).catch(() => {})],
  ['failed', (_, stream) => stream.fail(new Error('of the server'))],
  ['dropped', () => {}],
])('%s', async (_, end) => {
  // The last one may still be in a register or on the stack.
  expect(await leftOf(50, end)).toBeLessThan(3);
});
