// Forks, shifts and what sessions hold of memory: equal bits with a fresh run, and every page goes back.
import { describe, expect, test } from 'vitest';
import { Engine } from '../../src/engine.js';
import type { Model } from '../../src/model/model.js';
import type { Session } from '../../src/model/session.js';
import { modelFiles, small, someIds, tiny, untilRunning } from '../support/models/model-files.js';
import { firstBitDifference, Numbers } from '../support/numbers.js';
import { expectAbort, expectRejection } from '../support/rejections.js';
import { sharedEngines } from '../support/running/engines.js';

const engines = sharedEngines();
const write = modelFiles();
const page = 32;

function expectSameMemory(engine: Engine, before: ReturnType<Engine['stats']>['pool']): void {
  const { rentedBytes, liveTensors } = engine.stats().pool;
  expect({ rentedBytes, liveTensors }).toEqual({ rentedBytes: before.rentedBytes, liveTensors: before.liveTensors });
}

/** The logits after the tokens of a session and `next`, from a session of its own. */
async function fresh(model: Model, ids: readonly number[]): Promise<Float32Array> {
  using session = model.session();
  return await session.append(ids);
}

async function expectContinues(model: Model, session: Session, next: readonly number[]): Promise<void> {
  const ids = [...session.tokens, ...next];
  const difference = firstBitDifference(await session.append(next), await fresh(model, ids));
  expect(difference, `after ${ids.length} tokens`).toBeUndefined();
  expect(session.tokens).toEqual(ids);
}

describe('pages', () => {
  test('are taken as a session grows, and go back as it is rewound', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(tiny));
    const { layers, kvHeads, dim, heads } = tiny;
    const pageBytes = layers * kvHeads * (dim / heads) * 4 * 2 * page;
    expect(model.info).toMatchObject({ kvType: 'f32', kvBytesPerToken: pageBytes / page });
    using session = model.session();
    for (const [tokens, pages] of [
      [1, 1],
      [31, 1],
      [32, 2],
      [100, 6],
    ] as const) {
      await session.append(someIds(tokens, tiny.vocab));
      expect(session.stats.keyValueBytes).toBe(pages * pageBytes);
    }
    expect(session.stats).toEqual({ tokens: 164, capacity: 512, keyValueBytes: 6 * pageBytes, sharedBytes: 0 });
    const { rentedBytes, liveTensors } = engine.stats().pool;
    session.rewind(33);
    expect(session.stats.keyValueBytes).toBe(2 * pageBytes);
    expect(engine.stats().pool.rentedBytes).toBe(rentedBytes - 4 * pageBytes);
    expect(engine.stats().pool.liveTensors).toBe(liveTensors - 4);
    session.rewind(0);
    expect(engine.stats().pool.rentedBytes).toBe(rentedBytes - 6 * pageBytes);
  });

  test('that the budget does not grant leave the session as it was', async () => {
    const path = await write({ ...small, layers: 8, kvHeads: 8, context: 4096 });
    await using engine = await Engine.create({ threads: 1, memoryBudget: 24 << 20 });
    using model = await engine.loadModel(path);
    using session = model.session();
    await session.append(someIds(40, small.vocab));
    using fork = session.fork();
    const before = { stats: session.stats, rented: engine.stats().pool.rentedBytes };
    await expectRejection(session.append(someIds(4000, small.vocab)), 'ERR_BUDGET');
    expect(session.stats).toEqual(before.stats);
    expect(engine.stats().pool.rentedBytes).toBeLessThanOrEqual(before.rented);
    await expectContinues(model, session, [5, 6]);
    await expectContinues(model, fork, [7]);
  });
});

