// Recorded programs through the public API: recording, replaying, outputs and inputs, memory, and misuse.
import { afterEach, expect, test } from 'vitest';
import type { Engine } from '../../src/engine.js';
import type { ProgramBuilder } from '../../src/ops/calls/program-builder.js';
import { keeperOf, type Tensor } from '../../src/tensor/tensor.js';
import { firstBitDifference, Numbers } from '../support/numbers.js';
import { expectAbort, expectRejection } from '../support/rejections.js';
import { Checkpoint, checkpointOp } from '../support/running/arranged-team.js';
import { sharedEngines } from '../support/running/engines.js';

const engineOf = sharedEngines();
const start = (): Promise<Engine> => engineOf({ threads: 2 });

afterEach(async () => {
  expect((await start()).stats().pool).toMatchObject({ rentedBytes: 0, liveTensors: 0, leaks: 0 });
});

test('computes its outputs from the current inputs at each run', async () => {
  const engine = await start();
  using w = engine.tensor([2, 2], [1, 2, 3, 4]);
  using program = engine.program((p) => {
    const x = p.input([1, 2]);
    expect([...x.data]).toEqual([0, 0]);
    return { x, y: p.matmul(x, w), all: [p.scale(x, 2), p.relu(x)] };
  });
  const { x, y, all } = program.tensors;
  for (const values of [
    [1, 0],
    [0, -1],
    [2, 3],
  ] as const) {
    x.set(values);
    await program.run();
    const [a, b] = values;
    expect([...y.data]).toEqual([a + 3 * b, 2 * a + 4 * b]);
    expect([...(all[0] as Tensor).data, ...(all[1] as Tensor).data]).toEqual([
      2 * a,
      2 * b,
      Math.max(a, 0),
      Math.max(b, 0),
    ]);
  }
  w.data[0] = 10;
  x.set([1, 0]);
  await program.run();
  expect([...y.data]).toEqual([10, 2]);
  expect(program.kernels).toEqual(['matmul', 'scale', 'activation']);
  expect(program.flops).toBeGreaterThan(7);
});

test('keeps intermediates in a shared arena, and outputs outside of it', async () => {
  const engine = await start();
  using x = engine.tensor([64, 1024]);
  using program = engine.program((p) => {
    let y: Tensor = x;
    for (let count = 0; count < 10; count++) y = p.softmax(y);
    return y;
  });
  expect(program.arenaBytes).toBe(2 * x.sizeBytes);
  await program.run();
  expect(program.tensors.data[0]).toBeCloseTo(1 / 1024);
});

test('an output may be a view of a temporary, be used in further ops, and by other programs', async () => {
  const engine = await start();
  using program = engine.program((p) => {
    const x = p.input([2, 3]);
    const doubled = p.scale(x, 2);
    return { x, turned: doubled.transpose(), sum: p.add(doubled, x) };
  });
  program.tensors.x.set([1, 2, 3, 4, 5, 6]);
  await program.run();
  expect([...program.tensors.turned.toArray()]).toEqual([2, 8, 4, 10, 6, 12]);
  using one = await engine.scale(program.tensors.turned, 0.5);
  expect([...one.toArray()]).toEqual([1, 4, 2, 5, 3, 6]);
  using next = engine.program((p) => p.relu(program.tensors.sum));
  await next.run();
  expect([...next.tensors.toArray()]).toEqual([3, 6, 9, 12, 15, 18]);
  program.dispose();
  await expectRejection(next.run(), 'ERR_DISPOSED');
  await expectRejection(() => engine.relu(program.tensors.sum), 'ERR_DISPOSED');
});

test('writes to given tensors, in place and one after the other', async () => {
  const engine = await start();
  using x = engine.tensor([4], [1, 2, 3, 4]);
  using program = engine.program((p) => {
    p.scale(x, 2, { out: x });
    p.add(x, x, { out: x });
  });
  await program.run();
  await program.run();
  expect([...x.data]).toEqual([16, 32, 48, 64]);
});

test('random programs give the same bits as single calls, with any number of workers', async () => {
  const size = [48, 48] as const;
  /** A random sequence of ops: each reads earlier values and adds one, or overwrites one in place. */
  async function applyOps(
    seed: number,
    values: Tensor[],
    call: (name: string, ...args: unknown[]) => unknown,
  ): Promise<Tensor[]> {
    const numbers = new Numbers(seed);
    const pick = () => values[numbers.integer(0, values.length - 1)] as Tensor;
    for (let step = 0; step < 25; step++) {
      const [a, b] = [pick(), pick()];
      const kind = numbers.integer(0, 6);
      const made =
        kind === 0
          ? call('matmul', a, b, { transposeB: true, activation: 'tanh' })
          : kind === 1
            ? call('add', a, b.transpose())
            : kind === 2
              ? call('softmax', a)
              : kind === 3
                ? call('layerNorm', a, { bias: b.slice([3, 4]).squeeze() })
                : kind === 4
                  ? call('copy', a.transpose())
                  : kind === 5
                    ? call('mul', a, b, { out: a })
                    : call('sigmoid', a, { out: a });
      const result = (made instanceof Promise ? await made : made) as Tensor;
      if (result !== a) values.push(result);
    }
    return values;
  }
  for (const threads of [1, 2, 3]) {
    const engine = await engineOf({ threads });
    for (let seed = 0; seed < 6; seed++) {
      using scope = engine.scope();
      const inputs = () => [0, 1, 2].map((index) => scope.tensor(size, new Numbers(seed + 10 * index).floats(48 * 48)));
      const expected = await applyOps(seed, inputs(), (name, ...args) => {
        return (engine as unknown as Record<string, (...args: unknown[]) => Promise<Tensor>>)
          [name]?.(...args)
          .then((made) => {
            return keeperOf(made) === undefined ? scope.track(made) : made;
          });
      });
      // When it records, nothing is awaited, so the sequence ends before `program` continues.
      const own = inputs();
      using program = engine.program((p) => {
        const values: Tensor[] = [...own];
        void applyOps(seed, values, (name, ...args) =>
          (p as unknown as Record<string, (...args: unknown[]) => Tensor>)[name]?.(...args),
        );
        return values;
      });
      await program.run();
      expect(program.tensors.length).toBe(expected.length);
      program.tensors.forEach((value, index) => {
        const difference = firstBitDifference(value.toArray(), (expected[index] as Tensor).toArray());
        expect(difference, `${threads} threads, seed ${seed}, value ${index}`).toBeUndefined();
      });
    }
  }
});

