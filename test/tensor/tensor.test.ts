// src/tensor/tensor.ts: metadata, reading and writing, disposal, misuse, and tensors over memory that is not pooled.

import { describe, expect, expectTypeOf, test } from 'vitest';
import { internal } from '../../src/base/internal.js';
import type { Storage } from '../../src/tensor/memory/storage.js';
import { storageOf, Tensor } from '../../src/tensor/tensor.js';
import { expectError, makePool } from './support.js';

/** A storage like that of a program's temporaries: it may have an address, but no buffer. */
function unpooledStorage(sizeBytes: number, address = Number.NaN): { -readonly [K in keyof Storage]: Storage[K] } {
  return {
    sizeBytes,
    address,
    disposed: false,
    owner: undefined,
    buffer: undefined,
    byteOffset: 0,
    pin() {},
    unpin() {},
  };
}

describe('metadata', () => {
  test('of a packed tensor and of a view', () => {
    const pool = makePool();
    const x = pool.tensor([2, 3], 'f32', [1, 2, 3, 4, 5, 6]);
    expect(x).toMatchObject({
      dtype: 'f32',
      shape: [2, 3],
      strides: [3, 1],
      offset: 0,
      size: 6,
      rank: 2,
      sizeBytes: 24,
    });
    expect(x.isContiguous).toBe(true);
    expect(x.base).toBeUndefined();
    expect(x.address).toBe(storageOf(x).address);
    expect(x.address % 64).toBe(0);
    const y = x.slice([1], [1]).transpose();
    expect(y).toMatchObject({ shape: [2, 1], strides: [1, 3], offset: 4, size: 2, sizeBytes: 8 });
    expect(y.base).toBe(x);
    expect(y.address).toBe(x.address + 16);
    expect(y.toString()).toBe('f32 tensor [2, 1]');
  });

  test('ids are unique; shapes and strides cannot be changed', () => {
    const pool = makePool();
    const shape = [2, 2];
    const x = pool.tensor(shape);
    const y = x.transpose();
    expect(y.id).toBeGreaterThan(x.id);
    shape[0] = 9;
    expect(x.shape).toEqual([2, 2]);
    expect(() => (x.shape as number[]).push(1)).toThrow(TypeError);
    expect(() => (x.strides as number[]).pop()).toThrow(TypeError);
  });

  test('types follow the element type', () => {
    const pool = makePool();
    expectTypeOf(pool.tensor([1])).toEqualTypeOf<Tensor<'f32'>>();
    expectTypeOf(pool.tensor([1], 'i32').data).toEqualTypeOf<Int32Array>();
    expectTypeOf(pool.tensor([1], 'f16').data).toEqualTypeOf<Uint16Array>();
    expectTypeOf(pool.tensor([1], 'f16').toArray()).toEqualTypeOf<Float32Array>();
    expectTypeOf(pool.tensor([1], new Int8Array(1))).toEqualTypeOf<Tensor<'i8'>>();
    expectTypeOf(pool.tensor([1], [1])).toEqualTypeOf<Tensor<'f32'>>();
    expectTypeOf(pool.empty([1])).toEqualTypeOf<Tensor<'f32'>>();
  });
});