describe('forks', () => {
  test('share memory until they write, and are independent', async () => {
    const engine = await engines({ threads: 2 });
    const before = engine.stats().pool;
    const model = await engine.loadModel(await write(tiny));
    const session = model.session();
    await session.append(someIds(50, tiny.vocab));
    const pageBytes = session.stats.keyValueBytes / 2;
    const forks = [session.fork(), session.fork()] as const;
    const grandchild = forks[0].fork();
    for (const one of [session, ...forks, grandchild]) {
      expect(one.stats).toMatchObject({ tokens: 50, keyValueBytes: 2 * pageBytes, sharedBytes: 2 * pageBytes });
    }
    await expectContinues(model, forks[0], [1, 2, 3]);
    expect(forks[0].stats.sharedBytes).toBe(pageBytes);
    await expectContinues(model, forks[1], someIds(20, tiny.vocab));
    await expectContinues(model, session, [4]);
    session.dispose();
    await expectContinues(model, grandchild, [9]);
    forks[1].rewind(10);
    await expectContinues(model, forks[1], [8, 8]);
    await expectContinues(model, forks[0], [7]);
    for (const fork of [...forks, grandchild]) fork.dispose();
    model.dispose();
    expectSameMemory(engine, before);
  });

  test('in any interleaving have the bits of fresh sessions, and give all back', { timeout: 60_000 }, async () => {
    const engine = await engines({ threads: 2 });
    const path = await write(tiny);
    for (let seed = 1; seed <= 4; seed++) {
      const before = engine.stats().pool;
      const model = await engine.loadModel(path);
      const numbers = new Numbers(7000 + seed);
      const pick = (most: number) => numbers.integers(1, 0, most)[0] as number;
      const sessions = [model.session()];
      const disposed: Session[] = [];
      for (let step = 0; step < 40; step++) {
        const session = sessions[pick(sessions.length - 1)] as Session;
        const action = pick(9);
        if (action < 5) {
          const ids = [...numbers.integers(1 + pick(40), 0, tiny.vocab - 1)];
          if (session.length + ids.length <= session.capacity) await expectContinues(model, session, ids);
        } else if (action < 7) {
          session.rewind(pick(session.length));
        } else if (action < 9) {
          if (sessions.length < 5) sessions.push(session.fork());
        } else if (sessions.length > 1) {
          sessions.splice(sessions.indexOf(session), 1);
          session.dispose();
          disposed.push(session);
        }
      }
      const shared = sessions.reduce((sum, { stats }) => sum + stats.keyValueBytes, 0);
      expect(shared).toBeGreaterThan(0);
      for (const session of sessions) session.dispose();
      for (const session of disposed) await expectRejection(session.append([1]), 'ERR_DISPOSED');
      model.dispose();
      expectSameMemory(engine, before);
    }
  });

  test('of a session that computes are refused, and a fork outlives what it was forked from', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(small));
    const session = model.session();
    await session.append(someIds(40, small.vocab));
    const fork = session.fork();
    const appending = session.append(someIds(300, small.vocab));
    await expectRejection(() => session.fork(), 'ERR_BUSY');
    session.dispose();
    const failed = expectRejection(appending, 'ERR_DISPOSED');
    await expectRejection(() => session.fork(), 'ERR_DISPOSED');
    await expectContinues(model, fork, [1, 2]);
    await failed;
    await expectContinues(model, fork, [3]);
    fork.dispose();
  });

  test('that are aborted while they copy or compute share as before', async () => {
    const engine = await engines({ threads: 2 });
    // Long enough that no machine is through before the abort.
    using model = await engine.loadModel(await write({ ...small, layers: 6, context: 4096 }));
    using session = model.session();
    await session.append(someIds(40, small.vocab));
    using fork = session.fork();
    const before = fork.stats;
    const reason = new Error('enough');
    for (const until of [async () => {}, (work: Promise<unknown>) => untilRunning(engine, work)]) {
      const controller = new AbortController();
      const appending = fork.append(someIds(3000, small.vocab), { signal: controller.signal });
      await until(appending);
      controller.abort(reason);
      await expectAbort(appending, reason);
      expect(fork.stats).toEqual(before);
    }
    await expectContinues(model, fork, [3]);
    await expectContinues(model, session, [4]);
  });
});

describe('a full session', () => {
  test('shifts: the first tokens and the newest stay, with the bits of a fresh session', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(tiny), { contextLength: 80 });
    for (const keep of [0, 1, 33]) {
      using session = model.session({ onFull: 'shift', keep });
      const ids = someIds(300, tiny.vocab);
      await session.append(ids.slice(0, 80));
      expect(session.isFull).toBe(false);
      let expected = ids.slice(0, 80);
      for (let at = 80; at < 300; at += 7) {
        const next = ids.slice(at, at + 7);
        if (expected.length + next.length > 80) {
          const rest = expected.length - keep;
          const drop = Math.max(Math.ceil(rest / 2), expected.length + next.length - 80);
          expected = [...expected.slice(0, keep), ...expected.slice(keep + drop)];
        }
        expected = [...expected, ...next];
        const logits = await session.append(next);
        expect(session.tokens).toEqual(expected);
        expect(firstBitDifference(logits, await fresh(model, expected))).toBeUndefined();
      }
    }
  });

  test('drops more where more room is needed, and refuses what can never fit', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(tiny), { contextLength: 40 });
    using session = model.session({ onFull: 'shift', keep: 2 });
    await session.append(someIds(40, tiny.vocab));
    const tokens = session.tokens;
    await expectRejection(session.append(someIds(39, tiny.vocab)), 'ERR_CONTEXT', /41 tokens .* context of 40/);
    expect(session.tokens).toEqual(tokens);
    await expectContinuesAs(model, session, someIds(38, tiny.vocab), tokens.slice(0, 2));
    await session.shift();
    expect(session.length).toBe(2 + 19);
    expect(session.tokens.slice(0, 2)).toEqual(tokens.slice(0, 2));
    await expectContinues(model, session, [3]);
  });

  test('is forked with its settings: the fork shifts as it does, and keeps as many tokens', async () => {
    const engine = await engines({ threads: 1 });
    using model = await engine.loadModel(await write(tiny), { contextLength: 40 });
    using session = model.session({ onFull: 'shift', keep: 5 });
    const ids = someIds(40, tiny.vocab);
    await session.append(ids);
    using fork = session.fork();
    using grandchild = fork.fork();
    for (const one of [session, fork, grandchild]) {
      expect(one.isFull).toBe(false);
      await one.append([1]);
      expect(one.tokens).toEqual([...ids.slice(0, 5), ...ids.slice(5 + 18), 1]);
    }
  });

  async function expectContinuesAs(model: Model, session: Session, next: number[], kept: number[]): Promise<void> {
    const logits = await session.append(next);
    expect(session.tokens).toEqual([...kept, ...next]);
    expect(firstBitDifference(logits, await fresh(model, session.tokens))).toBeUndefined();
  }

  test('is as it was after a shift that is aborted', async () => {
    const engine = await engines({ threads: 2 });
    // Long enough that no machine is through before the abort.
    using model = await engine.loadModel(await write({ ...small, dim: 256, ffn: 1024, layers: 16 }));
    using session = model.session({ onFull: 'shift' });
    await session.append(someIds(512, small.vocab));
    const before = { stats: session.stats, tokens: session.tokens };
    const reason = new Error('enough');
    for (const until of [async () => {}, (work: Promise<unknown>) => untilRunning(engine, work)]) {
      const controller = new AbortController();
      const appending = session.append(someIds(250, small.vocab), { signal: controller.signal });
      await until(appending);
      controller.abort(reason);
      await expectAbort(appending, reason);
      expect({ stats: session.stats, tokens: session.tokens }).toEqual(before);
    }
    session.rewind(511);
    await expectContinues(model, session, [1]);
  });

  test('is one by default that can only be rewound', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(tiny), { contextLength: 8 });
    using session = model.session();
    await session.append([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(session.isFull).toBe(true);
    await expectRejection(session.append([1]), 'ERR_CONTEXT');
    for (const options of [
      { onFull: 'drop' },
      { keep: -1 },
      { keep: 1.5 },
      { onFull: 'shift', keep: 8 },
      { size: 3 },
    ]) {
      await expectRejection(() => model.session(options as object), 'ERR_ARGUMENT');
    }
  });
});