test('a running program cannot be started again, but can be disposed', async () => {
  const engine = await start();
  using checkpoint = new Checkpoint(engine);
  const x = engine.tensor([10]);
  const program = engine.program((p) => {
    p.record(checkpointOp, { gate: checkpoint.gate, tiles: 1, mode: 'wait', out: checkpoint.arrived } as object);
    return p.scale(x, 3);
  });
  const run = program.run();
  await expectRejection(program.run(), 'ERR_BUSY');
  await checkpoint.reached(1);
  await expectRejection(program.run(), 'ERR_BUSY');
  program.dispose();
  x.dispose();
  await expectRejection(() => program.dispose(), 'ERR_DISPOSED', /twice/);
  await expectRejection(program.run(), 'ERR_DISPOSED');
  // The run keeps all of the program's memory.
  expect(engine.stats().pool.rentedBytes).toBeGreaterThan(3 * 64);
  checkpoint.open();
  await run;
});

test('a program can run again after a cancelled run', async () => {
  const engine = await start();
  using checkpoint = new Checkpoint(engine);
  using program = engine.program((p) => {
    p.record(checkpointOp, { gate: checkpoint.gate, tiles: 5, mode: 'wait', out: checkpoint.arrived } as object);
    return p.scale(p.input([1]), 2);
  });
  await expectAbort(program.run({ signal: AbortSignal.abort('early') }), 'early');
  const controller = new AbortController();
  const run = program.run({ signal: controller.signal });
  await checkpoint.reached(2);
  controller.abort('late');
  checkpoint.open();
  await expectAbort(run, 'late');
  expect(checkpoint.arrivals).toBe(2);
  await program.run();
  expect(checkpoint.arrivals).toBe(7);
});

test('a failed recording keeps no memory', async () => {
  const engine = await start();
  const reason = new Error('from the recording function');
  const { rents } = engine.stats().pool;
  expect(() =>
    engine.program((p) => {
      p.softmax(p.input([100, 100]));
      throw reason;
    }),
  ).toThrow(reason);
  expect(engine.stats().pool.rents).toBeGreaterThan(rents);
});

test('misuse of recording and running is refused', async () => {
  const engine = await start();
  for (const record of [undefined, null, {}, 'x']) {
    await expectRejection(() => engine.program(record as never), 'ERR_ARGUMENT', /function/);
  }
  await expectRejection(() => engine.program(async (p) => p.input([3])), 'ERR_ARGUMENT', /asynchronous/);
  let late: ProgramBuilder | undefined;
  using program = engine.program((p) => {
    late = p;
    return p.relu(p.input([3]));
  });
  await expectRejection(() => late?.input([3]), 'ERR_ARGUMENT', /recording is over/);
  await expectRejection(() => late?.relu(program.tensors), 'ERR_ARGUMENT', /recording is over/);
  for (const options of [null, 5, { signl: undefined }, { signal: {} }, { signal: null }]) {
    await expectRejection(program.run(options as never), 'ERR_ARGUMENT');
  }
  await program.run({});
  await program.run({ signal: undefined });
  await expectRejection(() => engine.program((p) => p.input([-1])), 'ERR_SHAPE');
});

test('a temporary cannot be read, and is disposed with its program', async () => {
  const engine = await start();
  let hidden: Tensor | undefined;
  const program = engine.program((p) => {
    hidden = p.relu(p.input([3]));
    return p.scale(hidden, 2);
  });
  await expectRejection(() => hidden?.data, 'ERR_ARGUMENT', /temporary/);
  program.dispose();
  await expectRejection(() => hidden?.data, 'ERR_DISPOSED');
  await expectRejection(() => program.tensors.data, 'ERR_DISPOSED');
});

test('a program without steps can run, and outputs may have no elements', async () => {
  const engine = await start();
  using empty = engine.program(() => undefined);
  await empty.run();
  using program = engine.program((p) => p.softmax(p.input([0, 5])));
  await program.run();
  expect(program.tensors.data.length).toBe(0);
  expect(program.kernels).toEqual([]);
});