describe('reading and writing', () => {
  test('data is live, shared, and the same object each time', () => {
    const x = makePool().tensor([2, 2], [1, 2, 3, 4]);
    expect(x.data).toBeInstanceOf(Float32Array);
    expect(x.data.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(x.data).toBe(x.data);
    const row = x.slice([1]);
    row.data[0] = 30;
    expect([...x.data]).toEqual([1, 2, 30, 4]);
    expect(row.data).toHaveLength(2);
  });

  test('data of a view that is not contiguous points to toArray()', () => {
    const x = makePool().tensor([2, 2], [1, 2, 3, 4]);
    expectError(() => x.transpose().data, 'ERR_ARGUMENT', /not contiguous.*toArray\(\)/);
    expect([...x.transpose().toArray()]).toEqual([1, 3, 2, 4]);
  });

  test('asBytes is the memory of data, from the first element on', () => {
    const x = makePool().tensor([3, 2], 'f16', new Uint16Array([1, 2, 3, 4, 5, 0x0706]));
    const bytes = x.slice([1]).asBytes();
    expect([...bytes]).toEqual([3, 0, 4, 0, 5, 0, 6, 7]);
    bytes[0] = 9;
    expect(x.data[2]).toBe(9);
    expectError(() => x.transpose().asBytes(), 'ERR_ARGUMENT', /not contiguous/);
  });

  test('toArray is a packed copy', () => {
    const x = makePool().tensor([2], 'i32', [1, 2]);
    const copy = x.toArray();
    expect(copy).toBeInstanceOf(Int32Array);
    expect(copy.buffer).toBeInstanceOf(ArrayBuffer);
    x.data[0] = 9;
    expect([...copy]).toEqual([1, 2]);
  });

  test('f16 is rounded when written, widened when read, and raw as Uint16Array', () => {
    const pool = makePool();
    const x = pool.tensor([3], 'f16', [1, -2, 1 / 3]);
    expect([...x.data]).toEqual([0x3c00, 0xc000, 0x3555]);
    expect(x.toArray()).toEqual(new Float32Array([1, -2, 0.333251953125]));
    x.set(new Uint16Array([0x4000, 0, 0x7c00]));
    expect([...x.toArray()]).toEqual([2, 0, Number.POSITIVE_INFINITY]);
    expect(pool.tensor([1], new Uint16Array([0x3c00])).item()).toBe(1);
    expect([...pool.tensor([2, 2], 'f16', [1, 2, 3, 4]).transpose().toArray()]).toEqual([1, 3, 2, 4]);
    const strided = pool.zeros([2, 2], 'f16');
    strided.transpose().set([1, 2, 3, 4]);
    strided
      .transpose()
      .slice([0, 1])
      .set(new Uint16Array([0x4400, 0x4500]));
    expect([...strided.toArray()]).toEqual([4, 3, 5, 4]);
  });

  test('set takes arrays of every type if the values fit', () => {
    const pool = makePool();
    const x = pool.tensor([2], 'i8');
    for (const values of [
      [1, -128],
      new Float32Array([1, -128]),
      new Int8Array([1, -128]),
      new Int32Array([1, -128]),
    ]) {
      x.set([0, 0]);
      x.set(values);
      expect([...x.data]).toEqual([1, -128]);
    }
    const y = pool.tensor([2], 'f32');
    y.set(new Float64Array([0.1, Number.NaN]));
    expect([...y.data]).toEqual([Math.fround(0.1), Number.NaN]);
    expect([...pool.tensor([1], 'i32', new Uint32Array([7])).data]).toEqual([7]);
  });

  test('set refuses values that do not fit, and changes nothing', () => {
    const pool = makePool();
    const x = pool.tensor([2], 'i8', [1, 2]);
    expectError(() => x.set([3]), 'ERR_SHAPE', /set: \[2\] has 2 elements, got 1/);
    expectError(() => x.set([3, 4, 5]), 'ERR_SHAPE', /got 3/);
    expectError(() => x.set([3, 128]), 'ERR_ARGUMENT', /value 1 does not fit i8: 128/);
    expectError(() => x.set([3, -129]), 'ERR_ARGUMENT', /-129/);
    expectError(() => x.set([3, 0.5]), 'ERR_ARGUMENT', /0\.5/);
    expectError(() => x.set(new Float32Array([3, Number.NaN])), 'ERR_ARGUMENT', /NaN/);
    expectError(() => x.set(new Int32Array([3, 1000])), 'ERR_ARGUMENT', /1000/);
    expectError(() => x.set(new Uint16Array([3, 4])), 'ERR_ARGUMENT', /f16 bits/);
    expectError(() => x.set('34' as never), 'ERR_ARGUMENT', /array of numbers/);
    expectError(() => x.set(new BigInt64Array(2) as never), 'ERR_ARGUMENT', /array of numbers/);
    expectError(() => x.set(new DataView(new ArrayBuffer(2)) as never), 'ERR_ARGUMENT', /array of numbers/);
    expect([...x.data]).toEqual([1, 2]);
    const y = pool.tensor([2], 'f32', [1, 2]);
    expectError(() => y.set([3, '4'] as never), 'ERR_ARGUMENT', /value 1 must be a number/);
    expectError(() => y.set([3, undefined] as never), 'ERR_ARGUMENT', /value 1/);
    expectError(() => y.set(new Array(2)), 'ERR_ARGUMENT', /value 0/);
    expectError(() => pool.tensor([1], 'i32', [2 ** 31]), 'ERR_ARGUMENT', /i32/);
    expectError(() => y.slice([0, 1]).expand([2]).set([3, 4]), 'ERR_ARGUMENT', /share memory/);
    expect([...y.data]).toEqual([1, 2]);
  });

  test('item', () => {
    const pool = makePool();
    expect(pool.tensor([], [7]).item()).toBe(7);
    expect(pool.tensor([2, 2], [1, 2, 3, 4]).slice([1], [0, 1]).item()).toBe(3);
    expect(pool.tensor([1], 'f16', [0.5]).item()).toBe(0.5);
    expectError(() => pool.tensor([2]).item(), 'ERR_SHAPE', /exactly one/);
    expectError(() => pool.tensor([0]).item(), 'ERR_SHAPE', /exactly one/);
  });

  test('tensors without elements', () => {
    const pool = makePool();
    const x = pool.tensor([2, 0, 3]);
    expect(x.data).toHaveLength(0);
    expect(x.toArray()).toHaveLength(0);
    expect(x.transpose().slice(null, null, [1]).reshape([0]).toArray()).toHaveLength(0);
    x.set([]);
    expect(pool.tensor([3], [1, 2, 3]).slice([3]).data).toHaveLength(0);
    expect(pool.stats().rents).toBe(1);
    x.dispose();
    expectError(() => x.data, 'ERR_DISPOSED');
  });
});

describe('disposal', () => {
  const uses: [string, (x: Tensor) => unknown][] = [
    ['data', (x) => x.data],
    ['toArray', (x) => x.toArray()],
    ['set', (x) => x.set([1])],
    ['item', (x) => x.item()],
    ['reshape', (x) => x.reshape([1])],
    ['transpose', (x) => x.transpose()],
    ['slice', (x) => x.slice()],
    ['expand', (x) => x.expand([1])],
    ['squeeze', (x) => x.squeeze()],
    ['unsqueeze', (x) => x.unsqueeze(0)],
  ];

  test.each(uses)('%s fails after disposal, and through a view after the disposal of its owner', (op, use) => {
    const x = makePool().tensor([1]);
    const view = x.reshape([1, 1]).reshape([1]);
    use(view);
    x.dispose();
    expectError(() => use(x), 'ERR_DISPOSED', new RegExp(`^${op}: f32 tensor \\[1\\] was disposed`));
    expectError(() => use(view), 'ERR_DISPOSED', /views a tensor that was disposed/);
    expect(x.disposed && view.disposed).toBe(true);
  });

  test('twice is an error, for views too; Symbol.dispose is not', () => {
    const pool = makePool();
    const x = pool.tensor([1]);
    const view = x.reshape([1]);
    view.dispose();
    expectError(() => view.dispose(), 'ERR_DISPOSED', /twice/);
    x.dispose();
    expectError(() => x.dispose(), 'ERR_DISPOSED', /twice/);
    x[Symbol.dispose]();
    {
      using y = pool.tensor([1]);
      y.dispose();
    }
    expect(pool.stats()).toMatchObject({ rentedBytes: 0, liveTensors: 0 });
  });

  test('of a view frees nothing and leaves the owner and other views alone', () => {
    const pool = makePool();
    const x = pool.tensor([2], [1, 2]);
    const view = x.reshape([2, 1]);
    const viewOfView = view.reshape([1, 2]);
    view.dispose();
    expectError(() => view.data, 'ERR_DISPOSED');
    expect([...x.data]).toEqual([1, 2]);
    expect([...viewOfView.data]).toEqual([1, 2]);
    expect(pool.stats().rentedBytes).toBe(64);
    x.dispose();
    viewOfView.dispose();
    expect(pool.stats().rentedBytes).toBe(0);
  });

  test('of a pinned tensor: the tensor is unusable at once, the pool gets the memory at the last unpin', () => {
    const pool = makePool();
    const x = pool.tensor([4], [1, 2, 3, 4]);
    const storage = storageOf(x);
    storage.pin();
    storage.pin();
    x.dispose();
    expectError(() => x.data, 'ERR_DISPOSED');
    expectError(() => storage.pin(), 'ERR_DISPOSED');
    expect(storage.disposed).toBe(true);
    expect(pool.stats()).toMatchObject({ rentedBytes: 64, liveTensors: 0 });
    storage.unpin();
    expect(pool.stats().rentedBytes).toBe(64);
    const other = pool.tensor([4]);
    expect(other.address).not.toBe(storage.address);
    storage.unpin();
    expect(pool.stats().rentedBytes).toBe(64);
    expectError(() => storage.unpin(), 'ERR_ARGUMENT', /without a pin/);
    other.dispose();
    expect(pool.stats().rentedBytes).toBe(0);
  });

  test('a pin that ends before disposal changes nothing', () => {
    const pool = makePool();
    const x = pool.tensor([4]);
    storageOf(x).pin();
    storageOf(x).unpin();
    expect(pool.stats().rentedBytes).toBe(64);
    x.dispose();
    expect(pool.stats().rentedBytes).toBe(0);
  });

  test('a stale storage stays disposed when its block is rented again', () => {
    const pool = makePool();
    const x = pool.tensor([4]);
    const view = x.reshape([2, 2]);
    x.dispose();
    const y = pool.tensor([4]);
    expect(y.address).toBe(storageOf(x).address);
    expect(storageOf(x).disposed).toBe(true);
    expectError(() => view.data, 'ERR_DISPOSED');
  });
});

test('checkUsable refuses a tensor of another pool', () => {
  const [pool, other] = [makePool(), makePool()];
  const x = pool.tensor([2]);
  x.checkUsable('add', pool);
  x.reshape([1, 2]).checkUsable('add', pool);
  x.checkUsable('add');
  expectError(() => x.checkUsable('add', other), 'ERR_FOREIGN_TENSOR', /^add: f32 tensor \[2\]/);
  expectError(() => x.reshape([1, 2]).checkUsable('add', other), 'ERR_FOREIGN_TENSOR');
  x.dispose();
  expectError(() => x.checkUsable('add', other), 'ERR_DISPOSED');
});

describe('over memory that is not pooled', () => {
  test('layouts and views work, reading does not', () => {
    const storage = unpooledStorage(96);
    const x = new Tensor(internal, { dtype: 'f32', shape: [2, 3], storage });
    const view = x.transpose().slice([1]);
    expect(view.shape).toEqual([2, 2]);
    expect(view.address).toBeNaN();
    expectError(() => x.data, 'ERR_ARGUMENT', /program's temporary/);
    expectError(() => view.toArray(), 'ERR_ARGUMENT', /program's temporary/);
    expectError(() => x.set([1, 2, 3, 4, 5, 6]), 'ERR_ARGUMENT', /program's temporary/);
    expectError(() => x.checkUsable('add', makePool()), 'ERR_FOREIGN_TENSOR');
    storage.disposed = true;
    expectError(() => view.reshape([4]), 'ERR_DISPOSED');
    x.dispose();
  });

  test('addresses follow the storage', () => {
    const x = new Tensor(internal, { dtype: 'i8', shape: [4], offset: 3, storage: unpooledStorage(7, 640) });
    expect(x.address).toBe(643);
    expect(x.slice([2]).address).toBe(645);
  });

  test('with a buffer of its own it can be read and written, and disposal frees nothing', () => {
    const storage = unpooledStorage(16, 64);
    storage.buffer = new SharedArrayBuffer(24);
    storage.byteOffset = 8;
    const x = new Tensor(internal, { dtype: 'i32', shape: [3], offset: 1, storage });
    x.set([1, 2, 3]);
    expect([...new Int32Array(storage.buffer)]).toEqual([0, 0, 0, 1, 2, 3]);
    expect([...x.data]).toEqual([1, 2, 3]);
    x.dispose();
    expectError(() => x.data, 'ERR_DISPOSED');
    expect(storage.disposed).toBe(false);
  });

  test('layouts that extend beyond the storage are refused', () => {
    const storage = unpooledStorage(24);
    const make = (options: object) => () => new Tensor(internal, { dtype: 'f32', shape: [2, 3], storage, ...options });
    make({})();
    make({ offset: 900, shape: [0] })();
    expectError(make({ offset: 1 }), 'ERR_SHAPE', /byte 28 of a storage of 24/);
    expectError(make({ strides: [4, 1] }), 'ERR_SHAPE', /byte 28/);
    expectError(make({ dtype: 'i32', shape: [7] }), 'ERR_SHAPE', /byte 28/);
    expectError(make({ strides: [1] }), 'ERR_SHAPE', /do not fit/);
    expectError(make({ strides: [-3, 1] }), 'ERR_SHAPE', /non-negative/);
    expectError(make({ offset: 0.5 }), 'ERR_SHAPE', /non-negative/);
  });
});
