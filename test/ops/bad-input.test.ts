// What every op refuses, one-shot and recorded: each time with a typed error, and without keeping memory.
import { afterAll, describe, expect, test } from 'vitest';
import type { ErrorCode } from '../../src/base/errors.js';
import { Engine } from '../../src/engine.js';
import { elementCount } from '../../src/tensor/layout/layout.js';
import type { Tensor } from '../../src/tensor/tensor.js';
import type { TensorScope } from '../../src/tensor/tensor-scope.js';
import type { OpCase, OpHost } from '../support/ops/op-case.js';
import { opCases } from '../support/ops/op-cases.js';
import { placeOperand } from '../support/ops/op-layouts.js';
import { expectRejection } from '../support/rejections.js';
import { sharedEngines } from '../support/running/engines.js';

const engineOf = sharedEngines();
const names = Object.keys(opCases);

/** The case of an op that has elements and the most operands. */
function sampleOf(name: string): OpCase {
  const cases = (opCases[name] as readonly OpCase[]).filter(({ shape }) => elementCount(shape) > 1);
  const most = Math.max(...cases.map(({ operands }) => Object.keys(operands).length));
  return cases.find(({ operands }) => Object.keys(operands).length === most) as OpCase;
}

type Tensors = Record<string, Tensor>;

function place(scope: TensorScope, opCase: OpCase): Tensors {
  return Object.fromEntries(
    Object.entries(opCase.operands).map(([key, operand]) => [key, placeOperand(scope, operand, 'packed')]),
  );
}

/** Asserts that the call fails with the code, as a one-shot call and recorded, and takes no memory. */
async function expectRefused(engine: Engine, call: (host: OpHost) => unknown, code: ErrorCode, message?: RegExp) {
  const { rentedBytes, liveTensors } = engine.stats().pool;
  await expectRejection(() => call(engine), code, message);
  await expectRejection(() => engine.program((p) => void call(p)), code, message);
  expect(engine.stats().pool).toMatchObject({ rentedBytes, liveTensors });
}

