// src/tensor/tensor-scope.ts: everything kept is disposed once, in order, even if it moved between scopes.

import { describe, expect, test, vi } from 'vitest';
import { internal } from '../../src/base/internal.js';
import { storageOf, type Tensor } from '../../src/tensor/tensor.js';
import { TensorScope } from '../../src/tensor/tensor-scope.js';
import { expectError, makePool } from './support.js';

describe('a scope', () => {
  test('disposes what was made in it in reverse order', () => {
    const pool = makePool();
    const names = new Map<unknown, string>();
    const order: (string | undefined)[] = [];
    const watch = (name: string, tensor: Tensor) => names.set(storageOf(tensor), name);
    const released = pool.released.bind(pool);
    vi.spyOn(pool, 'released').mockImplementation((storage) => {
      order.push(names.get(storage));
      released(storage);
    });
    {
      using scope = new TensorScope(internal, pool);
      watch('a', scope.tensor([2], [1, 2]));
      watch('b', scope.empty([2], 'i32'));
      watch('c', scope.scope().zeros([2], 'f16'));
      watch('d', scope.track(pool.tensor([2])));
      expect(pool.stats().liveTensors).toBe(4);
    }
    expect(order).toEqual(['d', 'c', 'b', 'a']);
    expect(pool.stats()).toMatchObject({ liveTensors: 0, rentedBytes: 0 });
  });

  test('makes what the pool makes', () => {
    using scope = new TensorScope(internal, makePool());
    expect(scope.tensor([2]).dtype).toBe('f32');
    expect([...scope.tensor([2], 'i32', [1, 2]).data]).toEqual([1, 2]);
    expect(scope.tensor([2], new Int8Array(2)).dtype).toBe('i8');
    expect(scope.empty([2]).dtype).toBe('f32');
    expect([...scope.zeros([2]).data]).toEqual([0, 0]);
    expectError(() => scope.tensor([3], [1]), 'ERR_SHAPE');
  });

  test('ignores what was disposed early', () => {
    const pool = makePool();
    using scope = new TensorScope(internal, pool);
    const x = scope.tensor([2]);
    x.dispose();
    const y = pool.tensor([2]);
    expect(y.address).toBe(x.address);
    scope.dispose();
    expect(y.disposed).toBe(false);
    expect(pool.stats().liveTensors).toBe(1);
  });

  test('tracks views without freeing the memory of their owners', () => {
    const pool = makePool();
    const x = pool.tensor([2]);
    const scope = new TensorScope(internal, pool);
    const view = scope.track(x.reshape([1, 2]));
    scope.dispose();
    expect(view.disposed).toBe(true);
    expect(x.disposed).toBe(false);
  });

  test('takes over what another scope tracked', () => {
    const pool = makePool();
    const [first, second] = [new TensorScope(internal, pool), new TensorScope(internal, pool)];
    const x = first.tensor([2]);
    expect(second.track(x)).toBe(x);
    expect(second.track(x)).toBe(x);
    first.dispose();
    expect(x.disposed).toBe(false);
    second.dispose();
    expect(x.disposed).toBe(true);
  });

  test('refuses to track disposed and foreign tensors', () => {
    const pool = makePool();
    using scope = new TensorScope(internal, pool);
    const x = pool.tensor([2]);
    x.dispose();
    expectError(() => scope.track(x), 'ERR_DISPOSED', /^track/);
    expectError(() => scope.track(makePool().tensor([2])), 'ERR_FOREIGN_TENSOR', /^track/);
    expectError(() => scope.track({} as Tensor), 'ERR_ARGUMENT', /^track/);
  });

  test('disposes its tensors when its block throws', () => {
    const pool = makePool();
    expect(() => {
      using scope = new TensorScope(internal, pool);
      scope.tensor([2]);
      throw new Error('in between');
    }).toThrow('in between');
    expect(pool.stats().liveTensors).toBe(0);
  });

  test('fails after disposal', () => {
    const pool = makePool();
    const scope = new TensorScope(internal, pool);
    const x = pool.tensor([2]);
    scope.dispose();
    expect(scope.disposed).toBe(true);
    const uses: [string, () => unknown][] = [
      ['tensor', () => scope.tensor([2])],
      ['empty', () => scope.empty([2])],
      ['zeros', () => scope.zeros([2])],
      ['track', () => scope.track(x)],
      ['escape', () => scope.escape(x)],
      ['scope', () => scope.scope()],
      ['dispose', () => scope.dispose()],
    ];
    for (const [op, use] of uses) expectError(use, 'ERR_DISPOSED', new RegExp(`^${op}: the scope was disposed`));
    scope[Symbol.dispose]();
    expect(pool.stats().liveTensors).toBe(1);
  });
});

describe('nested scopes', () => {
  test('are disposed with their parent, or before it', () => {
    const pool = makePool();
    const outer = new TensorScope(internal, pool);
    const ended = outer.scope();
    const open = outer.scope().scope();
    const [a, b] = [ended.tensor([2]), open.tensor([2])];
    ended.dispose();
    expect([a.disposed, b.disposed]).toEqual([true, false]);
    outer.dispose();
    expect([open.disposed, b.disposed]).toEqual([true, true]);
    expectError(() => open.tensor([1]), 'ERR_DISPOSED');
  });

  test('that were disposed are not kept by their parent', async () => {
    const outer = new TensorScope(internal, makePool());
    const inner = (() => {
      const scope = outer.scope();
      scope.dispose();
      return new WeakRef(scope);
    })();
    for (let turn = 0; turn < 10; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      globalThis.gc?.();
    }
    expect(inner.deref()).toBeUndefined();
    outer.dispose();
  });
});

describe('escape', () => {
  test('moves to the parent, then to the caller', () => {
    const pool = makePool();
    const outer = new TensorScope(internal, pool);
    const inner = outer.scope();
    const x = inner.tensor([2], [1, 2]);
    expect(inner.escape(x)).toBe(x);
    inner.dispose();
    expect([...x.data]).toEqual([1, 2]);
    expect(outer.escape(x)).toBe(x);
    outer.dispose();
    expect([...x.data]).toEqual([1, 2]);
    x.dispose();
    expect(pool.stats().liveTensors).toBe(0);
  });

  test('moves a view whose owner is not in the scope', () => {
    const pool = makePool();
    const x = pool.tensor([2], [1, 2]);
    const view = (() => {
      using scope = new TensorScope(internal, pool);
      return scope.escape(scope.track(x.reshape([2, 1])));
    })();
    expect([...view.data]).toEqual([1, 2]);
  });

  test('refuses a view of a tensor in the scope, and a tensor of another scope', () => {
    const pool = makePool();
    using scope = new TensorScope(internal, pool);
    const x = scope.tensor([2]);
    expectError(() => scope.escape(x.reshape([1, 2])), 'ERR_ARGUMENT', /escape: .*view of a tensor in this scope/);
    expectError(() => scope.escape(scope.track(x.reshape([1, 2]))), 'ERR_ARGUMENT', /view of a tensor/);
    expectError(() => scope.escape(pool.tensor([2])), 'ERR_ARGUMENT', /not in this scope/);
    expectError(() => scope.scope().escape(x), 'ERR_ARGUMENT', /not in this scope/);
    expectError(() => scope.escape(undefined as never), 'ERR_ARGUMENT', /expected a tensor/);
    x.dispose();
    expectError(() => scope.escape(x), 'ERR_DISPOSED');
  });
});
