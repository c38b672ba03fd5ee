// src/engine.ts: options, budget, closing in the middle of work, threads, and several engines at once.
import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Engine } from '../../src/engine.js';
import { expectAbort, expectRejection } from '../support/rejections.js';
import { Checkpoint, until } from '../support/running/arranged-team.js';

/** Threads of this process, including those that are about to end. */
const threadCount = () => readdirSync('/proc/self/task').length;

test('refuses unknown options and wrong values', async () => {
  for (const [options, message] of [
    [{ thread: 2 }, /no option thread/],
    [{ threads: 0 }, /threads must be a positive integer, got 0/],
    [{ threads: 1.5 }, /got 1.5/],
    [{ threads: '2' }, /threads must be a positive integer/],
    [{ threads: 257 }, /256 at most/],
    [{ memoryBudget: -1 }, /memoryBudget must be a positive integer/],
    [
      { isa: 'sse' },
      /one of ref, portable, avx2, avx_vnni, avx512_floats, avx512, neon, neon_dot, neon_i8mm, got "sse"/,
    ],
    [{ isa: 'toString' }, /one of ref, portable, avx2/],
  ] as const) {
    await expectRejection(Engine.create(options as object), 'ERR_ARGUMENT', message);
  }
  await expectRejection(
    Engine.create({ threads: 2, memoryBudget: 1 << 20 }),
    'ERR_BUDGET',
    /takes \d+ bytes.* is 1048576/,
  );
});

test('what does not fit into the budget fails with the numbers, and changes nothing', async () => {
  await using engine = await Engine.create({ threads: 1, memoryBudget: 16 << 20 });
  using scope = engine.scope();
  const a = scope.tensor([400, 1000]);
  const b = scope.tensor([1000, 800]);
  const before = engine.stats().pool;
  const bytes = /needs \d+ bytes .* budget of \d+ bytes \d+ are rented and \d+ idle/;
  await expectRejection(() => engine.tensor([4000, 1000]), 'ERR_BUDGET', bytes);
  await expectRejection(engine.matmul(scope.tensor([2000, 1]), scope.tensor([1, 2000])), 'ERR_BUDGET', bytes);
  // The result fits; the packed copy of the transposed operand does not.
  const filler = scope.tensor([1000, 800]);
  await expectRejection(engine.softmax(b.transpose()), 'ERR_BUDGET', bytes);
  await expectRejection(() => engine.program((p) => p.relu(p.relu(b))), 'ERR_BUDGET', bytes);
  filler.dispose();
  const after = engine.stats().pool;
  expect(after.liveTensors).toBe(before.liveTensors + 2);
  expect(after.heldBytes).toBeLessThanOrEqual(after.budgetBytes);
  using y = await engine.softmax(b.transpose());
  expect(y.data[0]).toBeCloseTo(1 / 1000);
  expect(a.disposed).toBe(false);
});

test('closing rejects running calls, keeps tensors readable, and refuses everything else', async () => {
  const threadsBefore = threadCount();
  const engine = await Engine.create({ threads: 2 });
  const checkpoint = new Checkpoint(engine);
  const x = engine.tensor([3], [1, 2, 3]);
  const scope = engine.scope();
  const program = engine.program((p) => p.relu(x));
  const held = checkpoint.call(engine);
  await checkpoint.reached(1);
  const rejected = expectRejection(held, 'ERR_ENGINE_CLOSED');
  const closing = engine.close();
  expect(engine.close()).toBe(closing);
  await expectRejection(engine.relu(x), 'ERR_ENGINE_CLOSED');
  await expectRejection(program.run(), 'ERR_ENGINE_CLOSED');
  checkpoint.open();
  await rejected;
  await closing;
  await engine[Symbol.asyncDispose]();
  await expectRejection(() => engine.tensor([3]), 'ERR_ENGINE_CLOSED', /^tensor: /);
  await expectRejection(() => engine.scope(), 'ERR_ENGINE_CLOSED');
  await expectRejection(() => scope.tensor([3]), 'ERR_ENGINE_CLOSED');
  await expectRejection(() => engine.workspace(), 'ERR_ENGINE_CLOSED');
  await expectRejection(() => engine.program(() => undefined), 'ERR_ENGINE_CLOSED');
  expect([...x.toArray()]).toEqual([1, 2, 3]);
  program.dispose();
  x.dispose();
  checkpoint[Symbol.dispose]();
  expect(engine.stats()).toMatchObject({ pool: { rentedBytes: 0, liveTensors: 0 }, team: { running: 0, queued: 0 } });
  await until(() => threadCount() <= threadsBefore);
});

test('thirty engines, one after the other, leave no thread', { timeout: 60_000 }, async () => {
  const cycle = async () => {
    await using engine = await Engine.create({ threads: 1 });
    using a = engine.tensor([200, 200]);
    using c = await engine.matmul(a, a);
    expect(c.data[0]).toBe(0);
  };
  await cycle();
  await until(() => !process.getActiveResourcesInfo().includes('Worker'));
  const before = threadCount();
  for (let count = 0; count < 30; count++) await cycle();
  await until(() => threadCount() <= before);
  expect(process.listenerCount('exit')).toBeLessThan(10);
});

test('many workers load the addon at once, and engines do not disturb each other', async () => {
  const engines = await Promise.all([8, 4, 1].map((threads) => Engine.create({ threads })));
  const results = await Promise.all(
    engines.flatMap((engine, index) => {
      return Array.from({ length: 20 }, async () => {
        using x = engine.tensor([64, 64], new Float32Array(64 * 64).fill(index + 1));
        using y = await engine.matmul(x, x);
        return y.data[0] === 64 * (index + 1) ** 2;
      });
    }),
  );
  expect(results.every((correct) => correct)).toBe(true);
  await Promise.all(engines.map((engine) => engine.close()));
});

test('aborting a running matmul of 4096 settles promptly, and the next call works', async () => {
  await using engine = await Engine.create({ threads: 2 });
  const size = 4096;
  using a = engine.tensor([size, size]);
  using out = engine.tensor([size, size]);
  using small = engine.tensor([2, 2], [1, 2, 3, 4]);
  const { rentedBytes, liveTensors } = engine.stats().pool;
  const tiles = () => engine.stats().team.kernels.find(({ op }) => op === 'matmul')?.tiles ?? 0;
  for (const options of [{}, { out }]) {
    const controller = new AbortController();
    const tilesBefore = tiles();
    const running = engine.matmul(a, a, { ...options, signal: controller.signal });
    const rejected = expectAbort(running, 'no more');
    await until(() => tiles() > tilesBefore);
    controller.abort('no more');
    const begin = performance.now();
    await rejected;
    // Detects a hang; a benchmark measures how long it takes.
    expect(performance.now() - begin).toBeLessThan(1000);
    expect(engine.stats()).toMatchObject({ pool: { rentedBytes, liveTensors }, team: { running: 0 } });
    using product = await engine.matmul(small, small);
    expect([...product.data]).toEqual([7, 10, 15, 22]);
  }
});

test('simultaneous calls on the same tensors do not disturb each other', async () => {
  await using engine = await Engine.create({ threads: 2 });
  using scope = engine.scope();
  const a = scope.tensor([150, 150], new Float32Array(150 * 150).fill(1));
  const out = scope.tensor([150, 150]);
  const calls = await Promise.all(Array.from({ length: 100 }, () => engine.matmul(a, a, { out })));
  expect(calls.every((result) => result === out)).toBe(true);
  expect(out.data.every((value) => value === 150)).toBe(true);
});
