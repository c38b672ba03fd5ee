// src/ops/calls/one-shot-cache.ts: a call with a given output is recorded once and repeated. It must see every change of its
// operands, and a call that differs in anything must be recorded anew.
import { expect, test } from 'vitest';
import type { Engine } from '../../src/engine.js';
import { expectRejection } from '../support/rejections.js';
import { Checkpoint } from '../support/running/arranged-team.js';
import { sharedEngines } from '../support/running/engines.js';
import { collectGarbage } from '../tensor/support.js';

const engineOf = sharedEngines();
const start = (): Promise<Engine> => engineOf({ threads: 2 });

test('each call computes from the current contents of its operands', async () => {
  const engine = await start();
  using scope = engine.scope();
  const [a, b, out] = [scope.tensor([1, 1]), scope.tensor([1, 1]), scope.tensor([1, 1])];
  for (let value = 1; value < 50; value++) {
    a.data[0] = value;
    b.data[0] = value + 1;
    expect(await engine.matmul(a, b, { out })).toBe(out);
    expect(out.item()).toBe(value * (value + 1));
  }
});

test('a call that differs in an operand, an option or the order of operands is another call', async () => {
  const engine = await start();
  using scope = engine.scope();
  const [a, b, out, other] = [
    scope.tensor([2, 2], [1, 2, 3, 4]),
    scope.tensor([2, 2], [5, 6, 7, 8]),
    scope.tensor([2, 2]),
    scope.tensor([2, 2]),
  ];
  const bias = scope.tensor([2], [100, 200]);
  for (let round = 0; round < 3; round++) {
    expect([...(await engine.matmul(a, b, { out })).data]).toEqual([19, 22, 43, 50]);
    expect([...(await engine.matmul(b, a, { out })).data]).toEqual([23, 34, 31, 46]);
    expect([...(await engine.matmul(a, b, { out, transposeB: true })).data]).toEqual([17, 23, 39, 53]);
    expect([...(await engine.matmul(a, b, { out, transposeB: false })).data]).toEqual([19, 22, 43, 50]);
    expect([...(await engine.matmul(a, b, { out, bias })).data]).toEqual([119, 222, 143, 250]);
    expect([...(await engine.matmul(a, b, { out: other })).data]).toEqual([19, 22, 43, 50]);
    expect([...(await engine.scale(a, 2, { out })).data]).toEqual([2, 4, 6, 8]);
    expect([...(await engine.scale(a, -0, { out })).data]).toEqual([-0, -0, -0, -0]);
    expect([...(await engine.scale(a, 0, { out })).data]).toEqual([0, 0, 0, 0]);
    expect([...(await engine.add(a, b, { out })).data]).toEqual([6, 8, 10, 12]);
    expect([...(await engine.mul(a, b, { out })).data]).toEqual([5, 12, 21, 32]);
  }
});

test('a call can be made again while it is running', async () => {
  const engine = await start();
  using checkpoint = new Checkpoint(engine);
  const first = checkpoint.call(engine);
  const second = checkpoint.call(engine);
  await checkpoint.reached(2);
  checkpoint.open();
  await Promise.all([first, second]);
  await checkpoint.call(engine);
  expect(checkpoint.arrivals).toBe(3);
});

test('more different calls than the cache holds', async () => {
  const engine = await start();
  using scope = engine.scope();
  const outs = Array.from({ length: 100 }, () => scope.tensor([1]));
  const x = scope.tensor([1], [1]);
  for (let round = 1; round < 4; round++) {
    for (const [index, out] of outs.entries()) await engine.scale(x, index * round, { out });
    expect(outs.map((out) => out.item())).toEqual(outs.map((_, index) => index * round));
  }
});

test('the cache keeps neither tensors nor packed matrices alive', async () => {
  const engine = await start();
  const { liveTensors, leaks, rentedBytes } = engine.stats().pool;
  await (async () => {
    const [a, b, out] = [engine.tensor([20, 20]), engine.tensor([20, 20]), engine.tensor([20, 20])];
    await engine.matmul(a, b, { out });
    const packed = await engine.pack(b);
    await engine.matmul(a, packed, { out });
    await engine.matmul(a, packed, { out });
  })();
  await collectGarbage(() => engine.stats().pool.leaks === leaks + 4);
  expect(engine.stats().pool).toMatchObject({ liveTensors, leaks: leaks + 4, rentedBytes });
});

test('a disposed packed matrix is refused in a new call and in a repeated one', async () => {
  const engine = await start();
  using scope = engine.scope();
  const [a, b, out] = [scope.tensor([20, 20]), scope.tensor([20, 20]), scope.tensor([20, 20])];
  const packed = await engine.pack(b);
  await engine.matmul(a, packed, { out });
  packed.dispose();
  await expectRejection(engine.matmul(a, packed, { out }), 'ERR_DISPOSED');
  await expectRejection(engine.matmul(a, packed), 'ERR_DISPOSED', /^matmul/);
  await expectRejection(() => packed.dispose(), 'ERR_DISPOSED');
});

test('a repeated call refuses an operand that was disposed meanwhile, and a view whose owner lives on', async () => {
  const engine = await start();
  using scope = engine.scope();
  const owner = scope.tensor([4, 4]);
  const packed = await engine.pack(owner);
  for (const make of [
    () => {
      const x = engine.tensor([2, 4]);
      return { x, out: scope.tensor([2, 4]), gone: x };
    },
    () => {
      const x = owner.slice([0, 2]);
      return { x, out: scope.tensor([2, 4]), gone: x };
    },
    () => {
      const out = scope.tensor([4, 4]).slice([1, 3]);
      return { x: owner.slice([0, 2]), out, gone: out };
    },
    () => ({ x: owner.slice([0, 2]), out: scope.tensor([2, 4]), gone: packed }),
  ]) {
    const { x, out, gone } = make();
    for (let round = 0; round < 3; round++) await engine.matmul(x, packed, { out });
    gone.dispose();
    await expectRejection(engine.matmul(x, packed, { out }), 'ERR_DISPOSED');
  }
});