describe('keys and values', () => {
  const wide = { ...small, dim: 256, heads: 4, kvHeads: 2, context: 512 };

  test.each(['f16', 'q8_0'] as const)(
    'in %s give the same bits at once, in pieces and token by token',
    async (kvType) => {
      const path = await write(wide);
      const ids = someIds(300, wide.vocab);
      let reference: Float32Array | undefined;
      for (const threads of [1, 2]) {
        const engine = await engines({ threads });
        using model = await engine.loadModel(path, { kvType });
        expect(model.info.kvType).toBe(kvType);
        const all = await model.logits(ids);
        reference ??= all;
        expect(firstBitDifference(all, reference)).toBeUndefined();
        const row = (tokens: number) => all.slice((tokens - 1) * wide.vocab, tokens * wide.vocab);
        using session = model.session();
        for (const tokens of [1, 2, 3, 7, 8, 40, 41, 200, 261, 262, 300]) {
          const logits = await session.append(ids.slice(session.length, tokens));
          expect(firstBitDifference(logits, row(tokens)), `${tokens}`).toBeUndefined();
        }
        using fork = session.fork();
        fork.rewind(99);
        for (const tokens of [100, 101, 102, 103]) {
          expect(firstBitDifference(await fork.append([ids[tokens - 1] as number]), row(tokens))).toBeUndefined();
        }
      }
    },
  );

  test('are close in all types, and take the bytes that they should', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(wide));
    const ids = someIds(200, wide.vocab);
    const exact = await fresh(model, ids);
    const bytes: number[] = [];
    const errors: number[] = [];
    for (const kvType of ['f32', 'f16', 'q8_0'] as const) {
      using session = model.session({ kvType });
      const logits = await session.append(ids);
      bytes.push(session.stats.keyValueBytes);
      let squares = 0;
      let norm = 0;
      for (const [index, value] of exact.entries()) {
        squares += ((logits[index] as number) - value) ** 2;
        norm += value ** 2;
      }
      errors.push(squares / norm);
    }
    const [f32 = 0] = bytes;
    expect(bytes).toEqual([f32, f32 / 2, (f32 / 128) * 34]);
    expect(errors[0]).toBe(0);
    expect(errors[1]).toBeGreaterThan(0);
    expect(errors[1]).toBeLessThan(1e-6);
    expect(errors[2]).toBeGreaterThan(errors[1] as number);
    expect(errors[2]).toBeLessThan(1e-3);
  });

  test('of a type that does not fit the model are refused', async () => {
    const engine = await engines({ threads: 2 });
    const path = await write(tiny);
    await expectRejection(engine.loadModel(path, { kvType: 'q8_0' }), 'ERR_UNSUPPORTED', /multiple of 32, got 8/);
    await expectRejection(engine.loadModel(path, { kvType: 'q4_0' as 'f16' }), 'ERR_ARGUMENT', /kvType/);
    using model = await engine.loadModel(path);
    await expectRejection(() => model.session({ kvType: 'q8_0' }), 'ERR_UNSUPPORTED');
    await expectRejection(() => model.session({ kvType: 'bf16' as 'f16' }), 'ERR_ARGUMENT');
  });
});
