// Sessions: the same bits by every way of appending, rewinding, misuse, cancellation, and what they hold of memory.
import { describe, expect, test } from 'vitest';
import { Engine } from '../../src/engine.js';
import type { Model } from '../../src/model/model.js';
import type { Session } from '../../src/model/session.js';
import { bundledModelPath, card } from '../support/models/bundled-model.js';
import { modelFiles, small, someIds, tiny, untilRunning } from '../support/models/model-files.js';
import { firstBitDifference } from '../support/numbers.js';
import { expectAbort, expectRejection } from '../support/rejections.js';
import { sharedEngines } from '../support/running/engines.js';

const engines = sharedEngines();
const write = modelFiles();

/** Appends in pieces of so many tokens; gives the logits after each piece, by the number of tokens so far. */
async function appendInPieces(session: Session, ids: readonly number[], most: number) {
  const logits = new Map<number, Float32Array>();
  for (let from = 0; from < ids.length; from += most) {
    const piece = ids.slice(from, from + most);
    logits.set(from + piece.length, await session.append(piece));
  }
  return logits;
}

function expectRows(logits: Map<number, Float32Array>, reference: Float32Array): void {
  for (const [tokens, row] of logits) {
    const expected = reference.slice((tokens - 1) * row.length, tokens * row.length);
    expect(firstBitDifference(row, expected), `the logits after ${tokens} tokens`).toBeUndefined();
  }
}

/** Whole at once, piece by piece, token by token, and each prefix anew. */
async function expectSameBits(model: Model, ids: readonly number[], reference: Float32Array): Promise<void> {
  expect(firstBitDifference(await model.logits(ids), reference)).toBeUndefined();
  using session = model.session();
  for (const most of [1, 7, 256, 300]) {
    session.rewind(0);
    expectRows(await appendInPieces(session, ids, most), reference);
  }
  for (const tokens of [2, 3, 5, 8, 9, 30, 200, 257]) {
    using fresh = model.session();
    expectRows(new Map([[tokens, await fresh.append(ids.slice(0, tokens))]]), reference);
  }
  // A prefix stays, another end comes and goes.
  session.rewind(100);
  await session.append(someIds(50, model.info.vocabulary));
  session.rewind(100);
  const rest = await appendInPieces(session, ids.slice(100), 33);
  expectRows(new Map([...rest].map(([tokens, row]) => [tokens + 100, row])), reference);
}

describe('the same bits', () => {
  test.each([
    ['tiny, F32', tiny, 360],
    ['small, F16', small, 320],
  ] as const)('by all ways on 1, 2 and 3 threads: %s', async (_what, shape, count) => {
    const path = await write(shape);
    const ids = someIds(count, shape.vocab);
    let reference: Float32Array | undefined;
    for (const threads of [1, 2, 3]) {
      const engine = await engines({ threads });
      using model = await engine.loadModel(path);
      reference ??= await model.logits(ids);
      await expectSameBits(model, ids, reference);
    }
  });

  test('of the bundled model', async () => {
    const ids = card.check.ids.slice(0, 320);
    let reference: Float32Array | undefined;
    for (const threads of [1, 2]) {
      const engine = await engines({ threads });
      using model = await engine.loadModel(bundledModelPath);
      reference ??= await model.logits(ids);
      await expectSameBits(model, ids, reference);
    }
  });

  test('in a longer context than is needed', async () => {
    const path = await write(small);
    const engine = await engines({ threads: 2 });
    const ids = someIds(40, small.vocab);
    using tight = await engine.loadModel(path, { contextLength: 40 });
    using wide = await engine.loadModel(path);
    expect(tight.info.sessionCapacity).toBe(40);
    expect(wide.info.sessionCapacity).toBe(512);
    expect(firstBitDifference(await tight.logits(ids), await wide.logits(ids))).toBeUndefined();
  });
});