describe.each(names)('%s refuses', (name) => {
  const sample = sampleOf(name);
  const keys = Object.keys(sample.operands);

  /** Calls `check` for every operand, with a function that makes the call with another tensor in place of that operand. */
  async function forEachOperand(
    check: (
      engine: Engine,
      callWith: (key: string, other: unknown) => (host: OpHost) => unknown,
      key: string,
      scope: TensorScope,
    ) => Promise<void>,
  ): Promise<void> {
    const engine = await engineOf({ threads: 2 });
    using scope = engine.scope();
    const tensors = place(scope, sample);
    const out = sample.initial === undefined ? {} : { out: scope.tensor(sample.shape, sample.dtype) };
    for (const key of keys) {
      await check(
        engine,
        (which, other) => (host) => sample.call(host, { ...tensors, [which]: other as Tensor }, out),
        key,
        scope,
      );
    }
  }

  test('operands that are not tensors', async () => {
    await forEachOperand(async (engine, callWith, key) => {
      for (const other of [{}, 'text', [1, 2], new Float32Array(4)]) {
        await expectRefused(
          engine,
          callWith(key, other),
          'ERR_ARGUMENT',
          new RegExp(`^${name}: ${key} must be a tensor`),
        );
      }
    });
  });

  test('element types that it does not take', async () => {
    await forEachOperand(async (engine, callWith, key, scope) => {
      if (name === 'copy') return;
      const other = scope.tensor((sample.operands[key] as OpCase['operands'][string]).shape, 'i8');
      await expectRefused(engine, callWith(key, other), 'ERR_DTYPE', /i8 tensor/);
    });
  });

  test('disposed tensors, and views of a disposed tensor', async () => {
    await forEachOperand(async (engine, callWith, key, scope) => {
      const operand = sample.operands[key] as OpCase['operands'][string];
      const disposed = placeOperand(scope, operand, 'packed');
      const view = disposed.reshape(operand.shape);
      disposed.dispose();
      await expectRefused(engine, callWith(key, disposed), 'ERR_DISPOSED', /was disposed$/);
      await expectRefused(engine, callWith(key, view), 'ERR_DISPOSED', /views a tensor that was disposed$/);
      const disposedView = placeOperand(scope, operand, 'packed').reshape(operand.shape);
      disposedView.dispose();
      await expectRefused(engine, callWith(key, disposedView), 'ERR_DISPOSED');
    });
  });

  test('tensors of another engine, and temporaries of another program', async () => {
    const other = await engineOf({ threads: 1 });
    using foreign = other.scope();
    await forEachOperand(async (engine, callWith, key, scope) => {
      const operand = sample.operands[key] as OpCase['operands'][string];
      await expectRefused(engine, callWith(key, placeOperand(foreign, operand, 'packed')), 'ERR_FOREIGN_TENSOR');
      let temporary: Tensor | undefined;
      using program = engine.program((p) => {
        temporary = p.copy(placeOperand(scope, operand, 'packed'));
        return p.copy(temporary);
      });
      await expectRefused(engine, callWith(key, temporary), 'ERR_FOREIGN_TENSOR');
      program.dispose();
      await expectRefused(engine, callWith(key, temporary), 'ERR_DISPOSED');
    });
  });

  test('unknown options, and signals that are not an AbortSignal', async () => {
    const engine = await engineOf({ threads: 2 });
    using scope = engine.scope();
    const tensors = place(scope, sample);
    const out = sample.initial === undefined ? {} : { out: scope.tensor(sample.shape, sample.dtype) };
    const callWith = (options: object) => (host: OpHost) => sample.call(host, tensors, { ...out, ...options });
    await expectRefused(engine, callWith({ casual: true }), 'ERR_ARGUMENT', /no option casual$/);
    for (const signal of [null, {}, 'abort', new AbortController()]) {
      await expectRefused(engine, callWith({ signal }), 'ERR_ARGUMENT', /signal/);
    }
    const { signal } = new AbortController();
    await expectRejection(
      () => engine.program((p) => void callWith({ signal })(p)),
      'ERR_ARGUMENT',
      /belongs to program.run/,
    );
  });

  test('outputs that do not fit', async () => {
    const engine = await engineOf({ threads: 2 });
    const other = await engineOf({ threads: 1 });
    using scope = engine.scope();
    using foreign = other.scope();
    const tensors = place(scope, sample);
    const { shape, dtype } = sample;
    const callWith = (out: unknown) => (host: OpHost) => sample.call(host, tensors, { out: out as Tensor });
    await expectRefused(engine, callWith(new Float32Array(4)), 'ERR_ARGUMENT', /out must be a tensor/);
    await expectRefused(engine, callWith(null), 'ERR_ARGUMENT', /out must be a tensor/);
    await expectRefused(engine, callWith(scope.tensor(shape, 'i8')), 'ERR_DTYPE');
    const longer = scope.tensor(shape.with(-1, (shape.at(-1) as number) + 1), dtype);
    await expectRefused(engine, callWith(longer), 'ERR_SHAPE');
    await expectRefused(engine, callWith(scope.tensor([1, ...shape], dtype)), 'ERR_SHAPE');
    await expectRefused(engine, callWith(foreign.tensor(shape, dtype)), 'ERR_FOREIGN_TENSOR');
    const disposed = scope.tensor(shape, dtype);
    disposed.dispose();
    await expectRefused(engine, callWith(disposed), 'ERR_DISPOSED');
    const expanded = scope.tensor(shape.with(-1, 1), dtype).expand(shape);
    await expectRefused(engine, callWith(expanded), 'ERR_ARGUMENT', /share memory/);
  });

  test('outputs that overlap an operand, unless they are exactly its elements', async () => {
    const engine = await engineOf({ threads: 2 });
    using scope = engine.scope();
    for (const key of keys) {
      const operand = sample.operands[key] as OpCase['operands'][string];
      if (operand.dtype !== sample.dtype) continue;
      const tensors = place(scope, sample);
      const [size, outSize] = [elementCount(operand.shape), elementCount(sample.shape)];
      const both = scope.tensor([Math.max(size, outSize) + 1], sample.dtype);
      tensors[key] = both.slice([0, size]).reshape(operand.shape);
      const out = both.slice([1, 1 + outSize]).reshape(sample.shape);
      await expectRefused(
        engine,
        (host) => sample.call(host, tensors, { out }),
        'ERR_ARGUMENT',
        /out overlaps an operand/,
      );
    }
  });

  test('every call after the engine was closed', async () => {
    const engine = await closedEngine();
    using scope = (await engineOf({ threads: 2 })).scope();
    const call = () => sample.call(engine, place(scope, sample), {});
    await expectRejection(call, 'ERR_ENGINE_CLOSED', new RegExp(`^${name}: `));
  });

  test('operands that were disposed after the same call succeeded', async () => {
    const engine = await engineOf({ threads: 2 });
    for (const key of [...keys, 'out']) {
      using scope = engine.scope();
      const tensors = place(scope, sample);
      const out = scope.tensor(sample.shape, sample.dtype);
      await sample.call(engine, tensors, { out });
      await sample.call(engine, tensors, { out });
      using program = engine.program((p) => void sample.call(p, tensors, { out }));
      await program.run();
      (key === 'out' ? out : (tensors[key] as Tensor)).dispose();
      await expectRejection(() => sample.call(engine, tensors, { out }), 'ERR_DISPOSED');
      await expectRejection(() => program.run(), 'ERR_DISPOSED');
    }
  });
});

let closed: Promise<Engine> | undefined;

function closedEngine(): Promise<Engine> {
  closed ??= Engine.create({ threads: 1 }).then(async (engine) => {
    await engine.close();
    return engine;
  });
  return closed;
}

afterAll(() => {
  closed = undefined;
});