describe('a session', () => {
  test('counts its tokens and takes as many as fit', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(tiny), { contextLength: 8 });
    using session = model.session();
    expect([session.length, session.capacity]).toEqual([0, 8]);
    await session.append([1, 2, 3]);
    expect(session.length).toBe(3);
    await expectRejection(session.append([1, 2, 3, 4, 5, 6]), 'ERR_CONTEXT', /9 tokens .* context of 8/);
    expect(session.length).toBe(3);
    await session.append(Int32Array.of(1, 2, 3, 4, 5));
    await expectRejection(session.append([1]), 'ERR_CONTEXT');
    session.rewind(7);
    await session.append(Uint16Array.of(5));
  });

  test('refuses what it cannot do', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(tiny));
    const session = model.session();
    await session.append([1, 2]);
    for (const ids of [[300], [-1], [1.5], [Number.NaN], ['1'], [undefined], Float32Array.of(0.5)]) {
      await expectRejection(session.append(ids as number[]), 'ERR_TOKENIZER', /is not a token of this vocabulary/);
    }
    for (const ids of [[], undefined, null, 3, 'text', {}, new DataView(new ArrayBuffer(8))]) {
      await expectRejection(session.append(ids as number[]), 'ERR_ARGUMENT', /append/);
    }
    await expectRejection(session.append([1], { length: 2 } as object), 'ERR_ARGUMENT', /no option length/);
    await expectRejection(session.append([1], { signal: {} as AbortSignal }), 'ERR_ARGUMENT', /AbortSignal/);
    await expectRejection(session.append([1], null as unknown as object), 'ERR_ARGUMENT', /options/);
    for (const length of [-1, 3, 1.5, Number.NaN, '1']) {
      await expectRejection(() => session.rewind(length as number), 'ERR_ARGUMENT', /rewind/);
    }
    expect(session.length).toBe(2);
    session.dispose();
    session.dispose();
    await expectRejection(session.append([1]), 'ERR_DISPOSED');
    await expectRejection(() => session.rewind(0), 'ERR_DISPOSED');
  });

  test('does one thing at a time', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(small));
    using session = model.session();
    const first = session.append([1, 2, 3]);
    await expectRejection(session.append([4]), 'ERR_BUSY');
    await expectRejection(() => session.rewind(0), 'ERR_BUSY');
    await first;
    expect(session.length).toBe(3);
  });

  test('is as it was after a cancellation, wherever that comes', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(bundledModelPath);
    const ids = card.check.ids.slice(0, 500);
    const expected = (await model.logits(ids.slice(0, 6))).slice(-model.info.vocabulary);
    using session = model.session();
    await session.append(ids.slice(0, 5));
    const reason = new Error('enough');
    await expectAbort(session.append(ids, { signal: AbortSignal.abort(reason) }), reason);
    // While its programs are recorded, and while they run.
    for (const until of [async () => {}, (work: Promise<unknown>) => untilRunning(engine, work)]) {
      const controller = new AbortController();
      const appending = session.append(ids.slice(0, 400), { signal: controller.signal });
      await until(appending);
      controller.abort(reason);
      await expectAbort(appending, reason);
    }
    expect(session.length).toBe(5);
    const logits = await session.append(ids.slice(5, 6));
    expect(firstBitDifference(logits, expected)).toBeUndefined();
    expect(engine.stats().team.running).toBe(0);
  });

  test('gives all back when it is disposed, while it computes too', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(bundledModelPath);
    await model.warmup();
    {
      using session = model.session();
      await session.append(card.check.ids.slice(0, 400));
    }
    const before = engine.stats().pool;
    // While it copies or records, and while it runs.
    for (const until of [async () => {}, (work: Promise<unknown>) => untilRunning(engine, work)]) {
      const session = model.session();
      const appending = session.append(card.check.ids.slice(0, 400));
      await until(appending);
      session.dispose();
      await expectRejection(appending, 'ERR_DISPOSED', /session/);
      const { rentedBytes, liveTensors } = engine.stats().pool;
      expect({ rentedBytes, liveTensors }).toEqual({
        rentedBytes: before.rentedBytes,
        liveTensors: before.liveTensors,
      });
    }
  });

  test('gives back what it had before, too, when it is disposed while it is busy, however that ends', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(small), { serving: { prefixCache: false } });
    await model.warmup();
    const ids = someIds(100, small.vocab);
    const uses: readonly ((session: Session) => Promise<unknown>)[] = [
      (session) => session.append(someIds(300, small.vocab)),
      (session) => session.shift(),
      (session) => session.save(),
      (session) => session.generate([1, 2, 3], { maxTokens: 20, ignoreEos: true }).result,
      (session) => session.generate([1, small.vocab]).result,
    ];
    const fill = async () => {
      const session = model.session({ onFull: 'shift' });
      await session.append(ids);
      return session;
    };
    // Records the programs.
    for (const use of uses) {
      using session = await fill();
      await use(session).catch(() => undefined);
    }
    const held = () => {
      const { rentedBytes, liveTensors } = engine.stats().pool;
      return { rentedBytes, liveTensors };
    };
    const before = held();
    for (const use of uses) {
      const session = await fill();
      expect(held().rentedBytes).toBeGreaterThan(before.rentedBytes);
      const using = use(session);
      session.dispose();
      await using.catch(() => undefined);
      await expect.poll(held).toEqual(before);
    }
  });

  test('fails with its model', async () => {
    const engine = await engines({ threads: 2 });
    const before = engine.stats().pool.rentedBytes;
    const model = await engine.loadModel(await write(tiny));
    const session = model.session();
    await session.append([1]);
    model.dispose();
    await expectRejection(session.append([1]), 'ERR_DISPOSED');
    await expectRejection(session.append([1, 2]), 'ERR_DISPOSED');
    session.dispose();
    expect(engine.stats().pool.rentedBytes).toBe(before);
  });
});

describe('programs', () => {
  test('are recorded once for each number of tokens, and the last eight for each thread are kept', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(tiny));
    using session = model.session();
    // The first token stays, and with it the only page.
    const append = async (tokens: number) => {
      session.rewind(Math.min(1, session.length));
      await session.append(someIds(tokens, tiny.vocab));
    };
    const liveTensors = () => engine.stats().pool.liveTensors;
    const rents = () => engine.stats().pool.rents;
    const before = liveTensors() + 1;
    await append(1);
    const perProgram = liveTensors() - before;
    expect(perProgram).toBeGreaterThan(0);
    for (let tokens = 1; tokens <= 20; tokens++) {
      await append(tokens);
      // The one for single tokens is used all the time and stays.
      await append(1);
      expect(liveTensors() - before).toBe(Math.min(tokens, 16) * perProgram);
    }
    const after = rents();
    for (const tokens of [1, 6, 20, 17, 15, 1, 16, 18, 19]) await append(tokens);
    expect(rents()).toBe(after);
    // They belong to no session.
    using other = session.fork();
    await other.append([1]);
    expect(rents()).toBe(after + 1);
    await append(5);
    expect(rents()).toBeGreaterThan(after + 1);
  });

  test('that are only kept make room where the budget is short', async () => {
    const path = await write({ ...small, dim: 256, ffn: 1024 });
    const needed = async () => {
      await using roomy = await Engine.create({ threads: 1, memoryBudget: 2 ** 30 });
      const model = await roomy.loadModel(path);
      await model.session().append(someIds(256, small.vocab));
      const { budgetBytes, heldBytes } = roomy.stats().pool;
      return 2 ** 30 - budgetBytes + heldBytes;
    };
    await using engine = await Engine.create({ threads: 1, memoryBudget: (await needed()) + (4 << 20) });
    using model = await engine.loadModel(path);
    using session = model.session();
    const before = engine.stats().pool.liveTensors;
    let most = 0;
    for (let tokens = 256; tokens > 240; tokens--) {
      session.rewind(0);
      await session.append(someIds(tokens, small.vocab));
      most = Math.max(most, engine.stats().pool.liveTensors - before);
    }
    // Two inputs each: more than one was kept, and fewer than eight.
    expect(most).toBeGreaterThan(2);
    expect(most).toBeLessThan(16);
  });
});
